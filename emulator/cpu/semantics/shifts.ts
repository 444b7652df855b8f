/**
 * Shifts and rotates (SDM 2B). An immediate count is never 0 after masking: the decoder makes such an instruction
 * `shift_by_zero`. A count in CL may be 0 and then keeps the flags.
 */
import type { Emitter, Form, Semantic, Value } from '../emitter.ts';
import { INTEGER_RESULT } from '../layout.ts';
import {
  binary,
  bitOf,
  CF,
  constant,
  fromI32,
  fromI64,
  OF,
  RCX,
  replaceFlags,
  signBit,
  signed,
  sizeOf,
  toI64,
  truncate,
  wide,
} from './operations.ts';

/** The masked count (i32) and a way to emit what depends on its not being 0. */
function countOf(e: Emitter, form: Form): { count: Value; ifCounted: (then: () => void) => void } {
  const operand = form.operands[form.operands.length - 1]!;
  const mask = e.i32(form.size === 8 ? 63 : 31);
  if (operand.kind === 'immediate') {
    return { count: e.let(e.op('i32.and', e.read(operand, 1), mask)), ifCounted: (then) => then() };
  }
  const count = e.let(e.op('i32.and', e.gpr(RCX, 1), mask));
  return { count, ifCounted: (then) => e.if(count, then) };
}

function shift(operation: 'shl' | 'shr_u' | 'shr_s', kind: 'shl' | 'shr' | 'sar'): Semantic {
  return (e, form) => {
    const size = sizeOf(form);
    const destination = form.operands[0]!;
    const { count, ifCounted } = countOf(e, form);
    const a = e.let(e.readForWrite(destination, size));
    const operand = operation === 'shr_s' ? e.let(signed(e, size, a)) : a;
    const distance = e.let(fromI32(e, size, count));
    const result = e.let(binary(e, size, operation, operand, distance));
    e.write(destination, size, result);
    ifCounted(() => {
      const before = binary(e, size, operation, operand, wide(e, size, 'sub', distance, constant(e, size, 1)));
      e.setFlags(kind, size, result, e.let(before));
    });
  };
}

function rotated(e: Emitter, size: number, left: boolean, value: Value, count: Value): Value {
  if (size >= 4) return e.op(`i${size * 8}.rot${left ? 'l' : 'r'}`, value, fromI32(e, size, count));
  // Two or four copies side by side, so that a 32-bit rotate does it.
  const copies = e.op('i32.mul', value, e.i32(size === 1 ? 0x01010101 : 0x00010001));
  return truncate(e, size, e.op(left ? 'i32.rotl' : 'i32.rotr', copies, count));
}

function rotate(left: boolean): Semantic {
  return (e, form) => {
    const size = sizeOf(form);
    const { count, ifCounted } = countOf(e, form);
    const a = e.let(e.readForWrite(form.operands[0]!, size));
    const result = e.let(rotated(e, size, left, a, count));
    e.write(form.operands[0]!, size, result);
    ifCounted(() => {
      const top = e.let(signBit(e, size, result));
      const carry = left ? e.let(bitOf(e, size, result, 0)) : top;
      const overflow = e.op('i32.xor', top, left ? carry : bitOf(e, size, result, size * 8 - 2));
      replaceFlags(e, CF | OF, e.op('i32.or', carry, e.op('i32.shl', overflow, e.i32(11))));
    });
  };
}

function rotateThroughCarry(helper: string): Semantic {
  return (e, form) => {
    const size = sizeOf(form);
    const { count, ifCounted } = countOf(e, form);
    const a = e.let(e.readForWrite(form.operands[0]!, size));
    const result = e.let(e.call(helper, toI64(e, size, a), count, e.carry(), e.i32(size)));
    e.write(form.operands[0]!, size, fromI64(e, size, result));
    ifCounted(() => replaceFlags(e, CF | OF, e.loadState(INTEGER_RESULT, 4)));
  };
}

/**
 * SHLD and SHRD. 16-bit operands with counts above 16, undefined by the SDM, take more bits from the destination again,
 * as Intel processors do.
 */
function doubleShift(left: boolean): Semantic {
  return (e, form) => {
    const size = sizeOf(form);
    const { count, ifCounted } = countOf(e, form);
    const a = e.let(e.readForWrite(form.operands[0]!, size));
    const b = e.let(e.read(form.operands[1]!, size));
    const distance = e.let(fromI32(e, size, count));
    const [result, carry] = size === 2 ? double16(e, left, a, b, count) : doubleWide(e, size, left, a, b, distance);
    e.write(form.operands[0]!, size, result);
    ifCounted(() => {
      const overflow = e.op('i32.xor', signBit(e, size, result), signBit(e, size, a));
      const flags = e.call('resultFlags', toI64(e, size, result), e.i32(size));
      e.setFlags('flags', 4, e.op('i32.or', e.op('i32.or', flags, carry), e.op('i32.shl', overflow, e.i32(11))));
    });
  };
}

/** Result and carry of a 32- or 64-bit double shift; with a count of 0 the result is `a`. */
function doubleWide(e: Emitter, size: number, left: boolean, a: Value, b: Value, distance: Value): [Value, Value] {
  const one = constant(e, size, 1);
  const rest = wide(e, size, 'sub', constant(e, size, size * 8 - 1), distance);
  const [toward, away] = left ? (['shl', 'shr_u'] as const) : (['shr_u', 'shl'] as const);
  // By size - count in two steps, because shift counts are taken modulo the size.
  const filling = wide(e, size, away, wide(e, size, away, b, one), rest);
  const result = e.let(wide(e, size, 'or', wide(e, size, toward, a, distance), filling));
  const before = wide(e, size, toward, a, wide(e, size, 'sub', distance, one));
  return [result, e.let(left ? signBit(e, size, before) : bitOf(e, size, before, 0))];
}

function double16(e: Emitter, left: boolean, a: Value, b: Value, count: Value): [Value, Value] {
  const outer = toI64(e, 2, a);
  const middle = e.op('i64.shl', toI64(e, 2, b), e.i64(16));
  const triple = e.let(e.op('i64.or', e.op('i64.or', e.op('i64.shl', outer, e.i64(32)), middle), outer));
  const distance = e.let(toI64(e, 4, count));
  const before = e.op('i64.sub', distance, e.i64(1));
  if (left) {
    const result = fromI64(e, 2, e.op('i64.shr_u', e.op('i64.shl', triple, distance), e.i64(32)));
    return [e.let(result), e.let(bitOf(e, 8, e.op('i64.shl', triple, before), 47))];
  }
  return [
    e.let(fromI64(e, 2, e.op('i64.shr_u', triple, distance))),
    e.let(bitOf(e, 8, e.op('i64.shr_u', triple, before), 0)),
  ];
}

export const shifts: Record<string, Semantic> = {
  shl: shift('shl', 'shl'),
  shr: shift('shr_u', 'shr'),
  sar: shift('shr_s', 'sar'),
  rol: rotate(true),
  ror: rotate(false),
  rcl: rotateThroughCarry('rotateCarryLeft'),
  rcr: rotateThroughCarry('rotateCarryRight'),
  shld: doubleShift(true),
  shrd: doubleShift(false),

  shift_by_zero: (e, form) => {
    const size = sizeOf(form);
    e.write(form.operands[0]!, size, e.let(e.readForWrite(form.operands[0]!, size)));
  },
};
