/**
 * What is different outside 64-bit mode, for instructions that TypeScript does not execute: the stack is 16 or 32 bits wide, computed branch targets are
 * offsets in CS, and some operands cannot be checked against their segment before the instruction begins.
 */
import type { LegacyForm } from '../emitter.ts';
import type { Operand } from '../instruction.ts';
import type { OpcodeRow } from './row.ts';

const STACK_OPS = new Set('push pop pushf enter leave pusha popa call call_indirect ret'.split(' '));
const STRING_OPS = new Set('movs stos lods cmps scas'.split(' '));
const BIT_TESTS = new Set('bt bts btr btc'.split(' '));

export const usesStack = (op: string): boolean => STACK_OPS.has(op);
/** String instructions: one form for segments without bounds, another for the others and for 16-bit addresses. */
export const isString = (op: string): boolean => STRING_OPS.has(op);

/** Whether the meaning checks its own segments (or branch target) in every legacy mode. */
export function alwaysChecked(op: string, operands: readonly Operand[]): boolean {
  if (op === 'jmp_indirect' || op === 'xlat') return true;
  // A bit offset in a register reaches beyond the operand.
  return BIT_TESTS.has(op) && operands[0]?.kind === 'memory' && operands[1]?.kind === 'gpr';
}

const STACKS: readonly LegacyForm[] = ['f', '4', '2'];

/** The legacy forms of a row with these operands; undefined stands for the one that 64-bit mode and flat segments share. */
export function legacyForms(
  row: OpcodeRow,
  operands: readonly Operand[],
  addressSize: 64 | 32 | 16,
): readonly (LegacyForm | undefined)[] {
  const { op } = row;
  if (usesStack(op)) return row.only64 ? [undefined] : STACKS;
  if (isString(op)) return addressSize === 64 ? [undefined] : addressSize === 32 ? [undefined, 'c'] : ['c'];
  if (!alwaysChecked(op, operands)) return [undefined];
  return row.only64 ? [undefined] : row.invalid64 ? ['c'] : [undefined, 'c'];
}
