/** 64 x 64 multiplication and 128 / 64 division (AssemblyScript). */
import { INTEGER_RESULT } from '../cpu/layout';

/** High half of an unsigned product. */
export function multiplyHighUnsigned(a: u64, b: u64): u64 {
  const aLow = a & 0xffff_ffff;
  const aHigh = a >> 32;
  const bLow = b & 0xffff_ffff;
  const bHigh = b >> 32;
  const middle = aHigh * bLow + ((aLow * bLow) >> 32);
  const other = aLow * bHigh + (middle & 0xffff_ffff);
  return aHigh * bHigh + (middle >> 32) + (other >> 32);
}

/** High half of a signed product. */
export function multiplyHighSigned(a: i64, b: i64): i64 {
  return <i64>multiplyHighUnsigned(a, b) - ((a >> 63) & b) - ((b >> 63) & a);
}

/** Quotient of high:low by a divisor greater than `high`; the remainder is left in INTEGER_RESULT (Knuth 4.3.1 D with 32-bit digits). */
function divide(high: u64, low: u64, divisor: u64): u64 {
  const shift = clz(divisor);
  const d = divisor << shift;
  const dHigh = d >> 32;
  const dLow = d & 0xffff_ffff;
  let remainder = shift ? (high << shift) | (low >> (64 - shift)) : high;
  const digits = low << shift;
  let quotient: u64 = 0;
  for (let place: u64 = 32; ; place = 0) {
    const digit = (digits >> place) & 0xffff_ffff;
    let estimate = remainder / dHigh;
    let rest = remainder - estimate * dHigh;
    while (estimate > 0xffff_ffff || estimate * dLow > ((rest << 32) | digit)) {
      estimate--;
      rest += dHigh;
      if (rest > 0xffff_ffff) break;
    }
    remainder = ((remainder << 32) | digit) - estimate * d;
    quotient = (quotient << 32) | estimate;
    if (place == 0) break;
  }
  store<u64>(INTEGER_RESULT, remainder >> shift);
  return quotient;
}

/** Whether DIV of high:low by `divisor` raises #DE. */
export function divideUnsignedOverflows(high: u64, divisor: u64): i32 {
  return i32(high >= divisor);
}

/** Quotient of an unsigned division that does not overflow; the remainder is left in INTEGER_RESULT. */
export function divideUnsigned(high: u64, low: u64, divisor: u64): u64 {
  return divide(high, low, divisor);
}

/** Whether IDIV of high:low by `divisor` raises #DE. */
export function divideSignedOverflows(high: i64, low: u64, divisor: i64): i32 {
  const negative = high < 0;
  const dividendHigh: u64 = negative ? ~high + u64(low == 0) : high;
  const dividendLow: u64 = negative ? 0 - low : low;
  const magnitude: u64 = divisor < 0 ? 0 - divisor : divisor;
  if (dividendHigh >= magnitude) return 1;
  const limit: u64 = 0x7fff_ffff_ffff_ffff + u64(negative != divisor < 0);
  return i32(divide(dividendHigh, dividendLow, magnitude) > limit);
}

/** Quotient of a signed division that does not overflow, truncated; the remainder, with the dividend's sign, is left in INTEGER_RESULT. */
export function divideSigned(high: i64, low: u64, divisor: i64): i64 {
  const negative = high < 0;
  const dividendHigh: u64 = negative ? ~high + u64(low == 0) : high;
  const dividendLow: u64 = negative ? 0 - low : low;
  const magnitude: u64 = divisor < 0 ? 0 - divisor : divisor;
  const quotient = divide(dividendHigh, dividendLow, magnitude);
  if (negative) store<u64>(INTEGER_RESULT, 0 - load<u64>(INTEGER_RESULT));
  return negative != divisor < 0 ? 0 - quotient : quotient;
}
