/** ADD to CMPXCHG16B: integer arithmetic and logic (SDM 2A, 2B). Undefined flags are listed in docs/quirks.md. */
import type { Emitter, Semantic, Size, Value } from '../emitter.ts';
import {
  binary,
  compare,
  constant,
  fromI64,
  OF,
  CF,
  RAX,
  RBX,
  RCX,
  RDX,
  replaceFlags,
  sizeOf,
  toI64,
  ZF,
} from './operations.ts';

/** a := a op b, with lazy flags of the result or of the operands. */
function sum(operation: 'add' | 'sub'): Semantic {
  return (e, form) => {
    const size = sizeOf(form);
    const [destination, source] = [form.operands[0]!, form.operands[1]!];
    const a = e.let(e.readForWrite(destination, size));
    const b = e.let(e.read(source, size));
    e.write(destination, size, binary(e, size, operation, a, b));
    e.setFlags(operation, size, a, b);
  };
}

function logic(operation: 'and' | 'or' | 'xor'): Semantic {
  return (e, form) => {
    const size = sizeOf(form);
    const [destination, source] = [form.operands[0]!, form.operands[1]!];
    const a = e.let(e.readForWrite(destination, size));
    const result = e.let(binary(e, size, operation, a, e.read(source, size)));
    e.write(destination, size, result);
    e.setFlags('logic', size, result);
  };
}

function sumWithCarry(operation: 'add' | 'sub', flagsHelper: string): Semantic {
  return (e, form) => {
    const size = sizeOf(form);
    const [destination, source] = [form.operands[0]!, form.operands[1]!];
    const a = e.let(e.readForWrite(destination, size));
    const b = e.let(e.read(source, size));
    const carry = size === 8 ? e.op('i64.extend_i32_u', e.carry()) : e.carry();
    const result = e.let(binary(e, size, operation, binary(e, size, operation, a, b), carry));
    e.write(destination, size, result);
    const wide = [a, b, result].map((value) => toI64(e, size, value));
    e.setFlags('flags', 4, e.call(flagsHelper, ...wide, e.i32(size)));
  };
}

function step(operation: 'add' | 'sub', kind: 'inc' | 'dec'): Semantic {
  return (e, form) => {
    const size = sizeOf(form);
    const destination = form.operands[0]!;
    const a = e.let(e.readForWrite(destination, size));
    const result = e.let(binary(e, size, operation, a, constant(e, size, 1)));
    const carry = e.let(size === 8 ? e.op('i64.extend_i32_u', e.carry()) : e.carry());
    e.write(destination, size, result);
    e.setFlags(kind, size, result, carry);
  };
}

/** Flags of a product: CF and OF say that the high half matters, SF, ZF and PF are those of the low half, AF is 0. */
function productFlags(e: Emitter, size: number, low: Value, overflow: Value): void {
  const flags = e.call('resultFlags', toI64(e, size, low), e.i32(size));
  const carry = e.op('i32.mul', overflow, e.i32(CF | OF));
  e.setFlags('flags', 4, e.op('i32.or', e.op('i32.and', flags, e.i32(~ZF)), carry));
}

/** Writes a double-width product to AX, DX:AX, EDX:EAX or RDX:RAX. */
function writePair(e: Emitter, size: Size, low: Value, high: Value): void {
  if (size === 1) {
    e.setGpr(RAX, 2, e.op('i32.or', low, e.op('i32.shl', high, e.i32(8))));
    return;
  }
  e.setGpr(RAX, size, low);
  e.setGpr(RDX, size, high);
}

/** Low and high half of a product of two operands, each in the operand size. */
function product(e: Emitter, size: Size, a: Value, b: Value, isSigned: boolean): { low: Value; high: Value } {
  if (size === 8) {
    const high = e.let(e.call(isSigned ? 'multiplyHighSigned' : 'multiplyHighUnsigned', a, b));
    return { low: e.let(e.op('i64.mul', a, b)), high };
  }
  const extend = (value: Value) => {
    if (!isSigned) return e.op('i64.extend_i32_u', value);
    const small = size === 4 ? value : e.op(size === 1 ? 'i32.extend8_s' : 'i32.extend16_s', value);
    return e.op('i64.extend_i32_s', small);
  };
  const full = e.let(e.op('i64.mul', extend(a), extend(b)));
  return {
    low: e.let(fromI64(e, size, full)),
    high: e.let(fromI64(e, size, e.op('i64.shr_u', full, e.i64(size * 8)))),
  };
}

/** Whether the high half is something else than the sign of the low one. */
function signedOverflow(e: Emitter, size: Size, low: Value, high: Value): Value {
  if (size === 8) return e.op('i64.ne', high, e.op('i64.shr_s', low, e.i64(63)));
  const top = e.op('i32.shl', low, e.i32(32 - size * 8));
  return e.op('i32.ne', high, binary(e, size, 'and', e.op('i32.shr_s', top, e.i32(31)), e.i32(-1)));
}

const mul: Semantic = (e, form) => {
  const size = sizeOf(form);
  const a = e.let(e.gpr(RAX, size));
  const b = e.let(e.read(form.operands[0]!, size));
  const { low, high } = product(e, size, a, b, false);
  writePair(e, size, low, high);
  productFlags(e, size, low, compare(e, size, 'ne', high, constant(e, size, 0)));
};

const imul1: Semantic = (e, form) => {
  const size = sizeOf(form);
  const a = e.let(e.gpr(RAX, size));
  const b = e.let(e.read(form.operands[0]!, size));
  const { low, high } = product(e, size, a, b, true);
  writePair(e, size, low, high);
  productFlags(e, size, low, signedOverflow(e, size, low, high));
};

/** IMUL r, r/m and IMUL r, r/m, imm: the two factors are the last two operands. */
const imulTruncated: Semantic = (e, form) => {
  const size = sizeOf(form);
  const factors = form.operands.slice(-2);
  const a = e.let(e.read(factors[0]!, size));
  const b = e.let(e.read(factors[1]!, size));
  const { low, high } = product(e, size, a, b, true);
  const overflow = e.let(signedOverflow(e, size, low, high));
  e.write(form.operands[0]!, size, low);
  productFlags(e, size, low, overflow);
};

export const arithmetic: Record<string, Semantic> = {
  add: sum('add'),
  sub: sum('sub'),
  and: logic('and'),
  or: logic('or'),
  xor: logic('xor'),
  adc: sumWithCarry('add', 'adcFlags'),
  sbb: sumWithCarry('sub', 'sbbFlags'),
  inc: step('add', 'inc'),
  dec: step('sub', 'dec'),
  mul,
  imul1,
  imul2: imulTruncated,
  imul3: imulTruncated,

  cmp: (e, form) => {
    const size = sizeOf(form);
    const a = e.let(e.read(form.operands[0]!, size));
    const b = e.let(e.read(form.operands[1]!, size));
    e.setFlags('sub', size, a, b);
  },

  test: (e, form) => {
    const size = sizeOf(form);
    const a = e.let(e.read(form.operands[0]!, size));
    e.setFlags('logic', size, e.let(binary(e, size, 'and', a, e.read(form.operands[1]!, size))));
  },

  not: (e, form) => {
    const size = sizeOf(form);
    const a = e.let(e.readForWrite(form.operands[0]!, size));
    e.write(form.operands[0]!, size, binary(e, size, 'xor', a, constant(e, size, -1)));
  },

  neg: (e, form) => {
    const size = sizeOf(form);
    const zero = constant(e, size, 0);
    const a = e.let(e.readForWrite(form.operands[0]!, size));
    e.write(form.operands[0]!, size, binary(e, size, 'sub', zero, a));
    e.setFlags('sub', size, zero, a);
  },

  // CBW, CWDE, CDQE
  cbw: (e, form) => {
    const size = sizeOf(form);
    const half = e.gpr(RAX, (size / 2) as Size);
    if (size === 8) e.setGpr(RAX, 8, e.op('i64.extend_i32_s', half));
    else if (size === 4) e.setGpr(RAX, 4, e.op('i32.extend16_s', half));
    else e.setGpr(RAX, 2, e.op('i32.and', e.op('i32.extend8_s', half), e.i32(0xffff)));
  },

  // CWD, CDQ, CQO
  cwd: (e, form) => {
    const size = sizeOf(form);
    const a = e.gpr(RAX, size);
    if (size === 8) e.setGpr(RDX, 8, e.op('i64.shr_s', a, e.i64(63)));
    else if (size === 4) e.setGpr(RDX, 4, e.op('i32.shr_s', a, e.i32(31)));
    else e.setGpr(RDX, 2, e.op('i32.and', e.op('i32.shr_s', e.op('i32.extend16_s', a), e.i32(15)), e.i32(0xffff)));
  },

  xadd: (e, form) => {
    const size = sizeOf(form);
    const [destination, source] = [form.operands[0]!, form.operands[1]!];
    const a = e.let(e.readForWrite(destination, size));
    const b = e.let(e.read(source, size));
    if (destination.kind === 'memory') {
      e.write(destination, size, binary(e, size, 'add', a, b));
      e.write(source, size, a);
    } else {
      // With twice the same register the sum stays.
      e.write(source, size, a);
      e.write(destination, size, binary(e, size, 'add', a, b));
    }
    e.setFlags('add', size, a, b);
  },

  // Memory is written in either case (it takes a write cycle); a register that differs is not even zero-extended.
  cmpxchg: (e, form) => {
    const size = sizeOf(form);
    const [destination, source] = [form.operands[0]!, form.operands[1]!];
    const old = e.let(e.readForWrite(destination, size));
    const accumulator = e.let(e.gpr(RAX, size));
    const equal = e.let(compare(e, size, 'eq', accumulator, old));
    const replacement = e.let(e.read(source, size));
    if (destination.kind === 'memory') {
      e.write(destination, size, e.select(equal, replacement, old));
      e.if(e.op('i32.eqz', equal), () => e.setGpr(RAX, size, old));
    } else {
      e.if(
        equal,
        () => e.write(destination, size, replacement),
        () => e.setGpr(RAX, size, old),
      );
    }
    e.setFlags('sub', size, accumulator, old);
  },

  // CMPXCHG8B and CMPXCHG16B: pairs of 4 or 8 bytes.
  cmpxchg8b: (e, form) => {
    const size = sizeOf(form);
    const address = e.let(e.address(form.operands[0]!));
    if (size === 8) {
      e.raiseIf(e.op('i32.and', e.op('i32.wrap_i64', address), e.i32(15)), 13, 0);
    }
    const highAddress = e.let(e.op('i64.add', address, e.i64(size)));
    if (size === 4) e.probeWrite(address, 8);
    const low = e.let(e.load(address, size, true));
    const high = e.let(e.load(highAddress, size, true));
    const sameLow = compare(e, size, 'eq', low, e.gpr(RAX, size));
    const equal = e.let(e.op('i32.and', sameLow, compare(e, size, 'eq', high, e.gpr(RDX, size))));
    e.store(address, size, e.select(equal, e.gpr(RBX, size), low));
    e.store(highAddress, size, e.select(equal, e.gpr(RCX, size), high));
    e.if(e.op('i32.eqz', equal), () => {
      e.setGpr(RAX, size, low);
      e.setGpr(RDX, size, high);
    });
    replaceFlags(e, ZF, e.op('i32.shl', equal, e.i32(6)));
  },
};
