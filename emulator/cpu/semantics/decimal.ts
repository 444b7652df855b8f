/** BCD arithmetic (SDM 2A): AAA, AAS, AAM, AAD, DAA, DAS. Flags that the SDM leaves open are as on current processors. */
import type { Emitter, Semantic, Value } from '../emitter.ts';
import { AF, CF, RAX, replaceFlags } from './operations.ts';

const DIVIDE_ERROR = 0;
const AH = 8;

const and = (e: Emitter, a: Value, mask: number): Value => e.op('i32.and', a, e.i32(mask));
const or = (e: Emitter, a: Value, b: Value): Value => e.op('i32.or', a, b);

/** AF of the flags so far, or a low digit above 9; 0 or 1. */
function lowDigitCarries(e: Emitter, al: Value, flags: Value): Value {
  const above9 = e.op('i32.gt_u', and(e, al, 15), e.i32(9));
  return e.let(or(e, above9, e.op('i32.ne', and(e, flags, AF), e.i32(0))));
}

/** SF, ZF and PF of AL, and the two carries (0 or 1). */
function setFlags(e: Emitter, al: Value, adjust: Value, carry: Value): void {
  e.setFlags('logic', 1, al);
  replaceFlags(e, AF | CF, e.let(or(e, e.op('i32.shl', adjust, e.i32(4)), carry)));
}

/** AAA, AAS: one unpacked digit; AX moves by 106h, which carries into AH. */
function unpacked(operation: 'i32.add' | 'i32.sub'): Semantic {
  return (e) => {
    const ax = e.let(e.gpr(RAX, 2));
    const carries = lowDigitCarries(e, ax, e.let(e.arithmeticFlags()));
    const adjusted = e.op(operation, ax, e.op('i32.mul', carries, e.i32(0x106)));
    const result = e.let(and(e, adjusted, 0xff0f));
    e.setGpr(RAX, 2, result);
    setFlags(e, e.let(and(e, adjusted, 0xff)), carries, carries);
  };
}

/** DAA, DAS: two packed digits. */
function packed(operation: 'i32.add' | 'i32.sub'): Semantic {
  return (e) => {
    const al = e.let(e.gpr(RAX, 1));
    const flags = e.let(e.arithmeticFlags());
    const low = lowDigitCarries(e, al, flags);
    const high = e.let(or(e, e.op('i32.gt_u', al, e.i32(0x99)), and(e, flags, CF)));
    const first = e.let(e.op(operation, al, e.op('i32.mul', low, e.i32(6))));
    const result = e.let(and(e, e.op(operation, first, e.op('i32.mul', high, e.i32(0x60))), 0xff));
    // DAS: a borrow of the low digit's adjustment counts as well.
    const carry = operation === 'i32.sub' ? e.let(or(e, high, e.op('i32.lt_s', first, e.i32(0)))) : high;
    e.setGpr(RAX, 1, result);
    setFlags(e, result, low, carry);
  };
}

export const decimal: Record<string, Semantic> = {
  aaa: unpacked('i32.add'),
  aas: unpacked('i32.sub'),
  daa: packed('i32.add'),
  das: packed('i32.sub'),

  aam: (e, form) => {
    const base = e.let(e.read(form.operands[0]!, 1));
    e.raiseIf(e.op('i32.eqz', base), DIVIDE_ERROR);
    const al = e.let(e.gpr(RAX, 1));
    const low = e.let(e.op('i32.rem_u', al, base));
    e.setGpr(RAX, 2, or(e, e.op('i32.shl', e.op('i32.div_u', al, base), e.i32(AH)), low));
    e.setFlags('logic', 1, low);
  },

  aad: (e, form) => {
    const base = e.let(e.read(form.operands[0]!, 1));
    const ax = e.let(e.gpr(RAX, 2));
    const high = e.op('i32.shr_u', ax, e.i32(AH));
    const result = e.let(and(e, e.op('i32.add', ax, e.op('i32.mul', high, base)), 0xff));
    e.setGpr(RAX, 2, result);
    e.setFlags('logic', 1, result);
  },
};
