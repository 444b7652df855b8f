/** DIV and IDIV (SDM 2A). #DE for a divisor of 0 and for a quotient that does not fit. The arithmetic flags are left as they are. */
import type { Emitter, Semantic, Size, Value } from '../emitter.ts';
import { INTEGER_RESULT } from '../layout.ts';
import { fromI64, isZero, RAX, RDX, sizeOf, toI64, toSignedI64 } from './operations.ts';

const DIVIDE_ERROR = 0;

/** The dividend of an 8-, 16- or 32-bit division: AX, DX:AX or EDX:EAX as an i64, extended from twice the operand size. */
function dividend(e: Emitter, size: 1 | 2 | 4, isSigned: boolean): Value {
  if (size === 1) return isSigned ? toSignedI64(e, 2, e.gpr(RAX, 2)) : toI64(e, 2, e.gpr(RAX, 2));
  const high = isSigned ? toSignedI64(e, size, e.gpr(RDX, size)) : toI64(e, size, e.gpr(RDX, size));
  return e.op('i64.or', e.op('i64.shl', high, e.i64(size * 8)), toI64(e, size, e.gpr(RAX, size)));
}

/** Quotient to the accumulator, remainder to AH or rDX. */
function writeResult(e: Emitter, size: Size, quotient: Value, remainder: Value): void {
  const low = fromI64(e, size, quotient);
  const rest = fromI64(e, size, remainder);
  if (size === 1) {
    e.setGpr(RAX, 2, e.op('i32.or', low, e.op('i32.shl', rest, e.i32(8))));
    return;
  }
  e.setGpr(RAX, size, low);
  e.setGpr(RDX, size, rest);
}

/** 8 to 32 bits: a 64-bit division holds everything. */
function narrow(e: Emitter, size: 1 | 2 | 4, divisor: Value, isSigned: boolean): void {
  const a = e.let(dividend(e, size, isSigned));
  const b = e.let(isSigned ? toSignedI64(e, size, divisor) : toI64(e, size, divisor));
  if (isSigned && size === 4) {
    // The one 64-bit quotient that overflows traps in WebAssembly.
    const smallest = e.op('i64.eq', a, e.i64(-(1n << 63n)));
    e.raiseIf(e.op('i32.and', smallest, e.op('i64.eq', b, e.i64(-1))), DIVIDE_ERROR);
  }
  const sign = isSigned ? 's' : 'u';
  const quotient = e.let(e.op(`i64.div_${sign}`, a, b));
  if (isSigned) {
    const shift = e.i64(64 - size * 8);
    const sameAfter = e.op('i64.shr_s', e.op('i64.shl', quotient, shift), shift);
    e.raiseIf(e.op('i64.ne', sameAfter, quotient), DIVIDE_ERROR);
  } else {
    e.raiseIf(e.op('i64.ne', e.op('i64.shr_u', quotient, e.i64(size * 8)), e.i64(0)), DIVIDE_ERROR);
  }
  const remainder = e.let(e.op(`i64.rem_${sign}`, a, b));
  writeResult(e, size, quotient, remainder);
}

/** 64 bits: by one WebAssembly division where the high half only extends the low one, else in the core. */
function full(e: Emitter, divisor: Value, isSigned: boolean): void {
  const low = e.let(e.gpr(RAX, 8));
  const high = e.let(e.gpr(RDX, 8));
  const sign = isSigned ? 's' : 'u';
  const name = isSigned ? 'Signed' : 'Unsigned';
  let easy = e.op('i64.eq', high, isSigned ? e.op('i64.shr_s', low, e.i64(63)) : e.i64(0));
  // -2^63 / -1 overflows: the core finds that out.
  if (isSigned) easy = e.op('i32.and', easy, e.op('i64.ne', divisor, e.i64(-1)));
  const quotient = e.variable('i64');
  const remainder = e.variable('i64');
  e.if(
    easy,
    () => {
      e.set(quotient, e.op(`i64.div_${sign}`, low, divisor));
      e.set(remainder, e.op(`i64.rem_${sign}`, low, divisor));
    },
    () => {
      const overflows = isSigned
        ? e.call('divideSignedOverflows', high, low, divisor)
        : e.call('divideUnsignedOverflows', high, divisor);
      e.raiseIf(overflows, DIVIDE_ERROR);
      e.set(quotient, e.call(`divide${name}`, high, low, divisor));
      e.set(remainder, e.loadState(INTEGER_RESULT, 8));
    },
  );
  writeResult(e, 8, e.get(quotient), e.get(remainder));
}

function division(isSigned: boolean): Semantic {
  return (e, form) => {
    const size = sizeOf(form);
    const divisor = e.let(e.read(form.operands[0]!, size));
    e.raiseIf(isZero(e, size, divisor), DIVIDE_ERROR);
    if (size === 8) full(e, divisor, isSigned);
    else narrow(e, size, divisor, isSigned);
  };
}

export const divisions: Record<string, Semantic> = {
  div: division(false),
  idiv: division(true),
};
