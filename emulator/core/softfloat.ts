/**
 * IEEE 754 arithmetic on unpacked numbers, for binary32, binary64 and the x87 80-bit format alike.
 *
 * Operands are unpacked into X and Y, an operation leaves the exact result (128 bits of significand, the last one
 * sticky) in R, and `roundResult` brings R to the destination's precision and range. The formats differ only
 * in how they are unpacked, rounded and packed (softfloat-formats.ts).
 */
import {
  FLAG_DENORMAL,
  FLAG_INEXACT,
  FLAG_INVALID,
  FLAG_OVERFLOW,
  FLAG_UNDERFLOW,
  ROUND_DOWN,
  ROUND_NEAREST,
  ROUND_UP,
} from './softfloat-codes';

export const KIND_ZERO = 0;
export const KIND_FINITE = 1;
export const KIND_INFINITY = 2;
export const KIND_QNAN = 3;
export const KIND_SNAN = 4;
/** 80-bit encodings that the 387 and later refuse: pseudo-NaN, pseudo-infinity, unnormal (SDM 1, 8.2.2). */
export const KIND_UNSUPPORTED = 5;

/** Bit 63: the integer bit of a normalised significand. */
export const TOP_BIT: u64 = 0x8000000000000000;
export const QUIET_BIT: u64 = 0x4000000000000000;

/** What surrounds an operation: set by the caller, `flags` collected from it. */
export class Env {
  /** FLAG_* raised so far. */
  static flags: i32 = 0;
  static rounding: i32 = ROUND_NEAREST;
  /** FLAG_* whose exception is masked. */
  static masks: i32 = 0x3f;
  /** Denormal operands count as zero (MXCSR.DAZ). */
  static daz: bool = false;
  /** Tiny results become zero (MXCSR.FTZ); only with underflow masked. */
  static ftz: bool = false;
  /** NaN selection of x87 (larger significand) instead of SSE (first operand). */
  static x87: bool = false;
  /** The last rounding increased the magnitude (x87 C1). */
  static roundedUp: bool = false;
}

/** First operand: value = significand / 2^63 * 2^exponent; bit 63 is set for finite numbers. */
export class X {
  static kind: i32 = 0;
  static sign: i32 = 0;
  static exponent: i32 = 0;
  static significand: u64 = 0;
  static denormal: bool = false;
}

/** Second operand. */
export class Y {
  static kind: i32 = 0;
  static sign: i32 = 0;
  static exponent: i32 = 0;
  static significand: u64 = 0;
  static denormal: bool = false;
}

/** Result: as X with 64 more bits. After rounding a denormal has the format's least exponent and bit 63 clear. */
export class R {
  static kind: i32 = 0;
  static sign: i32 = 0;
  static exponent: i32 = 0;
  static high: u64 = 0;
  static low: u64 = 0;
}

/** Moves the first operand to the second place. */
export function moveToSecond(): void {
  Y.kind = X.kind;
  Y.sign = X.sign;
  Y.exponent = X.exponent;
  Y.significand = X.significand;
  Y.denormal = X.denormal;
}

export function raise(flags: i32): void {
  Env.flags |= flags;
}

export function setResult(kind: i32, sign: i32): void {
  R.kind = kind;
  R.sign = sign;
  R.exponent = 0;
  R.high = 0;
  R.low = 0;
}

/** The default NaN ("real indefinite"): negative, quiet, no payload. */
export function defaultNaN(): void {
  R.kind = KIND_QNAN;
  R.sign = 1;
  R.high = TOP_BIT | QUIET_BIT;
  R.low = 0;
}

export function invalid(): void {
  raise(FLAG_INVALID);
  defaultNaN();
}

function resultIsX(): void {
  R.kind = X.kind;
  R.sign = X.sign;
  R.exponent = X.exponent;
  R.high = X.significand;
  R.low = 0;
}

function resultIsY(): void {
  R.kind = Y.kind;
  R.sign = Y.sign;
  R.exponent = Y.exponent;
  R.high = Y.significand;
  R.low = 0;
}

export function copyX(): void {
  resultIsX();
}

export function copyY(): void {
  resultIsY();
}

function quieten(): void {
  R.kind = KIND_QNAN;
  R.high |= QUIET_BIT;
}

/** A result that is one NaN operand, quieted. */
export function propagateX(): void {
  if (X.kind == KIND_UNSUPPORTED) {
    invalid();
    return;
  }
  if (X.kind == KIND_SNAN) raise(FLAG_INVALID);
  resultIsX();
  quieten();
}

/**
 * Which NaN two operands give (SDM 1, table 4-7): true if there was one, with R filled.
 * SSE takes the first operand if it is a NaN. x87 prefers a QNaN over an SNaN, then the larger significand, then the positive one.
 */
export function propagateNaN(): bool {
  if (X.kind < KIND_QNAN && Y.kind < KIND_QNAN) return false;
  if (X.kind == KIND_UNSUPPORTED || Y.kind == KIND_UNSUPPORTED) {
    invalid();
    return true;
  }
  if (X.kind == KIND_SNAN || Y.kind == KIND_SNAN) raise(FLAG_INVALID);
  let first: bool;
  if (Y.kind < KIND_QNAN) first = true;
  else if (X.kind < KIND_QNAN) first = false;
  else if (!Env.x87) first = true;
  else if (X.kind != Y.kind) first = X.kind == KIND_QNAN;
  else if (X.significand != Y.significand) first = X.significand > Y.significand;
  else first = X.sign == 0;
  if (first) resultIsX();
  else resultIsY();
  quieten();
  return true;
}

/** Raises the denormal-operand flag for two operands that take part in the arithmetic. */
export function noteDenormals(): void {
  if (X.denormal || Y.denormal) raise(FLAG_DENORMAL);
}

/** Shifts R right by `count`, keeping lost bits sticky. */
export function shiftRightJam(count: i32): void {
  if (count <= 0) return;
  const high = R.high;
  const low = R.low;
  if (count < 64) {
    const lost = low << (64 - count);
    R.low = (high << (64 - count)) | (low >> count) | u64(lost != 0);
    R.high = high >> count;
    return;
  }
  if (count < 128) {
    const n = count - 64;
    const lost = low | (n != 0 ? high << (64 - n) : 0);
    R.low = (high >> n) | u64(lost != 0);
  } else {
    R.low = u64((high | low) != 0);
  }
  R.high = 0;
}

/** Brings bit 127 of a non-zero R to the top. */
export function normalise(): void {
  if (R.high == 0) {
    R.high = R.low;
    R.low = 0;
    R.exponent -= 64;
  }
  const shift = i32(clz(R.high));
  if (shift == 0) return;
  R.high = (R.high << shift) | (R.low >> (64 - shift));
  R.low <<= shift;
  R.exponent -= shift;
}

/** Would cutting R.high:R.low at `precision` bits change it by rounding up? Sets `inexact`. */
let inexact: bool = false;
function increments(precision: i32): bool {
  let guard: bool;
  let sticky: bool;
  let odd: bool;
  if (precision == 64) {
    guard = R.low >> 63 != 0;
    sticky = R.low << 1 != 0;
    odd = (R.high & 1) != 0;
  } else {
    const half: u64 = u64(1) << (63 - precision);
    guard = (R.high & half) != 0;
    sticky = ((R.high & (half - 1)) | R.low) != 0;
    odd = (R.high & (half << 1)) != 0;
  }
  inexact = guard || sticky;
  if (!inexact) return false;
  if (Env.rounding == ROUND_NEAREST) return guard && (sticky || odd);
  if (Env.rounding == ROUND_DOWN) return R.sign != 0;
  if (Env.rounding == ROUND_UP) return R.sign == 0;
  return false;
}

function unitInLastPlace(precision: i32): u64 {
  return u64(1) << (64 - precision);
}

/** Cuts R at `precision` bits; true if it was rounded away from zero. */
function cut(precision: i32): bool {
  const up = increments(precision);
  const unit = unitInLastPlace(precision);
  const wasNormal = R.high >> 63 != 0;
  R.high &= ~(unit - 1);
  R.low = 0;
  if (up) {
    R.high += unit;
    if (wasNormal && R.high >> 63 == 0) {
      R.high = TOP_BIT;
      R.exponent++;
    }
  }
  return up;
}

/** Exponent adjustment of an unmasked over- or underflow: what x87 registers then hold (SDM 1, 8.5.4), other destinations stay unwritten. */
const WRAP: i32 = 24576;

/**
 * Rounds a finite, normalised R to `precision` significant bits with exponents least..greatest. Tininess is detected
 * after rounding, as x86 does (SDM 1, 4.9.1.5).
 */
export function roundResult(precision: i32, least: i32, greatest: i32): void {
  Env.roundedUp = false;
  if (R.kind != KIND_FINITE) return;
  let tiny = R.exponent < least;
  if (tiny && R.exponent == least - 1 && increments(precision)) {
    tiny = R.high + unitInLastPlace(precision) >= TOP_BIT; // no carry: still below the least normal number
  }
  if (tiny && !(Env.masks & FLAG_UNDERFLOW)) {
    raise(FLAG_UNDERFLOW);
    R.exponent += WRAP;
    if (R.exponent < least) {
      raise(FLAG_INEXACT); // FSCALE can go that far
      setResult(KIND_ZERO, R.sign);
      return;
    }
    Env.roundedUp = cut(precision);
    if (inexact) raise(FLAG_INEXACT);
    return;
  }
  if (R.exponent < least) {
    if (tiny && Env.ftz) {
      raise(FLAG_UNDERFLOW | FLAG_INEXACT);
      setResult(KIND_ZERO, R.sign);
      return;
    }
    shiftRightJam(least - R.exponent);
    R.exponent = least;
  }
  Env.roundedUp = cut(precision);
  if (inexact) raise(tiny ? FLAG_UNDERFLOW | FLAG_INEXACT : FLAG_INEXACT);
  if (R.high == 0) {
    setResult(KIND_ZERO, R.sign);
    return;
  }
  if (R.exponent <= greatest) return;
  if (!(Env.masks & FLAG_OVERFLOW)) {
    raise(FLAG_OVERFLOW);
    R.exponent -= WRAP;
    if (R.exponent <= greatest) return;
    raise(FLAG_INEXACT);
    Env.roundedUp = true;
    setResult(KIND_INFINITY, R.sign);
    return;
  }
  raise(FLAG_OVERFLOW | FLAG_INEXACT);
  const toInfinity =
    Env.rounding == ROUND_NEAREST ||
    (Env.rounding == ROUND_UP && R.sign == 0) ||
    (Env.rounding == ROUND_DOWN && R.sign != 0);
  Env.roundedUp = toInfinity;
  if (toInfinity) {
    setResult(KIND_INFINITY, R.sign);
  } else {
    R.exponent = greatest;
    R.high = ~(unitInLastPlace(precision) - 1);
  }
}
