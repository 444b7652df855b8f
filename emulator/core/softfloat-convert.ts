/** Integers, integral values and comparisons. */
import { FLAG_DENORMAL, FLAG_INEXACT, FLAG_INVALID, ROUND_DOWN, ROUND_NEAREST, ROUND_UP } from './softfloat-codes';
import {
  copyX,
  Env,
  KIND_FINITE,
  KIND_INFINITY,
  KIND_QNAN,
  KIND_SNAN,
  KIND_ZERO,
  R,
  raise,
  setResult,
  X,
  Y,
} from './softfloat';

/** R = a signed integer, exactly. */
export function fromInteger(value: i64): void {
  if (value == 0) {
    setResult(KIND_ZERO, 0);
    return;
  }
  const magnitude: u64 = value < 0 ? 0 - u64(value) : u64(value);
  const shift = i32(clz(magnitude));
  R.kind = KIND_FINITE;
  R.sign = i32(value < 0);
  R.exponent = 63 - shift;
  R.high = magnitude << shift;
  R.low = 0;
}

/** Whether the fraction (`half`: its top bit, `sticky`: the rest) moves an integral magnitude up. */
function roundsUp(sign: i32, odd: bool, half: bool, sticky: bool, rounding: i32): bool {
  if (rounding == ROUND_NEAREST) return half && (sticky || odd);
  if (!half && !sticky) return false;
  if (rounding == ROUND_DOWN) return sign != 0;
  if (rounding == ROUND_UP) return sign == 0;
  return false;
}

/** Integral part of |X| after rounding; `fractionLost` tells whether it was inexact. X.exponent < 64. */
let fractionLost: bool = false;
let carriedOut: bool = false;
function integralMagnitude(rounding: i32): u64 {
  const e = X.exponent;
  const s = X.significand;
  const whole: u64 = e < 0 ? 0 : s >> (63 - e);
  const fraction: u64 = e < -1 ? 0 : e == -1 ? s : e == 63 ? 0 : s << (e + 1);
  const half = fraction >> 63 != 0;
  const sticky = e < -1 || fraction << 1 != 0;
  fractionLost = half || sticky;
  const up = roundsUp(X.sign, (whole & 1) != 0, half, sticky, rounding);
  Env.roundedUp = up;
  const result = whole + u64(up);
  carriedOut = up && result == 0;
  return result;
}

/**
 * X as a signed integer of `bits` bits. NaN, infinity and out of range raise invalid and give the
 * integer indefinite, the most negative number (SDM 1, 4.2.1).
 */
export function toInteger(bits: i32, rounding: i32): i64 {
  const indefinite: i64 = i64.MIN_VALUE >> (64 - bits);
  Env.roundedUp = false;
  if (X.kind == KIND_ZERO) return 0;
  if (X.kind != KIND_FINITE || X.exponent > 63) {
    raise(FLAG_INVALID);
    return indefinite;
  }
  const magnitude = integralMagnitude(rounding);
  const limit: u64 = (u64(1) << (bits - 1)) - u64(X.sign == 0);
  if (carriedOut || magnitude > limit) {
    Env.roundedUp = false;
    raise(FLAG_INVALID);
    return indefinite;
  }
  if (fractionLost) raise(FLAG_INEXACT);
  return X.sign ? 0 - i64(magnitude) : i64(magnitude);
}

/** R = finite X rounded to an integral value (FRNDINT). */
export function roundToIntegral(): void {
  Env.roundedUp = false;
  if (X.kind != KIND_FINITE || X.exponent >= 63) {
    copyX();
    return;
  }
  const magnitude = integralMagnitude(Env.rounding);
  if (fractionLost) raise(FLAG_INEXACT);
  if (magnitude == 0) {
    setResult(KIND_ZERO, X.sign);
    return;
  }
  const shift = i32(clz(magnitude));
  R.kind = KIND_FINITE;
  R.sign = X.sign;
  R.exponent = 63 - shift;
  R.high = magnitude << shift;
  R.low = 0;
}

export const LESS = 0;
export const EQUAL = 1;
export const GREATER = 2;
export const UNORDERED = 3;

/** Order of X and Y. A quiet NaN raises invalid only if `signalling`. */
export function compare(signalling: bool): i32 {
  if (X.kind >= KIND_QNAN || Y.kind >= KIND_QNAN) {
    if (signalling || X.kind >= KIND_SNAN || Y.kind >= KIND_SNAN) raise(FLAG_INVALID);
    return UNORDERED;
  }
  if (X.denormal || Y.denormal) raise(FLAG_DENORMAL);
  if (X.kind == KIND_ZERO && Y.kind == KIND_ZERO) return EQUAL;
  if (X.kind == KIND_ZERO) return Y.sign ? GREATER : LESS;
  if (Y.kind == KIND_ZERO || X.sign != Y.sign) return X.sign ? LESS : GREATER;
  const order = compareMagnitude();
  return X.sign ? GREATER - order : order;
}

function compareMagnitude(): i32 {
  const xInfinite = X.kind == KIND_INFINITY;
  const yInfinite = Y.kind == KIND_INFINITY;
  if (xInfinite || yInfinite) return xInfinite == yInfinite ? EQUAL : xInfinite ? GREATER : LESS;
  if (X.exponent != Y.exponent) return X.exponent > Y.exponent ? GREATER : LESS;
  if (X.significand != Y.significand) return X.significand > Y.significand ? GREATER : LESS;
  return EQUAL;
}
