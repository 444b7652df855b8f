/**
 * F2XM1, FYL2X, FYL2XP1, FPTAN, FPATAN, FSIN, FCOS, FSINCOS (SDM 1, 8.3.7 to 8.3.10).
 *
 * Results are computed to about 100 bits and rounded once, so they are almost always the correctly rounded ones; processors
 * promise only an error below one unit in the last place. Trigonometric arguments are reduced by the 66-bit pi of the
 * manual. Every result that is not exact raises inexact.
 */
import { add, D, divide, multiply, set } from './double-double';
import { multiply as multiplyExactly } from './softfloat-arithmetic';
import { FLAG_DENORMAL, FLAG_ZERO_DIVIDE } from './softfloat-codes';
import { fromInteger } from './softfloat-convert';
import { round80 } from './softfloat-formats';
import {
  copyX,
  invalid,
  KIND_FINITE,
  KIND_INFINITY,
  KIND_QNAN,
  KIND_ZERO,
  moveToSecond,
  normalise,
  noteDenormals,
  propagateNaN,
  propagateX,
  R,
  raise,
  setResult,
  shiftRightJam,
  TOP_BIT,
  X,
  Y,
} from './softfloat';
import { FN_COS, FN_F2XM1, FN_PATAN, FN_PTAN, FN_SIN, FN_SINCOS, FN_YL2X } from './x87-codes';
import {
  arctangent,
  expm1,
  LN2_HIGH,
  LN2_LOW,
  log2FromRatio,
  LOG2E_HIGH,
  LOG2E_LOW,
  PI_HIGH,
  PI_LOW,
  trigonometric,
} from './x87-functions';
import {
  begin,
  clearIncomplete,
  commit,
  isEmpty,
  loadRegister,
  moveTop,
  overflow,
  pop,
  setConditions,
  storeResult,
  SW_C2,
  underflow,
} from './x87-stack';

/** Below 2^SMALL the first term of a series is all that shows in 64 bits. */
const SMALL = -66;

/** D = a 64-bit significand as a number in 1..2. */
function significandToD(significand: u64): void {
  const unit = 1.0 / 9223372036854775808.0;
  set(f64(significand & ~u64(0x7ff)) * unit, f64(significand & 0x7ff) * unit);
}

/** 2^exponent for exponents of doubles. */
function powerOfTwo(exponent: i32): f64 {
  return reinterpret<f64>(u64(exponent + 1023) << 52);
}

/** D = |X| for moderate exponents. */
function magnitudeToD(): void {
  significandToD(X.significand);
  const scale = powerOfTwo(X.exponent);
  set(D.high * scale, D.low * scale);
}

/** R = |D| * 2^exponent with the sign of D times `sign`; always inexact. */
function resultFromD(sign: i32, exponent: i32): void {
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
function besideX(towardsZero: bool): void {
  copyX();
  if (towardsZero) {
    R.high -= 1;
    R.low = u64.MAX_VALUE;
    normalise();
  } else {
    R.low = 1;
  }
}

/** 2^X - 1 for -1 <= X <= 1; beyond, where the manual leaves it undefined, X itself. */
function twoToXMinus1(): void {
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
function logarithm(): void {
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
function logarithmPlusOne(): void {
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

/** R = a multiple of pi: `quarters` * pi / 4, rounded. */
function partOfPi(quarters: i32, sign: i32): void {
  set(PI_HIGH, PI_LOW);
  multiply(f64(quarters), 0);
  set(D.high / 4, D.low / 4);
  resultFromD(sign, 0);
}

/** atan2: the angle of the point (X, Y) (SDM 2A FPATAN, table 3-30). */
function angle(): void {
  if (propagateNaN()) return;
  noteDenormals();
  if (Y.kind == KIND_INFINITY) {
    partOfPi(X.kind == KIND_INFINITY ? (X.sign ? 3 : 1) : 2, Y.sign);
    return;
  }
  if (Y.kind == KIND_ZERO || X.kind == KIND_INFINITY) {
    if (X.sign) partOfPi(4, Y.sign);
    else setResult(KIND_ZERO, Y.sign);
    return;
  }
  if (X.kind == KIND_ZERO) {
    partOfPi(2, Y.sign);
    return;
  }
  const steep = Y.exponent > X.exponent || (Y.exponent == X.exponent && Y.significand > X.significand);
  significandToD(steep ? Y.significand : X.significand);
  const divisorHigh = D.high;
  const divisorLow = D.low;
  significandToD(steep ? X.significand : Y.significand);
  divide(divisorHigh, divisorLow);
  const exponent = steep ? X.exponent - Y.exponent : Y.exponent - X.exponent;
  if (!steep && X.sign == 0 && exponent < SMALL) {
    quotient(exponent);
    return;
  }
  if (exponent < -200) {
    set(0, 0);
  } else {
    const scale = powerOfTwo(exponent);
    set(D.high * scale, D.low * scale);
    if (exponent >= SMALL) arctangent();
  }
  if (X.sign != i32(steep)) set(-D.high, -D.low);
  if (steep) add(PI_HIGH / 2, PI_LOW / 2);
  else if (X.sign) add(PI_HIGH, PI_LOW);
  resultFromD(Y.sign, 0);
}

/** A ratio so small that it is its own arctangent, just below it. */
function quotient(exponent: i32): void {
  resultFromD(Y.sign, exponent);
  // An exact ratio has no bits below the 64th: go under it.
  if (R.low <= 1) {
    R.low = u64.MAX_VALUE;
    R.high -= 1;
    normalise();
  }
}

/** pi / 2 = QUARTER * 2^-65, of the manual's 66 bits (SDM 1, 8.3.8): upper and lower words. */
const QUARTER_HIGH: u64 = 3;
const QUARTER_LOW: u64 = 0x243f6a8885a308d3;

/** Which quarter turn the argument was in, modulo 4, once D holds the rest of it. */
let quadrant: i32 = 0;

/** D = |X| reduced to -pi/4..pi/4. */
function reduce(): void {
  quadrant = 0;
  if (X.exponent < -1) {
    magnitudeToD();
    return;
  }
  // |X| = significand * 2^(exponent + 2) in units of 2^-65: long division, bit by bit.
  let high: u64 = 0;
  let low: u64 = 0;
  for (let i = 63; i >= -(X.exponent + 2); i--) {
    const bit: u64 = i >= 0 ? (X.significand >> i) & 1 : 0;
    high = (high << 1) | (low >> 63);
    low = (low << 1) | bit;
    quadrant = (quadrant << 1) & 3;
    if (high > QUARTER_HIGH || (high == QUARTER_HIGH && low >= QUARTER_LOW)) {
      high -= QUARTER_HIGH + u64(low < QUARTER_LOW);
      low -= QUARTER_LOW;
      quadrant |= 1;
    }
  }
  // To the nearest multiple.
  const gapHigh = QUARTER_HIGH - high - u64(QUARTER_LOW < low);
  const gapLow = QUARTER_LOW - low;
  const beyond = high > gapHigh || (high == gapHigh && low > gapLow);
  if (beyond) {
    high = gapHigh;
    low = gapLow;
    quadrant = (quadrant + 1) & 3;
  }
  const unit = 1.0 / 36893488147419103232.0; // 2^-65
  set(f64(high) * 18446744073709551616.0 * unit, 0);
  add(f64(low & ~u64(0x7ff)) * unit, 0);
  add(f64(low & 0x7ff) * unit, 0);
  if (beyond) set(-D.high, -D.low);
}

/** sin or cos of X, |X| < 2^63, not yet rounded. */
function sineOrCosine(cosine: bool): void {
  if (X.kind == KIND_ZERO) {
    if (cosine) fromInteger(1);
    else copyX();
    return;
  }
  if (X.exponent < SMALL / 2) {
    if (cosine) justBelowOne();
    else besideX(true);
    return;
  }
  reduce();
  const turn = (quadrant + i32(cosine)) & 3;
  trigonometric(turn & 1 ? 0 : 1);
  resultFromD((turn >> 1) ^ (cosine ? 0 : X.sign), 0);
}

function justBelowOne(): void {
  R.kind = KIND_FINITE;
  R.sign = 0;
  R.exponent = -1;
  R.high = u64.MAX_VALUE;
  R.low = u64.MAX_VALUE;
}

function tangent(): void {
  if (X.kind == KIND_ZERO) {
    copyX();
    return;
  }
  if (X.exponent < SMALL / 2) {
    besideX(false);
    return;
  }
  reduce();
  const rHigh = D.high;
  const rLow = D.low;
  trigonometric(0);
  const cosHigh = D.high;
  const cosLow = D.low;
  set(rHigh, rLow);
  trigonometric(1);
  if (quadrant & 1) {
    // tan(r + pi/2) = -cos / sin
    const sinHigh = D.high;
    const sinLow = D.low;
    set(-cosHigh, -cosLow);
    divide(sinHigh, sinLow);
  } else {
    divide(cosHigh, cosLow);
  }
  resultFromD(X.sign, 0);
}

/** FSIN, FCOS, FPTAN, FSINCOS: C2 is set, and nothing done, if the argument is out of range. */
function trigonometricInstruction(which: i32): void {
  const pushes = which == FN_PTAN || which == FN_SINCOS;
  if (isEmpty(0)) underflow();
  else if (pushes && !isEmpty(-1)) overflow();
  else {
    loadRegister(0);
    if (X.kind == KIND_FINITE && X.exponent >= 63) {
      commit();
      setConditions(SW_C2);
      return;
    }
    clearIncomplete();
    evaluate(which, false);
    if (!commit()) return;
    storeResult(0);
    if (!pushes) return;
    pushSecond(which);
    return;
  }
  clearIncomplete();
  if (!commit()) return;
  storeResult(0);
  if (pushes) {
    moveTop(-1);
    storeResult(0);
  }
}

/** One value of the instruction into R, rounded. */
function evaluate(which: i32, second: bool): void {
  if (X.kind >= KIND_QNAN) {
    propagateX();
    return;
  }
  if (X.kind == KIND_INFINITY) {
    invalid();
    return;
  }
  if (X.denormal) raise(FLAG_DENORMAL);
  if (which == FN_PTAN) {
    if (second) fromInteger(1);
    else tangent();
  } else {
    sineOrCosine(which == FN_COS || second);
  }
  round80(64);
}

/** FPTAN pushes 1, FSINCOS the cosine. X still holds the argument. */
function pushSecond(which: i32): void {
  evaluate(which, true);
  commit();
  moveTop(-1);
  storeResult(0);
}

/** The instructions of two operands: the result replaces ST(1), and ST(0) is popped. */
function binaryInstruction(which: i32): void {
  if (isEmpty(0) || isEmpty(1)) {
    underflow();
  } else {
    loadRegister(1);
    moveToSecond();
    loadRegister(0);
    if (which == FN_PATAN) angle();
    else if (which == FN_YL2X) logarithm();
    else logarithmPlusOne();
    round80(64);
  }
  if (!commit()) return;
  storeResult(1);
  pop();
}

/** One of FN_*. */
export function x87Transcendental(which: i32): void {
  begin();
  if (which == FN_F2XM1) {
    if (isEmpty(0)) underflow();
    else {
      loadRegister(0);
      twoToXMinus1();
      round80(64);
    }
    if (commit()) storeResult(0);
  } else if (which == FN_SIN || which == FN_COS || which == FN_PTAN || which == FN_SINCOS) {
    trigonometricInstruction(which);
  } else {
    binaryInstruction(which);
  }
}
