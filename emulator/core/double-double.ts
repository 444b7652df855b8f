/**
 * Numbers of about 106 bits as the unevaluated sum of two doubles (Dekker 1971; Knuth TAOCP 4.2.2). Each operation leaves its
 * result in `D`. Enough for 64-bit results that are correctly rounded but for about one case in 2^35.
 */
export class D {
  static high: f64 = 0;
  static low: f64 = 0;
}

export function set(high: f64, low: f64): void {
  D.high = high;
  D.low = low;
}

/** D = a + b for |a| >= |b|. */
function renormalise(a: f64, b: f64): void {
  const sum = a + b;
  D.low = b - (sum - a);
  D.high = sum;
}

/** Splits so that products of halves are exact. */
const SPLITTER: f64 = 134217729.0;

/** Error of the product p = a * b. */
function productError(a: f64, b: f64, p: f64): f64 {
  let t = SPLITTER * a;
  const aHigh = t - (t - a);
  const aLow = a - aHigh;
  t = SPLITTER * b;
  const bHigh = t - (t - b);
  const bLow = b - bHigh;
  return aHigh * bHigh - p + aHigh * bLow + aLow * bHigh + aLow * bLow;
}

/** D + b */
export function add(bHigh: f64, bLow: f64): void {
  const a = D.high;
  const sum = a + bHigh;
  const part = sum - a;
  const error = a - (sum - part) + (bHigh - part);
  const lows = D.low + bLow;
  const lowPart = lows - D.low;
  const lowError = D.low - (lows - lowPart) + (bLow - lowPart);
  renormalise(sum, error + lows);
  renormalise(D.high, D.low + lowError);
}

/** D * b */
export function multiply(bHigh: f64, bLow: f64): void {
  const p = D.high * bHigh;
  const error = productError(D.high, bHigh, p);
  renormalise(p, error + (D.high * bLow + D.low * bHigh));
}

/** D / b, by two corrections of the quotient of the high parts. */
export function divide(bHigh: f64, bLow: f64): void {
  const aHigh = D.high;
  const aLow = D.low;
  const q1 = aHigh / bHigh;
  set(bHigh, bLow);
  multiply(-q1, 0);
  add(aHigh, aLow);
  const q2 = D.high / bHigh;
  const restHigh = D.high;
  const restLow = D.low;
  set(bHigh, bLow);
  multiply(-q2, 0);
  add(restHigh, restLow);
  const q3 = D.high / bHigh;
  renormalise(q1, q2);
  add(q3, 0);
}

/** Square root of D > 0: the hardware's, then one step of Newton. */
export function squareRoot(): void {
  const aHigh = D.high;
  const aLow = D.low;
  const r = Math.sqrt(aHigh);
  set(r, 0);
  multiply(-r, 0);
  add(aHigh, aLow);
  const correction = D.high / (2 * r);
  renormalise(r, correction);
}
