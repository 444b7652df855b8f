/** Values of F2XM1, FYL2X and FYL2XP1 (SDM 1, 8.3.9, 8.3.10): of X, and Y where there are two operands, into R, not yet rounded. */
import { add, D, divide, multiply, set } from './double-double';
import { multiply as multiplyExactly } from './softfloat-arithmetic';
import { FLAG_DENORMAL, FLAG_ZERO_DIVIDE } from './softfloat-codes';
import { fromInteger } from './softfloat-convert';
import {
  copyX, invalid, KIND_FINITE, KIND_INFINITY, KIND_QNAN, KIND_ZERO, noteDenormals, propagateNaN, propagateX, R, raise, setResult, TOP_BIT,
  X, Y,
} from './softfloat';
import { magnitudeToD, powerOfTwo, resultFromD, significandToD, SMALL } from './x87-double-double';
import { expm1, LN2_HIGH, LN2_LOW, log2FromRatio, LOG2E_HIGH, LOG2E_LOW } from './x87-functions';

/** 2^X - 1 for -1 <= X <= 1; beyond, where the manual leaves it undefined, X itself. */
export function twoToXMinus1(): void {
  if (X.kind >= KIND_QNAN) {
    propagateX();
    return;
  }
  if (X.denormal) raise(FLAG_DENORMAL);
  if (X.kind == KIND_INFINITY && X.sign) {
    fromInteger(-1);
    return;
  }
  if (X.kind != KIND_FINITE || X.exponent > 0 || (X.exponent == 0 && X.sign == 0)) {
    copyX(); // zero, infinity, 1, and what is out of range
    return;
  }
  if (X.exponent == 0) {
    copyX();
    if (X.significand == TOP_BIT) R.exponent = -1; // 2^-1 - 1
    return;
  }
  if (X.exponent < SMALL) {
    significandToD(X.significand);
    multiply(LN2_HIGH, LN2_LOW);
    resultFromD(X.sign, X.exponent);
    return;
  }
  magnitudeToD();
  if (X.sign) set(-D.high, -D.low);
  multiply(LN2_HIGH, LN2_LOW);
  expm1();
  resultFromD(0, 0);
}

/** R = D * Y, where D is a logarithm. */
function timesY(exponent: i32, sign: i32): void {
  const logHigh = D.high;
  const logLow = D.low;
  significandToD(Y.significand);
  multiply(logHigh, logLow);
  resultFromD(sign ^ Y.sign, exponent + Y.exponent);
}

/** Y * log2(X) where one of them is zero or infinite, or X negative; false if both are ordinary. */
function specialLogarithm(): bool {
  const aboveOne = X.kind == KIND_INFINITY || (X.kind == KIND_FINITE && X.exponent >= 0);
  const one = X.kind == KIND_FINITE && X.exponent == 0 && X.significand == TOP_BIT;
  if (X.sign && X.kind != KIND_ZERO) {
    invalid();
    return true;
  }
  const logSign = i32(!aboveOne);
  if (X.kind == KIND_ZERO || X.kind == KIND_INFINITY) {
    if (Y.kind == KIND_ZERO) {
      invalid();
      return true;
    }
    if (X.kind == KIND_ZERO && Y.kind == KIND_FINITE) raise(FLAG_ZERO_DIVIDE);
    else noteDenormals();
    setResult(KIND_INFINITY, logSign ^ Y.sign);
    return true;
  }
  if (Y.kind == KIND_FINITE && !one) return false;
  if (Y.kind == KIND_INFINITY) {
    if (one) invalid();
    else {
      noteDenormals();
      setResult(KIND_INFINITY, logSign ^ Y.sign);
    }
    return true;
  }
  noteDenormals();
  setResult(KIND_ZERO, logSign ^ Y.sign);
  return true;
}

/** D = exponent + log2(D), for a positive D. */
function log2OfD(exponent: i32): void {
  const bits = reinterpret<u64>(D.high);
  let power = i32(bits >> 52) - 1023;
  if ((bits & 0xfffffffffffff) > 0x6a09e667f3bcc) power++; // nearer to the next power of two
  const scale = powerOfTwo(-power);
  const mHigh = D.high * scale;
  const mLow = D.low * scale;
  set(mHigh, mLow);
  add(1, 0);
  const divisorHigh = D.high;
  const divisorLow = D.low;
  set(mHigh, mLow);
  add(-1, 0);
  divide(divisorHigh, divisorLow);
  log2FromRatio();
  add(exponent + power, 0);
}

/** Y * log2(X) */
export function logarithm(): void {
  if (propagateNaN() || specialLogarithm()) return;
  noteDenormals();
  const exponent = X.exponent;
  if (X.significand == TOP_BIT) {
    // A power of two: an exact logarithm.
    fromInteger(exponent);
    X.sign = R.sign;
    X.exponent = R.exponent;
    X.significand = R.high;
    multiplyExactly();
    return;
  }
  significandToD(X.significand);
  log2OfD(exponent);
  timesY(0, 0);
}

/** Y * log2(1 + X). The manual defines it for |X| below 1 - sqrt(1/2) only; here wherever there is a logarithm. */
export function logarithmPlusOne(): void {
  if (propagateNaN()) return;
  if (
    (X.kind == KIND_ZERO && Y.kind == KIND_INFINITY) ||
    (X.kind == KIND_INFINITY && (X.sign || Y.kind == KIND_ZERO))
  ) {
    invalid();
    return;
  }
  noteDenormals();
  if (X.kind == KIND_INFINITY || Y.kind == KIND_INFINITY) {
    setResult(KIND_INFINITY, X.sign ^ Y.sign);
    return;
  }
  if (X.kind == KIND_ZERO || Y.kind == KIND_ZERO) {
    setResult(KIND_ZERO, X.sign ^ Y.sign);
    return;
  }
  if (X.exponent < SMALL) {
    significandToD(X.significand);
    multiply(LOG2E_HIGH, LOG2E_LOW);
    timesY(X.exponent, X.sign);
    return;
  }
  if (X.exponent >= 0 && X.sign) {
    invalid();
    return;
  }
  if (X.exponent > 200) {
    significandToD(X.significand);
    log2OfD(X.exponent);
    timesY(0, 0);
    return;
  }
  magnitudeToD();
  if (X.sign) set(-D.high, -D.low);
  if (X.exponent >= -3) {
    add(1, 0);
    log2OfD(0);
    timesY(0, 0);
    return;
  }
  const xHigh = D.high;
  const xLow = D.low;
  add(2, 0);
  const divisorHigh = D.high;
  const divisorLow = D.low;
  set(xHigh, xLow);
  divide(divisorHigh, divisorLow);
  log2FromRatio();
  timesY(0, 0);
}
