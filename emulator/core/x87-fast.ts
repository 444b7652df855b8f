/**
 * What x87 instructions do most of the time: registers in use hold normal numbers or zeros, all exceptions are masked, results are rounded to the nearest
 * number of 64 bits. Nothing is unpacked then. Each function answers whether it has done all that the instruction does; if not it has changed
 * nothing, and its caller goes the long way.
 */
import { X87, X87_CW, X87_SW, X87_TAG, X87_TOP } from '../cpu/layout';
import { FLAG_INEXACT, FP_ADD, FP_DIV, FP_MUL, FP_SUB } from './softfloat-codes';
import { TOP_BIT } from './softfloat';
import { divideWide, Wide } from './softfloat-wide';
import { multiplyHighUnsigned } from './int128';
import { FORMAT_F32, FORMAT_F64, FORMAT_I16, FORMAT_I32, POP, REVERSED } from './x87-codes';

const C1: u32 = 0x200;
const SIGN: u32 = 0x8000;
const BIAS: i32 = 16383;
/** Biased exponents of normal numbers are 1 to 0x7ffe. */
const NORMAL: u32 = 0x7ffe;
/** RC, PC and the masks of the control word, and what they are after FNINIT. */
const CONTROL: u32 = 0xf3f;
const USUAL: u32 = 0x33f;

/** A memory operand as a register would hold it. */
class Operand {
  static significand: u64 = 0;
  static head: u32 = 0;
}

@inline
function isUsual(): bool {
  return (load<u32>(X87_CW) & CONTROL) == USUAL;
}

@inline
function physical(i: i32): u32 {
  return (load<u32>(X87_TOP) + i) & 7;
}

@inline
function slot(register: u32): usize {
  return <usize>X87 + (<usize>register << 4);
}

@inline
function inUse(register: u32): bool {
  return ((load<u32>(X87_TAG) >> (register << 1)) & 3) == 0;
}

@inline
function isNormal(significand: u64, head: u32): bool {
  return (head & 0x7fff) - 1 < NORMAL && significand >> 63 != 0;
}

@inline
function isZero(significand: u64, head: u32): bool {
  return significand == 0 && (head & 0x7fff) == 0;
}

/** Replaces C1, and makes an inexact result sticky. */
@inline
function report(roundedUp: u32, inexact: bool): void {
  store<u32>(X87_SW, (load<u32>(X87_SW) & ~C1) | (roundedUp << 9) | (inexact ? FLAG_INEXACT : 0));
}

@inline
function put(at: usize, significand: u64, head: u32): void {
  store<u64>(at, significand);
  store<u16>(at, head, 8);
}

@inline
function popped(top: u32): void {
  store<u32>(X87_TAG, load<u32>(X87_TAG) | (3 << (top << 1)));
  store<u32>(X87_TOP, (top + 1) & 7);
}

/** Rounds a normalised high:low with a biased exponent into a register. */
@inline
function putRounded(at: usize, sign: u32, exponent: i32, high: u64, low: u64): bool {
  const up = (low >> 63) & (u64(low << 1 != 0) | (high & 1));
  let significand = high + up;
  let biased = exponent;
  if (significand < up) {
    significand = TOP_BIT;
    biased++;
  }
  // Tininess and overflow are for the long way.
  if (exponent < 1 || biased > <i32>NORMAL) return false;
  put(at, significand, sign | biased);
  report(<u32>up, low != 0);
  return true;
}

function add(at: usize, x: u64, hx: u32, y: u64, hy: u32): bool {
  const ex = <i32>(hx & 0x7fff);
  const ey = <i32>(hy & 0x7fff);
  const yIsLarger = ey > ex || (ey == ex && y > x);
  const large = yIsLarger ? y : x;
  const small = yIsLarger ? x : y;
  const sign = (yIsLarger ? hy : hx) & SIGN;
  let exponent = yIsLarger ? ey : ex;
  const distance = yIsLarger ? ey - ex : ex - ey;
  let high: u64 = 0;
  let low: u64 = 0;
  if (distance == 0) high = small;
  else if (distance < 64) {
    high = small >> distance;
    low = small << (64 - distance);
  } else if (distance == 64) low = small;
  else if (distance < 128) low = (small >> (distance - 64)) | u64(small << (128 - distance) != 0);
  else low = 1;
  if (((hx ^ hy) & SIGN) == 0) {
    high += large;
    if (high < large) {
      low = (high << 63) | (low >> 1) | (low & 1);
      high = (high >> 1) | TOP_BIT;
      exponent++;
    }
    return putRounded(at, sign, exponent, high, low);
  }
  high = large - high - u64(low != 0);
  low = 0 - low;
  if (high >> 63 == 0) {
    if (high == 0) {
      if (low == 0) {
        put(at, 0, 0);
        report(0, false);
        return true;
      }
      high = low;
      low = 0;
      exponent -= 64;
    }
    const shift = clz(high);
    if (shift != 0) {
      high = (high << shift) | (low >> (64 - shift));
      low <<= shift;
      exponent -= <i32>shift;
    }
  }
  return putRounded(at, sign, exponent, high, low);
}

function multiply(at: usize, x: u64, hx: u32, y: u64, hy: u32): bool {
  let exponent = <i32>(hx & 0x7fff) + <i32>(hy & 0x7fff) - BIAS + 1;
  let high = multiplyHighUnsigned(x, y);
  let low = x * y;
  if (high >> 63 == 0) {
    high = (high << 1) | (low >> 63);
    low <<= 1;
    exponent--;
  }
  return putRounded(at, (hx ^ hy) & SIGN, exponent, high, low);
}

function divide(at: usize, x: u64, hx: u32, y: u64, hy: u32): bool {
  const small = x < y;
  const exponent = <i32>(hx & 0x7fff) - <i32>(hy & 0x7fff) + BIAS - i32(small);
  const high = small ? divideWide(x, 0, y) : divideWide(x >> 1, x << 63, y);
  // The remainder against half of the divisor is all that rounding asks for.
  const rest = Wide.remainder;
  const half = y - rest;
  const low: u64 = rest == 0 ? 0 : rest < half ? 1 : rest == half ? TOP_BIT : TOP_BIT | 1;
  return putRounded(at, (hx ^ hy) & SIGN, exponent, high, low);
}

/** A zero among the operands. */
function withZero(op: i32, at: usize, x: u64, hx: u32, y: u64, hy: u32): bool {
  const xIsZero = isZero(x, hx);
  const yIsZero = isZero(y, hy);
  if (!(xIsZero || isNormal(x, hx)) || !(yIsZero || isNormal(y, hy))) return false;
  if (op == FP_ADD || op == FP_SUB) {
    const sign = op == FP_SUB ? hy ^ SIGN : hy;
    if (!xIsZero) put(at, x, hx);
    else if (!yIsZero) put(at, y, sign);
    else put(at, 0, hx & sign & SIGN);
  } else {
    if (op == FP_DIV && yIsZero) return false;
    put(at, 0, (hx ^ hy) & SIGN);
  }
  report(0, false);
  return true;
}

@inline
function operate(op: i32, at: usize, x: u64, hx: u32, y: u64, hy: u32): bool {
  if (!isNormal(x, hx) || !isNormal(y, hy)) return withZero(op, at, x, hx, y, hy);
  if (op == FP_MUL) return multiply(at, x, hx, y, hy);
  if (op == FP_ADD) return add(at, x, hx, y, hy);
  if (op == FP_SUB) return add(at, x, hx, y, hy ^ SIGN);
  return divide(at, x, hx, y, hy);
}

/** ST(destination) = ST(destination) op ST(source), as `x87Arithmetic`. */
@inline
export function fastArithmetic(op: i32, destination: i32, source: i32): bool {
  const to = physical(destination);
  const from = physical(source);
  if (!isUsual() || !inUse(to) || !inUse(from)) return false;
  const at = slot(to);
  const other = slot(from);
  const x = load<u64>(at);
  const hx = <u32>load<u16>(at, 8);
  const y = load<u64>(other);
  const hy = <u32>load<u16>(other, 8);
  const done = op & REVERSED ? operate(op & 7, at, y, hy, x, hx) : operate(op & 7, at, x, hx, y, hy);
  if (!done) return false;
  if (op & POP) popped(physical(0));
  return true;
}

/** Puts a memory operand into `Operand` if it is a normal number, a zero or an integer. */
function take(format: i32, value: u64): bool {
  if (format == FORMAT_F64) {
    const biased = <u32>(value >> 52) & 0x7ff;
    const sign = <u32>(value >> 63) << 15;
    if (biased - 1 >= 0x7fe) {
      Operand.significand = 0;
      Operand.head = sign;
      return value << 1 == 0;
    }
    Operand.significand = TOP_BIT | (value << 11);
    Operand.head = sign | (biased + (BIAS - 1023));
    return true;
  }
  if (format == FORMAT_F32) {
    const biased = <u32>(value >> 23) & 0xff;
    const sign = (<u32>(value >> 31) & 1) << 15;
    if (biased - 1 >= 0xfe) {
      Operand.significand = 0;
      Operand.head = sign;
      return <u32>value << 1 == 0;
    }
    Operand.significand = TOP_BIT | (value << 40);
    Operand.head = sign | (biased + (BIAS - 127));
    return true;
  }
  const integer = format == FORMAT_I16 ? i64(i16(value)) : format == FORMAT_I32 ? i64(i32(value)) : <i64>value;
  const magnitude: u64 = integer < 0 ? 0 - <u64>integer : <u64>integer;
  const shift = clz(magnitude);
  Operand.significand = magnitude << shift;
  Operand.head = magnitude == 0 ? 0 : (integer < 0 ? SIGN : 0) | (BIAS + 63 - <u32>shift);
  return true;
}

/** As `x87ArithmeticMemory`. */
@inline
export function fastArithmeticMemory(op: i32, format: i32, value: u64): bool {
  const top = physical(0);
  if (!isUsual() || !inUse(top) || !take(format, value)) return false;
  const at = slot(top);
  const x = load<u64>(at);
  const hx = <u32>load<u16>(at, 8);
  const y = Operand.significand;
  const hy = Operand.head;
  return op & REVERSED ? operate(op & 7, at, y, hy, x, hx) : operate(op & 7, at, x, hx, y, hy);
}

/** Pushes a value, if there is room. */
export function fastPush(significand: u64, head: u32): bool {
  const top = (load<u32>(X87_TOP) - 1) & 7;
  const tags = load<u32>(X87_TAG);
  const mask: u32 = 3 << (top << 1);
  if ((tags & mask) != mask) return false;
  store<u32>(X87_TOP, top);
  store<u32>(X87_TAG, tags & ~mask);
  put(slot(top), significand, head);
  report(0, false);
  return true;
}

/** As `x87Load`. */
@inline
export function fastLoad(format: i32, value: u64): bool {
  return take(format, value) && fastPush(Operand.significand, Operand.head);
}

/** As `x87LoadRegister`. */
@inline
export function fastLoadRegister(i: i32): bool {
  const from = physical(i);
  const at = slot(from);
  return inUse(from) && fastPush(load<u64>(at), load<u16>(at, 8));
}

/** As `x87StoreRegister`. */
@inline
export function fastStoreRegister(i: i32, popping: i32): bool {
  const top = physical(0);
  if (!inUse(top)) return false;
  const at = slot(top);
  const to = physical(i);
  put(slot(to), load<u64>(at), load<u16>(at, 8));
  store<u32>(X87_TAG, load<u32>(X87_TAG) & ~(3 << (to << 1)));
  if (popping) popped(top);
  report(0, false);
  return true;
}

/** As `x87Exchange`. */
@inline
export function fastExchange(i: i32): bool {
  const first = physical(0);
  const second = physical(i);
  if (!inUse(first) || !inUse(second)) return false;
  const one = slot(first);
  const other = slot(second);
  const significand = load<u64>(one);
  const head = <u32>load<u16>(one, 8);
  put(one, load<u64>(other), load<u16>(other, 8));
  put(other, significand, head);
  report(0, false);
  return true;
}

/** FCHS and FABS. */
@inline
export function fastSign(changes: bool): bool {
  const top = physical(0);
  if (!inUse(top)) return false;
  const at = slot(top);
  const head = <u32>load<u16>(at, 8);
  store<u16>(at, changes ? head ^ SIGN : head & ~SIGN, 8);
  report(0, false);
  return true;
}

export const NOT_COMPARED: i32 = -1;

/** Order of two numbers as ZF PF CF in RFLAGS positions, or NOT_COMPARED unless both are normal or zero. */
@inline
function order(x: u64, hx: u32, y: u64, hy: u32): i32 {
  if (!(isNormal(x, hx) || isZero(x, hx)) || !(isNormal(y, hy) || isZero(y, hy))) return NOT_COMPARED;
  if ((x | y) == 0) return 0x40;
  const negative = (hx & SIGN) != 0;
  if (((hx ^ hy) & SIGN) != 0) return i32(negative);
  if (x == y && hx == hy) return 0x40;
  const less = hx == hy ? x < y : hx < hy;
  return i32(less != negative);
}

/** ST(0) with ST(i). */
@inline
export function fastCompare(i: i32): i32 {
  const top = physical(0);
  const from = physical(i);
  if (!inUse(top) || !inUse(from)) return NOT_COMPARED;
  const at = slot(top);
  const other = slot(from);
  return order(load<u64>(at), load<u16>(at, 8), load<u64>(other), load<u16>(other, 8));
}

/** ST(0) with memory. */
@inline
export function fastCompareMemory(format: i32, value: u64): i32 {
  const top = physical(0);
  if (!inUse(top) || !take(format, value)) return NOT_COMPARED;
  const at = slot(top);
  return order(load<u64>(at), load<u16>(at, 8), Operand.significand, Operand.head);
}

/** Condition codes C3 and C0 of a comparison, or ZF and CF for it, with C1 cleared; then pops. */
@inline
export function endCompare(flags: i32, conditions: bool, pops: i32): i32 {
  let sw = load<u32>(X87_SW) & ~C1;
  // ZF is bit 6 and C3 bit 14, CF is bit 0 and C0 bit 8; C2 is for the unordered.
  if (conditions) sw = (sw & ~0x4500) | (flags << 8);
  store<u32>(X87_SW, sw);
  for (let i = 0; i < pops; i++) popped(physical(0));
  return flags;
}

/** Where a stored number goes. */
export class Stored {
  static bits: u64 = 0;
}

/** ST(0) as a binary32 or binary64 in `Stored`; then pops if asked to. */
export function fastStore(format: i32, popping: i32): bool {
  const top = physical(0);
  if (!isUsual() || !inUse(top)) return false;
  const at = slot(top);
  const x = load<u64>(at);
  const hx = <u32>load<u16>(at, 8);
  if (!isNormal(x, hx)) {
    if (!isZero(x, hx)) return false;
    Stored.bits = format == FORMAT_F32 ? u64(hx) << 16 : u64(hx) << 48;
    report(0, false);
  } else {
    const dropped: u64 = format == FORMAT_F32 ? 40 : 11;
    const exponent = <i32>(hx & 0x7fff) - BIAS + (format == FORMAT_F32 ? 127 : 1023);
    const unit: u64 = (<u64>1) << dropped;
    const rest = x & (unit - 1);
    const half = unit >> 1;
    const up = u64(rest > half || (rest == half && (x & unit) != 0));
    // A carry out of the fraction goes to the exponent, as it should.
    const bits = (((<u64>exponent) << (63 - dropped)) | ((x << 1) >> (dropped + 1))) + up;
    const special: u64 = format == FORMAT_F32 ? 0xff : 0x7ff;
    if (exponent < 1 || <u64>exponent >= special || bits >> (63 - dropped) >= special) return false;
    Stored.bits = bits | (u64(hx >> 15) << (format == FORMAT_F32 ? 31 : 63));
    report(<u32>up, rest != 0);
  }
  if (popping) popped(top);
  return true;
}
