/**
 * SSE and SSE2 arithmetic and comparison.
 *
 * Every operation is done natively and checked: the native answer stands if rounding is to nearest, inexact is masked and already
 * sticky in MXCSR, no operand is denormal and every result is a normal number well inside the range or an exact zero. Then no exception flag
 * can change. Otherwise the core repeats the operation with all flags (core/softfloat-sse.ts); it is quick as well
 * for code that has been exact so far.
 */
import {
  FP_ADD,
  FP_DIV,
  FP_MAX,
  FP_MIN,
  FP_MUL,
  FP_SQRT,
  FP_SUB,
  MXCSR_NATIVE,
  MXCSR_ROUNDING,
} from '../../core/softfloat-codes.ts';
import type { Doubt, Emitter, Form, Semantic, Value, Variable } from '../emitter.ts';
import { FP_RESULT, MXCSR } from '../layout.ts';
import { high64, low64, splat, zero } from './vector.ts';
import type { SemanticTable } from './vector.ts';

/** i32: not 0 when MXCSR asks for more than the host's rounding gives. */
export function roundingMatters(e: Emitter): Value {
  const state = e.op('i32.and', e.loadState(MXCSR, 4), e.i32(MXCSR_ROUNDING));
  return e.op('i32.ne', state, e.i32(MXCSR_NATIVE));
}

export function or(e: Emitter, ...conditions: Value[]): Value {
  return conditions.reduce((all, condition) => e.op(all.type === 'v128' ? 'v128.or' : 'i32.or', all, condition));
}

/** i32: whether the bits of a binary32 or binary64 are a denormal. */
function isDenormal(e: Emitter, size: 4 | 8, bits: Value): Value {
  return size === 8
    ? e.op('i64.lt_u', e.op('i64.sub', e.op('i64.shl', bits, e.i64(1)), e.i64(1)), e.i64(0x1fffffffffffffn))
    : e.op('i32.lt_u', e.op('i32.sub', e.op('i32.shl', bits, e.i32(1)), e.i32(1)), e.i32(0xffffff));
}

/**
 * i32: whether a result is zero, denormal, infinite, NaN, or of the least normal exponent, where rounding may have hidden
 * an underflow.
 */
function isExtreme(e: Emitter, size: 4 | 8, bits: Value): Value {
  return size === 8
    ? e.op('i64.ge_u', e.op('i64.sub', e.op('i64.shl', bits, e.i64(1)), e.i64(2n << 53n)), e.i64(0x7fdn << 53n))
    : e.op('i32.ge_u', e.op('i32.sub', e.op('i32.shl', bits, e.i32(1)), e.i32(2 << 24)), e.i32(0xfd000000 | 0));
}

export const shape = (size: 4 | 8) => (size === 8 ? 'f64x2' : 'f32x4');
const leastNormal = (e: Emitter, size: 4 | 8) => splat(e, size, size === 8 ? 1n << 52n : 1 << 23);
const twiceLeastNormal = (e: Emitter, size: 4 | 8) => splat(e, size, size === 8 ? 2n << 52n : 2 << 23);
const greatest = (e: Emitter, size: 4 | 8) => splat(e, size, size === 8 ? 0x7fefffffffffffffn : 0x7f7fffff);

/** Lanes of all ones where the operand is denormal. */
export function denormalLanes(e: Emitter, size: 4 | 8, vector: Value): Value {
  const small = e.op(`${shape(size)}.lt`, e.op(`${shape(size)}.abs`, vector), leastNormal(e, size));
  return e.op('v128.andnot', small, e.op(`${shape(size)}.eq`, vector, zero(e)));
}

/** Lanes of all ones where the result is an ordinary number, as in `isExtreme`. */
export function ordinaryLanes(e: Emitter, size: 4 | 8, vector: Value): Value {
  const magnitude = e.let(e.op(`${shape(size)}.abs`, vector));
  return e.op(
    'v128.and',
    e.op(`${shape(size)}.ge`, magnitude, twiceLeastNormal(e, size)),
    e.op(`${shape(size)}.le`, magnitude, greatest(e, size)),
  );
}

/** The 16 bytes that a helper has left. */
export function helperVector(e: Emitter): Value {
  const low = e.op('i64x2.splat', e.loadState(FP_RESULT, 8));
  return e.lane('i64x2.replace_lane', 1, low, e.loadState(FP_RESULT + 8, 8));
}

/** Repeats a packed operation in the core and puts its answer into `result`. */
export function redoPacked(e: Emitter, code: Value, size: 4 | 8, a: Value, b: Value): Value {
  e.faultIf(e.call('ssePacked', code, e.i32(size), low64(e, a), high64(e, a), low64(e, b), high64(e, b)));
  return helperVector(e);
}

/** Repeats a scalar operation in the core. */
export function redoScalar(e: Emitter, code: Value, size: 4 | 8, a: Value, b: Value): Value {
  e.faultIf(e.call('sseScalar', code, e.i32(size), wideBits(e, size, a), wideBits(e, size, b)));
  return helperScalar(e, size);
}

/** The number that a helper has left. */
export function helperScalar(e: Emitter, size: 4 | 8): Value {
  return size === 8 ? e.loadStateF64(FP_RESULT) : e.op('f32.reinterpret_i32', e.loadState(FP_RESULT, 4));
}

export const float = (size: 4 | 8) => (size === 8 ? 'f64' : 'f32');
export const asBits = (e: Emitter, size: 4 | 8, value: Value) =>
  e.op(size === 8 ? 'i64.reinterpret_f64' : 'i32.reinterpret_f32', value);
/** Bits of a number, as helpers take them. */
export const wideBits = (e: Emitter, size: 4 | 8, value: Value) =>
  size === 8 ? asBits(e, size, value) : e.op('i64.extend_i32_u', asBits(e, size, value));

export const doubt = (suspected: Value, unless?: Value): Doubt => (unless ? { suspected, unless } : { suspected });
export const doubtRounding = (e: Emitter): Doubt => doubt(roundingMatters(e));

/** Operands of which it is not known that they are zero or normal; each once. */
function unknown(size: 4 | 8, values: readonly Value[]): readonly Value[] {
  return [...new Set(values)].filter(({ plain }) => plain !== size);
}
export function doubtDenormal(e: Emitter, size: 4 | 8, ...values: Value[]): Doubt[] {
  return unknown(size, values).map((value) => doubt(isDenormal(e, size, asBits(e, size, value))));
}
/** Operands that may be denormal or NaNs: flags may have to be set by a comparison. */
export function doubtComparison(e: Emitter, size: 4 | 8, ...values: Value[]): Doubt[] {
  const nans = unknown(size, values).map((value) => doubt(e.op(`${float(size)}.ne`, value, value)));
  return [...nans, ...doubtDenormal(e, size, ...values)];
}
/** A result that is no ordinary number, unless it is an exact zero. */
export function doubtResult(e: Emitter, size: 4 | 8, result: Value, isExactZero?: Value): Doubt {
  return doubt(isExtreme(e, size, asBits(e, size, result)), isExactZero);
}

/** A result in a variable that the slow path may have set; plain if that was not taken. */
export function settled(e: Emitter, sure: boolean, size: 4 | 8, result: Variable): Value {
  return sure ? { ...e.get(result), plain: size } : e.get(result);
}

/** i32: a zero is exact if it is a sum, or if a factor or the dividend is zero. */
function exactZero(e: Emitter, code: number, size: 4 | 8, a: Value, b: Value, result: Value): Value {
  const zeroOf = (value: Value): Value => e.op(`${float(size)}.eq`, value, size === 8 ? e.f64(0) : e.f32(0));
  const zeros = zeroOf(result);
  if (code === FP_MUL) return e.op('i32.and', zeros, e.op('i32.or', zeroOf(a), zeroOf(b)));
  return code === FP_DIV ? e.op('i32.and', zeros, zeroOf(a)) : zeros;
}

function scalarArithmetic(code: number, name: string, size: 4 | 8): Semantic {
  return (e, { operands: [destination, source] }) => {
    const b = e.let(e.readScalar(source, size));
    const a = code === FP_SQRT ? b : e.let(e.readScalar(destination, size));
    const value = code === FP_SQRT ? e.op(`${float(size)}.sqrt`, b) : e.op(`${float(size)}.${name}`, a, b);
    const result = e.variable(float(size), value);
    const got = e.get(result);
    const sure = e.unlikely(
      [
        doubtRounding(e),
        ...doubtDenormal(e, size, a, b),
        doubtResult(e, size, got, exactZero(e, code, size, a, b, got)),
      ],
      () => e.set(result, redoScalar(e, e.i32(code), size, a, b)),
    );
    e.writeScalar(destination, size, settled(e, sure, size, result));
  };
}

function packedArithmetic(code: number, name: string, size: 4 | 8): Semantic {
  return (e, { operands: [destination, source] }) => {
    const b = e.let(e.readVector(source, true));
    const a = code === FP_SQRT ? b : e.let(e.readVector(destination));
    const value = code === FP_SQRT ? e.op(`${shape(size)}.sqrt`, b) : e.op(`${shape(size)}.${name}`, a, b);
    e.writeVector(destination, packedOperation(e, code, size, a, b, value));
  };
}

/**
 * Lanes of all ones where twice the bits, less `from`, are below `span`: both unsigned, but compared as signed numbers, which SSE can. Without the sign
 * magnitudes are compared so, and zero is the greatest if `from` is 1.
 */
function lanesBelow(e: Emitter, size: 4 | 8, vector: Value, from: bigint, span: bigint, holds: boolean): Value {
  const integers = size === 8 ? 'i64x2' : 'i32x4';
  const top = 1n << BigInt(size * 8 - 1);
  const shifted = e.op(`${integers}.add`, e.op(`${integers}.shl`, vector, e.i32(1)), splat(e, size, top - from));
  const limit = splat(e, size, (holds ? span : span - 1n) - top);
  return holds ? e.op(`${integers}.gt_s`, limit, shifted) : e.op(`${integers}.gt_s`, shifted, limit);
}
const fractionBits = (size: 4 | 8): bigint => (size === 8 ? 52n : 23n);
/** As `isDenormal` and `isExtreme`. */
const lanesDenormal = (e: Emitter, size: 4 | 8, vector: Value): Value =>
  lanesBelow(e, size, vector, 1n, (1n << (fractionBits(size) + 1n)) - 1n, true);
const lanesExtreme = (e: Emitter, size: 4 | 8, vector: Value): Value => {
  const binade = 1n << (fractionBits(size) + 1n);
  return lanesBelow(e, size, vector, 2n * binade, (size === 8 ? 0x7fdn : 0xfdn) * binade, false);
};

/** A packed operation whose native answer is `value`, with its flags right. FP_SQRT looks at `b` alone. */
export function packedOperation(e: Emitter, code: number, size: 4 | 8, a: Value, b: Value, value: Value): Value {
  const result = e.variable('v128', value);
  const got = e.get(result);
  const operands = unknown(size, code === FP_SQRT ? [b] : [a, b]);
  const sure = e.unlikely(
    [
      doubtRounding(e),
      ...(operands.length > 0
        ? [doubt(e.op('v128.any_true', or(e, ...operands.map((operand) => lanesDenormal(e, size, operand)))))]
        : []),
      doubt(e.op('v128.any_true', lanesExtreme(e, size, got)), onlyExactZeros(e, code, size, a, b, got)),
    ],
    () => e.set(result, redoPacked(e, e.i32(code), size, a, b)),
  );
  return settled(e, sure, size, result);
}

/** i32: whether all lanes of a result are ordinary, or zero where that is exact. */
function onlyExactZeros(e: Emitter, code: number, size: 4 | 8, a: Value, b: Value, result: Value): Value {
  const zerosOf = (vector: Value): Value => e.op(`${shape(size)}.eq`, vector, zero(e));
  const zeros = zerosOf(result);
  const exact =
    code === FP_MUL
      ? e.op('v128.and', zeros, or(e, zerosOf(a), zerosOf(b)))
      : code === FP_DIV
        ? e.op('v128.and', zeros, zerosOf(a))
        : zeros;
  return e.op('i32.eqz', e.op('v128.any_true', e.op('v128.andnot', lanesExtreme(e, size, result), exact)));
}

/** MIN and MAX: the second operand unless the first is truly less or greater. */
function scalarMinimum(code: number, size: 4 | 8): Semantic {
  return (e, form) => {
    const [a, b] = scalarOperands(e, form, size);
    const chosen = e.select(e.op(`${float(size)}.${code === FP_MIN ? 'lt' : 'gt'}`, a, b), a, b);
    const result = e.variable(float(size), chosen);
    const plain = a.plain === size && b.plain === size;
    const sure = e.unlikely(doubtComparison(e, size, a, b), () =>
      e.set(result, redoScalar(e, e.i32(code), size, a, b)),
    );
    e.writeScalar(form.operands[0]!, size, settled(e, sure && plain, size, result));
  };
}

function packedMinimum(code: number, size: 4 | 8): Semantic {
  return (e, { operands: [destination, source] }) => {
    const a = e.let(e.readVector(destination));
    const b = e.let(e.readVector(source, true));
    // pmin(y, x) is "x < y ? x : y": with the operands exchanged, exactly MINPS.
    const result = e.variable('v128', e.op(`${shape(size)}.${code === FP_MIN ? 'pmin' : 'pmax'}`, b, a));
    const plain = a.plain === size && b.plain === size;
    const sure = e.unlikely(doubtPackedComparison(e, size, a, b), () =>
      e.set(result, redoPacked(e, e.i32(code), size, a, b)),
    );
    e.writeVector(destination, settled(e, sure && plain, size, result));
  };
}

/** The source is read first: it may fault. */
export function scalarOperands(e: Emitter, { operands: [destination, source] }: Form, size: 4 | 8): [Value, Value] {
  const b = e.let(e.readScalar(source, size));
  return [e.let(e.readScalar(destination, size)), b];
}

/** As `doubtComparison`, for vectors. */
export function doubtPackedComparison(e: Emitter, size: 4 | 8, ...vectors: Value[]): Doubt[] {
  const operands = unknown(size, vectors);
  if (operands.length === 0) return [];
  const lanes = operands.flatMap((vector) => [
    e.op(`${shape(size)}.ne`, vector, vector),
    lanesDenormal(e, size, vector),
  ]);
  return [doubt(e.op('v128.any_true', or(e, ...lanes)))];
}

/** COMISx and UCOMISx: ZF PF CF; OF SF AF cleared (SDM 2A COMISD). */
function compareToFlags(size: 4 | 8, signalling: number): Semantic {
  return (e, form) => {
    const [a, b] = scalarOperands(e, form, size);
    const test = (name: string) => e.op(`${float(size)}.${name}`, a, b);
    const flags = e.variable('i32', e.op('i32.or', e.op('i32.shl', test('eq'), e.i32(6)), test('lt')));
    e.unlikely(doubtComparison(e, size, a, b), () => {
      e.faultIf(e.call('sseCompare', e.i32(size), e.i32(signalling), wideBits(e, size, a), wideBits(e, size, b)));
      e.set(flags, e.loadState(FP_RESULT, 4));
    });
    e.setFlags('flags', 4, e.get(flags));
  };
}

function both(code: number, name: string): SemanticTable {
  return {
    [`${name}ps`]: packedArithmetic(code, name, 4),
    [`${name}pd`]: packedArithmetic(code, name, 8),
    [`${name}ss`]: scalarArithmetic(code, name, 4),
    [`${name}sd`]: scalarArithmetic(code, name, 8),
  };
}

export const sseArithmetic: SemanticTable = {
  ...both(FP_ADD, 'add'),
  ...both(FP_SUB, 'sub'),
  ...both(FP_MUL, 'mul'),
  ...both(FP_DIV, 'div'),
  ...both(FP_SQRT, 'sqrt'),
  minps: packedMinimum(FP_MIN, 4),
  minpd: packedMinimum(FP_MIN, 8),
  minss: scalarMinimum(FP_MIN, 4),
  minsd: scalarMinimum(FP_MIN, 8),
  maxps: packedMinimum(FP_MAX, 4),
  maxpd: packedMinimum(FP_MAX, 8),
  maxss: scalarMinimum(FP_MAX, 4),
  maxsd: scalarMinimum(FP_MAX, 8),
  ucomiss: compareToFlags(4, 0),
  comiss: compareToFlags(4, 1),
  ucomisd: compareToFlags(8, 0),
  comisd: compareToFlags(8, 1),
};
