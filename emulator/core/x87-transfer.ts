/** x87 loads, stores and moves (SDM 1, 8.3.3 and 8.3.4). Stores leave their bytes at FP_RESULT and answer whether to write them. */
import { FP_RESULT } from '../cpu/layout';
import { FLAG_DENORMAL, FLAG_INEXACT, FLAG_INVALID, ROUND_NEAREST, ROUND_UP, ROUND_ZERO } from './softfloat-codes';
import { head80, pack32, pack64, round32, round64, significand80 } from './softfloat-formats';
import { copyX, Env, KIND_QNAN, propagateX, R, raise, TOP_BIT, X } from './softfloat';
import { fromInteger, toInteger } from './softfloat-convert';
import {
  CONSTANT_0,
  CONSTANT_1,
  CONSTANT_L2E,
  CONSTANT_L2T,
  CONSTANT_LG2,
  CONSTANT_LN2,
  FORMAT_F32,
  FORMAT_I16,
  FORMAT_I32,
} from './x87-codes';
import {
  fastExchange,
  fastLoad,
  fastLoadRegister,
  fastPush,
  fastStore,
  fastStoreRegister,
  Stored,
} from './x87-fast';
import { unpackOperand } from './x87-operands';
import {
  begin,
  commit,
  commitStore,
  headOf,
  isEmpty,
  loadRegister,
  moveTop,
  overflow,
  pop,
  pushResult,
  setEmpty,
  significandOf,
  storeResult,
  underflow,
  writeRegister,
} from './x87-stack';

/** FLD m32, FLD m64, FILD. */
export function x87Load(format: i32, value: u64): void {
  if (fastLoad(format, value)) return;
  begin();
  unpackOperand(format, value);
  if (X.kind >= KIND_QNAN) {
    propagateX();
  } else {
    if (X.denormal) raise(FLAG_DENORMAL);
    copyX();
  }
  pushResult();
}

/** FLD m80: any bit pattern, no exception but stack overflow. */
export function x87Load80(significand: u64, head: i32): void {
  if (fastPush(significand, head)) return;
  begin();
  pushRaw(significand, head);
}

function pushRaw(significand: u64, head: i32): void {
  if (!isEmpty(-1)) overflow();
  const replaced = Env.flags != 0;
  if (!commit()) return;
  moveTop(-1);
  if (replaced) storeResult(0);
  else writeRegister(0, significand, head);
}

/** FLD ST(i). */
export function x87LoadRegister(i: i32): void {
  if (fastLoadRegister(i)) return;
  begin();
  if (isEmpty(i)) {
    underflow();
    if (!commit()) return;
    moveTop(-1);
    storeResult(0);
    return;
  }
  pushRaw(significandOf(i), headOf(i));
}

/** Constants are rounded from a longer one as RC says (SDM 1, 8.3.8). `even`: RC to nearest rounds it down. */
function constant(significand: u64, exponent: i32, nearestIsDown: bool): void {
  const up = Env.rounding == ROUND_UP || (Env.rounding == ROUND_NEAREST && !nearestIsDown);
  pushRaw(significand + u64(up), exponent + 16383);
}

export function x87Constant(which: i32): void {
  if (which == CONSTANT_1 && fastPush(TOP_BIT, 16383)) return;
  if (which == CONSTANT_0 && fastPush(0, 0)) return;
  begin();
  if (which == CONSTANT_1) pushRaw(TOP_BIT, 16383);
  else if (which == CONSTANT_0) pushRaw(0, 0);
  else if (which == CONSTANT_L2T) constant(0xd49a784bcd1b8afe, 1, true);
  else if (which == CONSTANT_L2E) constant(0xb8aa3b295c17f0bb, 0, false);
  else if (which == CONSTANT_LG2) constant(0x9a209a84fbcff798, -2, false);
  else if (which == CONSTANT_LN2) constant(0xb17217f7d1cf79ab, -1, false);
  else constant(0xc90fdaa22168c234, 1, false);
}

/** FST(P) m32 and m64. */
export function x87Store(format: i32, popping: i32): i32 {
  if (fastStore(format, popping)) {
    store<u64>(FP_RESULT, Stored.bits);
    return 1;
  }
  begin();
  if (isEmpty(0)) {
    underflow();
  } else {
    loadRegister(0);
    if (X.kind >= KIND_QNAN) propagateX();
    else copyX();
    if (format == FORMAT_F32) round32();
    else round64();
  }
  if (format == FORMAT_F32) store<u64>(FP_RESULT, pack32());
  else store<u64>(FP_RESULT, pack64());
  return endStore(popping);
}

function endStore(popping: i32): i32 {
  if (!commitStore()) return 0;
  if (popping) pop();
  return 1;
}

/** FSTP m80. */
export function x87Store80(): i32 {
  begin();
  if (isEmpty(0)) {
    underflow();
    store<u64>(FP_RESULT, significand80());
    store<u64>(FP_RESULT + 8, head80());
  } else {
    store<u64>(FP_RESULT, significandOf(0));
    store<u64>(FP_RESULT + 8, headOf(0));
  }
  return endStore(1);
}

/** FIST(P), and FISTTP with `truncate`. */
export function x87StoreInteger(format: i32, popping: i32, truncate: i32): i32 {
  begin();
  const bits = format == FORMAT_I16 ? 16 : format == FORMAT_I32 ? 32 : 64;
  if (isEmpty(0)) {
    underflow();
    store<u64>(FP_RESULT, i64.MIN_VALUE >> (64 - bits));
  } else {
    loadRegister(0);
    store<u64>(FP_RESULT, toInteger(bits, truncate ? ROUND_ZERO : Env.rounding));
  }
  return endStore(popping);
}

/** FST(P) ST(i): a copy of any bit pattern. */
export function x87StoreRegister(i: i32, popping: i32): void {
  if (fastStoreRegister(i, popping)) return;
  begin();
  underflow();
  if (!commit()) return;
  storeResult(i);
  if (popping) pop();
}

/** FSTPNCE, an undocumented FSTP ST(i) that does not mind an empty stack: then it only pops. */
export function x87StoreUnchecked(i: i32): void {
  begin();
  commit();
  if (!isEmpty(0)) writeRegister(i, significandOf(0), headOf(0));
  pop();
}

/** FXCH. */
export function x87Exchange(i: i32): void {
  if (fastExchange(i)) return;
  begin();
  const first = isEmpty(0);
  const second = isEmpty(i);
  if (first || second) underflow();
  if (!commit()) return;
  if (first) storeResult(0);
  if (second) storeResult(i);
  const significand = significandOf(0);
  const head = headOf(0);
  writeRegister(0, significandOf(i), headOf(i));
  writeRegister(i, significand, head);
}

/** FCMOVcc: an empty register is an error even if the condition does not hold. */
export function x87ConditionalMove(holds: i32, i: i32): void {
  begin();
  if (isEmpty(0) || isEmpty(i)) {
    underflow();
    if (commit()) storeResult(0);
  } else if (holds) {
    writeRegister(0, significandOf(i), headOf(i));
  }
}

/** FFREE, FFREEP. */
export function x87Free(i: i32, popping: i32): void {
  begin();
  commit();
  setEmpty(i);
  if (popping) pop();
}

/** FINCSTP, FDECSTP. */
export function x87Rotate(by: i32): void {
  begin();
  commit();
  moveTop(by);
}

/** FBLD: 18 packed decimal digits, sign in bit 79. */
export function x87LoadDecimal(low: u64, high: i32): void {
  begin();
  let value: u64 = 0;
  for (let shift = 4; shift >= 0; shift -= 4) value = value * 10 + u64((high >> shift) & 15);
  for (let shift = 60; shift >= 0; shift -= 4) value = value * 10 + ((low >> shift) & 15);
  fromInteger(value);
  R.sign = (high >> 15) & 1;
  pushResult();
}

const DECIMAL_LIMIT: i64 = 1000000000000000000;

/** FBSTP. */
export function x87StoreDecimal(): i32 {
  begin();
  let value: i64 = 0;
  let sign = 0;
  if (isEmpty(0)) {
    underflow();
  } else {
    loadRegister(0);
    sign = X.sign;
    value = toInteger(64, Env.rounding);
    if (value >= DECIMAL_LIMIT || value <= -DECIMAL_LIMIT) {
      Env.flags = (Env.flags & ~FLAG_INEXACT) | FLAG_INVALID;
      Env.roundedUp = false;
    }
  }
  if (Env.flags & FLAG_INVALID) {
    // Packed decimal indefinite.
    store<u64>(FP_RESULT, 0xc000000000000000);
    store<u64>(FP_RESULT + 8, 0xffff);
    return endStore(1);
  }
  let rest = u64(value < 0 ? -value : value);
  let low: u64 = 0;
  for (let shift = 0; shift < 64; shift += 4) {
    low |= (rest % 10) << shift;
    rest /= 10;
  }
  store<u64>(FP_RESULT, low);
  store<u64>(FP_RESULT + 8, (u64(sign) << 15) | (rest % 10) | ((rest / 10) << 4));
  return endStore(1);
}
