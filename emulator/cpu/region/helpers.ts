/**
 * Helpers of the core that translated code computes inline. They are the same arithmetic as core/flags.ts, core/integer.ts and core/int128.ts: as plain
 * WebAssembly the compiler can see that flags nobody looks at need no work, which it cannot see of a call.
 */
import { CC_ADD, CC_DEC, CC_INC, CC_LOGIC, CC_SAR, CC_SHL, CC_SHR, CC_SUB } from '../codes.ts';
import type { FlagKind, Value } from '../emitter.ts';
import type { Expression, ValueEmitter } from '../interpreter/values.ts';

const LOW = 0xffff_ffffn;

/** ZF, SF and PF of a zero-extended i64 of `size` bytes, in RFLAGS positions (i32). */
function resultFlags(e: ValueEmitter, result: Value, size: number): Value {
  const parity = e.op(
    'i32.and',
    e.op('i32.popcnt', e.op('i32.and', e.op('i32.wrap_i64', result), e.i32(0xff))),
    e.i32(1),
  );
  const even = e.op('i32.shl', e.op('i32.xor', parity, e.i32(1)), e.i32(2));
  const zero = e.op('i32.shl', e.op('i64.eqz', result), e.i32(6));
  return e.op('i32.or', e.op('i32.or', even, zero), bitAt(e, result, size * 8 - 1, 7));
}

/** Bit `from` of an i64, moved to bit `to` of an i32. */
function bitAt(e: ValueEmitter, value: Value, from: number, to: number): Value {
  const bit = e.op('i32.and', e.op('i32.wrap_i64', e.op('i64.shr_u', value, e.i64(from))), e.i32(1));
  return to === 0 ? bit : e.op('i32.shl', bit, e.i32(to));
}

function any(e: ValueEmitter, ...flags: Value[]): Value {
  return flags.reduce((all, flag) => e.op('i32.or', all, flag));
}

function truncated(e: ValueEmitter, value: Value, size: number): Value {
  return size === 8 ? value : e.op('i64.and', value, e.i64((1n << BigInt(size * 8)) - 1n));
}

const xor = (e: ValueEmitter, a: Value, b: Value): Value => e.op('i64.xor', a, b);
const and = (e: ValueEmitter, a: Value, b: Value): Value => e.op('i64.and', a, b);
const or = (e: ValueEmitter, a: Value, b: Value): Value => e.op('i64.or', a, b);
const not = (e: ValueEmitter, a: Value): Value => xor(e, a, e.i64(-1));

/** The six flags of a lazy state whose kind is known (i32); `a` and `b` are CC_A and CC_B. */
export function knownFlags(e: ValueEmitter, kind: FlagKind, size: number, a: Value, b: Value): Value {
  const top = size * 8 - 1;
  const sign = 1n << BigInt(top);
  switch (kind) {
    case 'flags':
      return e.op('i32.wrap_i64', a);
    case 'add':
    case 'sub': {
      const result = e.let(truncated(e, e.op(`i64.${kind}`, a, b), size));
      const carry = kind === 'add' ? e.op('i64.lt_u', result, a) : e.op('i64.lt_u', a, b);
      const signs = kind === 'add' ? not(e, xor(e, a, b)) : xor(e, a, b);
      const overflow = bitAt(e, and(e, signs, xor(e, a, result)), top, 11);
      const adjust = e.op('i32.and', e.op('i32.wrap_i64', xor(e, xor(e, a, b), result)), e.i32(16));
      return any(e, carry, adjust, resultFlags(e, result, size), overflow);
    }
    case 'logic':
      return resultFlags(e, a, size);
    case 'inc':
    case 'dec': {
      const overflow = e.op('i64.eq', a, e.i64(kind === 'inc' ? sign : sign - 1n));
      const adjust = e.op('i64.eq', and(e, a, e.i64(15)), e.i64(kind === 'inc' ? 0 : 15));
      const carry = e.op('i32.wrap_i64', b);
      return any(
        e,
        carry,
        e.op('i32.shl', adjust, e.i32(4)),
        resultFlags(e, a, size),
        e.op('i32.shl', overflow, e.i32(11)),
      );
    }
    case 'shl':
      return any(e, bitAt(e, b, top, 0), resultFlags(e, a, size), bitAt(e, xor(e, a, b), top, 11));
    case 'shr':
      return any(e, bitAt(e, b, 0, 0), resultFlags(e, a, size), bitAt(e, b, top, 11));
    case 'sar':
      return any(e, bitAt(e, b, 0, 0), resultFlags(e, a, size));
  }
}

/** CF of a lazy state whose kind is known (i32). */
export function knownCarry(e: ValueEmitter, kind: FlagKind, size: number, a: Value, b: Value): Value {
  switch (kind) {
    case 'flags':
      return bitAt(e, a, 0, 0);
    case 'add':
      return e.op('i64.lt_u', truncated(e, e.op('i64.add', a, b), size), a);
    case 'sub':
      return e.op('i64.lt_u', a, b);
    case 'logic':
      return e.i32(0);
    case 'inc':
    case 'dec':
      return e.op('i32.wrap_i64', b);
    case 'shl':
      return bitAt(e, b, size * 8 - 1, 0);
    case 'shr':
    case 'sar':
      return bitAt(e, b, 0, 0);
  }
}

/** CF of any lazy state (i32): all candidates, and which one it is. */
export function anyCarry(e: ValueEmitter, state: Value, a: Value, b: Value): Value {
  const kind = e.let(e.op('i32.shr_u', state, e.i32(2)));
  const is = (number: number): Value => e.op('i32.eq', kind, e.i32(number));
  const bits = e.let(e.op('i64.extend_i32_u', e.op('i32.shl', e.i32(8), e.op('i32.and', state, e.i32(3)))));
  const unused = e.op('i64.sub', e.i64(64), bits);
  const sum = e.op('i64.shr_u', e.op('i64.shl', e.op('i64.add', a, b), unused), unused);
  const sign = e.op('i32.wrap_i64', e.op('i64.shr_u', b, e.op('i64.sub', bits, e.i64(1))));
  let carry: Value = e.op('i32.wrap_i64', a);
  carry = e.select(is(CC_ADD), e.op('i64.lt_u', sum, a), carry);
  carry = e.select(is(CC_SUB), e.op('i64.lt_u', a, b), carry);
  carry = e.select(is(CC_LOGIC), e.i32(0), carry);
  carry = e.select(is(CC_SHL), sign, carry);
  const isShiftRight = e.op('i32.or', is(CC_SHR), is(CC_SAR));
  const isStep = e.op('i32.or', is(CC_INC), is(CC_DEC));
  carry = e.select(e.op('i32.or', isShiftRight, isStep), e.op('i32.wrap_i64', b), carry);
  return e.op('i32.and', carry, e.i32(1));
}

type Inline = (e: ValueEmitter, args: readonly Value[]) => Value;

function carryFlags(e: ValueEmitter, result: Value, carries: Value, overflow: Value, size: Value): Value {
  const top = constantOf(size) * 8 - 1;
  const kept = e.let(carries);
  return any(
    e,
    resultFlags(e, result, constantOf(size)),
    bitAt(e, kept, top, 0),
    bitAt(e, kept, 3, 4),
    bitAt(e, overflow, top, 11),
  );
}

const multiplyHighUnsigned: Inline = (e, [a, b]) => {
  const part = (value: Value, high: boolean): Value =>
    e.let(high ? e.op('i64.shr_u', value, e.i64(32)) : and(e, value, e.i64(LOW)));
  const [aLow, aHigh, bLow, bHigh] = [part(a!, false), part(a!, true), part(b!, false), part(b!, true)];
  const product = (x: Value, y: Value): Value => e.op('i64.mul', x, y);
  const high = (value: Value): Value => e.op('i64.shr_u', value, e.i64(32));
  const middle = e.let(e.op('i64.add', product(aHigh, bLow), high(product(aLow, bLow))));
  const other = e.op('i64.add', product(aLow, bHigh), and(e, middle, e.i64(LOW)));
  return e.op('i64.add', e.op('i64.add', product(aHigh, bHigh), high(middle)), high(other));
};

/** By name. Operands are stable values. */
export const INLINE: Readonly<Record<string, Inline>> = {
  resultFlags: (e, [result, size]) => resultFlags(e, result!, constantOf(size!)),
  adcFlags: (e, [a, b, result, size]) => {
    const carries = or(e, and(e, a!, b!), and(e, or(e, a!, b!), not(e, result!)));
    return carryFlags(e, result!, carries, and(e, xor(e, a!, result!), xor(e, b!, result!)), size!);
  },
  sbbFlags: (e, [a, b, result, size]) => {
    const carries = or(e, and(e, not(e, a!), b!), and(e, or(e, not(e, a!), b!), result!));
    return carryFlags(e, result!, carries, and(e, xor(e, a!, b!), xor(e, a!, result!)), size!);
  },
  multiplyHighUnsigned,
  multiplyHighSigned: (e, [a, b]) => {
    const unsigned = multiplyHighUnsigned(e, [a!, b!]);
    const correction = (x: Value, y: Value): Value => and(e, e.op('i64.shr_s', x, e.i64(63)), y);
    return e.op('i64.sub', e.op('i64.sub', unsigned, correction(a!, b!)), correction(b!, a!));
  },
};

function constantOf(value: Value): number {
  const { constant } = value as Expression;
  if (typeof constant !== 'number') throw new Error('a helper wants a constant size');
  return constant;
}
