/** VM exits between two instructions (SDM 3C 26.2, 26.5): monitor trap flag, VMX-preemption timer, NMI and interrupt windows. */
import type { CpuContext } from '../cpu/context.ts';
import { Activity, Blocking, SHADOW } from '../cpu/activity.ts';
import * as L from '../cpu/layout.ts';
import { Flag } from '../cpu/system/rflags.ts';
import { Primary } from './controls.ts';
import { ExitReason } from './exit-reasons.ts';
import { Field } from './fields.ts';
import type { CurrentVmcs } from './vmcs.ts';

/**
 * The reason of the exit that is due now; undefined for none.
 * @param nmi ahead of NMIs, else behind them
 */
export function exitAtBoundary(context: CpuContext, vmcs: CurrentVmcs, nmi: boolean): number | undefined {
  const { mem } = context;
  const activity = mem.get32(L.ACTIVITY);
  if (mem.get32(L.NON_ROOT) === 0 || activity === Activity.WaitForSipi) return undefined;
  const events = mem.get32(L.PENDING_EVENTS);
  const blocked = mem.get32(L.INTERRUPTIBILITY);
  const primary = vmcs.read32(Field.primaryControls);
  if (!nmi) {
    const open = (mem.get32(L.SYSTEM_FLAGS) & Flag.IF) !== 0 && !(blocked & SHADOW) && activity <= Activity.Halt;
    return primary & Primary.InterruptWindowExiting && open ? ExitReason.InterruptWindow : undefined;
  }
  if (events & L.PENDING_MTF) return ExitReason.MonitorTrapFlag;
  if (events & L.TIMER_RUNS && mem.get64(L.CYCLES) >= mem.get64(L.TIMER_DEADLINE))
    return ExitReason.PreemptionTimerExpired;
  // With blocking by STI a processor may wait; processors do.
  const open = !(blocked & (Blocking.NMI | SHADOW));
  return primary & Primary.NmiWindowExiting && open ? ExitReason.NmiWindow : undefined;
}
