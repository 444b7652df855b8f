/** Between the operands and results of x87 instructions and double-double numbers, for the transcendental ones. */
import { D, set } from './double-double';
import { copyX, KIND_FINITE, normalise, R, shiftRightJam, X } from './softfloat';

/** Below 2^SMALL the first term of a series is all that shows in 64 bits. */
export const SMALL = -66;

/** D = a 64-bit significand as a number in 1..2. */
export function significandToD(significand: u64): void {
  const unit = 1.0 / 9223372036854775808.0;
  set(f64(significand & ~u64(0x7ff)) * unit, f64(significand & 0x7ff) * unit);
}

/** 2^exponent for exponents of doubles. */
export function powerOfTwo(exponent: i32): f64 {
  return reinterpret<f64>(u64(exponent + 1023) << 52);
}

/** D = |X| for moderate exponents. */
export function magnitudeToD(): void {
  significandToD(X.significand);
  const scale = powerOfTwo(X.exponent);
  set(D.high * scale, D.low * scale);
}

/** R = |D| * 2^exponent with the sign of D times `sign`; always inexact. */
export function resultFromD(sign: i32, exponent: i32): void {
  const bits = reinterpret<u64>(D.high);
  const negative = i32(bits >> 63);
  const e = i32((bits >> 52) & 0x7ff);
  R.kind = KIND_FINITE;
  R.exponent = 0;
  // The low part, aligned to the high one's top bit, two places down for room.
  R.high = (((reinterpret<u64>(D.low) & 0xfffffffffffff) | 0x10000000000000) << 11) >> 2;
  R.low = 0;
  const lowBits = reinterpret<u64>(D.low);
  const lowExponent = i32((lowBits >> 52) & 0x7ff);
  if (lowExponent == 0) R.high = 0;
  shiftRightJam(e - lowExponent);
  const lowHigh = R.high;
  const lowLow = R.low;
  const high = (((bits & 0xfffffffffffff) | 0x10000000000000) << 11) >> 2;
  if (i32(lowBits >> 63) == negative) {
    R.low = lowLow;
    R.high = high + lowHigh;
  } else {
    R.low = 0 - lowLow;
    R.high = high - lowHigh - u64(lowLow != 0);
  }
  R.low |= 1;
  R.sign = sign ^ negative;
  R.exponent = e - 1023 + 2 + exponent;
  normalise();
}

/** X changed by less than its last place, towards or away from zero. */
export function besideX(towardsZero: bool): void {
  copyX();
  if (towardsZero) {
    R.high -= 1;
    R.low = u64.MAX_VALUE;
    normalise();
  } else {
    R.low = 1;
  }
}
