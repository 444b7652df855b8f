/** What the SDM leaves undefined, by instruction. */
import type { DecodedInstruction } from '../../../emulator/cpu/decode.ts';
import { AF, ARITHMETIC_FLAGS, CF, OF, PF, SF, ZF } from '../../../emulator/cpu/semantics/operations.ts';

/** Count of a shift or rotate, masked as the CPU does. */
function countOf(instruction: DecodedInstruction, gpr: BigUint64Array): number {
  const operand = instruction.operands.at(-1)!;
  const count = operand.kind === 'immediate' ? Number(operand.value) : Number(gpr[1]! & 255n);
  return count & (instruction.size === 8 ? 63 : 31);
}

/** BSWAP of 16 bits, and double shifts by more than the operand has bits. */
export function hasUndefinedResult(instruction: DecodedInstruction, gpr: BigUint64Array): boolean {
  const { op, size } = instruction;
  if (op === 'bswap') return size === 2;
  return (op === 'shld' || op === 'shrd') && countOf(instruction, gpr) > size * 8;
}

export function undefinedFlags(instruction: DecodedInstruction, gpr: BigUint64Array): number {
  const { op, size } = instruction;
  switch (op) {
    case 'and':
    case 'or':
    case 'xor':
    case 'test':
      return AF;
    case 'mul':
    case 'imul1':
    case 'imul2':
    case 'imul3':
      return SF | ZF | AF | PF;
    case 'div':
    case 'idiv':
      return ARITHMETIC_FLAGS;
    case 'bt':
    case 'bts':
    case 'btr':
    case 'btc':
      return OF | SF | AF | PF;
    case 'bsf':
    case 'bsr':
      return ARITHMETIC_FLAGS & ~ZF;
    case 'tzcnt':
    case 'lzcnt':
      return OF | SF | AF | PF;
    case 'andn':
    case 'blsr':
    case 'blsmsk':
    case 'blsi':
    case 'bzhi':
      return AF | PF;
    case 'bextr':
      return SF | AF | PF;
    case 'shl':
    case 'shr':
    case 'sar':
    case 'shld':
    case 'shrd': {
      const count = countOf(instruction, gpr);
      if (count === 0) return 0;
      const carry = count >= size * 8 && op.length === 3 && op !== 'sar' ? CF : 0;
      return AF | carry | (count === 1 ? 0 : OF);
    }
    case 'rol':
    case 'ror':
    case 'rcl':
    case 'rcr':
      return countOf(instruction, gpr) <= 1 ? 0 : OF;
    default:
      return 0;
  }
}
