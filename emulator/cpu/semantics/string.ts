/**
 * MOVS, STOS, LODS, CMPS, SCAS (SDM 2A, 2B), alone and repeated.
 *
 * A repeated instruction is one instruction however long it runs. RCX, RSI and RDI always say how far it has come, so
 * that a fault in the middle leaves it to be resumed; the flags are written when it ends. Runs within a page are done by
 * core/strings.ts.
 */
import type { Emitter, Form, Semantic, Size, Value } from '../emitter.ts';
import type { MemoryOperand } from '../instruction.ts';
import { INTEGER_RESULT } from '../layout.ts';
import { fromI64, RAX, RCX, RDI, RSI, sizeOf, toI64 } from './operations.ts';

/** Bytes of RCX, RSI and RDI that the instruction uses. */
function width(form: Form): Size {
  return ((form.operands[0] as MemoryOperand).addressSize / 8) as Size;
}

/** A pointer register, zero-extended to an i64. */
function pointer(e: Emitter, form: Form, register: number): Value {
  return toI64(e, width(form), e.gpr(register, width(form)));
}

function advance(e: Emitter, form: Form, register: number, distance: Value): void {
  const size = width(form);
  e.setGpr(register, size, fromI64(e, size, e.op('i64.add', pointer(e, form, register), distance)));
}

/** +size or -size (i64). */
function stepOf(e: Emitter, form: Form): Value {
  return e.let(e.op('i64.mul', e.direction(), e.i64(form.size)));
}

/** The segment base of a string operand: what its address has beyond the pointer register. */
function baseOf(e: Emitter, form: Form, operand: number, register: number): Value {
  return e.let(e.op('i64.sub', e.address(form.operands[operand]!), pointer(e, form, register)));
}

interface Repeat {
  readonly step: Value;
  readonly count: Value;
  /** Linear address in a string operand with this segment base, now. */
  address(base: Value, register: number): Value;
}

/**
 * Repeats until RCX is 0 or `body` leaves. `body` handles some elements from the present position and answers how many (i64; 0: FAULT_* is
 * filled); the registers are then moved on.
 */
function repeat(
  e: Emitter,
  form: Form,
  registers: readonly number[],
  body: (state: Repeat) => Value,
  until?: () => Value,
): void {
  const step = stepOf(e, form);
  const size = width(form);
  e.loop((exit, again) => {
    const count = e.let(pointer(e, form, RCX));
    e.if(e.op('i64.eqz', count), exit);
    const done = e.let(
      body({ step, count, address: (base, register) => e.op('i64.add', base, pointer(e, form, register)) }),
    );
    e.faultIf(e.op('i64.eqz', done));
    e.setGpr(RCX, size, fromI64(e, size, e.op('i64.sub', count, done)));
    const distance = e.let(e.op('i64.mul', done, step));
    for (const register of registers) advance(e, form, register, distance);
    if (until) e.if(until(), exit);
    again();
  });
}

const step32 = (e: Emitter, step: Value) => e.op('i32.wrap_i64', step);

const movs: Semantic = (e, form) => {
  const size = sizeOf(form);
  const destination = baseOf(e, form, 0, RDI);
  const source = baseOf(e, form, 1, RSI);
  if (form.rep === 'none') {
    const value = e.let(e.load(e.address(form.operands[1]!), size));
    e.store(e.address(form.operands[0]!), size, value);
    const step = stepOf(e, form);
    advance(e, form, RSI, step);
    advance(e, form, RDI, step);
    return;
  }
  repeat(e, form, [RSI, RDI], ({ step, count, address }) =>
    e.call('repMovs', address(destination, RDI), address(source, RSI), count, step32(e, step)),
  );
};

const stos: Semantic = (e, form) => {
  const size = sizeOf(form);
  const value = e.let(e.gpr(RAX, size));
  if (form.rep === 'none') {
    e.store(e.address(form.operands[0]!), size, value);
    return advance(e, form, RDI, stepOf(e, form));
  }
  const destination = baseOf(e, form, 0, RDI);
  const wide = e.let(toI64(e, size, value));
  repeat(e, form, [RDI], ({ step, count, address }) =>
    e.call('repStos', address(destination, RDI), wide, count, step32(e, step)),
  );
};

const lods: Semantic = (e, form) => {
  const size = sizeOf(form);
  if (form.rep === 'none') {
    e.setGpr(RAX, size, e.let(e.load(e.address(form.operands[0]!), size)));
    return advance(e, form, RSI, stepOf(e, form));
  }
  const source = baseOf(e, form, 0, RSI);
  repeat(e, form, [RSI], ({ address }) => {
    e.setGpr(RAX, size, e.let(e.load(e.let(address(source, RSI)), size)));
    return e.i64(1);
  });
};

/** Whether a repeated comparison goes on to `equal` (REPNE, 1) or to the first difference (REPE, 0). */
const stopsWhenEqual = (form: Form) => (form.rep === 'repne' ? 1 : 0);

const scas: Semantic = (e, form) => {
  const size = sizeOf(form);
  const value = e.let(e.gpr(RAX, size));
  if (form.rep === 'none') {
    const element = e.let(e.load(e.address(form.operands[0]!), size));
    advance(e, form, RDI, stepOf(e, form));
    return e.setFlags('sub', size, value, element);
  }
  const destination = baseOf(e, form, 0, RDI);
  const wide = e.let(toI64(e, size, value));
  const compared = e.variable('i32', e.i32(0));
  const last = e.variable('i64', e.i64(0));
  const until = e.i32(stopsWhenEqual(form));
  repeat(
    e,
    form,
    [RDI],
    ({ step, count, address }) => {
      const done = e.let(e.call('repScas', address(destination, RDI), wide, count, step32(e, step), until));
      e.set(last, e.loadState(INTEGER_RESULT, 8));
      e.set(compared, e.i32(1));
      return done;
    },
    () => e.op('i32.eq', e.op('i64.eq', e.get(last), wide), until),
  );
  e.if(e.get(compared), () => e.setFlags('sub', size, value, e.let(fromI64(e, size, e.get(last)))));
};

const cmps: Semantic = (e, form) => {
  const size = sizeOf(form);
  if (form.rep === 'none') {
    const a = e.let(e.load(e.address(form.operands[0]!), size));
    const b = e.let(e.load(e.address(form.operands[1]!), size));
    const step = stepOf(e, form);
    advance(e, form, RSI, step);
    advance(e, form, RDI, step);
    return e.setFlags('sub', size, a, b);
  }
  const source = baseOf(e, form, 0, RSI);
  const destination = baseOf(e, form, 1, RDI);
  const compared = e.variable('i32', e.i32(0));
  const type = size === 8 ? 'i64' : 'i32';
  const [first, second] = [e.variable(type), e.variable(type)];
  repeat(
    e,
    form,
    [RSI, RDI],
    ({ address }) => {
      const a = e.let(e.load(e.let(address(source, RSI)), size));
      const b = e.let(e.load(e.let(address(destination, RDI)), size));
      e.set(first, a);
      e.set(second, b);
      e.set(compared, e.i32(1));
      return e.i64(1);
    },
    () => e.op(`${type}.${form.rep === 'repne' ? 'eq' : 'ne'}`, e.get(first), e.get(second)),
  );
  e.if(e.get(compared), () => e.setFlags('sub', size, e.let(e.get(first)), e.let(e.get(second))));
};

export const strings: Record<string, Semantic> = { movs, stos, lods, scas, cmps };
