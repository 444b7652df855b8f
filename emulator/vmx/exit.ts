/** VM exits (SDM 3C chapter 28) and failed VM entries (27.8). */
import type { CpuContext } from '../cpu/context.ts';
import { CPU_COSTS } from '../cpu/costs.ts';
import * as L from '../cpu/layout.ts';
import type { LinearMemory } from '../cpu/state.ts';
import { updateDerived } from '../cpu/system/descriptors.ts';
import { Activity, Blocking } from '../cpu/activity.ts';
import type { ExitInformation } from './api.ts';
import { Secondary } from './controls.ts';
import { reportEntryFailure, reportExit } from './events.ts';
import { ENTRY_FAILURE, EXIT_REASONS, ExitReason, exitReason, exitReasonName } from './exit-reasons.ts';
import { Field } from './fields.ts';
import { leaveForce, saveInForce } from './in-force.ts';
import { loadMsrs, storeMsrs } from './msr-areas.ts';
import { secondaryControls } from './queries.ts';
import { EPT_VIOLATION, supplyPage } from './supply.ts';
import { savedResumeFlag } from './resume-flag.ts';
import { loadHost, loadHostPdptes, saveGuest } from './transfer.ts';
import type { CurrentVmcs } from './vmcs.ts';

const VALID = 0x8000_0000;
/** VMX-abort indicators (SDM 3C 28.7). */
const ABORT_SAVING_MSRS = 1;
const ABORT_LOADING_PDPTES = 2;
const ABORT_LOADING_MSRS = 4;

/** False if a listener held the event: only the information fields are written. */
export function takeExit(
  context: CpuContext,
  vmcs: CurrentVmcs,
  reason: number,
  information: ExitInformation,
): boolean {
  recordInformation(context, vmcs, reason, information);
  if (reportExit(context, vmcs) && isRepeatable(context, reason, information)) return false;
  context.onVmExit(exitReasonName(reason));
  context.addCycles(CPU_COSTS.vmExit);
  const resume = savedResumeFlag(context, reason, information);
  if (context.core.exitGuest(vmcs.region(), resume) !== 0) {
    context.engine.contextChanged();
    context.engine.supervisor?.vmExit();
    return true;
  }
  leaveWithChecks(context, vmcs, resume);
  return true;
}

/** The information fields are written; every case. */
function leaveWithChecks(context: CpuContext, vmcs: CurrentVmcs, resume: number): void {
  saveGuest(context, vmcs, resume);
  saveInForce(context, vmcs);
  vmcs.write32(Field.entryInterruptionInformation, vmcs.read32(Field.entryInterruptionInformation) & ~VALID);
  if (storeMsrs(context, vmcs)) leaveGuest(context, vmcs);
  else abort(context, vmcs, ABORT_SAVING_MSRS);
}

/** As `takeExit` for the EPT violation that the core has left in FAULT_*; false, with nothing changed, if it is not a common one or somebody listens. */
export function exitByViolation(context: CpuContext, vmcs: CurrentVmcs): boolean {
  if (context.vectoring !== undefined || context.events.wants('vm-exit')) return false;
  if (supplyPage(context)) return true;
  if (context.core.exitByViolation(vmcs.region()) === 0) return false;
  context.onVmExit(EPT_VIOLATION);
  context.addCycles(CPU_COSTS.vmExit);
  context.engine.contextChanged();
  context.engine.supervisor?.vmExit();
  return true;
}

/** Whether executing the instruction again leads to the same exit: not for traps, interrupts, and exits amid event delivery. */
function isRepeatable(context: CpuContext, reason: number, information: ExitInformation): boolean {
  if (context.vectoring || !exitReason(reason) || UNREPEATABLE.has(reason)) return false;
  return reason !== ExitReason.ExceptionOrNmi || !TRAPS.has((information.interruptionInformation ?? 0) & 0xff);
}

const UNREPEATABLE: ReadonlySet<number> = new Set([
  ExitReason.ExternalInterrupt,
  ExitReason.TripleFault,
  ...EXIT_REASONS.filter((row) => row.trap).map((row) => row.number),
]);
/** #DB, NMI. */
const TRAPS: ReadonlySet<number> = new Set([1, 2]);

/** An entry that failed after the control and host checks: nothing of the guest is saved (SDM 3C 27.8). */
export function failEntry(context: CpuContext, vmcs: CurrentVmcs, reason: number, qualification: bigint): void {
  vmcs.write32(Field.exitReason, reason | ENTRY_FAILURE);
  vmcs.write(Field.exitQualification, qualification);
  reportEntryFailure(context, reason, qualification);
  reportExit(context, vmcs);
  context.onVmExit(exitReasonName(reason));
  leaveGuest(context, vmcs);
}

/** Fields that an exit does not write become 0, where the SDM leaves them undefined. */
function recordInformation(context: CpuContext, vmcs: CurrentVmcs, reason: number, information: ExitInformation): void {
  const { vectoring } = context;
  vmcs.write32(Field.exitReason, reason);
  vmcs.write(Field.exitQualification, information.qualification ?? 0n);
  if (information.guestLinearAddress !== undefined)
    vmcs.write(Field.guestLinearAddress, information.guestLinearAddress);
  if (information.guestPhysicalAddress !== undefined) {
    vmcs.write(Field.guestPhysicalAddress, BigInt(information.guestPhysicalAddress));
  }
  vmcs.write32(Field.exitInterruptionInformation, information.interruptionInformation ?? 0);
  vmcs.write32(Field.exitInterruptionErrorCode, information.interruptionErrorCode ?? 0);
  vmcs.write32(Field.idtVectoringInformation, vectoring?.information ?? 0);
  vmcs.write32(Field.idtVectoringErrorCode, vectoring?.errorCode ?? 0);
  vmcs.write32(Field.exitInstructionLength, information.instructionLength ?? vectoring?.instructionLength ?? 0);
  vmcs.write32(Field.exitInstructionInformation, information.instructionInformation ?? 0);
}

function leaveGuest(context: CpuContext, vmcs: CurrentVmcs): void {
  const { mem } = context;
  const untagged = (secondaryControls(vmcs) & Secondary.Vpid) === 0;
  const nmi = nmiBlocking(mem, vmcs);
  leaveForce(context);
  loadHost(context, vmcs);
  mem.set32(L.INTERRUPTIBILITY, nmi);
  mem.set32(L.WATCH_HITS, 0);
  updateDerived(context);
  if (!loadHostPdptes(context)) return abort(context, vmcs, ABORT_LOADING_PDPTES);
  if (untagged) context.mmu.invalidateVpid(1, 0, 0n);
  if (!loadMsrs(context, vmcs, Field.exitMsrLoadAddress, Field.exitMsrLoadCount).ok) {
    return abort(context, vmcs, ABORT_LOADING_MSRS);
  }
  context.engine.supervisor?.vmExit();
}

/** Of the host (SDM 3C 28.5.5): an NMI that exits blocks others; else blocking stays, that of virtual NMIs apart. */
function nmiBlocking(mem: LinearMemory, vmcs: CurrentVmcs): number {
  const event = vmcs.read32(Field.exitReason) === ExitReason.ExceptionOrNmi;
  if (event && (vmcs.read32(Field.exitInterruptionInformation) & EVENT) >>> 0 === NMI_EVENT) return Blocking.NMI;
  return mem.get32(L.VMX_MODE) & L.VMX_VIRTUAL_NMIS ? 0 : mem.get32(L.INTERRUPTIBILITY) & Blocking.NMI;
}
/** Valid, type and vector. */
const EVENT = 0x8000_07ff;
const NMI_EVENT = 0x8000_0202;

const ABORTS: Readonly<Record<number, string>> = {
  [ABORT_SAVING_MSRS]: 'an MSR area of the VMCS cannot be processed',
  [ABORT_LOADING_PDPTES]: "the host's PDPTEs have reserved bits set",
  [ABORT_LOADING_MSRS]: 'an MSR area of the VMCS cannot be processed',
};

/** The logical processor shuts down; the indicator in the VMCS region says why. */
function abort(context: CpuContext, vmcs: CurrentVmcs, indicator: number): void {
  vmcs.abort(indicator);
  leaveForce(context);
  context.mem.set32(L.ACTIVITY, Activity.Shutdown);
  context.engine.contextChanged();
  context.events.emit('diagnostic', () => ({
    summary: `VMX abort ${indicator}: ${ABORTS[indicator]}; the logical processor shuts down`,
    facts: { abort: indicator },
  }));
}
