/** x87 arithmetic on the stack (SDM 1, 8.3.5 to 8.3.7 without the transcendental functions). */
import { add, divide, multiply, squareRoot } from './softfloat-arithmetic';
import { FLAG_DENORMAL, FLAG_ZERO_DIVIDE, FP_ADD, FP_DIV, FP_MUL, FP_SUB } from './softfloat-codes';
import { fromInteger, roundToIntegral } from './softfloat-convert';
import { round80 } from './softfloat-formats';
import {
  copyX,
  invalid,
  KIND_FINITE,
  KIND_INFINITY,
  KIND_QNAN,
  KIND_ZERO,
  moveToSecond,
  normalise,
  noteDenormals,
  propagateNaN,
  propagateX,
  R,
  raise,
  setResult,
  X,
  Y,
} from './softfloat';
import {
  POP,
  REVERSED,
  UNARY_ABS,
  UNARY_CHS,
  UNARY_EXTRACT,
  UNARY_PREM,
  UNARY_PREM1,
  UNARY_RNDINT,
  UNARY_SCALE,
  UNARY_SQRT,
} from './x87-codes';
import { fastArithmetic, fastArithmeticMemory, fastSign } from './x87-fast';
import { unpackOperand } from './x87-operands';
import {
  begin,
  commit,
  Fpu,
  headOf,
  isEmpty,
  loadRegister,
  moveTop,
  overflow,
  pop,
  clearIncomplete,
  setConditions,
  significandOf,
  storeResult,
  SW_C0,
  SW_C1,
  SW_C2,
  SW_C3,
  underflow,
  writeRegister,
} from './x87-stack';

function operate(op: i32): void {
  if (op == FP_ADD) add(false);
  else if (op == FP_SUB) add(true);
  else if (op == FP_MUL) multiply();
  else if (op == FP_DIV) divide();
  round80(Fpu.precision);
}

/** ST(destination) = ST(destination) op ST(source); op is FP_* + REVERSED + POP. */
export function x87Arithmetic(op: i32, destination: i32, source: i32): void {
  if (fastArithmetic(op, destination, source)) return;
  begin();
  if (isEmpty(destination) || isEmpty(source)) {
    underflow();
  } else {
    const reversed = (op & REVERSED) != 0;
    loadRegister(reversed ? destination : source);
    moveToSecond();
    loadRegister(reversed ? source : destination);
    operate(op & 7);
  }
  if (!commit()) return;
  storeResult(destination);
  if (op & POP) pop();
}

/** ST(0) = ST(0) op memory. */
export function x87ArithmeticMemory(op: i32, format: i32, value: u64): void {
  if (fastArithmeticMemory(op, format, value)) return;
  begin();
  if (isEmpty(0)) {
    underflow();
  } else if (op & REVERSED) {
    loadRegister(0);
    moveToSecond();
    unpackOperand(format, value);
    operate(op & 7);
  } else {
    unpackOperand(format, value);
    moveToSecond();
    loadRegister(0);
    operate(op & 7);
  }
  if (commit()) storeResult(0);
}

/** FCHS, FABS: the sign only, whatever the register holds. */
function changeSign(op: i32): void {
  if (fastSign(op == UNARY_CHS)) return;
  begin();
  underflow();
  if (commit()) storeResult(0);
}

function roundToInteger(): void {
  if (X.kind >= KIND_QNAN) {
    propagateX();
    return;
  }
  if (X.denormal) raise(FLAG_DENORMAL);
  roundToIntegral();
}

/** ST(0) * 2^trunc(ST(1)) with ST(0) in X and ST(1) in Y (SDM 2A FSCALE, table 3-31). */
function scale(): void {
  if (propagateNaN()) return;
  if (Y.kind == KIND_INFINITY) {
    if (X.kind == (Y.sign ? KIND_INFINITY : KIND_ZERO)) {
      invalid();
      return;
    }
    noteDenormals();
    setResult(Y.sign ? KIND_ZERO : KIND_INFINITY, X.sign);
    return;
  }
  noteDenormals();
  copyX();
  if (X.kind != KIND_FINITE || Y.kind == KIND_ZERO || Y.exponent < 0) {
    round80(64);
    return;
  }
  // Beyond 2^16 every scaling over- or underflows.
  const by = Y.exponent > 16 ? 0x20000 : i32(Y.significand >> (63 - Y.exponent));
  R.exponent += Y.sign ? -by : by;
  round80(64);
}

/** Low three bits of the last quotient, or -1 for an incomplete reduction. */
let quotient: i32 = 0;

/** X = X rem Y, reducing the exponent by less than 64 at a time (SDM 2A FPREM). */
function remainder(nearest: bool): void {
  quotient = 0;
  if (propagateNaN()) return;
  if (X.kind == KIND_INFINITY || Y.kind == KIND_ZERO) {
    invalid();
    return;
  }
  noteDenormals();
  copyX();
  let distance = X.exponent - Y.exponent;
  if (X.kind == KIND_ZERO || Y.kind == KIND_INFINITY || distance < -1 || (distance < 0 && !nearest)) {
    round80(64);
    return;
  }
  const partial = distance >= 64;
  const exponent = partial ? X.exponent - (distance & 31) - 32 : distance < 0 ? X.exponent : Y.exponent;
  if (partial) distance = (distance & 31) | 32;
  if (distance < 0) halfRemainder();
  else longDivision(distance, nearest && !partial);
  if (partial) quotient = -1;
  R.exponent = exponent;
  if (R.high == 0) setResult(KIND_ZERO, X.sign);
  else normalise();
  round80(64);
}

/** |X| between a quarter and one of |Y|: the nearest multiple is 0 or Y. */
function halfRemainder(): void {
  R.high = X.significand;
  if (X.significand > Y.significand) {
    R.high = (Y.significand << 1) - X.significand;
    R.sign ^= 1;
    quotient = 1;
  }
}

function longDivision(distance: i32, nearest: bool): void {
  let rest = X.significand;
  let q = 0;
  let carry = false;
  for (let i = distance; ; i--) {
    q <<= 1;
    if (carry || rest >= Y.significand) {
      rest -= Y.significand;
      q |= 1;
    }
    if (i == 0) break;
    carry = rest >> 63 != 0;
    rest <<= 1;
  }
  if (nearest) {
    const gap = Y.significand - rest;
    if (rest > gap || (rest == gap && (q & 1) != 0)) {
      rest = gap;
      R.sign ^= 1;
      q++;
    }
  }
  R.high = rest;
  quotient = q & 7;
}

/** ST(0) becomes the exponent, the significand is pushed (SDM 2A FXTRACT). */
function extract(): void {
  if (isEmpty(0) || !isEmpty(-1)) {
    if (isEmpty(0)) underflow();
    else overflow();
    if (!commit()) return;
    storeResult(0);
    moveTop(-1);
    storeResult(0);
    return;
  }
  loadRegister(0);
  const significand = significandOf(0);
  const head = headOf(0);
  if (X.kind >= KIND_QNAN) {
    propagateX();
    if (!commit()) return;
    storeResult(0);
    moveTop(-1);
    storeResult(0);
    return;
  }
  if (X.denormal) raise(FLAG_DENORMAL);
  if (X.kind == KIND_ZERO) {
    raise(FLAG_ZERO_DIVIDE);
    setResult(KIND_INFINITY, 1);
  } else if (X.kind == KIND_INFINITY) {
    setResult(KIND_INFINITY, 0);
  } else {
    fromInteger(X.exponent);
  }
  if (!commit()) return;
  storeResult(0);
  moveTop(-1);
  if (X.kind == KIND_FINITE) writeRegister(0, X.significand, (head & 0x8000) | 0x3fff);
  else writeRegister(0, significand, head);
}

/** Operations on ST(0), some with ST(1): UNARY_*. */
export function x87Unary(op: i32): void {
  if (op == UNARY_CHS || op == UNARY_ABS) {
    changeSign(op);
    return;
  }
  begin();
  if (op == UNARY_EXTRACT) {
    extract();
    return;
  }
  const binary = op >= UNARY_SCALE;
  quotient = 0;
  if (isEmpty(0) || (binary && isEmpty(1))) {
    underflow();
  } else {
    if (binary) {
      loadRegister(1);
      moveToSecond();
    }
    loadRegister(0);
    if (op == UNARY_SQRT) {
      squareRoot();
      round80(Fpu.precision);
    } else if (op == UNARY_RNDINT) roundToInteger();
    else if (op == UNARY_SCALE) scale();
    else if (op == UNARY_PREM) remainder(false);
    else if (op == UNARY_PREM1) remainder(true);
  }
  const written = commit();
  if (written) storeResult(0);
  if (op >= UNARY_PREM) reportQuotient(written);
}

/** C2: reduction incomplete; else C0 C3 C1 are bits 2 1 0 of the quotient. Without a quotient C0 and C3 stay. */
function reportQuotient(written: bool): void {
  if (!written || R.kind >= KIND_QNAN) {
    clearIncomplete();
    return;
  }
  if (quotient < 0) {
    setConditions(SW_C2);
    return;
  }
  let bits = 0;
  if (quotient & 4) bits |= SW_C0;
  if (quotient & 2) bits |= SW_C3;
  if (quotient & 1) bits |= SW_C1;
  setConditions(bits);
}
