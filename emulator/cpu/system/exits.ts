/** VM exits caused by instructions: which controls ask for them, and the information fields (SDM 3C 26.1, 28.2). */
import type { CpuContext, SystemOutcome } from '../context.ts';
import type { Instruction, MemoryOperand, Operand } from '../instruction.ts';
import type { ExitInformation } from '../../vmx/api.ts';
import { Primary } from '../../vmx/controls.ts';
import { Field } from '../../vmx/fields.ts';

export { ExitReason } from '../../vmx/exit-reasons.ts';
export { Primary, Secondary } from '../../vmx/controls.ts';

/** In non-root operation, whether a primary control is set. */
export function primary(context: CpuContext, bit: number): boolean {
  return context.cpu.nonRoot && (Number(context.vmx.field(Field.primaryControls)) & bit) !== 0;
}

/** In non-root operation, whether a secondary control is set and in force. */
export function secondary(context: CpuContext, bit: number): boolean {
  return (
    primary(context, Primary.SecondaryControls) && (Number(context.vmx.field(Field.secondaryControls)) & bit) !== 0
  );
}

/** Takes a fault-like exit: RIP stays on the instruction. */
export function exit(
  context: CpuContext,
  instruction: Instruction,
  reason: number,
  information: Omit<ExitInformation, 'instructionLength'> = {},
): SystemOutcome {
  return context.vmx.exit(reason, { instructionLength: instruction.length, ...information }) ? 'moved' : 'held';
}

/** Bits 27:0 of the VM-exit instruction information for a memory operand (SDM 3C tables 28-8 to 28-14). */
export function memoryInformation(operand: MemoryOperand): number {
  const addressSize = { 16: 0, 32: 1, 64: 2 }[operand.addressSize];
  const index = operand.index < 0 ? 1 << 22 : operand.index << 18;
  const base = operand.base < 0 ? 1 << 27 : operand.base << 23;
  return operand.scale | (addressSize << 7) | (operand.segment << 15) | index | base;
}

/** The same for an operand that is a register (bit 10, register in 6:3) or memory. */
export function operandInformation(operand: Operand): number {
  if (operand.kind === 'memory') return memoryInformation(operand);
  return operand.kind === 'gpr' ? (1 << 10) | (operand.register << 3) : 0;
}

/** Exit qualification of an instruction with a memory operand: its displacement. */
export function displacement(operand: Operand | undefined): bigint {
  return operand?.kind === 'memory' ? BigInt.asUintN(64, operand.displacement) : 0n;
}
