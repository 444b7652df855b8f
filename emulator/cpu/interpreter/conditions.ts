/** Condition codes from lazy flags whose kind is known where they are used: usually one compare instead of six flags. */
import { CC_ADD, CC_DEC, CC_FLAGS, CC_INC, CC_LOGIC, CC_SAR, CC_SHL, CC_SHR, CC_SUB } from '../codes.ts';
import type { FlagKind, Size, Value } from '../emitter.ts';
import type { ValueEmitter } from './values.ts';

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
