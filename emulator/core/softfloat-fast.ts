/**
 * The lane arithmetic of SSE on the host's floating point, for operands and results that raise nothing but inexact.
 * The semantics run the same operations inline while MXCSR.PE is already set; what comes here is code that has been exact so far,
 * and zeros. Each function returns false when the lane needs softfloat.
 */
import { FLAG_INEXACT, FP_ADD, FP_DIV, FP_MUL, FP_SUB } from './softfloat-codes';
import { raise } from './softfloat';

export class Fast {
  /** Bits of the lane's result. */
  static result: u64 = 0;
}

/** Zero or normal: no NaN, infinity or denormal. */
function plain64(bits: u64): bool {
  const e = u32(bits >> 52) & 0x7ff;
  return e - 1 < 0x7fe || bits << 1 == 0;
}

function plain32(bits: u32): bool {
  const e = (bits >> 23) & 0xff;
  return e - 1 < 0xfe || bits << 1 == 0;
}

/** Error of a sum, exactly (Knuth's TwoSum): zero if and only if the sum is exact. */
function sumIsExact64(a: f64, b: f64, sum: f64): bool {
  const part = sum - a;
  return a - (sum - part) + (b - part) == 0;
}

/** Whether a * b needs no more than 53 bits, for normal operands and a normal product. */
function productIsExact64(a: f64, b: f64, product: f64): bool {
  const x = reinterpret<u64>(a);
  const y = reinterpret<u64>(b);
  const p = reinterpret<u64>(product);
  const exponents = i32((p >> 52) & 0x7ff) - i32((x >> 52) & 0x7ff) - i32((y >> 52) & 0x7ff) + 1023;
  const zeros = min<i32>(52, i32(ctz(x))) + min<i32>(52, i32(ctz(y)));
  return 105 + exponents - zeros <= 53;
}

function isExact64(op: i32, a: f64, b: f64, r: f64): bool {
  if (op == FP_ADD) return sumIsExact64(a, b, r);
  if (op == FP_SUB) return sumIsExact64(a, -b, r);
  if (r == 0) return true;
  if (op == FP_MUL) return productIsExact64(a, b, r);
  if (op == FP_DIV) return r * b == a && productIsExact64(r, b, a);
  return r * r == b && productIsExact64(r, r, b);
}

export function fast64(op: i32, a: u64, b: u64): bool {
  if (!plain64(a) || !plain64(b)) return false;
  const x = reinterpret<f64>(a);
  const y = reinterpret<f64>(b);
  let r: f64;
  let zeroIsExact: bool;
  if (op == FP_ADD) {
    r = x + y;
    zeroIsExact = true;
  } else if (op == FP_SUB) {
    r = x - y;
    zeroIsExact = true;
  } else if (op == FP_MUL) {
    r = x * y;
    zeroIsExact = x == 0 || y == 0;
  } else if (op == FP_DIV) {
    r = x / y;
    zeroIsExact = x == 0;
  } else {
    r = sqrt<f64>(y);
    zeroIsExact = true;
  }
  const bits = reinterpret<u64>(r);
  const e = u32(bits >> 52) & 0x7ff;
  if (e - 2 >= 0x7fd && !(bits << 1 == 0 && zeroIsExact)) return false;
  Fast.result = bits;
  if (!isExact64(op, x, y, r)) raise(FLAG_INEXACT);
  return true;
}

/** Binary32 is checked in binary64, where sums of TwoSum aside every product is exact. */
function isExact32(op: i32, a: f32, b: f32, r: f32): bool {
  if (op == FP_ADD || op == FP_SUB) {
    const y = op == FP_SUB ? -b : b;
    const part = r - a;
    return a - (r - part) + (y - part) == 0;
  }
  if (op == FP_MUL) return f64(r) == f64(a) * f64(b);
  if (op == FP_DIV) return f64(r) * f64(b) == f64(a);
  return f64(r) * f64(r) == f64(b);
}

export function fast32(op: i32, a: u32, b: u32): bool {
  if (!plain32(a) || !plain32(b)) return false;
  const x = reinterpret<f32>(a);
  const y = reinterpret<f32>(b);
  let r: f32;
  let zeroIsExact: bool;
  if (op == FP_ADD) {
    r = x + y;
    zeroIsExact = true;
  } else if (op == FP_SUB) {
    r = x - y;
    zeroIsExact = true;
  } else if (op == FP_MUL) {
    r = x * y;
    zeroIsExact = x == 0 || y == 0;
  } else if (op == FP_DIV) {
    r = x / y;
    zeroIsExact = x == 0;
  } else {
    r = sqrt<f32>(y);
    zeroIsExact = true;
  }
  const bits = reinterpret<u32>(r);
  const e = (bits >> 23) & 0xff;
  if (e - 2 >= 0xfd && !(bits << 1 == 0 && zeroIsExact)) return false;
  Fast.result = bits;
  if (!isExact32(op, x, y, r)) raise(FLAG_INEXACT);
  return true;
}
