/** What SSE4 has beyond lane operations: rounding, dot products (softfloat), string compares, CRC32. */
import { FP_RESULT, INTEGER_RESULT } from '../cpu/layout';
import { RFLAGS_CF as CF, RFLAGS_OF as OF, RFLAGS_SF as SF, RFLAGS_ZF as ZF } from '../cpu/control-bits';
import { FLAG_INEXACT, FLAG_INVALID, FP_ADD, FP_MUL, ROUND_DOWN, ROUND_NEAREST, ROUND_UP } from './softfloat-codes';
import { Env, raise } from './softfloat';
import { endStep, enterSse, leaveSse, sseLane } from './softfloat-sse';

/** Immediate of ROUNDPS: RC in bits 1:0, bit 2 takes MXCSR.RC instead, bit 3 keeps PE (SDM 2B ROUNDPD). */
const USE_MXCSR = 4;
const NO_INEXACT = 8;

@inline function integral64(mode: i32, value: f64): f64 {
  if (mode == ROUND_NEAREST) return nearest<f64>(value);
  if (mode == ROUND_DOWN) return floor<f64>(value);
  return mode == ROUND_UP ? ceil<f64>(value) : trunc<f64>(value);
}

/** Integral value of a binary64 (8) or binary32 (4), as bits. A binary32 is widened, which loses nothing. */
function integral(size: i32, immediate: i32, bits: u64): u64 {
  const exponent: u64 = size == 8 ? 0x7ff0000000000000 : 0x7f800000;
  const quiet: u64 = size == 8 ? 0x8000000000000 : 0x400000;
  const sign: u64 = size == 8 ? 0x8000000000000000 : 0x80000000;
  const magnitude = bits & (sign - 1);
  if (magnitude > exponent) {
    if ((bits & quiet) == 0) raise(FLAG_INVALID);
    return bits | quiet;
  }
  if (Env.daz && magnitude < quiet << 1) return bits & sign;
  const mode = immediate & USE_MXCSR ? Env.rounding : immediate & 3;
  const value = size == 8 ? reinterpret<f64>(bits) : f64(reinterpret<f32>(u32(bits)));
  const result = integral64(mode, value);
  if (result != value && !(immediate & NO_INEXACT)) raise(FLAG_INEXACT);
  return size == 8 ? reinterpret<u64>(result) : u64(reinterpret<u32>(f32(result)));
}

/** ROUNDSS, ROUNDSD: as `sseScalar`. */
export function sseRound(size: i32, immediate: i32, value: u64): i32 {
  enterSse();
  store<u64>(FP_RESULT, integral(size, immediate, value));
  return leaveSse();
}

/** ROUNDPS, ROUNDPD: as `ssePacked`. */
export function sseRoundPacked(size: i32, immediate: i32, low: u64, high: u64): i32 {
  enterSse();
  store<u64>(FP_RESULT, low);
  store<u64>(FP_RESULT + 8, high);
  for (let at = FP_RESULT; at < FP_RESULT + 16; at += size) {
    if (size == 8) store<u64>(<usize>at, integral(8, immediate, load<u64>(<usize>at)));
    else store<u32>(<usize>at, u32(integral(4, immediate, load<u32>(<usize>at))));
  }
  return leaveSse();
}

@inline function putLane(size: i32, lane: i32, value: u64): void {
  if (size == 8) store<u64>(<usize>(FP_RESULT + lane * 8), value);
  else store<u32>(<usize>(FP_RESULT + lane * 4), u32(value));
}

/**
 * DPPS, DPPD: products of the lanes in imm[7:4], summed as (0 + 1) + (2 + 3), to the lanes in imm[3:0]. Each of
 * these steps has its exceptions; those of both halves of VDPPS are one step's.
 */
export function sseDot(size: i32, immediate: i32, aLow: u64, aHigh: u64, bLow: u64, bHigh: u64): i32 {
  enterSse();
  const lanes = 16 / size;
  const bits = <u64>size << 3;
  const mask: u64 = size == 8 ? u64.MAX_VALUE : u64(u32.MAX_VALUE);
  let sum: u64 = 0;
  let first: u64 = 0;
  for (let i = 0; i < lanes; i++) {
    const shift = size == 8 ? <u64>0 : <u64>(i & 1) * bits;
    const upper = i >= lanes >> 1;
    const product =
      (immediate >> (4 + i)) & 1
        ? sseLane(FP_MUL, size, ((upper ? aHigh : aLow) >> shift) & mask, ((upper ? bHigh : bLow) >> shift) & mask)
        : 0;
    putLane(size, i, product);
  }
  endStep(0);
  if (size == 8) sum = sseLane(FP_ADD, 8, load<u64>(FP_RESULT), load<u64>(FP_RESULT + 8));
  else {
    first = sseLane(FP_ADD, 4, load<u32>(FP_RESULT), load<u32>(FP_RESULT + 4));
    sum = sseLane(FP_ADD, 4, load<u32>(FP_RESULT + 8), load<u32>(FP_RESULT + 12));
    endStep(1);
    sum = sseLane(FP_ADD, 4, first, sum);
  }
  for (let i = 0; i < lanes; i++) {
    const value: u64 = (immediate >> i) & 1 ? sum : 0;
    putLane(size, i, value);
  }
  return leaveSse();
}

// ---- string compares (SDM 1, 12.11 and SDM 2B "Imm8 control byte operation")

/** The first operand of a string compare, for its elements one by one. */
const elements = memory.data(16);

/** Bits of imm[1:0]: elements are words, elements are signed. */
const WORDS = 1;
const SIGNED = 2;

/** A bit for each element that is equal. */
@inline function equal(a: v128, b: v128, format: i32): i32 {
  return format & WORDS ? i16x8.bitmask(i16x8.eq(a, b)) : i8x16.bitmask(i8x16.eq(a, b));
}
/** A bit for each element of `a` that is not below that of `b`. */
@inline function notBelow(a: v128, b: v128, format: i32): i32 {
  if (format & WORDS) return i16x8.bitmask(format & SIGNED ? i16x8.ge_s(a, b) : i16x8.ge_u(a, b));
  return i8x16.bitmask(format & SIGNED ? i8x16.ge_s(a, b) : i8x16.ge_u(a, b));
}
/** Element `i` of the first operand in every lane. */
@inline function everywhere(i: i32, format: i32): v128 {
  return format & WORDS ? v128.load_splat<u16>(elements + (<usize>i << 1)) : v128.load_splat<u8>(elements + <usize>i);
}

/** Elements before the first zero one. */
@inline function implicitLength(value: v128, count: i32, format: i32): i32 {
  return ctz(equal(value, i64x2.splat(0), format) | (1 << count));
}

const EQUAL_ANY = 0;
const RANGES = 1;
const EQUAL_EACH = 2;

/** IntRes1: a bit for each element of b. */
function aggregate(how: i32, format: i32, count: i32, a: v128, b: v128, lengthA: i32, lengthB: i32): i32 {
  const validB = (1 << lengthB) - 1;
  let result = 0;
  if (how == EQUAL_EACH) {
    const validA = (1 << lengthA) - 1;
    return (equal(a, b, format) & validA & validB) | (~(validA | validB) & ((1 << count) - 1));
  }
  v128.store(elements, a);
  if (how == EQUAL_ANY) {
    for (let i = 0; i < lengthA; i++) result |= equal(everywhere(i, format), b, format);
    return result & validB;
  }
  if (how == RANGES) {
    for (let i = 0; i + 1 < lengthA; i += 2)
      result |= notBelow(b, everywhere(i, format), format) & notBelow(everywhere(i + 1, format), b, format);
    return result & validB;
  }
  // Ordered: element i of a stands at j + i in b, or beyond the last element that there is room for.
  const beyond = ~0 << count;
  result = ~beyond;
  for (let i = 0; i < lengthA; i++) result &= ((equal(everywhere(i, format), b, format) & validB) | beyond) >> i;
  return result;
}

const NEGATIVE = 0x10;
const MASKED_NEGATIVE = 0x30;
const HIGH_END = 0x40;

/** IntRes2; flags at INTEGER_RESULT. Lengths below 0: up to the first zero element. */
function compareStrings(immediate: i32, aLow: u64, aHigh: u64, bLow: u64, bHigh: u64, la: i32, lb: i32): i32 {
  const a = i64x2.replace_lane(i64x2.splat(aLow), 1, aHigh);
  const b = i64x2.replace_lane(i64x2.splat(bLow), 1, bHigh);
  const format = immediate & 3;
  const count = format & WORDS ? 8 : 16;
  const lengthA = la < 0 ? implicitLength(a, count, format) : min(la, count);
  const lengthB = lb < 0 ? implicitLength(b, count, format) : min(lb, count);
  let result = aggregate((immediate >> 2) & 3, format, count, a, b, lengthA, lengthB);
  const polarity = immediate & MASKED_NEGATIVE;
  if (polarity == NEGATIVE) result ^= (1 << count) - 1;
  else if (polarity == MASKED_NEGATIVE) result ^= (1 << lengthB) - 1;
  let flags = result ? CF : 0;
  if (lengthB < count) flags |= ZF;
  if (lengthA < count) flags |= SF;
  if (result & 1) flags |= OF;
  store<u64>(INTEGER_RESULT, flags);
  return result;
}

/** PCMPxSTRI: the index of the lowest or highest bit, or the number of elements. */
export function compareStringsIndex(
  immediate: i32,
  aLow: u64,
  aHigh: u64,
  bLow: u64,
  bHigh: u64,
  la: i32,
  lb: i32,
): i32 {
  const result = compareStrings(immediate, aLow, aHigh, bLow, bHigh, la, lb);
  if (!result) return immediate & 1 ? 8 : 16;
  return immediate & HIGH_END ? 31 - clz(result) : ctz(result);
}

/** PCMPxSTRM: bits, or elements of all ones, at FP_RESULT. */
export function compareStringsMask(
  immediate: i32,
  aLow: u64,
  aHigh: u64,
  bLow: u64,
  bHigh: u64,
  la: i32,
  lb: i32,
): i32 {
  const result = compareStrings(immediate, aLow, aHigh, bLow, bHigh, la, lb);
  store<u64>(FP_RESULT, result);
  store<u64>(FP_RESULT + 8, 0);
  if (!(immediate & HIGH_END)) return 0;
  for (let i = 0; i < 16; i++) {
    const bit = immediate & 1 ? i >> 1 : i;
    store<u8>(<usize>FP_RESULT + <usize>i, (result >> bit) & 1 ? 0xff : 0);
  }
  return 0;
}

/** Remainders of the 4-bit values by the reflected CRC-32C polynomial 82F63B78h. */
const CRC: StaticArray<u32> = [
  0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
  0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
]; // prettier-ignore

/** CRC32: `bytes` of `value` into the accumulator. */
export function crc32c(crc: u32, value: u64, bytes: i32): u32 {
  let state = crc;
  let rest = value;
  for (let i = bytes << 1; i > 0; i--) {
    state = (state >> 4) ^ unchecked(CRC[(state ^ u32(rest)) & 15]);
    rest >>= 4;
  }
  return state;
}
