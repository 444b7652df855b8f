/**
 * Operations on constants, done while translating. Semantics compute shuffles and shifts from immediates with vector arithmetic, for the interpreter's sake;
 * here nothing is left of it but shuffles with constant lanes, which the compiler knows by better names.
 */
import type { Expression, ValueEmitter } from '../interpreter/values.ts';

/** A swizzle by constant lane numbers; those of 16 and above give zero. */
interface Swizzled extends Expression {
  readonly swizzled?: { readonly vector: Expression; readonly order: readonly number[] };
}

type Fold<T> = (a: T, b: T) => T | boolean;

const unsigned = (value: bigint): bigint => BigInt.asUintN(64, value);
const I32: Readonly<Record<string, Fold<number>>> = {
  and: (a, b) => a & b,
  or: (a, b) => a | b,
  xor: (a, b) => a ^ b,
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: Math.imul,
  shl: (a, b) => a << b,
  shr_u: (a, b) => a >>> b,
  eq: (a, b) => a === b,
  ne: (a, b) => a !== b,
  lt_u: (a, b) => a >>> 0 < b >>> 0,
  gt_u: (a, b) => a >>> 0 > b >>> 0,
};
const I64: Readonly<Record<string, Fold<bigint>>> = {
  and: (a, b) => a & b,
  or: (a, b) => a | b,
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  shl: (a, b) => a << (b & 63n),
  shr_u: (a, b) => unsigned(a) >> (b & 63n),
  eq: (a, b) => a === b,
  lt_u: (a, b) => unsigned(a) < unsigned(b),
};
/** On the lanes of vectors, unsigned; a shift count is the same for all. */
const LANEWISE: Readonly<Record<string, Fold<bigint>>> = {
  and: (a, b) => a & b,
  or: (a, b) => a | b,
  xor: (a, b) => a ^ b,
  andnot: (a, b) => a & ~b,
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  eq: (a, b) => a === b,
  ne: (a, b) => a !== b,
};
const LANE_SHIFTS: Readonly<Record<string, (a: bigint, count: bigint) => bigint>> = {
  shl: (a, count) => a << count,
  shr_u: (a, count) => a >> count,
};
const LANE_BYTES: Readonly<Record<string, number>> = { v128: 8, i8x16: 1, i16x8: 2, i32x4: 4, i64x2: 8 };

type Op = (name: string, ...args: Expression[]) => Expression;

/**
 * The operation's result if it is known or can be had more simply.
 *
 * @param plainOp an operation as it is
 */
export function fold(e: ValueEmitter, plainOp: Op, name: string, args: readonly Expression[]): Expression | undefined {
  const [a, b] = args;
  const [type, operation] = name.split('.') as [string, string];
  if (type === 'i32' || type === 'i64') return foldInteger(e, type, operation, a!, b);
  const bytes = LANE_BYTES[type];
  if (bytes === undefined) return undefined;
  if (name === 'i8x16.swizzle') return b!.bytes && swizzle(e, plainOp, a!, b!.bytes);
  if (operation === 'bitselect') return blend(e, args);
  if (name === 'v128.or' && !(a!.bytes && b!.bytes)) return join(e, a!, b!);
  return foldVector(e, bytes, operation, a!, b);
}

function foldInteger(
  e: ValueEmitter,
  type: 'i32' | 'i64',
  operation: string,
  { constant: a }: Expression,
  second: Expression | undefined,
): Expression | undefined {
  const b = second?.constant;
  if (a === undefined || (second && b === undefined)) return undefined;
  if (operation === 'eqz') return e.i32(Number(a) === 0 ? 1 : 0);
  if (operation === 'wrap_i64') return e.i32(Number(BigInt.asIntN(32, BigInt(a))));
  if (operation === 'extend_i32_u') return e.i64(Number(a) >>> 0);
  const result = type === 'i32' ? I32[operation]?.(Number(a), Number(b)) : I64[operation]?.(BigInt(a), BigInt(b ?? 0));
  if (typeof result === 'boolean') return e.i32(result ? 1 : 0);
  if (result === undefined) return undefined;
  return type === 'i32' ? e.i32(Number(result) | 0) : e.i64(BigInt(result));
}

function foldVector(
  e: ValueEmitter,
  bytes: number,
  operation: string,
  a: Expression,
  b: Expression | undefined,
): Expression | undefined {
  const { constant } = a;
  if (operation === 'splat')
    return constant === undefined
      ? undefined
      : vectorOf(e, bytes, new Array<bigint>(16 / bytes).fill(BigInt(constant)));
  if (!a.bytes || !b) return undefined;
  const first = lanesOf(a.bytes, bytes);
  const shift = LANE_SHIFTS[operation];
  if (shift) {
    if (b.constant === undefined) return undefined;
    const count = BigInt(b.constant) & BigInt(bytes * 8 - 1);
    return vectorOf(
      e,
      bytes,
      first.map((lane) => shift(lane, count)),
    );
  }
  if (!b.bytes) return undefined;
  if (operation === 'narrow_i32x4_u') {
    const wide = [...lanesOf(a.bytes, 4), ...lanesOf(b.bytes, 4)].map((lane) => BigInt.asIntN(32, lane));
    return vectorOf(
      e,
      2,
      wide.map((lane) => (lane < 0n ? 0n : lane > 0xffffn ? 0xffffn : lane)),
    );
  }
  const lanewise = LANEWISE[operation];
  if (!lanewise) return undefined;
  const second = lanesOf(b.bytes, bytes);
  const results = first.map((lane, index) => lanewise(lane, second[index]!));
  return vectorOf(
    e,
    bytes,
    results.map((lane) => (typeof lane === 'boolean' ? -BigInt(lane) : lane)),
  );
}

function lanesOf(bytes: readonly number[], size: number): bigint[] {
  return Array.from({ length: 16 / size }, (_, lane) =>
    bytes.slice(lane * size, (lane + 1) * size).reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n),
  );
}
function vectorOf(e: ValueEmitter, size: number, values: readonly bigint[]): Expression {
  return e.v128(
    values.flatMap((value) => Array.from({ length: size }, (_, byte) => Number((value >> BigInt(8 * byte)) & 0xffn))),
  );
}

const IN_RANGE = 16;
const NONE = 0x80;

function swizzle(e: ValueEmitter, plainOp: Op, vector: Expression, numbers: readonly number[]): Expression {
  const order = numbers.map((number) => (number < IN_RANGE ? number : NONE));
  const isWhole = vector.stable === true && !order.includes(NONE);
  const result = isWhole ? e.shuffle(order, vector, vector) : plainOp('i8x16.swizzle', vector, e.v128(order));
  return { ...result, swizzled: { vector, order } } as Swizzled;
}

/** Two swizzles of which each byte of the result comes from one: a shuffle of both. */
function join(e: ValueEmitter, { swizzled: a }: Swizzled, { swizzled: b }: Swizzled): Expression | undefined {
  if (!a?.vector.stable || !b?.vector.stable) return undefined;
  const lanes = a.order.map((number, index) => {
    const other = b.order[index]!;
    if ((number === NONE) === (other === NONE)) return NONE;
    return number === NONE ? other + IN_RANGE : number;
  });
  return lanes.includes(NONE) ? undefined : e.shuffle(lanes, a.vector, b.vector);
}

/** Bytes of one vector or another by a constant mask of whole bytes. */
function blend(e: ValueEmitter, [a, b, mask]: readonly Expression[]): Expression | undefined {
  if (!mask?.bytes || !a!.stable || !b!.stable || mask.bytes.some((byte) => byte !== 0 && byte !== 0xff))
    return undefined;
  return e.shuffle(
    mask.bytes.map((byte, index) => (byte ? index : index + IN_RANGE)),
    a!,
    b!,
  );
}
