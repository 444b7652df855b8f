/** VMLAUNCH and VMRESUME (SDM 3C chapter 27). */
import type { CpuContext } from '../cpu/context.ts';
import { Activity, Blocking } from '../cpu/activity.ts';
import { InterruptionType } from '../cpu/engine-api.ts';
import { CPU_COSTS } from '../cpu/costs.ts';
import * as L from '../cpu/layout.ts';
import { updateDerived } from '../cpu/system/descriptors.ts';
import { deliverThroughIdt } from '../cpu/system/exceptions.ts';
import type { VmxStatus } from './api.ts';
import { Secondary } from './controls.ts';
import { type Look, firstViolated, isSettled, lookOf, rememberChecks } from './checks/index.ts';
import { VmxError } from './errors.ts';
import { reportEntry, reportEntryFailure } from './events.ts';
import { failEntry } from './exit.ts';
import { ExitReason } from './exit-reasons.ts';
import { Field } from './fields.ts';
import { putInForce } from './in-force.ts';
import { loadMsrs } from './msr-areas.ts';
import { secondaryControls } from './queries.ts';
import { loadGuest, loadGuestPdptes } from './transfer.ts';
import type { CurrentVmcs } from './vmcs.ts';

const VALID = 0x8000_0000;
const DELIVER_ERROR_CODE = 0x800;
const OTHER_EVENT = 7;

/** The common VMRESUME; false, with nothing changed, if this is not one. */
export function enterPlainly(context: CpuContext, vmcs: CurrentVmcs): boolean {
  if (context.core.enterGuest(vmcs.region()) === 0) return false;
  context.engine.contextChanged();
  context.addCycles(CPU_COSTS.vmEntry);
  reportEntry(context, vmcs, false);
  return true;
}

export function enter(context: CpuContext, vmcs: CurrentVmcs, launch: boolean): VmxStatus {
  const { mem } = context;
  if (vmcs.pointer < 0 || vmcs.isShadow) return { kind: 'fail-invalid' };
  const look = lookOf(vmcs);
  const error = refuse(context, vmcs, launch, look);
  if (error !== 0) {
    vmcs.write32(Field.instructionError, error);
    reportEntryFailure(context, error);
    return { kind: 'fail-valid', error };
  }
  const violated = firstViolated(context, vmcs, 'guest', look);
  if (violated) {
    failEntry(context, vmcs, ExitReason.EntryFailureGuestState, BigInt(violated.qualification ?? 0));
    return SUCCEED;
  }
  if (!isSettled(look)) rememberChecks(vmcs);
  const tags = secondaryControls(vmcs);
  const blocking = mem.get32(L.INTERRUPTIBILITY);
  loadGuest(context, vmcs);
  mem.set32(L.NON_ROOT, 1);
  putInForce(context, vmcs);
  loadGuestPdptes(context, vmcs);
  updateDerived(context);
  if (!(tags & Secondary.Vpid)) context.mmu.invalidateVpid(1, 0, 0n);
  const loaded = loadMsrs(context, vmcs, Field.entryMsrLoadAddress, Field.entryMsrLoadCount);
  if (!loaded.ok) {
    // Blocking by NMI is what it was (SDM 3C 27.8).
    mem.set32(L.INTERRUPTIBILITY, blocking);
    mem.set32(L.VMX_MODE, 0);
    failEntry(context, vmcs, ExitReason.EntryFailureMsrLoading, BigInt(loaded.entry));
    return SUCCEED;
  }
  context.addCycles(CPU_COSTS.vmEntry);
  if (launch) vmcs.launched = true;
  reportEntry(context, vmcs, launch);
  inject(context, vmcs);
  return SUCCEED;
}

const SUCCEED: VmxStatus = { kind: 'succeed' };

/** VM-instruction error, or 0. */
function refuse(context: CpuContext, vmcs: CurrentVmcs, launch: boolean, look: Look): number {
  if (context.mem.get32(L.INTERRUPTIBILITY) & Blocking.MOV_SS) return VmxError.EntryMovSsBlocking;
  if (launch && vmcs.launched) return VmxError.VmlaunchNotClear;
  if (!launch && !vmcs.launched) return VmxError.VmresumeNotLaunched;
  if (firstViolated(context, vmcs, 'controls', look)) return VmxError.EntryControls;
  if (firstViolated(context, vmcs, 'host', look)) return VmxError.EntryHostState;
  return 0;
}

/** Event injection (SDM 3C 27.6): delivery through the guest's IDT, whatever the exception bitmap says. */
function inject(context: CpuContext, vmcs: CurrentVmcs): void {
  const information = vmcs.read32(Field.entryInterruptionInformation);
  if (!(information & VALID)) return;
  const type = (information >> 8) & 7;
  const { mem, cpu } = context;
  if (type === OTHER_EVENT) {
    mem.set32(L.PENDING_EVENTS, mem.get32(L.PENDING_EVENTS) | L.PENDING_MTF);
    return;
  }
  if (mem.get32(L.ACTIVITY) === Activity.Halt) mem.set32(L.ACTIVITY, 0);
  // Interrupts and hardware exceptions take the place of pending debug exceptions (SDM 3C 27.7.3).
  if (type < InterruptionType.SoftwareInterrupt)
    mem.set32(L.PENDING_EVENTS, mem.get32(L.PENDING_EVENTS) & ~L.PENDING_DEBUG);
  const vector = information & 0xff;
  const software =
    type === InterruptionType.SoftwareInterrupt ||
    type === InterruptionType.SoftwareException ||
    type === InterruptionType.PrivilegedSoftwareException;
  deliverThroughIdt(context, {
    kind: 'exception',
    vector,
    type: type as InterruptionType,
    ...(information & DELIVER_ERROR_CODE ? { errorCode: vmcs.read32(Field.entryExceptionErrorCode) } : {}),
    ...(software ? { instructionLength: vmcs.read32(Field.entryInstructionLength) } : {}),
    ...(vector === 14 ? { gva: cpu.cr2 } : {}),
    because: 'injected by VM entry',
  });
  if (mem.get32(L.PENDING_EVENTS) & L.MONITOR_TRAP)
    mem.set32(L.PENDING_EVENTS, mem.get32(L.PENDING_EVENTS) | L.PENDING_MTF);
}
