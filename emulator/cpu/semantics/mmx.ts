/**
 * MMX (SDM 1 chapter 9): the 128-bit operations of packed-integer.ts on the low 64 bits of vectors.
 * Every instruction first takes a pending x87 exception, and leaves TOP at 0 with all registers in use (SDM 1, 9.5.1).
 */
import type { Emitter, Form, Semantic, Value } from '../emitter.ts';
import type { Operand } from '../instruction.ts';
import { X87_TAG, X87_TOP } from '../layout.ts';
import { interleaveHigh, interleaveLow, lanewise, pack, shiftLanes, shifts } from './packed-integer.ts';
import { convertDoublesToIntegers, convertIntegersToSingles, convertSinglesToIntegers } from './sse-convert.ts';
import { immediateByte } from './sse-integer.ts';
import { alone, high64, low64 } from './vector.ts';
import type { SemanticTable } from './vector.ts';
import { checkPending } from './x87.ts';

const ALL_EMPTY = 0xffff;

function enterMmx(e: Emitter): void {
  e.storeState(X87_TOP, 4, e.i32(0));
  e.storeState(X87_TAG, 4, e.i32(0));
}

/** Wraps the body of an MMX instruction, whose writes to registers come last. */
export function mmxInstruction(body: Semantic): Semantic {
  return (e, form) => {
    checkPending(e);
    body(e, form);
    enterMmx(e);
  };
}

/** The operand in the low quadword of a vector. */
function operand(e: Emitter, source: Operand): Value {
  return e.let(e.op('i64x2.splat', e.readMmx(source)));
}

/** PUNPCKLxx reads four bytes of memory. */
function halfOperand(e: Emitter, source: Operand): Value {
  if (source.kind !== 'memory') return operand(e, source);
  return e.let(alone(e, 4, e.read(source, 4)));
}

type Binary = (e: Emitter, a: Value, b: Value) => Value;

function binary(f: Binary, read = operand): Semantic {
  return mmxInstruction((e, { operands: [destination, source] }) => {
    const b = read(e, source);
    const a = operand(e, destination);
    e.writeMmx(destination, low64(e, f(e, a, b)));
  });
}

/** destination = f(destination, source) on the low halves of vectors. */
export const mmxBinary = (f: Binary): Semantic => binary(f);

/** The upper half of a 128-bit interleave of the low quadwords is the interleave of their high halves. */
function high(f: Binary): Semantic {
  return mmxInstruction((e, { operands: [destination, source] }) => {
    const b = operand(e, source);
    const a = operand(e, destination);
    e.writeMmx(destination, high64(e, f(e, a, b)));
  });
}

/** Two operands side by side. */
export function mmxJoined(e: Emitter, low: Operand, high: Operand): Value {
  const upper = e.let(e.readMmx(high));
  return e.let(e.lane('i64x2.replace_lane', 1, operand(e, low), upper));
}

/** Both operands side by side, narrowed together. */
function narrow(f: Binary): Semantic {
  return mmxInstruction((e, { operands: [destination, source] }) => {
    const joined = mmxJoined(e, destination, source);
    e.writeMmx(destination, low64(e, f(e, joined, joined)));
  });
}

function shift(op: string): Semantic {
  return mmxInstruction((e, { operands: [destination, source] }) => {
    const count = e.let(
      source.kind === 'immediate' ? e.op('i64.extend_i32_u', immediateByte(e, source)) : e.readMmx(source),
    );
    e.writeMmx(destination, low64(e, shiftLanes(e, op, operand(e, destination), count)));
  });
}

function fromGeneral(e: Emitter, { operands: [destination, source], size }: Form): void {
  e.writeMmx(destination, size === 8 ? e.read(source, 8) : e.op('i64.extend_i32_u', e.read(source, 4)));
}

function toGeneral(e: Emitter, { operands: [destination, source], size }: Form): void {
  const value = e.readMmx(source);
  if (size === 8) e.write(destination, 8, value);
  else e.write(destination, 4, e.op('i32.wrap_i64', value));
}

function move(e: Emitter, { operands: [destination, source] }: Form): void {
  e.writeMmx(destination, e.let(e.readMmx(source)));
}

/** Bit position of word `number` (an i32) as i64. */
function wordShift(e: Emitter, number: Value): Value {
  return e.op('i64.shl', e.op('i64.extend_i32_u', e.op('i32.and', number, e.i32(3))), e.i64(4));
}

function shuffleWords(e: Emitter, { operands: [destination, source, immediate] }: Form): void {
  const value = e.let(e.readMmx(source));
  const choice = e.let(immediateByte(e, immediate));
  const words = [0, 1, 2, 3].map((position) => {
    const number = e.op('i32.shr_u', choice, e.i32(2 * position));
    const word = e.op('i64.and', e.op('i64.shr_u', value, wordShift(e, number)), e.i64(0xffff));
    return e.op('i64.shl', word, e.i64(16 * position));
  });
  e.writeMmx(
    destination,
    words.reduce((all, word) => e.op('i64.or', all, word)),
  );
}

function insertWord(e: Emitter, { operands: [destination, source, immediate] }: Form): void {
  const word = e.let(e.op('i64.extend_i32_u', e.read(source, 2)));
  const at = e.let(wordShift(e, e.read(immediate, 1)));
  const hole = e.op('i64.xor', e.op('i64.shl', e.i64(0xffff), at), e.i64(-1));
  const kept = e.op('i64.and', e.readMmx(destination), hole);
  e.writeMmx(destination, e.op('i64.or', kept, e.op('i64.shl', word, at)));
}

function extractWord(e: Emitter, { operands: [destination, source, immediate] }: Form): void {
  const word = e.op('i64.shr_u', e.readMmx(source), wordShift(e, e.read(immediate, 1)));
  e.write(destination, 4, e.op('i32.and', e.op('i32.wrap_i64', word), e.i32(0xffff)));
}

function moveMask(e: Emitter, { operands: [destination, source] }: Form): void {
  const mask = e.op('i8x16.bitmask', operand(e, source));
  e.write(destination, 4, e.op('i32.and', mask, e.i32(0xff)));
}

/** MASKMOVQ writes eight bytes at most, so it works on quadwords of memory. */
function maskMove(e: Emitter, { operands: [source, mask, destination] }: Form): void {
  const value = e.let(e.readMmx(source));
  const signs = e.op('i8x16.shr_s', operand(e, mask), e.i32(7));
  const selected = e.let(low64(e, signs));
  const address = e.let(e.address(destination));
  e.if(e.op('i64.ne', selected, e.i64(0)), () => {
    const old = e.load(address, 8, true);
    const kept = e.op('i64.and', old, e.op('i64.xor', selected, e.i64(-1)));
    e.store(address, 8, e.op('i64.or', kept, e.op('i64.and', value, selected)));
  });
}

/** CVTPI2PS and CVTPI2PD touch the x87 state only if they read an MMX register. */
function fromIntegers(body: Semantic): Semantic {
  const withMmx = mmxInstruction(body);
  return (e, form) => (form.operands[1].kind === 'memory' ? body : withMmx)(e, form);
}

function cvtpi2ps(e: Emitter, { operands: [destination, source] }: Form): void {
  const integers = e.let(alone(e, 8, e.readMmx(source)));
  e.writeVectorLow(destination, 8, low64(e, convertIntegersToSingles(e, integers)));
}

function cvtpi2pd(e: Emitter, { operands: [destination, source] }: Form): void {
  const integers = alone(e, 8, e.readMmx(source));
  e.writeVector(destination, e.op('f64x2.convert_low_i32x4_s', integers));
}

function singlesToIntegers(truncate: boolean): Semantic {
  return mmxInstruction((e, { operands: [destination, source] }) => {
    const singles = e.let(alone(e, 8, e.readVectorLow(source, 8)));
    e.writeMmx(destination, low64(e, convertSinglesToIntegers(e, singles, truncate)));
  });
}

function doublesToIntegers(truncate: boolean): Semantic {
  return mmxInstruction((e, { operands: [destination, source] }) => {
    const doubles = e.let(e.readVector(source, true));
    e.writeMmx(destination, low64(e, convertDoublesToIntegers(e, doubles, truncate)));
  });
}

const named = (table: Readonly<Record<string, Binary>>, make: (f: Binary) => Semantic): [string, Semantic][] =>
  Object.entries(table).map(([op, f]) => [`${op}_mmx`, make(f)]);

export const mmx: SemanticTable = {
  ...Object.fromEntries([
    ...named(lanewise, (f) => binary(f)),
    ...named(interleaveLow, (f) => binary(f, halfOperand)),
    ...named(interleaveHigh, high),
    ...named(pack, narrow),
  ]),
  ...Object.fromEntries(Object.keys(shifts).map((op) => [`${op}_mmx`, shift(op)])),
  emms(e) {
    checkPending(e);
    e.storeState(X87_TOP, 4, e.i32(0));
    e.storeState(X87_TAG, 4, e.i32(ALL_EMPTY));
  },
  movd_to_mmx: mmxInstruction(fromGeneral),
  movd_from_mmx: mmxInstruction(toGeneral),
  movq_mmx: mmxInstruction(move),
  movntq: mmxInstruction(move),
  movq2dq: mmxInstruction((e, { operands: [destination, source] }) =>
    e.writeVector(destination, alone(e, 8, e.readMmx(source))),
  ),
  movdq2q: mmxInstruction((e, { operands: [destination, source] }) =>
    e.writeMmx(destination, e.readVectorLow(source, 8)),
  ),
  maskmovq: mmxInstruction(maskMove),
  pmovmskb_mmx: mmxInstruction(moveMask),
  pshufw: mmxInstruction(shuffleWords),
  pinsrw_mmx: mmxInstruction(insertWord),
  pextrw_mmx: mmxInstruction(extractWord),
  cvtpi2ps: fromIntegers(cvtpi2ps),
  cvtpi2pd: fromIntegers(cvtpi2pd),
  cvtps2pi: singlesToIntegers(false),
  cvttps2pi: singlesToIntegers(true),
  cvtpd2pi: doublesToIntegers(false),
  cvttpd2pi: doublesToIntegers(true),
};
