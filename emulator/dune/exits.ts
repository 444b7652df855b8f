/** VM exits, by reason. */
import { cpuid, cpuidEnvironment } from '../cpu/system/cpuid.ts';
import { ENTRY_FAILURE, ExitReason } from '../vmx/exit-reasons.ts';
import { Field } from '../vmx/fields.ts';
import type { Thread } from '../linux/api.ts';
import type { Explanation } from '../machine/api.ts';
import { DuneRet } from './config.ts';
import { finish, saveGuest } from './enter.ts';
import { explainEntryFailure, explainEptViolation, explainExit, explainWrmsr, type EptRefusal } from './explain.ts';
import { X2APIC_ICR, sendIpi } from './ipi.ts';
import { ADDRESS_WIDTH, FETCH, LINEAR_VALID, WRITE } from './qualification.ts';
import { diagnose, hex, layoutOfProcess, type Dune, type Vcpu } from './state.ts';
import { check, read, read32, readAddress, write } from './vcpu.ts';
import { vmcall } from './vmcall.ts';
import { gpaToHva, hvaOfGpa, windowOfGpa } from './windows.ts';

const RAX = 0;
const RCX = 1;
const RDX = 2;
const RBX = 3;
const LOW32 = 0xffff_ffffn;
const NMI = 2;

export function vmExit(dune: Dune, thread: Thread): void {
  const vcpu = dune.state.vcpus.get(thread.vcpu);
  if (!vcpu) throw new Error(`VM exit of thread ${thread.tid}, which has no vCPU`);
  saveGuest(dune, vcpu);
  const reason = read32(dune, Field.exitReason);
  // The held instruction was repaired, or jumped over: an exit elsewhere is another matter.
  if (vcpu.heldRip !== undefined && vcpu.heldRip !== read(dune, Field.guestRip)) {
    vcpu.heldRip = undefined;
    dune.state.explanations.delete(thread.tid);
  }
  if (reason & ENTRY_FAILURE) stop(dune, thread, vcpu, explainEntryFailure(dune), DuneRet.UnhandledVmExit);
  else dispatch(dune, thread, vcpu, reason & 0xffff);
  // An ENTER made inside the guest has put another vCPU in front of this one.
  if (thread.vcpu === vcpu.id && (vcpu.done || vcpu.shutdown)) finish(dune, thread, vcpu);
}

function dispatch(dune: Dune, thread: Thread, vcpu: Vcpu, reason: number): void {
  switch (reason) {
    case ExitReason.Vmcall:
      skipInstruction(dune);
      return vmcall(dune, thread, vcpu);
    case ExitReason.EptViolation:
      return eptViolation(dune, thread, vcpu);
    case ExitReason.Cpuid:
      skipInstruction(dune);
      return hostCpuid(dune, vcpu);
    case ExitReason.ExternalInterrupt:
      return;
    case ExitReason.ExceptionOrNmi:
      return exceptionOrNmi(dune, thread, vcpu);
    case ExitReason.Wrmsr:
      return wrmsr(dune, thread, vcpu);
    default:
      return stop(dune, thread, vcpu, explainExit(dune, thread, reason), DuneRet.UnhandledVmExit);
  }
}

/**
 * Ends the stay in Dune mode, unless a debugger holds the guest at the instruction: then the guest is entered again as it was,
 * stands there to be looked at or repaired, and ends when the instruction exits once more.
 * Without `ret` ENTER returns what it returned last time, 0 at first: so the module does in some of its paths.
 */
function stop(dune: Dune, thread: Thread, vcpu: Vcpu, explanation: Explanation, ret?: DuneRet): void {
  const { events } = dune.context;
  dune.state.explanations.set(thread.tid, explanation);
  const reason = Number(read(dune, Field.exitReason));
  const entered = (reason & ENTRY_FAILURE) === 0;
  if (vcpu.heldRip !== undefined) events.speak();
  else if (diagnose(dune, explanation.headline, { abnormal: 1 }) && entered) {
    vcpu.heldRip = read(dune, Field.guestRip);
    if (reason !== ExitReason.TripleFault) reinject(dune);
    events.hush(thread.tid, vcpu.heldRip);
    return;
  }
  vcpu.heldRip = undefined;
  if (ret !== undefined) vcpu.ret = ret;
  vcpu.done = true;
}

function skipInstruction(dune: Dune): void {
  write(dune, Field.guestRip, read(dune, Field.guestRip) + BigInt(read32(dune, Field.exitInstructionLength)));
}

const CPUID_RESULTS = [RAX, RBX, RCX, RDX] as const;
function hostCpuid(dune: Dune, vcpu: Vcpu): void {
  const { context } = dune;
  const { registers } = vcpu;
  const environment = cpuidEnvironment(context);
  const result = cpuid(context.model, environment, Number(registers[RAX]! & LOW32), Number(registers[RCX]! & LOW32));
  CPUID_RESULTS.forEach((register, index) => (registers[register] = BigInt(result[index]!)));
}

/** The exception bitmap names #DB and #BP only. */
function exceptionOrNmi(dune: Dune, thread: Thread, vcpu: Vcpu): void {
  const information = Number(read(dune, Field.exitInterruptionInformation));
  if (((information >> 8) & 7) === NMI) return;
  vcpu.status = BigInt(information & 0xff);
  stop(dune, thread, vcpu, explainExit(dune, thread, ExitReason.ExceptionOrNmi), DuneRet.Interrupt);
}

function wrmsr(dune: Dune, thread: Thread, vcpu: Vcpu): void {
  const { registers } = vcpu;
  const msr = Number(registers[RCX]! & LOW32);
  const value = (registers[RAX]! & LOW32) | ((registers[RDX]! & LOW32) << 32n);
  if (msr === X2APIC_ICR) {
    skipInstruction(dune);
    return sendIpi(dune, thread.pid, value);
  }
  stop(dune, thread, vcpu, explainWrmsr(msr, value));
  if (vcpu.done) skipInstruction(dune);
}

function eptViolation(dune: Dune, thread: Thread, vcpu: Vcpu): void {
  const qualification = read32(dune, Field.exitQualification);
  const gpa = readAddress(dune, Field.guestPhysicalAddress);
  const refusal = mapViolated(dune, thread, vcpu, qualification, gpa);
  if (refusal === undefined) reinject(dune);
  announce(dune, thread, qualification, gpa, refusal === undefined);
  if (refusal === undefined) return;
  const explanation = explainEptViolation(dune, thread, layoutOfProcess(dune, thread.pid), refusal);
  if (refusal === 'qualification') stop(dune, thread, vcpu, explanation);
  else stop(dune, thread, vcpu, explanation, DuneRet.EptViolation);
}

/** Maps the page behind a GPA; why not, if that cannot be. */
function mapViolated(
  dune: Dune,
  thread: Thread,
  vcpu: Vcpu,
  qualification: number,
  gpa: number,
): EptRefusal | undefined {
  if (qualification & ADDRESS_WIDTH || !(qualification & LINEAR_VALID)) return 'qualification';
  const hva = hvaOfGpa(layoutOfProcess(dune, thread.pid), gpa);
  if (hva < 0) return 'no-window';
  const write = (qualification & WRITE) !== 0;
  const page = dune.services.userPage(thread.pid, hva, write);
  if (!page) return 'linux-refused';
  const mapped = dune.ept.map(vcpu.ept, gpa, page, write);
  if (mapped === 'no-memory') return 'no-memory';
  if (mapped === 'replaced') check('INVEPT', dune.context.vmx.invept(1, dune.ept.pointer(vcpu.ept)));
  return undefined;
}

const VALID = 1 << 31;
const ERROR_CODE_VALID = 1 << 11;
/** Undefined in IDT-vectoring information, reserved for entries. */
const NMI_UNBLOCKING = 1 << 12;
/** The first type whose events have an instruction length: software interrupt. */
const FIRST_SOFTWARE_TYPE = 4;

/** The violation may have stopped the delivery of an event; the next entry begins it anew (SDM 3C 28.2.4, 27.6). */
function reinject(dune: Dune): void {
  const vectoring = read32(dune, Field.idtVectoringInformation);
  if (!(vectoring & VALID)) return;
  if (vectoring & ERROR_CODE_VALID) write(dune, Field.entryExceptionErrorCode, read(dune, Field.idtVectoringErrorCode));
  if (((vectoring >> 8) & 7) >= FIRST_SOFTWARE_TYPE)
    write(dune, Field.entryInstructionLength, read(dune, Field.exitInstructionLength));
  write(dune, Field.entryInterruptionInformation, (vectoring & ~NMI_UNBLOCKING) >>> 0);
}

function announce(dune: Dune, thread: Thread, qualification: number, gpa: number, resolved: boolean): void {
  if (!dune.context.events.wants('ept-violation')) return;
  dune.context.events.emit('ept-violation', () => {
    const layout = layoutOfProcess(dune, thread.pid);
    const gva = read(dune, Field.guestLinearAddress);
    const hva = gpaToHva(layout, BigInt(gpa)) ?? 0n;
    const window = windowOfGpa(layout, BigInt(gpa))?.name ?? 'none';
    const access = accessOf(qualification);
    const facts = { gpa, gva, hva, access, resolved, window, qualification: BigInt(qualification) };
    const end = resolved ? 'mapped' : 'not resolvable';
    return {
      summary: `EPT violation: ${access} of GVA ${hex(gva)}, GPA ${hex(gpa)} (${window} window), HVA ${hex(hva)}: ${end}`,
      facts,
    };
  });
}

function accessOf(qualification: number): 'read' | 'write' | 'execute' {
  return qualification & FETCH ? 'execute' : qualification & WRITE ? 'write' : 'read';
}
