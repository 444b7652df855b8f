/** What VMX operation tells the event bus. */
import type { CpuContext } from '../cpu/context.ts';
import type { Fact } from '../machine/events.ts';
import { checkInWords } from './checks/words.ts';
import { vmxErrorText } from './errors.ts';
import { exitReason, exitReasonName } from './exit-reasons.ts';
import { Field } from './fields.ts';
import { describeQualification } from './qualification.ts';
import type { CurrentVmcs } from './vmcs.ts';

const hex = (value: bigint | number): string => `0x${value.toString(16)}`;

/** The information fields are written, the guest's registers still in the CPU. True if a listener wants the exit held. */
export function reportExit(context: CpuContext, vmcs: CurrentVmcs): boolean {
  if (!context.events.wants('vm-exit')) return false;
  const reason = vmcs.read32(Field.exitReason);
  const number = reason & 0xffff;
  return context.events.emit('vm-exit', () => {
    const facts = exitFacts(context, vmcs, number);
    return { summary: exitSummary(facts, number), facts };
  });
}

function exitFacts(context: CpuContext, vmcs: CurrentVmcs, number: number): Record<string, Fact> {
  const written = exitReason(number)?.fields ?? [];
  const facts: Record<string, Fact> = {
    reason: exitReasonName(number),
    number,
    rip: context.cpu.rip,
    cpl: context.cpu.cpl,
  };
  if (written.includes('qualification')) facts.qualification = vmcs.read(Field.exitQualification);
  if (written.includes('gva')) facts.gva = vmcs.read(Field.guestLinearAddress);
  if (written.includes('gpa')) facts.gpa = Number(vmcs.read(Field.guestPhysicalAddress));
  if (written.includes('length')) facts.instructionLength = vmcs.read32(Field.exitInstructionLength);
  if (written.includes('interruption')) facts.vector = vmcs.read32(Field.exitInterruptionInformation) & 0xff;
  const vectoring = vmcs.read32(Field.idtVectoringInformation);
  if (vectoring >>> 31) facts.vectoring = vectoring & 0xff;
  if (MSR_REASONS.has(number)) facts.msr = Number(context.cpu.gpr(1) & 0xffff_ffffn);
  return facts;
}

/** RDMSR, WRMSR. */
const MSR_REASONS: ReadonlySet<number> = new Set([31, 32]);

function exitSummary(facts: Record<string, Fact>, number: number): string {
  const words = [`VM exit ${facts.reason as string} (${number})`];
  const described =
    facts.qualification === undefined ? '' : describeQualification(number, facts.qualification as bigint).text;
  if (described) words.push(described);
  if (facts.gva !== undefined) words.push(`gva:${hex(facts.gva as bigint)}`);
  if (facts.gpa !== undefined) words.push(`gpa:${hex(facts.gpa as number)}`);
  if (facts.msr !== undefined) words.push(`MSR ${hex(facts.msr as number)}`);
  if (facts.vector !== undefined) words.push(`vector ${facts.vector as number}`);
  if (facts.vectoring !== undefined) words.push(`while delivering vector ${facts.vectoring as number}`);
  return words.join(', ');
}

/** An entry has failed: with a VM-instruction error, or with an exit whose qualification is given. */
export function reportEntryFailure(context: CpuContext, number: number, qualification?: bigint): void {
  if (!context.events.wants('vm-entry-failure')) return;
  context.events.emit('vm-entry-failure', () => {
    const checks = context.vmx.violatedChecks();
    const [first] = checks;
    const how =
      qualification === undefined
        ? `VM-instruction error ${number}: ${vmxErrorText(number)}`
        : `${exitReasonName(number)} (reason ${number}), qualification ${hex(qualification)}`;
    const facts: Record<string, Fact> = {
      ...(qualification === undefined ? { error: number } : { reason: exitReasonName(number), number, qualification }),
      checks: checks.length,
      ...(first ? { first: first.id } : {}),
    };
    const violated = checks.length > 1 ? `; ${checks.length} checks violated, the first ` : '; ';
    return { summary: `VM entry failed: ${how}${first ? `${violated}${checkInWords(first)}` : ''}`, facts };
  });
}

/** The guest's state is loaded, an event to inject not delivered yet. */
export function reportEntry(context: CpuContext, vmcs: CurrentVmcs, launch: boolean): void {
  if (!context.events.wants('vm-entry')) return;
  context.events.emit('vm-entry', () => {
    const information = vmcs.read32(Field.entryInterruptionInformation);
    const how = launch ? 'VMLAUNCH' : 'VMRESUME';
    const facts: Record<string, Fact> = {
      launch,
      rip: context.cpu.rip,
      cpl: context.cpu.cpl,
      vpid: vmcs.read32(Field.vpid),
    };
    if (information >>> 31) facts.vector = information & 0xff;
    const injection = information >>> 31 ? `, injecting vector ${information & 0xff}` : '';
    return { summary: `VM entry by ${how} at ${hex(context.cpu.rip)}, ring ${context.cpu.cpl}${injection}`, facts };
  });
}
