/** RFLAGS.RF as a VM exit saves it (SDM 3C 28.3.3). */
import type { CpuContext } from '../cpu/context.ts';
import { InterruptionType } from '../cpu/engine-api.ts';
import * as L from '../cpu/layout.ts';
import { Vector } from '../cpu/system/fault.ts';
import { Flag } from '../cpu/system/rflags.ts';
import type { ExitInformation } from './api.ts';
import { ExitReason } from './exit-reasons.ts';

const RF = Flag.RF;
const VALID = 0x8000_0000;
const DEBUG = Vector.DB;
const GENERAL_DETECT = 0x2000n;
/** #DB, #DF, #MC: traps and aborts push RF as it is. */
const NO_FAULTS: ReadonlySet<number> = new Set([DEBUG, 8, 18]);

/** An event that would have pushed RF = 1. */
function isFault(information: number): boolean {
  const type = (information >>> 8) & 7;
  return type === InterruptionType.HardwareException && !NO_FAULTS.has(information & 0xff);
}

export function savedResumeFlag(context: CpuContext, reason: number, information: ExitInformation): number {
  const now = context.mem.get32(L.SYSTEM_FLAGS) & RF;
  switch (reason) {
    case ExitReason.ExceptionOrNmi: {
      const event = information.interruptionInformation ?? 0;
      const detected = (event & 0xff) === DEBUG && ((information.qualification ?? 0n) & GENERAL_DETECT) !== 0n;
      return isFault(event) || detected ? RF : now;
    }
    case ExitReason.ApicAccess:
    case ExitReason.EptViolation:
    case ExitReason.EptMisconfiguration:
    case ExitReason.PageModificationLogFull:
    case ExitReason.SubPageEvent: {
      const vectoring = context.vectoring?.information ?? 0;
      return !(vectoring & VALID) || isFault(vectoring) ? RF : now;
    }
    case ExitReason.ExternalInterrupt:
    case ExitReason.TripleFault:
    case ExitReason.InitSignal:
    case ExitReason.InterruptWindow:
    case ExitReason.NmiWindow:
    case ExitReason.PreemptionTimerExpired:
    case ExitReason.MonitorTrapFlag:
      return now;
    default:
      // An instruction that exits.
      return 0;
  }
}
