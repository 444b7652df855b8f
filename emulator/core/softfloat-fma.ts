/**
 * Fused multiply-add with every flag right: the slow path behind the native operations of cpu/semantics/fma.ts. Exports are used as those of
 * softfloat-sse.ts.
 */
import { FP_RESULT } from '../cpu/layout';
import { FLAG_INEXACT, ROUND_DOWN, ROUND_NEAREST } from './softfloat-codes';
import { FLAG_DENORMAL, FLAG_INVALID } from './softfloat-codes';
import { pack32, pack64, round32, round64, unpack32, unpack64 } from './softfloat-formats';
import {
  Env,
  invalid,
  KIND_FINITE,
  KIND_INFINITY,
  KIND_QNAN,
  KIND_SNAN,
  KIND_ZERO,
  moveToSecond,
  normalise,
  QUIET_BIT,
  R,
  raise,
  setResult,
  shiftRightJam,
  TOP_BIT,
  X,
  Y,
} from './softfloat';
import { enterSse, leaveSse } from './softfloat-sse';
import { multiplyWide, Wide } from './softfloat-wide';

/** Bits of an operation: what is negated. */
const NEGATE_PRODUCT = 1;
const NEGATE_EVEN = 2;
const NEGATE_ODD = 4;

/** The addend. */
class Z {
  static kind: i32 = 0;
  static sign: i32 = 0;
  static exponent: i32 = 0;
  static significand: u64 = 0;
  static denormal: bool = false;
}

function moveToThird(): void {
  Z.kind = X.kind;
  Z.sign = X.sign;
  Z.exponent = X.exponent;
  Z.significand = X.significand;
  Z.denormal = X.denormal;
}

/** R = the first NaN of the operands in their mathematical order, quieted; signs are as they were given. */
function propagate(): void {
  const first = X.kind >= KIND_QNAN;
  const second = !first && Y.kind >= KIND_QNAN;
  R.kind = KIND_QNAN;
  R.sign = first ? X.sign : second ? Y.sign : Z.sign;
  R.high = (first ? X.significand : second ? Y.significand : Z.significand) | QUIET_BIT;
  R.low = 0;
}

/** R = X * Y + Z, with the product or the addend negated. Rounding is the caller's. */
function multiplyAdd(negateProduct: bool, negateAddend: bool): void {
  const infiniteByZero =
    (X.kind == KIND_INFINITY && Y.kind == KIND_ZERO) || (X.kind == KIND_ZERO && Y.kind == KIND_INFINITY);
  if (X.kind >= KIND_QNAN || Y.kind >= KIND_QNAN || Z.kind >= KIND_QNAN) {
    if (X.kind == KIND_SNAN || Y.kind == KIND_SNAN || Z.kind == KIND_SNAN) raise(FLAG_INVALID);
    propagate();
    return;
  }
  const sign = X.sign ^ Y.sign ^ i32(negateProduct);
  Z.sign ^= i32(negateAddend);
  const infinite = X.kind == KIND_INFINITY || Y.kind == KIND_INFINITY;
  if (infiniteByZero || (infinite && Z.kind == KIND_INFINITY && sign != Z.sign)) {
    invalid();
    return;
  }
  if (X.denormal || Y.denormal || Z.denormal) raise(FLAG_DENORMAL);
  if (infinite) setResult(KIND_INFINITY, sign);
  else if (Z.kind == KIND_INFINITY) setResult(KIND_INFINITY, Z.sign);
  else if (X.kind == KIND_ZERO || Y.kind == KIND_ZERO) addToZero(sign);
  else addToProduct(sign);
}

/** The addend, and a product of zero. */
function addToZero(sign: i32): void {
  if (Z.kind == KIND_ZERO) {
    setResult(KIND_ZERO, sign == Z.sign ? sign : i32(Env.rounding == ROUND_DOWN));
    return;
  }
  resultIsAddend();
}

function resultIsAddend(): void {
  R.kind = KIND_FINITE;
  R.sign = Z.sign;
  R.exponent = Z.exponent;
  R.high = Z.significand;
  R.low = 0;
}

/** A finite product, exact in 128 bits, and the addend. */
function addToProduct(sign: i32): void {
  R.kind = KIND_FINITE;
  R.sign = sign;
  R.exponent = X.exponent + Y.exponent + 1;
  R.high = multiplyWide(X.significand, Y.significand);
  R.low = Wide.low;
  normalise();
  if (Z.kind == KIND_ZERO) return;
  // The larger goes to L, the smaller stays in R and is brought to its exponent.
  let high = R.high;
  let low = R.low;
  let exponent = R.exponent;
  const productIsLarger =
    exponent > Z.exponent || (exponent == Z.exponent && (high > Z.significand || high == Z.significand));
  if (productIsLarger) {
    resultIsAddend();
  } else {
    high = Z.significand;
    low = 0;
    exponent = Z.exponent;
  }
  shiftRightJam(exponent - R.exponent);
  const sameSign = sign == Z.sign;
  R.exponent = exponent;
  R.sign = productIsLarger ? sign : Z.sign;
  if (sameSign) addWide(high, low);
  else subtractFrom(high, low);
}

/** R += high:low, of the same sign and exponent. */
function addWide(high: u64, low: u64): void {
  R.low += low;
  const carry = u64(R.low < low);
  const sum = R.high + high;
  const overflow = sum < high || sum + carry < sum;
  R.high = sum + carry;
  if (!overflow) return;
  shiftRightJam(1);
  R.high |= TOP_BIT;
  R.exponent++;
}

/** R = high:low - R; high:low is not the smaller. */
function subtractFrom(high: u64, low: u64): void {
  const borrow = u64(low < R.low);
  R.low = low - R.low;
  R.high = high - R.high - borrow;
  if ((R.high | R.low) == 0) setResult(KIND_ZERO, i32(Env.rounding == ROUND_DOWN));
  else normalise();
}

/** Exponents of zero, or of numbers whose products and sums, and the errors of these, are normal. */
@inline function moderate64(bits: u64): bool {
  const exponent = u32(bits >> 52) & 0x7ff;
  return exponent - 543 < 980 || bits << 1 == 0;
}

/** The result of operands that raise nothing but inexact, by native operations; false if it is not sure. */
function fast64(x: f64, y: f64, z: f64): bool {
  const product = x * y;
  const xHigh = x * 134217729.0 - (x * 134217729.0 - x);
  const yHigh = y * 134217729.0 - (y * 134217729.0 - y);
  const xLow = x - xHigh;
  const yLow = y - yHigh;
  const error = xHigh * yHigh - product + xHigh * yLow + xLow * yHigh + xLow * yLow;
  const sum = product + z;
  const part = sum - product;
  const lost = product - (sum - part) + (z - part);
  const rest = lost + error;
  const restPart = rest - lost;
  const restLost = lost - (rest - restPart) + (error - restPart);
  const result = sum + rest;
  if (restLost != 0 && sum + rest * 1.0000000000000004 != sum + rest * 0.9999999999999996) return false;
  const exponent = u32(reinterpret<u64>(result) >> 52) & 0x7ff;
  if (exponent - 2 >= 0x7fd && result != 0) return false;
  Fast.result = reinterpret<u64>(error == 0 ? sum : result);
  if (restLost != 0 || sum - result + rest != 0) raise(FLAG_INEXACT);
  return true;
}

@inline function moderate32(bits: u32): bool {
  const exponent = (bits >> 23) & 0xff;
  return exponent - 1 < 0xfe || bits << 1 == 0;
}

function fast32(x: f32, y: f32, z: f32): bool {
  const product = f64(x) * f64(y);
  const addend = f64(z);
  const sum = product + addend;
  const part = sum - product;
  const lost = product - (sum - part) + (addend - part);
  if (lost != 0 && (reinterpret<u64>(sum) & 0x1fffffff) == 0x10000000) return false;
  const result = f32(sum);
  const exponent = (reinterpret<u32>(result) >> 23) & 0xff;
  if (exponent - 2 >= 0xfd && sum != 0) return false;
  Fast.result = reinterpret<u32>(result);
  if (lost != 0 || f64(result) != sum) raise(FLAG_INEXACT);
  return true;
}

class Fast {
  static result: u64 = 0;
}

function fast(size: i32, x: u64, y: u64, z: u64, negateProduct: bool, negateAddend: bool): bool {
  if (size == 8) {
    if (!moderate64(x) || !moderate64(y) || !moderate64(z)) return false;
    const a = reinterpret<f64>(x);
    const c = reinterpret<f64>(z);
    return fast64(negateProduct ? -a : a, reinterpret<f64>(y), negateAddend ? -c : c);
  }
  if (!moderate32(u32(x)) || !moderate32(u32(y)) || !moderate32(u32(z))) return false;
  const a = reinterpret<f32>(u32(x));
  const c = reinterpret<f32>(u32(z));
  return fast32(negateProduct ? -a : a, reinterpret<f32>(u32(y)), negateAddend ? -c : c);
}

/** One lane, between `enterSse` and `leaveSse`. */
function fmaLane(size: i32, x: u64, y: u64, z: u64, negateProduct: bool, negateAddend: bool): u64 {
  if (Env.rounding == ROUND_NEAREST && fast(size, x, y, z, negateProduct, negateAddend)) return Fast.result;
  if (size == 8) {
    unpack64(z);
    moveToThird();
    unpack64(y);
    moveToSecond();
    unpack64(x);
    multiplyAdd(negateProduct, negateAddend);
    round64();
    return pack64();
  }
  unpack32(u32(z));
  moveToThird();
  unpack32(u32(y));
  moveToSecond();
  unpack32(u32(x));
  multiplyAdd(negateProduct, negateAddend);
  round32();
  return pack32();
}

/** One lane; `signs`: what is negated. */
export function fmaScalar(signs: i32, size: i32, x: u64, y: u64, z: u64): i32 {
  enterSse();
  store<u64>(FP_RESULT, fmaLane(size, x, y, z, (signs & NEGATE_PRODUCT) != 0, (signs & NEGATE_EVEN) != 0));
  return leaveSse();
}

/** All lanes, two 64-bit halves an operand. */
export function fmaPacked(
  signs: i32,
  size: i32,
  xLow: u64,
  xHigh: u64,
  yLow: u64,
  yHigh: u64,
  zLow: u64,
  zHigh: u64,
): i32 {
  enterSse();
  const product = (signs & NEGATE_PRODUCT) != 0;
  const even = (signs & NEGATE_EVEN) != 0;
  const odd = (signs & NEGATE_ODD) != 0;
  if (size == 8) {
    store<u64>(FP_RESULT, fmaLane(8, xLow, yLow, zLow, product, even));
    store<u64>(FP_RESULT + 8, fmaLane(8, xHigh, yHigh, zHigh, product, odd));
    return leaveSse();
  }
  store<u32>(FP_RESULT, u32(fmaLane(4, xLow, yLow, zLow, product, even)));
  store<u32>(FP_RESULT + 4, u32(fmaLane(4, xLow >> 32, yLow >> 32, zLow >> 32, product, odd)));
  store<u32>(FP_RESULT + 8, u32(fmaLane(4, xHigh, yHigh, zHigh, product, even)));
  store<u32>(FP_RESULT + 12, u32(fmaLane(4, xHigh >> 32, yHigh >> 32, zHigh >> 32, product, odd)));
  return leaveSse();
}
