/**
 * SSE and SSE2 arithmetic and comparison.
 *
 * Every operation is done natively and checked: the native answer stands if rounding is to nearest, inexact is masked and already
 * sticky in MXCSR, no operand is denormal and every result is a normal number well inside the range. Then no exception flag
 * can change. Otherwise the core repeats the operation with all flags (core/softfloat-sse.ts); it is quick as well
 * for code that has been exact so far.
 */
import { FP_ADD, FP_DIV, FP_MAX, FP_MIN, FP_MUL, FP_SQRT, FP_SUB } from '../../core/softfloat-codes.ts';
import type { Emitter, Form, Semantic, Value } from '../emitter.ts';
import { FP_RESULT, MXCSR } from '../layout.ts';
import { high64, low64, splat, zero } from './vector.ts';
import type { SemanticTable } from './vector.ts';

/** RC, PM and PE of MXCSR, and their value when the native answer may stand. */
const ROUNDING_AND_INEXACT = 0x7020;
const NEAREST_AND_INEXACT_STICKY = 0x1020;

/** i32: not 0 when MXCSR asks for more than the host's rounding gives. */
export function roundingMatters(e: Emitter): Value {
  const state = e.op('i32.and', e.loadState(MXCSR, 4), e.i32(ROUNDING_AND_INEXACT));
  return e.op('i32.ne', state, e.i32(NEAREST_AND_INEXACT_STICKY));
}

export function or(e: Emitter, ...conditions: Value[]): Value {
  return conditions.reduce((all, condition) => e.op(all.type === 'v128' ? 'v128.or' : 'i32.or', all, condition));
}

/** i32: whether the bits of a binary32 or binary64 are a denormal. */
export function isDenormal(e: Emitter, size: 4 | 8, bits: Value): Value {
  return size === 8
    ? e.op('i64.lt_u', e.op('i64.sub', e.op('i64.shl', bits, e.i64(1)), e.i64(1)), e.i64(0x1fffffffffffffn))
    : e.op('i32.lt_u', e.op('i32.sub', e.op('i32.shl', bits, e.i32(1)), e.i32(1)), e.i32(0xffffff));
}

/**
 * i32: whether a result is zero, denormal, infinite, NaN, or of the least normal exponent, where rounding may have hidden
 * an underflow.
 */
export function isExtreme(e: Emitter, size: 4 | 8, bits: Value): Value {
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

/** Repeats a scalar operation in the core; operands are bits. */
export function redoScalar(e: Emitter, code: Value, size: 4 | 8, a: Value, b: Value): Value {
  const wide = (v: Value) => (size === 8 ? v : e.op('i64.extend_i32_u', v));
  e.faultIf(e.call('sseScalar', code, e.i32(size), wide(a), wide(b)));
  return e.loadState(FP_RESULT, size);
}

export const float = (size: 4 | 8) => (size === 8 ? 'f64' : 'f32');
export const asFloat = (e: Emitter, size: 4 | 8, bits: Value) =>
  e.op(size === 8 ? 'f64.reinterpret_i64' : 'f32.reinterpret_i32', bits);
const asBits = (e: Emitter, size: 4 | 8, value: Value) =>
  e.op(size === 8 ? 'i64.reinterpret_f64' : 'i32.reinterpret_f32', value);

function scalarArithmetic(code: number, name: string, size: 4 | 8): Semantic {
  return (e, { operands: [destination, source] }) => {
    const b = e.let(e.readVectorLow(source, size));
    const a = code === FP_SQRT ? b : e.let(e.readVectorLow(destination, size));
    const value =
      code === FP_SQRT
        ? e.op(`${float(size)}.sqrt`, asFloat(e, size, b))
        : e.op(`${float(size)}.${name}`, asFloat(e, size, a), asFloat(e, size, b));
    const result = e.variable(size === 8 ? 'i64' : 'i32', asBits(e, size, value));
    const operandsMatter =
      code === FP_SQRT ? isDenormal(e, size, b) : or(e, isDenormal(e, size, a), isDenormal(e, size, b));
    e.if(or(e, isExtreme(e, size, e.get(result)), operandsMatter, roundingMatters(e)), () =>
      e.set(result, redoScalar(e, e.i32(code), size, a, b)),
    );
    e.writeVectorLow(destination, size, e.get(result));
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

/** A packed operation whose native answer is `value`, with its flags right. FP_SQRT looks at `b` alone. */
export function packedOperation(e: Emitter, code: number, size: 4 | 8, a: Value, b: Value, value: Value): Value {
  const result = e.variable('v128', value);
  const denormal =
    code === FP_SQRT ? denormalLanes(e, size, b) : or(e, denormalLanes(e, size, a), denormalLanes(e, size, b));
  const extreme = e.op('v128.not', ordinaryLanes(e, size, e.get(result)));
  e.if(or(e, e.op('v128.any_true', or(e, denormal, extreme)), roundingMatters(e)), () =>
    e.set(result, redoPacked(e, e.i32(code), size, a, b)),
  );
  return e.get(result);
}

/** MIN and MAX: the second operand unless the first is truly less or greater. */
function scalarMinimum(code: number, size: 4 | 8): Semantic {
  return (e, form) => {
    const [a, b] = scalarOperands(e, form, size);
    const x = asFloat(e, size, a);
    const y = asFloat(e, size, b);
    const chosen = e.select(e.op(`${float(size)}.${code === FP_MIN ? 'lt' : 'gt'}`, x, y), a, b);
    const result = e.variable(size === 8 ? 'i64' : 'i32', chosen);
    e.if(comparisonMatters(e, size, a, b), () => e.set(result, redoScalar(e, e.i32(code), size, a, b)));
    e.writeVectorLow(form.operands[0], size, e.get(result));
  };
}

function packedMinimum(code: number, size: 4 | 8): Semantic {
  return (e, { operands: [destination, source] }) => {
    const a = e.let(e.readVector(destination));
    const b = e.let(e.readVector(source, true));
    // pmin(y, x) is "x < y ? x : y": with the operands exchanged, exactly MINPS.
    const result = e.variable('v128', e.op(`${shape(size)}.${code === FP_MIN ? 'pmin' : 'pmax'}`, b, a));
    e.if(packedComparisonMatters(e, size, a, b), () => e.set(result, redoPacked(e, e.i32(code), size, a, b)));
    e.writeVector(destination, e.get(result));
  };
}

export function scalarOperands(e: Emitter, { operands: [destination, source] }: Form, size: 4 | 8): [Value, Value] {
  const b = e.let(e.readVectorLow(source, size));
  return [e.let(e.readVectorLow(destination, size)), b];
}

/** i32: a NaN or a denormal among two operands: flags may have to be set. */
export function comparisonMatters(e: Emitter, size: 4 | 8, a: Value, b: Value): Value {
  const isNaN = (bits: Value) => e.op(`${float(size)}.ne`, asFloat(e, size, bits), asFloat(e, size, bits));
  return or(e, isNaN(a), isNaN(b), isDenormal(e, size, a), isDenormal(e, size, b));
}

export function packedComparisonMatters(e: Emitter, size: 4 | 8, a: Value, b: Value): Value {
  const isNaN = (v: Value) => e.op(`${shape(size)}.ne`, v, v);
  return e.op('v128.any_true', or(e, isNaN(a), isNaN(b), denormalLanes(e, size, a), denormalLanes(e, size, b)));
}

/** COMISx and UCOMISx: ZF PF CF; OF SF AF cleared (SDM 2A COMISD). */
function compareToFlags(size: 4 | 8, signalling: number): Semantic {
  return (e, form) => {
    const [a, b] = scalarOperands(e, form, size);
    const test = (name: string) => e.op(`${float(size)}.${name}`, asFloat(e, size, a), asFloat(e, size, b));
    const flags = e.variable('i32', e.op('i32.or', e.op('i32.shl', test('eq'), e.i32(6)), test('lt')));
    e.if(comparisonMatters(e, size, a, b), () => {
      const wide = (v: Value) => (size === 8 ? v : e.op('i64.extend_i32_u', v));
      e.faultIf(e.call('sseCompare', e.i32(size), e.i32(signalling), wide(a), wide(b)));
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
