/** x87 comparison and classification (SDM 1, 8.3.6). */
import { compare, EQUAL, LESS, UNORDERED } from './softfloat-convert';
import { KIND_FINITE, KIND_INFINITY, KIND_UNSUPPORTED, KIND_ZERO, moveToSecond, X } from './softfloat';
import { endCompare, fastCompare, fastCompareMemory, NOT_COMPARED } from './x87-fast';
import { unpackOperand } from './x87-operands';
import {
  begin,
  commit,
  headOf,
  isEmpty,
  loadRegister,
  pop,
  setConditions,
  SW_C0,
  SW_C1,
  SW_C2,
  SW_C3,
  underflow,
} from './x87-stack';

/** C3 C2 C0 for an order. */
function conditions(order: i32): i32 {
  if (order == UNORDERED) return SW_C3 | SW_C2 | SW_C0;
  if (order == LESS) return SW_C0;
  return order == EQUAL ? SW_C3 : 0;
}

/** Whether the last comparison may pop: not with an unmasked exception. The codes are set all the same. */
let mayPop: bool = false;
function finish(order: i32): i32 {
  mayPop = commit();
  return order;
}

function compareRegisters(i: i32, signalling: i32): i32 {
  begin();
  if (isEmpty(0) || isEmpty(i)) {
    underflow();
    return finish(UNORDERED);
  }
  loadRegister(i);
  moveToSecond();
  loadRegister(0);
  return finish(compare(signalling != 0));
}

function report(order: i32, pops: i32): void {
  // C1 stays as the stack fault left it: 0.
  setConditions(conditions(order));
  if (!mayPop) return;
  for (let i = 0; i < pops; i++) pop();
}

/** FCOM, FUCOM and their popping forms. */
export function x87Compare(i: i32, signalling: i32, pops: i32): void {
  const order = fastCompare(i);
  if (order != NOT_COMPARED) endCompare(order, true, pops);
  else report(compareRegisters(i, signalling), pops);
}

/** FCOM(P) and FICOM(P) with memory. */
export function x87CompareMemory(format: i32, value: u64, pops: i32): void {
  const known = fastCompareMemory(format, value);
  if (known != NOT_COMPARED) {
    endCompare(known, true, pops);
    return;
  }
  begin();
  let order: i32;
  if (isEmpty(0)) {
    underflow();
    order = finish(UNORDERED);
  } else {
    unpackOperand(format, value);
    moveToSecond();
    loadRegister(0);
    order = finish(compare(true));
  }
  report(order, pops);
}

/** FTST: with +0. */
export function x87Test(): void {
  x87CompareMemory(0, 0, 0);
}

/** FCOMI, FUCOMI: ZF PF CF in their RFLAGS positions. */
export function x87CompareFlags(i: i32, signalling: i32, pops: i32): i32 {
  const known = fastCompare(i);
  if (known != NOT_COMPARED) return endCompare(known, false, pops);
  const order = compareRegisters(i, signalling);
  if (mayPop && pops) pop();
  return order == UNORDERED ? 0x45 : order == LESS ? 1 : order == EQUAL ? 0x40 : 0;
}

/** FXAM (SDM 2A, table 3-40). */
export function x87Examine(): void {
  begin();
  let bits = headOf(0) & 0x8000 ? SW_C1 : 0;
  if (isEmpty(0)) {
    setConditions(bits | SW_C3 | SW_C0);
    return;
  }
  loadRegister(0);
  if (X.kind == KIND_ZERO) bits |= SW_C3;
  else if (X.kind == KIND_FINITE) bits |= X.denormal ? SW_C3 | SW_C2 : SW_C2;
  else if (X.kind == KIND_INFINITY) bits |= SW_C2 | SW_C0;
  else if (X.kind != KIND_UNSUPPORTED) bits |= SW_C0;
  setConditions(bits);
}
