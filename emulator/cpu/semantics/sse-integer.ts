/** SSE2 integer operations on XMM registers: arithmetic, shifts, shuffles (SDM 1, 5.6.3). */
import type { Emitter, Form, Semantic, Value } from '../emitter.ts';
import { interleaveHigh, interleaveLow, lanewise, pack, shiftLanes, shifts } from './packed-integer.ts';
import { lanes, low64, packed, splat } from './vector.ts';
import type { SemanticTable } from './vector.ts';

/** An 8-bit immediate, zero-extended, as i32. */
export function immediateByte(e: Emitter, operand: Form['operands'][number]): Value {
  return e.op('i32.and', e.read(operand, 1), e.i32(0xff));
}

function shift(op: string): Semantic {
  return (e, { operands: [destination, source] }) => {
    const count =
      source.kind === 'immediate'
        ? e.op('i64.extend_i32_u', immediateByte(e, source))
        : low64(e, e.readVector(source, true));
    const kept = e.let(count);
    e.writeVector(destination, shiftLanes(e, op, e.readVector(destination), kept));
  };
}

/** `vector` moved by `count` bytes: lane numbers that leave 0..15 select zero. */
export function shiftedBytes(e: Emitter, vector: Value, count: Value, direction: 'i8x16.add' | 'i8x16.sub'): Value {
  const bytes = e.let(count);
  const amount = e.op('i8x16.splat', e.select(e.op('i32.gt_u', bytes, e.i32(15)), e.i32(16), bytes));
  const order = e.op(direction, lanes(e, 1, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]), amount);
  return e.op('i8x16.swizzle', vector, order);
}

/** PSLLDQ and PSRLDQ. */
function shiftBytes(direction: 'i8x16.add' | 'i8x16.sub'): Semantic {
  return (e, { operands: [destination, count] }) => {
    const vector = e.let(e.readVector(destination));
    e.writeVector(destination, shiftedBytes(e, vector, immediateByte(e, count), direction));
  };
}

/** The four 2-bit fields of an immediate as doublewords 0..3. */
function fields(e: Emitter, immediate: Value): Value {
  const spread = e.op('i32x4.mul', e.op('i32x4.splat', immediate), lanes(e, 4, [64, 16, 4, 1]));
  return e.op('v128.and', e.op('i32x4.shr_u', spread, e.i32(6)), splat(e, 4, 3));
}

/** Byte order that selects, for each doubleword, the doubleword whose number stands there. */
export function orderOfDoublewords(e: Emitter, numbers: Value): Value {
  return e.op('i32x4.add', e.op('i32x4.mul', numbers, splat(e, 4, 0x04040404)), splat(e, 4, 0x03020100));
}

function orderOfWords(e: Emitter, numbers: Value): Value {
  return e.op('i16x8.add', e.op('i16x8.mul', numbers, splat(e, 2, 0x0202)), splat(e, 2, 0x0100));
}

function shuffleDoublewords(e: Emitter, { operands: [destination, source, immediate] }: Form): void {
  const vector = e.readVector(source, true);
  const order = orderOfDoublewords(e, fields(e, immediateByte(e, immediate)));
  e.writeVector(destination, e.op('i8x16.swizzle', vector, order));
}

/** PSHUFLW and PSHUFHW: four words by the immediate, the others in place. */
function shuffleWords(high: boolean): Semantic {
  return (e, { operands: [destination, source, immediate] }) => {
    const vector = e.readVector(source, true);
    const numbers = fields(e, immediateByte(e, immediate));
    const words = high
      ? e.op('i16x8.narrow_i32x4_u', lanes(e, 4, [0, 1, 2, 3]), e.op('i32x4.add', numbers, splat(e, 4, 4)))
      : e.op('i16x8.narrow_i32x4_u', numbers, lanes(e, 4, [4, 5, 6, 7]));
    e.writeVector(destination, e.op('i8x16.swizzle', vector, orderOfWords(e, words)));
  };
}

/** Two lanes from each operand: a swizzle number of 16 and above gives zero, so the halves can be joined by OR. */
function selectFromBoth(e: Emitter, a: Value, b: Value, order: Value): Value {
  const fromFirst = e.op('i8x16.swizzle', a, e.op('v128.or', order, lanes(e, 8, [0n, 0x8080808080808080n])));
  const fromSecond = e.op('i8x16.swizzle', b, e.op('v128.or', order, lanes(e, 8, [0x8080808080808080n, 0n])));
  return e.op('v128.or', fromFirst, fromSecond);
}

function shufps(e: Emitter, { operands: [destination, source, immediate] }: Form): void {
  const a = e.let(e.readVector(destination));
  const b = e.let(e.readVector(source, true));
  const order = e.let(orderOfDoublewords(e, fields(e, immediateByte(e, immediate))));
  e.writeVector(destination, selectFromBoth(e, a, b, order));
}

function shufpd(e: Emitter, { operands: [destination, source, immediate] }: Form): void {
  const a = e.let(e.readVector(destination));
  const b = e.let(e.readVector(source, true));
  const choice = e.let(immediateByte(e, immediate));
  const half = (vector: Value, bit: number) =>
    e.select(
      e.op('i32.and', choice, e.i32(bit)),
      e.lane('f64x2.extract_lane', 1, vector),
      e.lane('f64x2.extract_lane', 0, vector),
    );
  const low = e.op('f64x2.splat', half(a, 1));
  e.writeVector(destination, e.lane('f64x2.replace_lane', 1, low, half(b, 2)));
}

const WORD_NUMBERS = [0, 1, 2, 3, 4, 5, 6, 7];

function insertWord(e: Emitter, { operands: [destination, source, immediate] }: Form): void {
  const word = e.let(e.read(source, 2));
  const number = e.op('i32.and', e.read(immediate, 1), e.i32(7));
  const here = e.op('i16x8.eq', e.op('i16x8.splat', number), lanes(e, 2, WORD_NUMBERS));
  e.writeVector(destination, e.op('v128.bitselect', e.op('i16x8.splat', word), e.readVector(destination), here));
}

function extractWord(e: Emitter, { operands: [destination, source, immediate] }: Form): void {
  const number = e.let(e.op('i32.and', e.read(immediate, 1), e.i32(7)));
  const vector = e.let(e.readVector(source));
  const half = e.select(
    e.op('i32.and', number, e.i32(4)),
    e.lane('i64x2.extract_lane', 1, vector),
    e.lane('i64x2.extract_lane', 0, vector),
  );
  const bits = e.op('i32.shl', e.op('i32.and', number, e.i32(3)), e.i32(4));
  const word = e.op('i32.wrap_i64', e.op('i64.shr_u', half, e.op('i64.extend_i32_u', bits)));
  e.write(destination, 4, e.op('i32.and', word, e.i32(0xffff)));
}

const unpackLowQuad = packed((e, a, b) => e.shuffle([0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23], a, b));
const unpackHighQuad = packed((e, a, b) =>
  e.shuffle([8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31], a, b),
);

const operations = { ...lanewise, ...pack, ...interleaveLow, ...interleaveHigh };

export const sseInteger: SemanticTable = {
  ...Object.fromEntries(Object.entries(operations).map(([op, f]) => [op, packed(f)])),
  ...Object.fromEntries(Object.keys(shifts).map((op) => [op, shift(op)])),
  pslldq: shiftBytes('i8x16.sub'),
  psrldq: shiftBytes('i8x16.add'),
  pshufd: shuffleDoublewords,
  pshuflw: shuffleWords(false),
  pshufhw: shuffleWords(true),
  shufps,
  shufpd,
  pinsrw: insertWord,
  pextrw: extractWord,
  unpcklps: packed(interleaveLow['punpckldq']!),
  unpckhps: packed(interleaveHigh['punpckhdq']!),
  unpcklpd: unpackLowQuad,
  unpckhpd: unpackHighQuad,
  punpcklqdq: unpackLowQuad,
  punpckhqdq: unpackHighQuad,
};
