/**
 * Elementary functions in double-double for the transcendental instructions. Arguments and results are in `D`, about 2^-100
 * accurate relative to the result.
 */
import { add, D, divide, multiply, set, squareRoot } from './double-double';

export const LN2_HIGH: f64 = 0.6931471805599453;
export const LN2_LOW: f64 = 2.3190468138462996e-17;
export const LOG2E_HIGH: f64 = 1.4426950408889634;
export const LOG2E_LOW: f64 = 2.0355273740931033e-17;
export const PI_HIGH: f64 = 3.141592653589793;
export const PI_LOW: f64 = 1.2246467991473532e-16;

/** e^D - 1 for |D| < 0.7: Taylor on a sixteenth, then four doublings by expm1(2z) = e (e + 2). */
export function expm1(): void {
  const zHigh = D.high / 16;
  const zLow = D.low / 16;
  // z (1 + z/2 (1 + z/3 (1 + ...)))
  set(1, 0);
  for (let n = 18; n >= 2; n--) {
    multiply(zHigh, zLow);
    divide(n, 0);
    add(1, 0);
  }
  multiply(zHigh, zLow);
  for (let i = 0; i < 4; i++) {
    const eHigh = D.high;
    const eLow = D.low;
    add(2, 0);
    multiply(eHigh, eLow);
  }
}

/** Sum of (+-1)^k D^(2k+1) / (2k+1) for k < terms: atanh, or atan with `alternate`. */
function oddSeries(terms: i32, alternate: bool): void {
  const tHigh = D.high;
  const tLow = D.low;
  multiply(tHigh, tLow);
  const squareHigh = alternate ? -D.high : D.high;
  const squareLow = alternate ? -D.low : D.low;
  set(0, 0);
  for (let k = terms - 1; k >= 0; k--) {
    const sumHigh = D.high;
    const sumLow = D.low;
    set(1, 0);
    divide(2 * k + 1, 0);
    add(sumHigh, sumLow);
    if (k > 0) multiply(squareHigh, squareLow);
  }
  multiply(tHigh, tLow);
}

/** log2((1 + s) / (1 - s)) for D = s, |s| < 0.18. */
export function log2FromRatio(): void {
  oddSeries(24, false);
  multiply(2 * LOG2E_HIGH, 2 * LOG2E_LOW);
}

/** atan of D in 0..1: the angle is halved twice, atan(t) = 2 atan(t / (1 + sqrt(1 + t^2))). */
export function arctangent(): void {
  for (let i = 0; i < 2; i++) {
    const tHigh = D.high;
    const tLow = D.low;
    multiply(tHigh, tLow);
    add(1, 0);
    squareRoot();
    add(1, 0);
    const divisorHigh = D.high;
    const divisorLow = D.low;
    set(tHigh, tLow);
    divide(divisorHigh, divisorLow);
  }
  oddSeries(26, true);
  multiply(4, 0);
}

/** sin (first = 1) or cos (first = 0) of |D| <= pi / 4, by Taylor's series. */
export function trigonometric(first: i32): void {
  const rHigh = D.high;
  const rLow = D.low;
  multiply(rHigh, rLow);
  const squareHigh = -D.high;
  const squareLow = -D.low;
  set(1, 0);
  for (let n = 32 + first; n > first + 1; n -= 2) {
    multiply(squareHigh, squareLow);
    divide(n * (n - 1), 0);
    add(1, 0);
  }
  if (first) multiply(rHigh, rLow);
}
