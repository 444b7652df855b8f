/**
 * SSE and SSE2 arithmetic with every flag right: the slow path behind the native operations of
 * cpu/semantics/sse-*.ts. Each export returns 0, or 1 after filling FAULT_* for an unmasked exception; the result
 * is at FP_RESULT.
 */
import { CR4, FAULT_ERROR, FAULT_KIND, FAULT_VECTOR, FP_RESULT, MXCSR } from '../cpu/layout';
import { FAULT_EXCEPTION } from '../cpu/codes';
import { add, divide, multiply, squareRoot } from './softfloat-arithmetic';
import {
  CVT_F32_F64,
  CVT_F32_I32,
  CVT_F32_I64,
  CVT_F64_F32,
  CVT_F64_I32,
  CVT_F64_I64,
  CVT_I32_F32,
  CVT_I64_F32,
  CVT_I64_F64,
  CVT_TRUNCATE,
  FLAG_DENORMAL,
  FLAG_INVALID,
  FP_ADD,
  FP_ADDSUB,
  FP_COMPARE,
  FP_DIV,
  FP_MAX,
  FP_MIN,
  FP_MUL,
  FP_SQRT,
  FP_SUB,
  PREDICATE_OUTCOMES_HIGH,
  PREDICATE_OUTCOMES_LOW,
  SIGNALLING_PREDICATES,
  MXCSR_DAZ,
  MXCSR_FTZ,
  ROUND_NEAREST,
  ROUND_ZERO,
} from './softfloat-codes';
import { compare, EQUAL, fromInteger, GREATER, LESS, toInteger, UNORDERED } from './softfloat-convert';
import { Fast, fast32, fast64 } from './softfloat-fast';
import { pack32, pack64, round32, round64, unpack32, unpack64 } from './softfloat-formats';
import { Env, KIND_QNAN, KIND_ZERO, copyX, moveToSecond, propagateX, raise, X } from './softfloat';
import { CR4_OSXMMEXCPT } from '../cpu/control-bits';

const VECTOR_UD = 6;
const VECTOR_XM = 19;
/** Invalid, denormal, zero-divide: found before the operation. */
const PRE_COMPUTATION = 7;

/** Between `sseHold` and `sseRelease`: the flags of both halves of a 256-bit operation are collected before any exception is taken. */
let holding: bool = false;
let held: i32 = 0;
/** Flags of the steps before the last (`endStep`), FLAG_BITS for each. */
let earlier: i32 = 0;
const FLAG_BITS = 6;
const ALL_FLAGS = 0x3f;

/** The operations up to `sseRelease` are parts of one instruction. */
export function sseHold(): void {
  holding = true;
}

/** Ends what `sseHold` began: as the operations' own results, 0, or 1 with FAULT_* filled. */
export function sseRelease(): i32 {
  holding = false;
  Env.flags = held;
  held = 0;
  return leaveSse();
}

/** Begins an SSE operation under MXCSR. */
export function enterSse(): void {
  const mxcsr = load<u32>(MXCSR);
  Env.flags = 0;
  Env.rounding = (mxcsr >> 13) & 3;
  Env.masks = (mxcsr >> 7) & 0x3f;
  Env.daz = (mxcsr & MXCSR_DAZ) != 0;
  Env.ftz = (mxcsr & MXCSR_FTZ) != 0;
  Env.x87 = false;
}

/** Ends a step of an operation that has several: an unmasked exception in it hides the later ones (SDM 2A DPPS). */
export function endStep(step: i32): void {
  earlier |= Env.flags << (step * FLAG_BITS);
  Env.flags = 0;
}

/** Makes the flags sticky and raises #XM (SDM 1, 11.5.2). */
export function leaveSse(): i32 {
  if (holding) {
    held |= Env.flags;
    return 0;
  }
  while (earlier != 0) {
    const flags = earlier & ALL_FLAGS;
    earlier >>= FLAG_BITS;
    if (takeFlags(flags)) {
      earlier = 0;
      return 1;
    }
  }
  return takeFlags(Env.flags);
}

/** The flags of a step. Unmasked pre-computation exceptions hide the later ones. */
function takeFlags(flags: i32): i32 {
  let unmasked = flags & ~Env.masks;
  if (unmasked & PRE_COMPUTATION) {
    flags &= PRE_COMPUTATION;
    unmasked &= PRE_COMPUTATION;
  }
  store<u32>(MXCSR, load<u32>(MXCSR) | flags);
  if (unmasked == 0) return 0;
  store<u32>(FAULT_KIND, FAULT_EXCEPTION);
  store<u32>(FAULT_VECTOR, load<u32>(CR4) & CR4_OSXMMEXCPT ? VECTOR_XM : VECTOR_UD);
  store<u32>(FAULT_ERROR, 0);
  return 1;
}

/** Unpacks a into X and b into Y. */
function operands(size: i32, a: u64, b: u64): void {
  if (size == 8) {
    unpack64(b);
    moveToSecond();
    unpack64(a);
  } else {
    unpack32(u32(b));
    moveToSecond();
    unpack32(u32(a));
  }
}

/** MINPS and MAXPS: the second operand unless the first is truly less or greater (SDM 2B). */
function minimum(op: i32, size: i32, a: u64, b: u64): u64 {
  operands(size, a, b);
  const order = compare(true);
  const first = order == (op == FP_MIN ? LESS : GREATER);
  const chosen = first ? a : b;
  if (!Env.daz) return chosen;
  if (size == 8) {
    unpack64(chosen);
    return X.kind == KIND_ZERO ? chosen & 0x8000000000000000 : chosen;
  }
  unpack32(u32(chosen));
  return X.kind == KIND_ZERO ? chosen & 0x80000000 : chosen;
}

/** A predicate of VCMPPS: all ones or 0. */
function comparison(predicate: i32, size: i32, a: u64, b: u64): u64 {
  operands(size, a, b);
  const order = compare(((<u32>SIGNALLING_PREDICATES >> <u32>predicate) & 1) != 0);
  const outcomes = predicate & 8 ? <u32>PREDICATE_OUTCOMES_HIGH : <u32>PREDICATE_OUTCOMES_LOW;
  const holds = ((outcomes >> <u32>((predicate & 7) * 4 + order)) & 1) != 0;
  return holds ? (size == 8 ? u64.MAX_VALUE : u64(u32.MAX_VALUE)) : 0;
}

/** FP_* on one lane, between `enterSse` and `leaveSse`. */
export function sseLane(op: i32, size: i32, a: u64, b: u64): u64 {
  if (op >= FP_COMPARE) return comparison(op - FP_COMPARE, size, a, b);
  if (op == FP_MIN || op == FP_MAX) return minimum(op, size, a, b);
  if (Env.rounding == ROUND_NEAREST) {
    if (size == 8 ? fast64(op, a, b) : fast32(op, u32(a), u32(b))) return Fast.result;
  }
  if (op == FP_SQRT) {
    operands(size, b, b);
    squareRoot();
  } else {
    operands(size, a, b);
    if (op == FP_ADD) add(false);
    else if (op == FP_SUB) add(true);
    else if (op == FP_MUL) multiply();
    else if (op == FP_DIV) divide();
  }
  if (size == 8) {
    round64();
    return pack64();
  }
  round32();
  return pack32();
}

/** One lane of FP_* on operands of `size` bytes. */
export function sseScalar(op: i32, size: i32, a: u64, b: u64): i32 {
  enterSse();
  store<u64>(FP_RESULT, sseLane(op, size, a, b));
  return leaveSse();
}

/** All lanes of FP_*, two 64-bit halves an operand. */
export function ssePacked(op: i32, size: i32, aLow: u64, aHigh: u64, bLow: u64, bHigh: u64): i32 {
  enterSse();
  const even = op == FP_ADDSUB ? FP_SUB : op;
  const odd = op == FP_ADDSUB ? FP_ADD : op;
  if (size == 8) {
    store<u64>(FP_RESULT, sseLane(even, 8, aLow, bLow));
    store<u64>(FP_RESULT + 8, sseLane(odd, 8, aHigh, bHigh));
  } else {
    store<u32>(FP_RESULT, u32(sseLane(even, 4, aLow & 0xffffffff, bLow & 0xffffffff)));
    store<u32>(FP_RESULT + 4, u32(sseLane(odd, 4, aLow >> 32, bLow >> 32)));
    store<u32>(FP_RESULT + 8, u32(sseLane(even, 4, aHigh & 0xffffffff, bHigh & 0xffffffff)));
    store<u32>(FP_RESULT + 12, u32(sseLane(odd, 4, aHigh >> 32, bHigh >> 32)));
  }
  return leaveSse();
}

/** COMISx (`signalling`) and UCOMISx: ZF PF CF in their RFLAGS positions at FP_RESULT. */
export function sseCompare(size: i32, signalling: i32, a: u64, b: u64): i32 {
  enterSse();
  operands(size, a, b);
  const order = compare(signalling != 0);
  store<u32>(FP_RESULT, order == UNORDERED ? 0x45 : order == LESS ? 1 : order == EQUAL ? 0x40 : 0);
  return leaveSse();
}

/** A conversion between float formats: NaN payloads are cut or extended at the low end. */
export function resize(): void {
  if (X.kind >= KIND_QNAN) {
    propagateX();
    return;
  }
  if (X.denormal) raise(FLAG_DENORMAL);
  copyX();
}

function convertLane(kind: i32, value: u64): u64 {
  const rounding = kind & CVT_TRUNCATE ? ROUND_ZERO : Env.rounding;
  switch (kind & ~CVT_TRUNCATE) {
    case CVT_F32_F64:
      unpack32(u32(value));
      resize();
      round64();
      return pack64();
    case CVT_F64_F32:
      unpack64(value);
      resize();
      round32();
      return pack32();
    case CVT_I32_F32:
      fromInteger(i64(i32(value)));
      round32();
      return pack32();
    case CVT_I64_F32:
      fromInteger(i64(value));
      round32();
      return pack32();
    case CVT_I64_F64:
      fromInteger(i64(value));
      round64();
      return pack64();
    case CVT_F32_I32:
      unpack32(u32(value));
      return u64(u32(toInteger(32, rounding)));
    case CVT_F32_I64:
      unpack32(u32(value));
      return toInteger(64, rounding);
    case CVT_F64_I32:
      unpack64(value);
      return u64(u32(toInteger(32, rounding)));
    case CVT_F64_I64:
      unpack64(value);
      return toInteger(64, rounding);
    default:
      raise(FLAG_INVALID);
      return 0;
  }
}

/** One lane of CVT_*. */
export function sseConvert(kind: i32, value: u64): i32 {
  enterSse();
  store<u64>(FP_RESULT, convertLane(kind, value));
  return leaveSse();
}

/** `lanes` lanes of CVT_*; 16 bytes at FP_RESULT, zero above the last lane. */
export function sseConvertPacked(kind: i32, lanes: i32, low: u64, high: u64): i32 {
  enterSse();
  const from = kind & ~CVT_TRUNCATE;
  const wideSource = from == CVT_F64_F32 || from == CVT_F64_I32;
  const wideResult = from == CVT_F32_F64;
  store<u64>(FP_RESULT, 0);
  store<u64>(FP_RESULT + 8, 0);
  for (let i = 0; i < lanes; i++) {
    const half = wideSource ? (i == 0 ? low : high) : i < 2 ? low : high;
    const value = wideSource ? half : (half >> ((i & 1) << 5)) & 0xffffffff;
    const result = convertLane(kind, value);
    if (wideResult) store<u64>(<usize>FP_RESULT + ((<usize>i) << 3), result);
    else store<u32>(<usize>FP_RESULT + ((<usize>i) << 2), u32(result));
  }
  return leaveSse();
}
