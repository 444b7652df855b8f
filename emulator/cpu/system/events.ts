/**
 * What the processor tells the event bus. Nothing is built while nobody listens. Emitters that are called before anything has
 * changed return whether the event is held (EventBus.emit): the instruction is then given up.
 */
import type { CpuContext } from '../context.ts';
import { InterruptionType } from '../engine-api.ts';
import type { Fault } from '../engine-api.ts';
import type { Fact } from '../../machine/events.ts';
import { vectorName } from './fault.ts';
import { hex } from './memory.ts';

/** RDI RSI RDX R10 R8 R9: arguments of a system call (System V ABI, A.2.1). */
const ARGUMENT_REGISTERS = [7, 6, 2, 10, 8, 9] as const;

type Exception = Extract<Fault, { kind: 'exception' }>;

/** Interrupts from outside are no exceptions and have no event. */
export function exceptionEvent(context: CpuContext, fault: Exception): boolean {
  if (fault.type === InterruptionType.External || fault.type === InterruptionType.Nmi) return false;
  const kind = fault.vector === 14 ? 'page-fault' : 'exception';
  if (!context.events.wants(kind)) return false;
  const facts: Record<string, Fact> = { vector: fault.vector, rip: context.cpu.rip, cpl: context.cpu.cpl };
  if (fault.errorCode !== undefined) facts.errorCode = fault.errorCode;
  if (fault.gva !== undefined) facts.gva = fault.gva;
  if (fault.because) facts.because = fault.because;
  const code = fault.errorCode === undefined ? '' : `(${hex(fault.errorCode)})`;
  const where = fault.gva === undefined ? '' : ` at ${hex(fault.gva)}`;
  const because = fault.because ? `: ${fault.because}` : '';
  return context.events.emit(kind, () => ({ summary: `${vectorName(fault.vector)}${code}${where}${because}`, facts }));
}

export function ringChangeEvent(context: CpuContext, from: number, by: string): void {
  const { cpu } = context;
  if (from === cpu.cpl || !context.events.wants('ring-change')) return;
  context.events.emit('ring-change', () => ({
    summary: `ring ${from} → ${cpu.cpl} by ${by}, now at ${hex(cpu.rip)}`,
    facts: { old: from, new: cpu.cpl, by, rip: cpu.rip },
  }));
}

export function controlRegisterEvent(context: CpuContext, register: number, old: bigint, value: bigint): boolean {
  return context.events.emit('cr-write', () => ({
    summary: `CR${register} ${hex(old)} → ${hex(value)}`,
    facts: { cr: register, old, new: value, rip: context.cpu.rip },
  }));
}

export function msrEvent(context: CpuContext, msr: number, name: string, old: bigint, value: bigint): boolean {
  return context.events.emit('msr-write', () => ({
    summary: `${name} (${hex(msr)}) ${hex(old)} → ${hex(value)}`,
    facts: { msr, name, old, new: value, rip: context.cpu.rip },
  }));
}

/** A SYSCALL from ring 3 of a guest: its own ring 0 will see it. RIP still stands on the instruction. */
export function trappedSyscallEvent(context: CpuContext): boolean {
  const { cpu, events } = context;
  if (!events.wants('trapped-syscall')) return false;
  return events.emit('trapped-syscall', () => {
    const number = cpu.gpr(0);
    const args = ARGUMENT_REGISTERS.map((register) => cpu.gpr(register));
    const { name, text } = context.describeSyscall(Number(number), args);
    const [a0, a1, a2, a3, a4, a5] = args as [bigint, bigint, bigint, bigint, bigint, bigint];
    return {
      summary: `${text} from ring 3`,
      facts: { number: Number(number), syscall: name, rip: cpu.rip, a0, a1, a2, a3, a4, a5 },
    };
  });
}
