/** POPCNT, LZCNT, TZCNT, BMI1 and BMI2 (SDM 2). Flags that the SDM leaves undefined are 0 here. */
import type { Emitter, Form, Semantic, Value } from '../emitter.ts';
import { constant, CF, fromI32, fromI64, isZero, RDX, SF, signBit, sizeOf, toI64, wide, ZF } from './operations.ts';

const typeOf = (size: number): string => (size === 8 ? 'i64' : 'i32');

/** CF and ZF (0 or 1 each), and SF if given; the others are cleared. */
function flags(e: Emitter, carry: Value | undefined, zero: Value, sign?: Value): void {
  const parts = [e.op('i32.mul', zero, e.i32(ZF))];
  if (carry) parts.push(e.op('i32.mul', carry, e.i32(CF)));
  if (sign) parts.push(e.op('i32.mul', sign, e.i32(SF)));
  e.setFlags(
    'flags',
    4,
    parts.reduce((all, part) => e.op('i32.or', all, part)),
  );
}

/** Flags of a logical result, with a carry. */
function resultFlags(e: Emitter, size: number, result: Value, carry?: Value): void {
  flags(e, carry, isZero(e, size, result), signBit(e, size, result));
}

const popcnt: Semantic = (e, form) => {
  const size = sizeOf(form);
  const value = e.let(e.read(form.operands[1]!, size));
  e.write(form.operands[0]!, size, e.op(`${typeOf(size)}.popcnt`, value));
  flags(e, undefined, isZero(e, size, value));
};

/** LZCNT and TZCNT: CF says that the source was 0, ZF that the result is. */
function countZeros(count: (e: Emitter, size: number, value: Value) => Value): Semantic {
  return (e, form) => {
    const size = sizeOf(form);
    const value = e.let(e.read(form.operands[1]!, size));
    const result = e.let(count(e, size, value));
    e.write(form.operands[0]!, size, result);
    flags(e, isZero(e, size, value), isZero(e, size, result));
  };
}

/** Three operands: destination, and what `f` makes of the two sources. */
function binary(f: (e: Emitter, size: number, a: Value, b: Value) => Value): Semantic {
  return (e, form) => {
    const size = sizeOf(form);
    const a = e.let(e.read(form.operands[1]!, size));
    const b = e.let(e.read(form.operands[2]!, size));
    e.write(form.operands[0]!, size, f(e, size, a, b));
  };
}

const minusOne = (e: Emitter, size: number, value: Value): Value => wide(e, size, 'sub', value, constant(e, size, 1));

/** BLSR, BLSMSK, BLSI. */
function lowestBit(f: (e: Emitter, size: number, value: Value) => Value, carryIfZero: boolean): Semantic {
  return (e, form) => {
    const size = sizeOf(form);
    const value = e.let(e.read(form.operands[1]!, size));
    const result = e.let(f(e, size, value));
    e.write(form.operands[0]!, size, result);
    const zero = isZero(e, size, value);
    resultFlags(e, size, result, carryIfZero ? zero : e.op('i32.eqz', zero));
  };
}

/** `value` with the bits from `count` (i32) on cleared. */
function lowBits(e: Emitter, size: number, value: Value, count: Value): Value {
  const one = constant(e, size, 1);
  const mask = wide(e, size, 'sub', wide(e, size, 'shl', one, fromI32(e, size, count)), one);
  return e.select(e.op('i32.lt_u', count, e.i32(size * 8)), wide(e, size, 'and', value, mask), value);
}

/** Bits from `start` on, `length` of them: fields of the second source. */
function bextr(e: Emitter, form: Form): void {
  const size = sizeOf(form);
  const value = e.let(e.read(form.operands[1]!, size));
  const control = e.let(e.read(form.operands[2]!, 4));
  const start = e.let(e.op('i32.and', control, e.i32(0xff)));
  const length = e.let(e.op('i32.and', e.op('i32.shr_u', control, e.i32(8)), e.i32(0xff)));
  const moved = wide(e, size, 'shr_u', value, fromI32(e, size, start));
  const field = e.let(e.select(e.op('i32.lt_u', start, e.i32(size * 8)), moved, constant(e, size, 0)));
  const result = e.let(lowBits(e, size, field, length));
  e.write(form.operands[0]!, size, result);
  flags(e, undefined, isZero(e, size, result));
}

function bzhi(e: Emitter, form: Form): void {
  const size = sizeOf(form);
  const value = e.let(e.read(form.operands[1]!, size));
  const index = e.let(e.op('i32.and', e.read(form.operands[2]!, 4), e.i32(0xff)));
  const result = e.let(lowBits(e, size, value, index));
  e.write(form.operands[0]!, size, result);
  resultFlags(e, size, result, e.op('i32.ge_u', index, e.i32(size * 8)));
}

function andn(e: Emitter, form: Form): void {
  const size = sizeOf(form);
  const a = e.let(e.read(form.operands[1]!, size));
  const b = e.let(e.read(form.operands[2]!, size));
  const result = e.let(wide(e, size, 'and', wide(e, size, 'xor', a, constant(e, size, -1)), b));
  e.write(form.operands[0]!, size, result);
  resultFlags(e, size, result);
}

/** High half into the first operand, low half into the second; if they are the same, the high half stays. */
function mulx(e: Emitter, form: Form): void {
  const size = sizeOf(form);
  const [high, low, source] = [form.operands[0]!, form.operands[1]!, form.operands[2]!];
  const a = e.let(e.gpr(RDX, size));
  const b = e.let(e.read(source, size));
  if (size === 8) {
    const upper = e.call('multiplyHighUnsigned', a, b);
    e.write(low, 8, e.op('i64.mul', a, b));
    e.write(high, 8, upper);
    return;
  }
  const product = e.let(e.op('i64.mul', toI64(e, 4, a), toI64(e, 4, b)));
  e.write(low, 4, fromI64(e, 4, product));
  e.write(high, 4, fromI64(e, 4, e.op('i64.shr_u', product, e.i64(32))));
}

/** PDEP and PEXT. */
const scatter = (helper: string): Semantic =>
  binary((e, size, a, b) => fromI64(e, size, e.call(helper, toI64(e, size, a), toI64(e, size, b))));

/** The count is taken modulo the operand's width, as WebAssembly's shifts do. */
const shift = (operation: 'shl' | 'shr_u' | 'shr_s'): Semantic =>
  binary((e, size, a, b) => wide(e, size, operation, a, b));

function rorx(e: Emitter, form: Form): void {
  const size = sizeOf(form);
  const value = e.let(e.read(form.operands[1]!, size));
  const count = fromI32(e, size, e.op('i32.and', e.read(form.operands[2]!, 1), e.i32(0xff)));
  e.write(form.operands[0]!, size, e.op(`${typeOf(size)}.rotr`, value, count));
}

export const bmi: Record<string, Semantic> = {
  popcnt,
  // 16 bits: a bit beyond the operand stops the count.
  tzcnt: countZeros((e, size, value) =>
    size === 2 ? e.op('i32.ctz', e.op('i32.or', value, e.i32(0x10000))) : e.op(`${typeOf(size)}.ctz`, value),
  ),
  lzcnt: countZeros((e, size, value) =>
    size === 2 ? e.op('i32.sub', e.op('i32.clz', value), e.i32(16)) : e.op(`${typeOf(size)}.clz`, value),
  ),
  andn,
  blsr: lowestBit((e, size, value) => wide(e, size, 'and', value, minusOne(e, size, value)), true),
  blsmsk: lowestBit((e, size, value) => wide(e, size, 'xor', value, minusOne(e, size, value)), true),
  blsi: lowestBit(
    (e, size, value) => wide(e, size, 'and', value, wide(e, size, 'sub', constant(e, size, 0), value)),
    false,
  ),
  bextr,
  bzhi,
  pdep: scatter('depositBits'),
  pext: scatter('extractBits'),
  mulx,
  shlx: shift('shl'),
  shrx: shift('shr_u'),
  sarx: shift('shr_s'),
  rorx,
};
