/** Condition codes from lazy flags whose kind is known where they are used: usually one compare instead of six flags. */
import { CC_ADD, CC_DEC, CC_FLAGS, CC_INC, CC_LOGIC, CC_SAR, CC_SHL, CC_SHR, CC_SUB } from '../codes.ts';
import type { FlagKind, Size, Value } from '../emitter.ts';
import type { Expression, ValueEmitter } from './values.ts';

export const FLAG_KINDS: Record<FlagKind, number> = {
  flags: CC_FLAGS,
  add: CC_ADD,
  sub: CC_SUB,
  logic: CC_LOGIC,
  inc: CC_INC,
  dec: CC_DEC,
  shl: CC_SHL,
  shr: CC_SHR,
  sar: CC_SAR,
};

export interface KnownFlags {
  readonly kind: FlagKind;
  readonly size: Size;
  readonly a: Value;
  readonly b: Value | undefined;
}

/** Condition codes without their lowest bit, which negates (SDM 1 appendix B). */
const O = 0;
const B = 1;
const E = 2;
const BE = 3;
const S = 4;
const P = 5;
const L = 6;
const LE = 7;

/** Bits of RFLAGS for the conditions that are one bit, or any of two. */
const FLAG_BITS: readonly number[] = [0x800, 0x001, 0x040, 0x041, 0x080, 0x004];

/** The condition as 0 or 1, or undefined if it takes a helper. */
export function knownCondition(e: ValueEmitter, flags: KnownFlags, cc: number): Value | undefined {
  const { kind, size, a } = flags;
  const negated = (cc & 1) !== 0;
  const condition = cc >> 1;
  const type = size === 8 ? 'i64' : 'i32';
  const zero = size === 8 ? e.i64(0) : e.i32(0);
  const compare = (plain: string, inverse: string, x: Value, y: Value): Value =>
    e.op(`${type}.${negated ? inverse : plain}`, x, y);
  const signed = (value: Value): Value =>
    size === 1 ? e.op('i32.extend8_s', value) : size === 2 ? e.op('i32.extend16_s', value) : value;
  const truncated = (value: Value): Value =>
    size < 4 ? e.op('i32.and', value, e.i32(size === 1 ? 0xff : 0xffff)) : value;
  const isZero = (value: Value): Value => compare('eq', 'ne', value, zero);
  const isNegative = (value: Value): Value => compare('lt_s', 'ge_s', signed(value), zero);

  if (kind === 'sub') {
    const b = flags.b!;
    if (condition === B) return compare('lt_u', 'ge_u', a, b);
    if (condition === E) return compare('eq', 'ne', a, b);
    if (condition === BE) return compare('le_u', 'gt_u', a, b);
    if (condition === S) return isNegative(e.op(`${type}.sub`, a, b));
    if (condition === L) return compare('lt_s', 'ge_s', signed(a), signed(b));
    if (condition === LE) return compare('le_s', 'gt_s', signed(a), signed(b));
    return undefined;
  }
  if (kind === 'logic') {
    if (condition === O || condition === B) return e.i32(negated ? 1 : 0);
    if (condition === E || condition === BE) return isZero(a);
    if (condition === S || condition === L) return isNegative(a);
    if (condition === LE) return compare('le_s', 'gt_s', signed(a), zero);
    return undefined;
  }
  if (kind === 'add') {
    const sum = truncated(e.op(`${type}.add`, a, flags.b!));
    if (condition === B) return compare('lt_u', 'ge_u', sum, a);
    if (condition === E) return isZero(sum);
    if (condition === S) return isNegative(sum);
    return undefined;
  }
  if (kind === 'flags') {
    const bits = FLAG_BITS[condition];
    if (bits === undefined) return undefined;
    const word = a.type === 'i64' ? e.op('i32.wrap_i64', a) : a;
    return e.op(negated ? 'i32.eq' : 'i32.ne', e.op('i32.and', word, e.i32(bits)), e.i32(0));
  }
  if (condition === E) return isZero(a);
  if (condition === S) return isNegative(a);
  return undefined;
}

/** CC_OP, CC_A and CC_B, where only a run shows their kind. */
export interface StoredFlags {
  readonly state: Value;
  readonly a: Value;
  readonly b: Value;
}

/** A condition from flags of any kind: after CMP and SUB, and zero or not of a result at hand, inline; everything else, and O, P and S, by the helper. */
export function likelyCondition(
  e: ValueEmitter,
  cc: number,
  flags: () => StoredFlags,
  otherwise: () => Expression,
): Expression {
  const condition = cc >> 1;
  if (condition === O || condition === S || condition === P) return otherwise();
  const { state, a, b } = flags();
  const result = e.variable('i32');
  const kind = e.op('i32.shr_u', state, e.i32(2));
  const viaSubtraction = (): void =>
    e.if(
      e.op('i32.eq', kind, e.i32(CC_SUB)),
      () => e.set(result, difference(e, cc, { state, a, b })),
      () => e.set(result, otherwise()),
    );
  if (condition !== E) viaSubtraction();
  else {
    const isZero = e.op(cc & 1 ? 'i64.ne' : 'i64.eq', a, e.i64(0));
    e.if(e.op('i32.ge_u', kind, e.i32(CC_LOGIC)), () => e.set(result, isZero), viaSubtraction);
  }
  return e.let(e.get(result));
}

/** Condition of a - b, both zero-extended from the size in `state`. */
function difference(e: ValueEmitter, cc: number, { state, a, b }: StoredFlags): Value {
  const names = ['', '', 'lt_u', 'ge_u', 'eq', 'ne', 'le_u', 'gt_u', '', '', '', '', 'lt_s', 'ge_s', 'le_s', 'gt_s'];
  if (cc < 12) return e.op(`i64.${names[cc]}`, a, b);
  const bits = e.op('i32.shl', e.i32(8), e.op('i32.and', state, e.i32(3)));
  const shift = e.let(e.op('i64.extend_i32_u', e.op('i32.sub', e.i32(64), bits)));
  return e.op(`i64.${names[cc]}`, e.op('i64.shl', a, shift), e.op('i64.shl', b, shift));
}

/** A condition from all six flags in RFLAGS positions. */
export function conditionOfFlags(e: ValueEmitter, cc: number, flags: Value): Expression {
  const bit = (position: number): Expression => e.op('i32.shr_u', flags, e.i32(position));
  const less = e.op('i32.xor', bit(7), bit(11));
  const holds = [
    bit(11),
    flags,
    bit(6),
    e.op('i32.or', flags, bit(6)),
    bit(7),
    bit(2),
    less,
    e.op('i32.or', less, bit(6)),
  ][cc >> 1]!;
  const plain = e.op('i32.and', holds, e.i32(1));
  return e.let(cc & 1 ? e.op('i32.xor', plain, e.i32(1)) : plain);
}
