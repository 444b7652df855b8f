/** Which events of a guest exit (SDM 3C 26.2), and MSR bitmaps (25.6.9). Instructions decide for themselves, in cpu/system. */
import type { CpuContext } from '../cpu/context.ts';
import * as C from '../cpu/codes.ts';
import { type EptFault, type Fault, InterruptionType } from '../cpu/engine-api.ts';
import * as L from '../cpu/layout.ts';
import type { ExitInformation } from './api.ts';
import { Exit, Pin, Primary } from './controls.ts';
import { ExitReason } from './exit-reasons.ts';
import { Field } from './fields.ts';
import type { CurrentVmcs } from './vmcs.ts';

const PAGE_FAULT = 14;
const DEBUG = 1;
const ERROR_CODE_VALID = 0x800;
const VALID = 0x8000_0000;

export interface EventExit {
  readonly reason: number;
  readonly information: ExitInformation;
}

type Exception = Extract<Fault, { kind: 'exception' }>;

/** The exit that an event of the guest takes; undefined if the guest handles it. */
export function exitOfEvent(context: CpuContext, vmcs: CurrentVmcs, fault: Fault): EventExit | undefined {
  const unblocked = fault.unblockedNmi === true && unblocksNmis(context) ? NMI_UNBLOCKING : 0;
  switch (fault.kind) {
    case 'exception':
      return exitOfException(vmcs, fault, context.vectoring ? 0 : unblocked);
    case 'ept-misconfiguration':
      return { reason: ExitReason.EptMisconfiguration, information: { guestPhysicalAddress: fault.gpa } };
    case 'apic-access':
      return apicAccessExit(context, fault);
    default:
      return {
        reason: EPT_EXITS[fault.kind],
        information: {
          qualification: fault.qualification | BigInt(unblocked),
          ...(fault.kind === 'log-full' ? {} : { guestLinearAddress: fault.gva }),
          guestPhysicalAddress: fault.gpa,
        },
      };
  }
}

const EPT_EXITS = {
  'ept-violation': ExitReason.EptViolation,
  'log-full': ExitReason.PageModificationLogFull,
  'sub-page-event': ExitReason.SubPageEvent,
} as const;

/** Bit 12 of the interruption information and of qualifications. */
const NMI_UNBLOCKING = 0x1000;

/** Where IRET changes the blocking that the VMCS tells of (SDM 3C 28.2.3). */
function unblocksNmis({ mem }: CpuContext): boolean {
  const mode = mem.get32(L.VMX_MODE);
  return (mode & L.VMX_VIRTUAL_NMIS) !== 0 || (mode & L.VMX_NMI_EXITING) === 0;
}

/** Types of bits 15:12 of the qualification (SDM 3C table 28-6). */
const APIC_READ = 0;
const APIC_WRITE = 1;
const APIC_FETCH = 2;
const APIC_IN_DELIVERY = 3;

function apicAccessExit(context: CpuContext, { gpa, access = 0 }: EptFault): EventExit {
  const kind = access & C.ACCESS_KIND;
  const plain = kind === C.ACCESS_EXEC ? APIC_FETCH : kind === C.ACCESS_WRITE ? APIC_WRITE : APIC_READ;
  const type = context.vectoring ? APIC_IN_DELIVERY : plain;
  const length = context.vectoring ? undefined : context.engine.decodeAt(context.cpu.codeAddress)?.length;
  return {
    reason: ExitReason.ApicAccess,
    information: { qualification: BigInt(gpa | (type << 12)), ...(length ? { instructionLength: length } : {}) },
  };
}

function exitOfException(vmcs: CurrentVmcs, event: Exception, unblocked: number): EventExit | undefined {
  const type = event.type ?? InterruptionType.HardwareException;
  const pin = vmcs.read32(Field.pinBasedControls);
  switch (type) {
    case InterruptionType.External: {
      if (!(pin & Pin.ExternalInterruptExiting)) return undefined;
      const acknowledge = (vmcs.read32(Field.exitControls) & Exit.AcknowledgeInterrupt) !== 0;
      const information = acknowledge ? { interruptionInformation: (VALID | event.vector) >>> 0 } : {};
      return { reason: ExitReason.ExternalInterrupt, information };
    }
    case InterruptionType.Nmi:
      if (!(pin & Pin.NmiExiting)) return undefined;
      break;
    case InterruptionType.SoftwareInterrupt:
      return undefined;
    default:
      if (!bitmapNames(vmcs, event)) return undefined;
  }
  return { reason: ExitReason.ExceptionOrNmi, information: exceptionInformation(event, type, unblocked) };
}

/** The exception bitmap; for #PF its bit is inverted where the error code does not match (SDM 3C 26.2). */
export function bitmapNames(vmcs: CurrentVmcs, event: Pick<Exception, 'vector' | 'errorCode'>): boolean {
  const named = ((vmcs.read32(Field.exceptionBitmap) >>> event.vector) & 1) === 1;
  if (event.vector !== PAGE_FAULT) return named;
  const masked = ((event.errorCode ?? 0) & vmcs.read32(Field.pageFaultErrorCodeMask)) >>> 0;
  return (masked === vmcs.read32(Field.pageFaultErrorCodeMatch)) === named;
}

function exceptionInformation(event: Exception, type: InterruptionType, unblocked: number): ExitInformation {
  const withError = event.errorCode !== undefined && type === InterruptionType.HardwareException;
  const information = (VALID | unblocked | (withError ? ERROR_CODE_VALID : 0) | (type << 8) | event.vector) >>> 0;
  return {
    qualification: qualificationOf(event, type),
    interruptionInformation: information,
    ...(withError ? { interruptionErrorCode: event.errorCode } : {}),
    ...(event.instructionLength === undefined ? {} : { instructionLength: event.instructionLength }),
  };
}

/** The address of a #PF; what a #DB would have put in DR6 (SDM 3C table 28-1), which an exit leaves alone. */
function qualificationOf(event: Exception, type: InterruptionType): bigint {
  if (event.vector === PAGE_FAULT) return event.gva ?? 0n;
  if (event.vector !== DEBUG || type !== InterruptionType.HardwareException) return 0n;
  return BigInt(event.debug ?? 0);
}

const HIGH_MSRS = 0xc000_0000;
/** MSRs that each of the four bitmaps has a bit for: reads of low and high MSRs, writes of both. */
export const MSR_RANGE = 0x2000;
/** First MSRs that there are bits for. */
export const MSR_BITMAP_RANGES: readonly number[] = [0, HIGH_MSRS];

/** Number of an MSR's bit in the page of MSR bitmaps; -1 if it has none, and always exits. */
export function msrBitmapBit(msr: number, write: boolean): number {
  const number = msr >>> 0;
  const high = number >= HIGH_MSRS;
  const index = high ? number - HIGH_MSRS : number;
  if (index >= MSR_RANGE) return -1;
  return ((write ? 2 : 0) + (high ? 1 : 0)) * MSR_RANGE + index;
}

export function msrExits(context: CpuContext, vmcs: CurrentVmcs, msr: number, write: boolean): boolean {
  if (!(vmcs.read32(Field.primaryControls) & Primary.MsrBitmaps)) return true;
  const bit = msrBitmapBit(msr, write);
  if (bit < 0) return true;
  const at = vmcs.address(Field.msrBitmaps) + (bit >> 3);
  return !context.physical.has(at) || ((context.mem.bytes[L.RAM_BASE + at]! >> (bit & 7)) & 1) === 1;
}
