/** 128-bit helpers: products and quotients that do not fit 64 bits. The second half of an answer is left in `Wide`. */
export class Wide {
  static low: u64 = 0;
  static remainder: u64 = 0;
}

/** a * b: returns the high 64 bits, leaves the low ones in Wide.low. */
export function multiplyWide(a: u64, b: u64): u64 {
  const a0 = a & 0xffffffff;
  const a1 = a >> 32;
  const b0 = b & 0xffffffff;
  const b1 = b >> 32;
  const p00 = a0 * b0;
  const p01 = a0 * b1;
  const p10 = a1 * b0;
  const middle = (p00 >> 32) + (p01 & 0xffffffff) + (p10 & 0xffffffff);
  Wide.low = (middle << 32) | (p00 & 0xffffffff);
  return a1 * b1 + (p01 >> 32) + (p10 >> 32) + (middle >> 32);
}

/** One 32-bit digit of a quotient: floor((high * 2^32 + digit) / divisor) for a normalised divisor, high < divisor. */
function quotientDigit(high: u64, digit: u64, divisor: u64): u64 {
  const d1 = divisor >> 32;
  const d0 = divisor & 0xffffffff;
  let q = high / d1;
  let r = high % d1;
  while (q >= 0x100000000 || q * d0 > ((r << 32) | digit)) {
    q--;
    r += d1;
    if (r >= 0x100000000) break;
  }
  return q;
}

/** (high:low) / divisor with bit 63 of the divisor set and high < divisor. Remainder in Wide.remainder. */
export function divideWide(high: u64, low: u64, divisor: u64): u64 {
  const q1 = quotientDigit(high, low >> 32, divisor);
  const middle = ((high << 32) | (low >> 32)) - q1 * divisor;
  const q0 = quotientDigit(middle, low & 0xffffffff, divisor);
  Wide.remainder = ((middle << 32) | (low & 0xffffffff)) - q0 * divisor;
  return (q1 << 32) | q0;
}
