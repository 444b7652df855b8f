/** Values of FPATAN, FSIN, FCOS and FPTAN (SDM 1, 8.3.8): of X, and Y where there are two operands, into R, not yet rounded. */
import { add, D, divide, multiply, set } from './double-double';
import { fromInteger } from './softfloat-convert';
import { copyX, KIND_FINITE, KIND_INFINITY, KIND_ZERO, normalise, noteDenormals, propagateNaN, R, setResult, X, Y } from './softfloat';
import { besideX, magnitudeToD, powerOfTwo, resultFromD, significandToD, SMALL } from './x87-double-double';
import { arctangent, PI_HIGH, PI_LOW, trigonometric } from './x87-functions';

/** R = a multiple of pi: `quarters` * pi / 4, rounded. */
function partOfPi(quarters: i32, sign: i32): void {
  set(PI_HIGH, PI_LOW);
  multiply(f64(quarters), 0);
  set(D.high / 4, D.low / 4);
  resultFromD(sign, 0);
}

/** atan2: the angle of the point (X, Y) (SDM 2A FPATAN, table 3-30). */
export function angle(): void {
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
export function sineOrCosine(cosine: bool): void {
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

export function tangent(): void {
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
