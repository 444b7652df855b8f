/**
 * FMA (SDM 1 14.5): x * y + z with one rounding. As in sse-arithmetic.ts the answer is made of native operations where it is sure to be right and no flag can
 * change, and the core does the rest (core/softfloat-fma.ts).
 *
 * Double precision: the product and the sum are taken apart exactly (Dekker, Knuth); what is left over is added in the end, and the answer stands if a slightly
 * larger and a slightly smaller remainder lead to the same one. Single precision: the product is exact in double precision, and rounding the sum
 * twice is harmless unless the first result lies halfway between two singles.
 */
import type { Emitter, Form, Semantic, Value } from '../emitter.ts';
import { FP_RESULT } from '../layout.ts';
import { FMA_ORDERS, FMA_PACKED, FMA_SCALAR } from '../table/fma.ts';
import { denormalLanes, doubt, doubtRounding, helperVector, or, ordinaryLanes } from './sse-arithmetic.ts';
import { low64, splat, zero } from './vector.ts';
import type { SemanticTable } from './vector.ts';
import { quadwords, vexForm } from './vex.ts';

type Size = 4 | 8;

/** What is negated: the product, the addend of even lanes, the addend of odd lanes. Bits that the core knows as well. */
const NEGATE_PRODUCT = 1;
const NEGATE_EVEN = 2;
const NEGATE_ODD = 4;
const SIGNS: Readonly<Record<string, number>> = {
  vfmadd: 0,
  vfmsub: NEGATE_EVEN | NEGATE_ODD,
  vfnmadd: NEGATE_PRODUCT,
  vfnmsub: NEGATE_PRODUCT | NEGATE_EVEN | NEGATE_ODD,
  vfmaddsub: NEGATE_EVEN,
  vfmsubadd: NEGATE_ODD,
};

const f64 = (e: Emitter, value: number): Value => {
  const bytes = new Uint8Array(new Float64Array([value, value]).buffer);
  return e.v128([...bytes]);
};

/** Signs of the lanes of a mask of even and odd ones. */
function signMask(e: Emitter, size: Size, even: boolean, odd: boolean): Value {
  const sign = size === 8 ? [0, 0, 0, 0, 0, 0, 0, 0x80] : [0, 0, 0, 0x80];
  const none = sign.map(() => 0);
  const pair = [...(even ? sign : none), ...(odd ? sign : none)];
  return e.v128(size === 8 ? pair : [...pair, ...pair]);
}

interface Operands {
  readonly x: Value;
  readonly y: Value;
  readonly z: Value;
}

/** The operands with their signs changed as the operation asks. */
function signed(e: Emitter, size: Size, signs: number, { x, y, z }: Operands): Operands {
  const shape = size === 8 ? 'f64x2' : 'f32x4';
  const even = (signs & NEGATE_EVEN) !== 0;
  const odd = (signs & NEGATE_ODD) !== 0;
  return {
    x: signs & NEGATE_PRODUCT ? e.let(e.op(`${shape}.neg`, x)) : x,
    y,
    z: even || odd ? e.let(e.op('v128.xor', z, signMask(e, size, even, odd))) : z,
  };
}

const op2 = (e: Emitter, name: string, a: Value, b: Value): Value => e.let(e.op(`f64x2.${name}`, a, b));

/** Upper 26 bits of the significand, and the others. */
function split(e: Emitter, x: Value): [Value, Value] {
  const scaled = op2(e, 'mul', x, f64(e, 2 ** 27 + 1));
  const high = op2(e, 'sub', scaled, op2(e, 'sub', scaled, x));
  return [high, op2(e, 'sub', x, high)];
}

/** Products and sums within these bounds, and their errors, are normal numbers. */
const LEAST_FACTOR = 2 ** -480;
const GREATEST_FACTOR = 2 ** 500;
const LEAST_ADDEND = 2 ** -900;
const GREATEST_ADDEND = 2 ** 1000;
const ABOVE_ONE = 1 + 2 ** -51;
const BELOW_ONE = 1 - 2 ** -51;

/** Two doubles, and the lanes whose answer is right and ordinary. */
function doubles(e: Emitter, { x, y, z }: Operands): [result: Value, sure: Value] {
  const product = op2(e, 'mul', x, y);
  const [xHigh, xLow] = split(e, x);
  const [yHigh, yLow] = split(e, y);
  let error = op2(e, 'sub', e.op('f64x2.mul', xHigh, yHigh), product);
  error = op2(e, 'add', error, e.op('f64x2.mul', xHigh, yLow));
  error = op2(e, 'add', error, e.op('f64x2.mul', xLow, yHigh));
  error = op2(e, 'add', error, e.op('f64x2.mul', xLow, yLow));
  const sum = op2(e, 'add', product, z);
  const part = op2(e, 'sub', sum, product);
  const lost = e.op('f64x2.add', e.op('f64x2.sub', product, e.op('f64x2.sub', sum, part)), e.op('f64x2.sub', z, part));
  const rest = op2(e, 'add', lost, error);
  const larger = op2(e, 'add', sum, e.op('f64x2.mul', rest, f64(e, ABOVE_ONE)));
  const smaller = e.op('f64x2.add', sum, e.op('f64x2.mul', rest, f64(e, BELOW_ONE)));
  const exactProduct = e.let(e.op('f64x2.eq', error, zero(e)));
  const result = e.let(e.op('v128.bitselect', sum, larger, exactProduct));

  const magnitude = (v: Value): Value => e.let(e.op('f64x2.abs', v));
  const [ax, ay, az] = [magnitude(x), magnitude(y), magnitude(z)];
  const all = (...conditions: Value[]): Value => conditions.reduce((a, b) => e.op('v128.and', a, b));
  const sure = all(
    e.op('v128.or', exactProduct, e.op('f64x2.eq', larger, smaller)),
    e.op('f64x2.le', e.op('f64x2.max', ax, ay), f64(e, GREATEST_FACTOR)),
    e.op('f64x2.ge', e.op('f64x2.min', ax, ay), f64(e, LEAST_FACTOR)),
    e.op('f64x2.le', az, f64(e, GREATEST_ADDEND)),
    e.op('v128.or', e.op('f64x2.ge', az, f64(e, LEAST_ADDEND)), e.op('f64x2.eq', z, zero(e))),
    e.op('v128.or', ordinaryLanes(e, 8, result), e.op('f64x2.eq', result, zero(e))),
  );
  return [result, sure];
}

/** Bits of a double below a single's last; their value halfway between two singles. */
const BELOW_SINGLE = 0x1fffffffn;
const HALFWAY = 0x10000000n;

/** Four singles, as `doubles`. */
function singles(e: Emitter, { x, y, z }: Operands): [result: Value, sure: Value] {
  const upper = (v: Value): Value => e.shuffle([8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15], v, v);
  const wide = (v: Value): Value => e.op('f64x2.promote_low_f32x4', v);
  const sum = (a: Value, b: Value, c: Value): Value =>
    e.let(e.op('f64x2.add', e.op('f64x2.mul', wide(a), wide(b)), wide(c)));
  const sums = [sum(x, y, z), sum(upper(x), upper(y), upper(z))] as const;
  const [low, high] = sums.map((s) => e.op('f32x4.demote_f64x2_zero', s));
  const result = e.let(e.shuffle([0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23], low!, high!));
  // For each sum: not halfway, and a result of zero only from zero.
  const fine = sums.map((s) => {
    const below = e.op('v128.and', s, splat(e, 8, BELOW_SINGLE));
    return e.op('i64x2.ne', below, splat(e, 8, HALFWAY));
  });
  const isZero = sums.map((s) => e.op('f64x2.eq', s, zero(e)));
  const narrow = ([a, b]: readonly Value[]): Value =>
    e.shuffle([0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27], a!, b!);
  const sure = e.op('v128.and', narrow(fine), e.op('v128.or', ordinaryLanes(e, 4, result), narrow(isZero)));
  const denormal = or(e, denormalLanes(e, 4, x), denormalLanes(e, 4, y), denormalLanes(e, 4, z));
  return [result, e.op('v128.andnot', sure, denormal)];
}

/** The operation on whole vectors; `redo` repeats it with all flags. */
function fused(e: Emitter, size: Size, signs: number, operands: Operands, redo: () => Value): Value {
  const [value, sure] = (size === 8 ? doubles : singles)(e, signed(e, size, signs, operands));
  const result = e.variable('v128', value);
  const unsure = e.op('i32.eqz', e.op('i32x4.all_true', sure));
  e.unlikely([doubtRounding(e), doubt(unsure)], () => e.set(result, redo()));
  return e.get(result);
}

/** Multiplicands and addend of destination, second and third operand. */
function ordered<T>(order: string, [first, second, third]: readonly [T, T, T]): { x: T; y: T; z: T } {
  if (order === '132') return { x: first, y: third, z: second };
  return order === '213' ? { x: second, y: first, z: third } : { x: second, y: third, z: first };
}

function packed(name: string, order: string, size: Size): Semantic {
  const signs = SIGNS[name]!;
  return vexForm(
    (e, form: Form) => {
      const [first, second, third] = form.operands;
      // Memory first: it is what can fault.
      const c = e.let(e.readVector(third!));
      const operands = ordered(order, [e.let(e.readVector(first!)), e.let(e.readVector(second!)), c]);
      const { x, y, z } = operands;
      const result = fused(e, size, signs, operands, () => {
        e.faultIf(e.call('fmaPacked', e.i32(signs), e.i32(size), ...quadwords(e, x, y, z)));
        return helperVector(e);
      });
      e.writeVector(first!, result);
    },
    { floats: true },
  );
}

function scalar(name: string, order: string, size: Size): Semantic {
  const signs = SIGNS[name]!;
  return vexForm((e, form: Form) => {
    const [first, second, third] = form.operands;
    const splatted = (operand: typeof first): Value =>
      e.let(e.op(size === 8 ? 'i64x2.splat' : 'i32x4.splat', e.readVectorLow(operand!, size)));
    const c = splatted(third);
    const operands = ordered(order, [splatted(first), splatted(second), c]);
    const { x, y, z } = operands;
    const result = fused(e, size, signs, operands, () => {
      e.faultIf(e.call('fmaScalar', e.i32(signs), e.i32(size), low64(e, x), low64(e, y), low64(e, z)));
      return e.op('i64x2.splat', e.loadState(FP_RESULT, 8));
    });
    const lane = size === 8 ? 'i64x2.extract_lane' : 'i32x4.extract_lane';
    e.writeVectorLow(first!, size, e.let(e.lane(lane, 0, result)));
  });
}

export const fma: SemanticTable = Object.fromEntries(
  FMA_ORDERS.flatMap(([order]) => [
    ...FMA_PACKED.flatMap(([name]): [string, Semantic][] => [
      [`${name}${order}ps`, packed(name, order, 4)],
      [`${name}${order}pd`, packed(name, order, 8)],
    ]),
    ...FMA_SCALAR.flatMap(([name]): [string, Semantic][] => [
      [`${name}${order}ss`, scalar(name, order, 4)],
      [`${name}${order}sd`, scalar(name, order, 8)],
    ]),
  ]),
);
