/** Integer operations on values of any operand size: 1, 2 and 4 bytes travel zero-extended in an i32, 8 in an i64. */
import { RFLAGS_ARITHMETIC } from '../control-bits.ts';
import type { Emitter, Size, Value } from '../emitter.ts';

/** Bits of RFLAGS: the arithmetic ones, and DF of SYSTEM_FLAGS. */
export {
  RFLAGS_AF as AF,
  RFLAGS_ARITHMETIC as ARITHMETIC_FLAGS,
  RFLAGS_CF as CF,
  RFLAGS_DF as DF,
  RFLAGS_OF as OF,
  RFLAGS_PF as PF,
  RFLAGS_SF as SF,
  RFLAGS_ZF as ZF,
} from '../control-bits.ts';

export const RAX = 0;
export const RCX = 1;
export const RDX = 2;
export const RBX = 3;
export const RSP = 4;
export const RBP = 5;
export const RSI = 6;
export const RDI = 7;

type Binary =
  'add' | 'sub' | 'and' | 'or' | 'xor' | 'mul' | 'shl' | 'shr_u' | 'shr_s' | 'div_u' | 'div_s' | 'rem_u' | 'rem_s';
type Comparison = 'eq' | 'ne' | 'lt_u' | 'lt_s' | 'gt_u' | 'ge_u';

const typeOf = (size: number) => (size === 8 ? 'i64' : 'i32');

export function constant(e: Emitter, size: number, value: number): Value {
  return size === 8 ? e.i64(value) : e.i32(value);
}

/** Clears the bits above an operand of 1 or 2 bytes. */
export function truncate(e: Emitter, size: number, value: Value): Value {
  return size >= 4 ? value : e.op('i32.and', value, e.i32(size === 1 ? 0xff : 0xffff));
}

/** A binary operation; the result may have bits above 8- and 16-bit operands. */
export function wide(e: Emitter, size: number, operation: Binary, a: Value, b: Value): Value {
  return e.op(`${typeOf(size)}.${operation}`, a, b);
}

/** A binary operation, truncated to the operand size. */
export function binary(e: Emitter, size: number, operation: Binary, a: Value, b: Value): Value {
  return truncate(e, size, wide(e, size, operation, a, b));
}

/** 0 or 1 (i32). Signed comparisons need sign-extended operands. */
export function compare(e: Emitter, size: number, comparison: Comparison, a: Value, b: Value): Value {
  return e.op(`${typeOf(size)}.${comparison}`, a, b);
}

export function isZero(e: Emitter, size: number, value: Value): Value {
  return e.op(`${typeOf(size)}.eqz`, value);
}

/** Sign-extends an operand of 1 or 2 bytes to 32 bits; larger ones are as they should be. */
export function signed(e: Emitter, size: number, value: Value): Value {
  return size >= 4 ? value : e.op(size === 1 ? 'i32.extend8_s' : 'i32.extend16_s', value);
}

/** To an i64, zero-extended. */
export function toI64(e: Emitter, size: number, value: Value): Value {
  return size === 8 ? value : e.op('i64.extend_i32_u', value);
}

/** To an i64, sign-extended from the operand size. */
export function toSignedI64(e: Emitter, size: number, value: Value): Value {
  return size === 8 ? value : e.op('i64.extend_i32_s', signed(e, size, value));
}

/** The low `size` bytes of an i64. */
export function fromI64(e: Emitter, size: number, value: Value): Value {
  return size === 8 ? value : truncate(e, size, e.op('i32.wrap_i64', value));
}

/** An i32 count or flag as a value of the operand size. */
export function fromI32(e: Emitter, size: number, value: Value): Value {
  return size === 8 ? e.op('i64.extend_i32_u', value) : value;
}

/** Bit `index` of a value, as 0 or 1 (i32). */
export function bitOf(e: Emitter, size: number, value: Value, index: number): Value {
  const shifted = index === 0 ? value : wide(e, size, 'shr_u', value, constant(e, size, index));
  return e.op('i32.and', size === 8 ? e.op('i32.wrap_i64', shifted) : shifted, e.i32(1));
}

/** Top bit of an operand, as 0 or 1 (i32). */
export function signBit(e: Emitter, size: number, value: Value): Value {
  return bitOf(e, size, value, size * 8 - 1);
}

/** Replaces some of the six flags: those in `mask` by `flags` (i32, nothing outside the mask). */
export function replaceFlags(e: Emitter, mask: number, flags: Value): void {
  const kept = e.op('i32.and', e.arithmeticFlags(), e.i32(RFLAGS_ARITHMETIC & ~mask));
  e.setFlags('flags', 4, e.op('i32.or', kept, flags));
}

/** Operand sizes as the emitter wants them. */
export function sizeOf(form: { readonly size: number }): Size {
  return form.size as Size;
}
