/** Exact add, subtract, multiply, divide and square root of X and Y into R. Rounding is the caller's. */
import { FLAG_DENORMAL, FLAG_ZERO_DIVIDE, ROUND_DOWN } from './softfloat-codes';
import {
  copyX,
  copyY,
  Env,
  invalid,
  KIND_FINITE,
  KIND_INFINITY,
  KIND_QNAN,
  KIND_ZERO,
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
import { divideWide, multiplyWide, Wide } from './softfloat-wide';

/** Sign of a zero that comes from cancellation. */
function cancelledSign(): i32 {
  return i32(Env.rounding == ROUND_DOWN);
}

/** X + Y, or X - Y. */
export function add(subtract: bool): void {
  if (propagateNaN()) return;
  if (subtract) Y.sign ^= 1;
  if (X.kind == KIND_INFINITY && Y.kind == KIND_INFINITY && X.sign != Y.sign) {
    invalid();
    return;
  }
  noteDenormals();
  if (X.kind == KIND_INFINITY) {
    copyX();
  } else if (Y.kind == KIND_INFINITY) {
    copyY();
  } else if (X.kind == KIND_ZERO && Y.kind == KIND_ZERO) {
    setResult(KIND_ZERO, X.sign == Y.sign ? X.sign : cancelledSign());
  } else if (X.kind == KIND_ZERO) {
    copyY();
  } else if (Y.kind == KIND_ZERO) {
    copyX();
  } else {
    addFinite();
  }
}

function addFinite(): void {
  const xIsLarger = X.exponent > Y.exponent || (X.exponent == Y.exponent && X.significand >= Y.significand);
  const largeHigh = xIsLarger ? X.significand : Y.significand;
  const exponent = xIsLarger ? X.exponent : Y.exponent;
  const sign = xIsLarger ? X.sign : Y.sign;
  R.kind = KIND_FINITE;
  R.sign = sign;
  R.exponent = exponent;
  R.high = xIsLarger ? Y.significand : X.significand;
  R.low = 0;
  shiftRightJam(xIsLarger ? exponent - Y.exponent : exponent - X.exponent);
  if (X.sign == Y.sign) {
    R.high += largeHigh;
    if (R.high < largeHigh) {
      shiftRightJam(1);
      R.high |= TOP_BIT;
      R.exponent++;
    }
    return;
  }
  const borrow = u64(R.low != 0);
  R.low = 0 - R.low;
  R.high = largeHigh - R.high - borrow;
  if ((R.high | R.low) == 0) setResult(KIND_ZERO, cancelledSign());
  else normalise();
}

export function multiply(): void {
  if (propagateNaN()) return;
  const sign = X.sign ^ Y.sign;
  if ((X.kind == KIND_INFINITY && Y.kind == KIND_ZERO) || (X.kind == KIND_ZERO && Y.kind == KIND_INFINITY)) {
    invalid();
    return;
  }
  noteDenormals();
  if (X.kind == KIND_INFINITY || Y.kind == KIND_INFINITY) {
    setResult(KIND_INFINITY, sign);
  } else if (X.kind == KIND_ZERO || Y.kind == KIND_ZERO) {
    setResult(KIND_ZERO, sign);
  } else {
    R.kind = KIND_FINITE;
    R.sign = sign;
    R.exponent = X.exponent + Y.exponent + 1;
    R.high = multiplyWide(X.significand, Y.significand);
    R.low = Wide.low;
    normalise();
  }
}

export function divide(): void {
  if (propagateNaN()) return;
  const sign = X.sign ^ Y.sign;
  if (X.kind == Y.kind && (X.kind == KIND_INFINITY || X.kind == KIND_ZERO)) {
    invalid();
    return;
  }
  if (X.kind == KIND_FINITE && Y.kind == KIND_ZERO) {
    raise(FLAG_ZERO_DIVIDE); // alone, even if X is denormal
    setResult(KIND_INFINITY, sign);
    return;
  }
  noteDenormals();
  if (X.kind == KIND_INFINITY) {
    setResult(KIND_INFINITY, sign);
  } else if (Y.kind == KIND_INFINITY || X.kind == KIND_ZERO) {
    setResult(KIND_ZERO, sign);
  } else {
    divideFinite(sign);
  }
}

function divideFinite(sign: i32): void {
  const small = X.significand < Y.significand;
  R.kind = KIND_FINITE;
  R.sign = sign;
  R.exponent = X.exponent - Y.exponent - i32(small);
  // A dividend below the divisor, as divideWide wants it, and a quotient with its top bit set.
  R.high = small
    ? divideWide(X.significand, 0, Y.significand)
    : divideWide(X.significand >> 1, X.significand << 63, Y.significand);
  R.low = divideWide(Wide.remainder, 0, Y.significand) | u64(Wide.remainder != 0);
}

/** Square root of X. */
export function squareRoot(): void {
  if (X.kind >= KIND_QNAN) {
    propagateX();
    return;
  }
  if (X.kind == KIND_ZERO) {
    copyX();
    return;
  }
  if (X.sign) {
    invalid();
    return;
  }
  if (X.denormal) raise(FLAG_DENORMAL);
  if (X.kind == KIND_INFINITY) {
    copyX();
    return;
  }
  rootOfFinite();
}

/** Integer square root of a 128-bit radicand whose top bit or the next one is set. */
function rootOfFinite(): void {
  const odd = X.exponent & 1;
  const high = odd ? X.significand : X.significand >> 1;
  const low: u64 = odd ? 0 : X.significand << 63;
  // The hardware's 53 bits, then one Newton step: exact to about 2^-40 of a unit before the last correction.
  const estimate = Math.sqrt(f64(high)) * 4294967296.0;
  let root: u64 = estimate >= 18446744073709549568.0 ? 0xfffffffffffff800 : u64(estimate);
  if (root <= high) root = high == u64.MAX_VALUE ? high : high + 1;
  const quotient = divideWide(high, low, root);
  root = (root >> 1) + (quotient >> 1) + (root & quotient & 1);
  let squareHigh = multiplyWide(root, root);
  while (squareHigh > high || (squareHigh == high && Wide.low > low)) {
    root--;
    squareHigh = multiplyWide(root, root);
  }
  let restLow = low - Wide.low;
  let restHigh = high - squareHigh - u64(low < Wide.low);
  while (aboveTwice(restHigh, restLow, root)) {
    // (root + 1)^2 = root^2 + 2 root + 1 still fits.
    const doubled = (root << 1) + 1;
    const carry = root >> 63;
    restHigh = restHigh - carry - u64(restLow < doubled);
    restLow -= doubled;
    root++;
  }
  R.kind = KIND_FINITE;
  R.sign = 0;
  R.exponent = X.exponent >> 1;
  R.high = root;
  // The remainder decides the next bit: (root + 1/2)^2 is never an integer, so there is no tie.
  if ((restHigh | restLow) == 0) R.low = 0;
  else R.low = restHigh != 0 || restLow > root ? 0xc000000000000000 : 0x4000000000000000;
}

/** rest > 2 * root, with a root of 64 bits. */
function aboveTwice(restHigh: u64, restLow: u64, root: u64): bool {
  const twiceHigh = root >> 63;
  return restHigh > twiceHigh || (restHigh == twiceHigh && restLow > root << 1);
}
