/**
 * F2XM1, FYL2X, FYL2XP1, FPTAN, FPATAN, FSIN, FCOS, FSINCOS (SDM 1, 8.3.7 to 8.3.10).
 *
 * Results are computed to about 100 bits and rounded once, so they are almost always the correctly rounded ones; processors
 * promise only an error below one unit in the last place. Trigonometric arguments are reduced by the 66-bit pi of the
 * manual. Every result that is not exact raises inexact.
 */
import { FLAG_DENORMAL } from './softfloat-codes';
import { fromInteger } from './softfloat-convert';
import { round80 } from './softfloat-formats';
import { invalid, KIND_FINITE, KIND_INFINITY, KIND_QNAN, moveToSecond, propagateX, raise, X } from './softfloat';
import { angle, sineOrCosine, tangent } from './x87-angles';
import { FN_COS, FN_F2XM1, FN_PATAN, FN_PTAN, FN_SIN, FN_SINCOS, FN_YL2X } from './x87-codes';
import { logarithm, logarithmPlusOne, twoToXMinus1 } from './x87-logarithms';
import {
  begin, clearIncomplete, commit, isEmpty, loadRegister, moveTop, overflow, pop, setConditions, storeResult, SW_C2, underflow,
} from './x87-stack';

/** FSIN, FCOS, FPTAN, FSINCOS: C2 is set, and nothing done, if the argument is out of range. */
function trigonometricInstruction(which: i32): void {
  const pushes = which == FN_PTAN || which == FN_SINCOS;
  if (isEmpty(0)) underflow();
  else if (pushes && !isEmpty(-1)) overflow();
  else {
    loadRegister(0);
    if (X.kind == KIND_FINITE && X.exponent >= 63) {
      commit();
      setConditions(SW_C2);
      return;
    }
    clearIncomplete();
    evaluate(which, false);
    if (!commit()) return;
    storeResult(0);
    if (!pushes) return;
    pushSecond(which);
    return;
  }
  clearIncomplete();
  if (!commit()) return;
  storeResult(0);
  if (pushes) {
    moveTop(-1);
    storeResult(0);
  }
}

/** One value of the instruction into R, rounded. */
function evaluate(which: i32, second: bool): void {
  if (X.kind >= KIND_QNAN) {
    propagateX();
    return;
  }
  if (X.kind == KIND_INFINITY) {
    invalid();
    return;
  }
  if (X.denormal) raise(FLAG_DENORMAL);
  if (which == FN_PTAN) {
    if (second) fromInteger(1);
    else tangent();
  } else {
    sineOrCosine(which == FN_COS || second);
  }
  round80(64);
}

/** FPTAN pushes 1, FSINCOS the cosine. X still holds the argument. */
function pushSecond(which: i32): void {
  evaluate(which, true);
  commit();
  moveTop(-1);
  storeResult(0);
}

/** The instructions of two operands: the result replaces ST(1), and ST(0) is popped. */
function binaryInstruction(which: i32): void {
  if (isEmpty(0) || isEmpty(1)) {
    underflow();
  } else {
    loadRegister(1);
    moveToSecond();
    loadRegister(0);
    if (which == FN_PATAN) angle();
    else if (which == FN_YL2X) logarithm();
    else logarithmPlusOne();
    round80(64);
  }
  if (!commit()) return;
  storeResult(1);
  pop();
}

/** One of FN_*. */
export function x87Transcendental(which: i32): void {
  begin();
  if (which == FN_F2XM1) {
    if (isEmpty(0)) underflow();
    else {
      loadRegister(0);
      twoToXMinus1();
      round80(64);
    }
    if (commit()) storeResult(0);
  } else if (which == FN_SIN || which == FN_COS || which == FN_PTAN || which == FN_SINCOS) {
    trigonometricInstruction(which);
  } else {
    binaryInstruction(which);
  }
}
