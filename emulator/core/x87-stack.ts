/** The x87 register stack, its status word, and how every x87 operation begins and ends (SDM 1, 8.1 and 8.5). */
import { X87, X87_CW, X87_SW, X87_TAG, X87_TOP } from '../cpu/layout';
import { FLAG_INEXACT, FLAG_INVALID } from './softfloat-codes';
import { head80, significand80, unpack80 } from './softfloat-formats';
import { defaultNaN, Env, raise } from './softfloat';

// Status word (SDM 1, figure 8-4). TOP is kept apart.
export const SW_STACK_FAULT = 0x40;
export const SW_ERROR_SUMMARY = 0x80;
export const SW_C0 = 0x100;
export const SW_C1 = 0x200;
export const SW_C2 = 0x400;
export const SW_C3 = 0x4000;
export const SW_BUSY = 0x8000;
export const SW_CONDITION = SW_C0 | SW_C1 | SW_C2 | SW_C3;

/** Masks of the exceptions that are found before the operation: unmasked, they leave the destination alone. */
const PRE_COMPUTATION = 7;
const TAG_EMPTY = 3;

/** What the control word asks of the operation in progress. */
export class Fpu {
  /** Significant bits of results of add, subtract, multiply, divide and square root. */
  static precision: i32 = 64;
  /** The stack fault in progress: SW bits SF and C1. */
  static stackFault: i32 = 0;
}

/** Takes rounding, masks and precision from the control word and forgets the last operation's flags. */
export function begin(): void {
  const cw = load<u32>(X87_CW);
  Env.flags = 0;
  Env.rounding = (cw >> 10) & 3;
  Env.masks = cw & 0x3f;
  Env.daz = false;
  Env.ftz = false;
  Env.x87 = true;
  Env.roundedUp = false;
  const control = (cw >> 8) & 3;
  Fpu.precision = control == 0 ? 24 : control == 2 ? 53 : 64;
  Fpu.stackFault = 0;
}

/**
 * Makes the flags of the operation sticky and sets C1 (rounded up, or stack overflow). An unmasked exception waits in ES for the next
 * instruction that looks. False: the destination must not be written and nothing popped.
 */
export function commit(): bool {
  let flags = Env.flags;
  let unmasked = flags & ~Env.masks;
  if (unmasked & PRE_COMPUTATION) {
    flags &= PRE_COMPUTATION;
    unmasked &= PRE_COMPUTATION;
    Env.roundedUp = false;
  }
  let sw = load<u32>(X87_SW) & ~SW_C1;
  sw |= flags | Fpu.stackFault;
  if (Env.roundedUp && Fpu.stackFault == 0) sw |= SW_C1;
  if (unmasked) sw |= SW_ERROR_SUMMARY | SW_BUSY;
  store<u32>(X87_SW, sw);
  return (unmasked & PRE_COMPUTATION) == 0;
}

/** As `commit` for a result that goes to memory: an unmasked over- or underflow stores nothing either. */
export function commitStore(): bool {
  const unmasked = Env.flags & ~Env.masks & ~FLAG_INEXACT;
  if (unmasked == 0) return commit();
  Env.roundedUp = false;
  Env.flags &= ~FLAG_INEXACT;
  commit();
  return false;
}

/** Replaces the condition codes C0 C2 C3, and C1 as well. */
export function setConditions(bits: i32): void {
  store<u32>(X87_SW, (load<u32>(X87_SW) & ~SW_CONDITION) | bits);
}

/** C2 = 0, for a reduction that ends without a quotient. */
export function clearIncomplete(): void {
  store<u32>(X87_SW, load<u32>(X87_SW) & ~SW_C2);
}

export function physical(i: i32): i32 {
  return (load<u32>(X87_TOP) + i) & 7;
}

function slot(i: i32): usize {
  return <usize>X87 + ((<usize>physical(i)) << 4);
}

export function isEmpty(i: i32): bool {
  return ((load<u32>(X87_TAG) >> (physical(i) << 1)) & 3) == TAG_EMPTY;
}

export function setEmpty(i: i32): void {
  store<u32>(X87_TAG, load<u32>(X87_TAG) | (TAG_EMPTY << (physical(i) << 1)));
}

function setInUse(i: i32): void {
  store<u32>(X87_TAG, load<u32>(X87_TAG) & ~(TAG_EMPTY << (physical(i) << 1)));
}

/** Unpacks ST(i) into X. */
export function loadRegister(i: i32): void {
  const at = slot(i);
  unpack80(load<u64>(at), load<u16>(at, 8));
}

export function significandOf(i: i32): u64 {
  return load<u64>(slot(i));
}

/** Sign and exponent word of ST(i). */
export function headOf(i: i32): i32 {
  return load<u16>(slot(i), 8);
}

export function writeRegister(i: i32, significand: u64, head: i32): void {
  const at = slot(i);
  store<u64>(at, significand);
  store<u16>(at, head, 8);
  setInUse(i);
}

/** Puts the rounded R into ST(i). */
export function storeResult(i: i32): void {
  writeRegister(i, significand80(), head80());
}

export function moveTop(by: i32): void {
  store<u32>(X87_TOP, (load<u32>(X87_TOP) + by) & 7);
}

export function pop(): void {
  setEmpty(0);
  moveTop(1);
}

/** An empty register where a number is needed: invalid, with the default NaN for masked exceptions. */
export function underflow(): void {
  raise(FLAG_INVALID);
  Fpu.stackFault = SW_STACK_FAULT;
  defaultNaN();
}

/** A push onto a register in use. */
export function overflow(): void {
  Env.flags = FLAG_INVALID;
  Fpu.stackFault = SW_STACK_FAULT | SW_C1;
  defaultNaN();
}

/** Ends a load whose result in R is pushed. Only an unmasked invalid operation stops it; a denormal is loaded and reported. */
export function pushResult(): void {
  if (!isEmpty(-1)) overflow();
  commit();
  if (Env.flags & ~Env.masks & FLAG_INVALID) return;
  moveTop(-1);
  storeResult(0);
}
