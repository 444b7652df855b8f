/** Unpacking and packing of the three formats, and rounding to each (SDM 1, 4.2.2). */
import {
  Env,
  KIND_FINITE,
  KIND_INFINITY,
  KIND_QNAN,
  KIND_SNAN,
  KIND_UNSUPPORTED,
  KIND_ZERO,
  QUIET_BIT,
  R,
  roundResult,
  TOP_BIT,
  X,
} from './softfloat';

/** Fills X from a sign, a biased exponent and the fraction aligned to bit 62 downwards. */
function unpackIeee(sign: i32, biased: i32, fraction: u64, bias: i32, special: i32): void {
  X.sign = sign;
  X.denormal = false;
  if (biased == special) {
    X.kind = fraction == 0 ? KIND_INFINITY : fraction & QUIET_BIT ? KIND_QNAN : KIND_SNAN;
    X.significand = TOP_BIT | fraction;
    return;
  }
  if (biased != 0) {
    X.kind = KIND_FINITE;
    X.exponent = biased - bias;
    X.significand = TOP_BIT | fraction;
    return;
  }
  unpackDenormal(fraction, 1 - bias);
}

function unpackDenormal(significand: u64, least: i32): void {
  if (significand == 0 || Env.daz) {
    X.kind = KIND_ZERO;
    X.significand = 0;
    return;
  }
  const shift = i32(clz(significand));
  X.kind = KIND_FINITE;
  X.denormal = true;
  X.exponent = least - shift;
  X.significand = significand << shift;
}

/** A half; its denormals raise no flag. */
export function unpack16(bits: u32): void {
  unpackIeee(bits >> 15, (bits >> 10) & 0x1f, u64(bits & 0x3ff) << 53, 15, 0x1f);
  X.denormal = false;
}

export function unpack32(bits: u32): void {
  unpackIeee(bits >> 31, (bits >> 23) & 0xff, u64(bits & 0x7fffff) << 40, 127, 0xff);
}

export function unpack64(bits: u64): void {
  unpackIeee(i32(bits >> 63), i32(bits >> 52) & 0x7ff, (bits & 0xfffffffffffff) << 11, 1023, 0x7ff);
}

/** Sign and exponent in the low 16 bits of `head`. */
export function unpack80(significand: u64, head: i32): void {
  const biased = head & 0x7fff;
  X.sign = (head >> 15) & 1;
  X.denormal = false;
  if (biased == 0) {
    unpackDenormal(significand, -16382);
    return;
  }
  X.significand = significand;
  X.exponent = biased - 16383;
  if (significand >> 63 == 0) X.kind = KIND_UNSUPPORTED;
  else if (biased != 0x7fff) X.kind = KIND_FINITE;
  else if (significand == TOP_BIT) X.kind = KIND_INFINITY;
  else X.kind = significand & QUIET_BIT ? KIND_QNAN : KIND_SNAN;
}

export function round16(): void {
  roundResult(11, -14, 15);
}

export function round32(): void {
  roundResult(24, -126, 127);
}

export function round64(): void {
  roundResult(53, -1022, 1023);
}

/** To an x87 register, with the precision that the control word asks for (24, 53 or 64 bits). */
export function round80(precision: i32): void {
  roundResult(precision, -16382, 16383);
}

export function pack16(): u32 {
  const sign = u32(R.sign) << 15;
  if (R.kind == KIND_ZERO) return sign;
  const fraction = u32(R.high >> 53) & 0x3ff;
  if (R.kind == KIND_INFINITY) return sign | 0x7c00;
  if (R.kind == KIND_QNAN) return sign | 0x7c00 | fraction;
  const biased: u32 = R.high >> 63 ? R.exponent + 15 : 0;
  return sign | (biased << 10) | fraction;
}

export function pack32(): u32 {
  const sign = u32(R.sign) << 31;
  if (R.kind == KIND_ZERO) return sign;
  const fraction = u32(R.high >> 40) & 0x7fffff;
  if (R.kind == KIND_INFINITY) return sign | 0x7f800000;
  if (R.kind == KIND_QNAN) return sign | 0x7f800000 | fraction;
  const biased: u32 = R.high >> 63 ? R.exponent + 127 : 0;
  return sign | (biased << 23) | fraction;
}

export function pack64(): u64 {
  const sign = u64(R.sign) << 63;
  if (R.kind == KIND_ZERO) return sign;
  const fraction = (R.high >> 11) & 0xfffffffffffff;
  if (R.kind == KIND_INFINITY) return sign | 0x7ff0000000000000;
  if (R.kind == KIND_QNAN) return sign | 0x7ff0000000000000 | fraction;
  const biased: u64 = R.high >> 63 ? R.exponent + 1023 : 0;
  return sign | (biased << 52) | fraction;
}

/** Sign and exponent word of R; the significand is `significand80`. */
export function head80(): i32 {
  const sign = R.sign << 15;
  if (R.kind == KIND_ZERO) return sign;
  if (R.kind != KIND_FINITE) return sign | 0x7fff;
  return sign | (R.high >> 63 ? (R.exponent + 16383) & 0x7fff : 0);
}

export function significand80(): u64 {
  if (R.kind == KIND_ZERO) return 0;
  return R.kind == KIND_INFINITY ? TOP_BIT : R.high;
}
