/**
 * MOVS, STOS, LODS, CMPS, SCAS (SDM 2A, 2B), alone and repeated.
 *
 * A repeated instruction is one instruction however long it runs. RCX, RSI and RDI always say how far it has come, so
 * that a fault in the middle leaves it to be resumed; the flags are written when it ends. Runs within a page are done by
 * core/strings.ts. After every part of REPEAT_PART elements the engine looks whether something is to be done before the next.
 */
import { REPEAT_PART } from '../codes.ts';
import { partCycles } from '../costs.ts';
import type { Emitter, Form, Semantic, Size, Value } from '../emitter.ts';
import type { MemoryOperand, Operand } from '../instruction.ts';
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

/** A string operand in the course of a repetition. */
interface Place {
  readonly operand: Operand;
  readonly register: number;
  readonly write: boolean;
  /** The segment's base: what the address has beyond the pointer register. Undefined if every element is checked against its segment. */
  readonly base: Value | undefined;
}
const READS = false;
const WRITES = true;

function placeOf(e: Emitter, form: Form, index: number, register: number, write: boolean): Place {
  const operand = form.operands[index]!;
  const base = form.legacy ? undefined : e.let(e.op('i64.sub', e.address(operand), pointer(e, form, register)));
  return { operand, register, write, base };
}
/** Linear address in a string operand, now. */
function addressIn(e: Emitter, form: Form, { operand, register, write, base }: Place): Value {
  const offset = pointer(e, form, register);
  return base ? e.op('i64.add', base, offset) : e.segmentAddress(operand, offset, form.size, write);
}
/** Linear address of the one element of an instruction that is not repeated. */
function element(e: Emitter, form: Form, index: number, register: number, write: boolean): Value {
  const operand = form.operands[index]!;
  return form.legacy ? e.segmentAddress(operand, pointer(e, form, register), form.size, write) : e.address(operand);
}

const withinPart = (e: Emitter, count: Value) => e.op('i64.and', count, e.i64(REPEAT_PART - 1));
/** Elements up to the end of the part, of `count` (not 0) in all. */
function toPartEnd(e: Emitter, count: Value): Value {
  const one = e.i64(1);
  return e.let(e.op('i64.add', withinPart(e, e.op('i64.sub', count, one)), one));
}

interface Repeat {
  readonly step: Value;
  /** Elements left that a helper may handle at once. */
  readonly count: Value;
}

/**
 * Repeats until RCX is 0, or a multiple of REPEAT_PART, or `body` leaves. `body` handles some elements from the present position and answers how many (i64; 0: FAULT_* is
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
    const done = e.let(body({ step, count: form.legacy ? e.i64(1) : toPartEnd(e, count) }));
    e.faultIf(e.op('i64.eqz', done));
    const left = e.let(e.op('i64.sub', count, done));
    e.setGpr(RCX, size, fromI64(e, size, left));
    const distance = e.let(e.op('i64.mul', done, step));
    for (const register of registers) advance(e, form, register, distance);
    if (until) e.if(until(), exit);
    e.if(e.op('i64.eqz', withinPart(e, left)), () =>
      e.faultIf(e.call('goesOn', left, e.i32(partCycles(form.op, form.size)))),
    );
    again();
  });
}

const step32 = (e: Emitter, step: Value) => e.op('i32.wrap_i64', step);

const movs: Semantic = (e, form) => {
  const size = sizeOf(form);
  if (form.rep === 'none') {
    const value = e.let(e.load(element(e, form, 1, RSI, READS), size));
    e.store(element(e, form, 0, RDI, WRITES), size, value);
    const step = stepOf(e, form);
    advance(e, form, RSI, step);
    advance(e, form, RDI, step);
    return;
  }
  const destination = placeOf(e, form, 0, RDI, WRITES);
  const source = placeOf(e, form, 1, RSI, READS);
  repeat(e, form, [RSI, RDI], ({ step, count }) => {
    const from = addressIn(e, form, source);
    return e.call('repMovs', addressIn(e, form, destination), from, count, step32(e, step));
  });
};

const stos: Semantic = (e, form) => {
  const size = sizeOf(form);
  const value = e.let(e.gpr(RAX, size));
  if (form.rep === 'none') {
    e.store(element(e, form, 0, RDI, WRITES), size, value);
    return advance(e, form, RDI, stepOf(e, form));
  }
  const destination = placeOf(e, form, 0, RDI, WRITES);
  const wide = e.let(toI64(e, size, value));
  repeat(e, form, [RDI], ({ step, count }) =>
    e.call('repStos', addressIn(e, form, destination), wide, count, step32(e, step)),
  );
};

const lods: Semantic = (e, form) => {
  const size = sizeOf(form);
  if (form.rep === 'none') {
    e.setGpr(RAX, size, e.let(e.load(element(e, form, 0, RSI, READS), size)));
    return advance(e, form, RSI, stepOf(e, form));
  }
  const source = placeOf(e, form, 0, RSI, READS);
  repeat(e, form, [RSI], () => {
    e.setGpr(RAX, size, e.let(e.load(e.let(addressIn(e, form, source)), size)));
    return e.i64(1);
  });
};

/** Whether a repeated comparison goes on to `equal` (REPNE, 1) or to the first difference (REPE, 0). */
const stopsWhenEqual = (form: Form) => (form.rep === 'repne' ? 1 : 0);

const scas: Semantic = (e, form) => {
  const size = sizeOf(form);
  const value = e.let(e.gpr(RAX, size));
  if (form.rep === 'none') {
    const compared = e.let(e.load(element(e, form, 0, RDI, READS), size));
    advance(e, form, RDI, stepOf(e, form));
    return e.setFlags('sub', size, value, compared);
  }
  const destination = placeOf(e, form, 0, RDI, READS);
  const wide = e.let(toI64(e, size, value));
  const compared = e.variable('i32', e.i32(0));
  const last = e.variable('i64', e.i64(0));
  const until = e.i32(stopsWhenEqual(form));
  repeat(
    e,
    form,
    [RDI],
    ({ step, count }) => {
      const done = e.let(e.call('repScas', addressIn(e, form, destination), wide, count, step32(e, step), until));
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
    const destination = form.legacy && element(e, form, 1, RDI, READS);
    const a = e.let(e.load(element(e, form, 0, RSI, READS), size));
    const b = e.let(e.load(destination ?? e.address(form.operands[1]!), size));
    const step = stepOf(e, form);
    advance(e, form, RSI, step);
    advance(e, form, RDI, step);
    return e.setFlags('sub', size, a, b);
  }
  const source = placeOf(e, form, 0, RSI, READS);
  const destination = placeOf(e, form, 1, RDI, READS);
  const compared = e.variable('i32', e.i32(0));
  const type = size === 8 ? 'i64' : 'i32';
  const [first, second] = [e.variable(type), e.variable(type)];
  repeat(
    e,
    form,
    [RSI, RDI],
    () => {
      const a = e.let(e.load(e.let(addressIn(e, form, source)), size));
      const b = e.let(e.load(e.let(addressIn(e, form, destination)), size));
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
