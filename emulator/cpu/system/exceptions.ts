/** The one path by which an exception, software interrupt, external interrupt or NMI reaches its handler (SDM 3A 6). */
import type { CpuContext, Deliver, FaultRecord } from '../context.ts';
import type { EptFault, Fault } from '../engine-api.ts';
import { Activity } from '../activity.ts';
import { InterruptionType } from '../engine-api.ts';
import * as L from '../layout.ts';
import { ExitReason } from './exits.ts';
import { exceptionEvent, ringChangeEvent } from './events.ts';
import { GuestFault, Vector, vectorName } from './fault.ts';
import { enterHandler, interruptionType, vectoringOf } from './gates.ts';
import type { Exception, Progress } from './gates.ts';
import { recordDebugException } from './debug-registers.ts';
import { enterLegacyHandler } from './legacy-gates.ts';
import { hex } from './memory.ts';
import { EFER_LMA } from '../control-bits.ts';
import { CPU_COSTS } from '../costs.ts';

/**
 * RIP stands on the instruction at fault (on INT n itself for software interrupts, after it for traps). An event that the
 * guest's hypervisor wants becomes a VM exit; without a guest kernel (root operation) the supervisor takes it; else the IDT.
 */
export const deliver: Deliver = (context, fault) => {
  deliverUnlessHeld(context, fault);
};

/** As `deliver`; false if a listener held the event, and then nothing has changed. Traps cannot be held: their instruction is done. */
export function deliverUnlessHeld(context: CpuContext, met: Fault): boolean {
  const { cpu, vmx, engine } = context;
  if (context.faultChain.length > 0) context.faultChain = [];
  const fault = met.kind === 'exception' ? met : (vmx.convertViolation(met) ?? met);
  if (fault.kind === 'exception' && exceptionEvent(context, fault) && fault.vector !== Vector.DB) return false;
  // Its exit does not tell the linear address.
  if (fault.kind === 'ept-misconfiguration') context.faultChain = [{ fault, rip: cpu.rip, cpl: cpu.cpl }];
  if (cpu.nonRoot && fault.kind === 'exception') context.onGuestException(fault);
  if (cpu.nonRoot && vmx.interceptEvent(fault)) return true;
  if (fault.kind !== 'exception') throw new Error(`${fault.kind} outside VMX non-root operation`);
  if (fault.debug !== undefined) recordDebugException(context, fault.debug);
  if (fault.vector === Vector.DB) dropPendingTraps(context, fault);
  if (!cpu.nonRoot && engine.supervisor) {
    const software = interruptionType(fault) >= InterruptionType.SoftwareInterrupt;
    if (software) cpu.rip = BigInt.asUintN(64, cpu.rip + BigInt(fault.instructionLength ?? 0));
    engine.supervisor.exception(fault);
  } else deliverThroughIdt(context, fault);
  return true;
}

/** Debug traps that a load of SS holds back are lost when the next instruction raises #DB itself, by INT1 or DR7.GD; INT 1 is no #DB. */
function dropPendingTraps({ mem }: CpuContext, fault: Exception): void {
  if (interruptionType(fault) === InterruptionType.SoftwareInterrupt) return;
  mem.set32(L.PENDING_EVENTS, mem.get32(L.PENDING_EVENTS) & ~L.PENDING_DEBUG);
}

/**
 * Delivers to the handler that the IDT names, without asking whether the event exits: also the end of event injection by VM
 * entry. A fault on the way may exit, become a double fault, or end in a triple fault.
 */
export function deliverThroughIdt(context: CpuContext, event: Exception): void {
  if (!enterQuickly(context, event)) deliverWithChecks(context, event);
}

/** Bits of the core's answer. */
const CONTEXT_CHANGED = 2;

/** The common case, in the core; false when nothing has changed and the case has to be looked at whole. */
function enterQuickly(context: CpuContext, event: Exception): boolean {
  const { cpu, core } = context;
  const { cpl } = cpu;
  const type = interruptionType(event);
  if (event.vector === Vector.PF && type === InterruptionType.HardwareException) cpu.cr2 = event.gva ?? 0n;
  const done = core.enterHandler(event.vector, type, event.errorCode ?? 0, event.instructionLength ?? 0);
  if (done === 0) return false;
  context.addCycles(CPU_COSTS.delivery);
  if (done & CONTEXT_CHANGED) context.engine.contextChanged();
  ringChangeEvent(context, cpl, vectorName(event.vector));
  return true;
}

/** As `deliverThroughIdt`, every case with its reasons. */
export function deliverWithChecks(context: CpuContext, event: Exception): void {
  const { cpu } = context;
  const { rip, cpl } = cpu;
  const chain: FaultRecord[] = [];
  let current = event;
  for (;;) {
    const failure = tryDelivery(context, current);
    if (!failure) break;
    const second = failure.fault;
    chain.push({ fault: current, rip, cpl, failed: failure.text });
    context.faultChain = [...chain, { fault: second, rip, cpl }];
    if (second.kind === 'exception') exceptionEvent(context, second);
    if (exitsWhileVectoring(context, current, second)) return;
    if (second.kind !== 'exception') throw new Error(`${second.kind} outside VMX non-root operation`);
    const next = combine(current, second);
    if (!next) return tripleFault(context);
    if (next !== second) {
      exceptionEvent(context, next);
      chain.push({
        fault: second,
        rip,
        cpl,
        failed: `${vectorName(second.vector)} while delivering ${vectorName(current.vector)} is a double fault`,
      });
      context.faultChain = [...chain, { fault: next, rip, cpl }];
      if (cpu.nonRoot && context.vmx.interceptEvent(next)) return;
    }
    current = next;
  }
  ringChangeEvent(context, cpl, vectorName(current.vector));
}

interface Failure {
  readonly fault: Fault;
  readonly text: string;
}

function tryDelivery(context: CpuContext, event: Exception): Failure | undefined {
  const progress: Progress = { stage: '', about: undefined };
  try {
    if (context.mem.get32(L.MSR_EFER) & EFER_LMA) enterHandler(context, event, progress);
    else enterLegacyHandler(context, event, progress);
    return undefined;
  } catch (error) {
    if (!(error instanceof GuestFault)) throw error;
    return { fault: error.fault, text: describeFailure(progress, error.fault) };
  }
}

const EPT_FAULTS: Readonly<Record<EptFault['kind'], string>> = {
  'ept-violation': 'EPT violation',
  'ept-misconfiguration': 'EPT misconfiguration',
  'log-full': 'page-modification log full',
  'sub-page-event': 'sub-page-permission event',
  'apic-access': 'access to the APIC-access page, offset',
};

function describeFailure({ stage: doing, about }: Progress, fault: Fault): string {
  const stage = about === undefined ? doing : `${doing} ${typeof about === 'bigint' ? hex(about) : about}`;
  if (fault.kind !== 'exception') return `${stage}: ${EPT_FAULTS[fault.kind]} at GPA 0x${fault.gpa.toString(16)}`;
  if (fault.because) return fault.because;
  const where = fault.gva === undefined ? '' : ` at 0x${fault.gva.toString(16)}`;
  return `${stage}: ${vectorName(fault.vector)}${where}`;
}

/** A fault met during delivery may itself exit; the exit then carries the event in its IDT-vectoring information. */
function exitsWhileVectoring(context: CpuContext, event: Exception, second: Fault): boolean {
  if (!context.cpu.nonRoot) return false;
  context.vectoring = vectoringOf(event);
  try {
    return context.vmx.interceptEvent(second);
  } finally {
    context.vectoring = undefined;
  }
}

/** SDM 3A table 6-5: what to deliver when `second` happens while delivering `first`; undefined is a triple fault. */
export function combine(first: Exception, second: Exception): Exception | undefined {
  if (isHardware(first) && first.vector === Vector.DF) return undefined;
  const a = severity(first);
  const b = severity(second);
  const double = (a === 'contributory' && b === 'contributory') || (a === 'page-fault' && b !== 'benign');
  return double ? { kind: 'exception', vector: Vector.DF, errorCode: 0 } : second;
}

function severity(event: Exception): 'benign' | 'contributory' | 'page-fault' {
  if (!isHardware(event)) return 'benign';
  switch (event.vector) {
    case Vector.PF:
    case Vector.VE:
      return 'page-fault';
    case Vector.DE:
    case Vector.TS:
    case Vector.NP:
    case Vector.SS:
    case Vector.GP:
    case Vector.CP:
      return 'contributory';
    default:
      return 'benign';
  }
}

function isHardware(event: Exception): boolean {
  return interruptionType(event) === InterruptionType.HardwareException;
}

function tripleFault(context: CpuContext): void {
  if (context.cpu.nonRoot) context.vmx.exit(ExitReason.TripleFault);
  else context.mem.set32(L.ACTIVITY, Activity.Shutdown);
}
