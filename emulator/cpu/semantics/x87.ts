/**
 * x87 (SDM 1 chapter 8). Arithmetic is the core's (core/x87*.ts); here are operands, the check for a pending exception with which every
 * waiting instruction begins, and the order that keeps faults precise: stores check their memory before the core changes anything.
 */
import { FP_ADD, FP_DIV, FP_MUL, FP_SUB } from '../../core/softfloat-codes.ts';
import * as C from '../../core/x87-codes.ts';
import type { Emitter, Form, Semantic, Value } from '../emitter.ts';
import { FP_RESULT, X87_SW } from '../layout.ts';
import type { SemanticTable } from './vector.ts';

const VECTOR_MF = 16;
/** ES of the status word. */
const ERROR_SUMMARY = 0x80;

export function checkPending(e: Emitter): void {
  e.raiseIf(e.op('i32.and', e.loadState(X87_SW, 4), e.i32(ERROR_SUMMARY)), VECTOR_MF);
}

/** An instruction that first takes a pending exception. */
export function waiting(body: Semantic): Semantic {
  return (e, form) => {
    checkPending(e);
    body(e, form);
  };
}

/** A helper called with constants. */
export function helper(name: string, ...args: number[]): Semantic {
  return waiting((e) => e.callVoid(name, ...args.map((value) => e.i32(value))));
}

/** A memory operand as the i64 that helpers take, and its format. */
function memoryOperand(e: Emitter, form: Form, integer: boolean): { format: Value; value: Value } {
  const size = form.size === 8 ? 8 : form.size === 4 ? 4 : 2;
  const raw = e.read(form.operands[0], size);
  const value = e.let(size === 8 ? raw : e.op('i64.extend_i32_u', raw));
  return { format: e.i32(formatOf(form.size, integer)), value };
}

function formatOf(size: number, integer: boolean): number {
  if (!integer) return size === 8 ? C.FORMAT_F64 : C.FORMAT_F32;
  return size === 8 ? C.FORMAT_I64 : size === 4 ? C.FORMAT_I32 : C.FORMAT_I16;
}

function arithmetic(code: number, integer = false): Semantic {
  return waiting((e, form) => {
    if (form.operands[0].kind === 'memory') {
      const { format, value } = memoryOperand(e, form, integer);
      e.callVoid('x87ArithmeticMemory', e.i32(code), format, value);
    } else {
      const [destination, source] = form.operands.map((operand) => e.stNumber(operand));
      e.callVoid('x87Arithmetic', e.i32(code), destination, source);
    }
  });
}

const ARITHMETIC: Record<string, number> = {
  add: FP_ADD,
  mul: FP_MUL,
  sub: FP_SUB,
  subr: FP_SUB + C.REVERSED,
  div: FP_DIV,
  divr: FP_DIV + C.REVERSED,
};

function load(integer: boolean): Semantic {
  return waiting((e, form) => {
    const [source] = form.operands;
    if (source.kind === 'st') {
      e.callVoid('x87LoadRegister', e.stNumber(source));
    } else if (form.size === 10) {
      const { low, high } = readTenBytes(e, form);
      e.callVoid('x87Load80', low, high);
    } else {
      const { format, value } = memoryOperand(e, form, integer);
      e.callVoid('x87Load', format, value);
    }
  });
}

function readTenBytes(e: Emitter, form: Form): { low: Value; high: Value } {
  const address = e.let(e.address(form.operands[0]));
  const low = e.let(e.load(address, 8));
  const high = e.let(e.load(e.op('i64.add', address, e.i64(8)), 2));
  return { low, high };
}

/**
 * Stores what a helper leaves at FP_RESULT, if it says so. The memory is checked before, because the helper changes
 * the status word and may pop.
 */
function storeToMemory(e: Emitter, form: Form, call: () => Value): void {
  const address = e.let(e.address(form.operands[0]));
  e.probeWrite(address, form.size);
  e.if(call(), () => {
    if (form.size === 2) e.store(address, 2, e.loadState(FP_RESULT, 2));
    else if (form.size === 4) e.store(address, 4, e.loadState(FP_RESULT, 4));
    else e.store(address, 8, e.loadState(FP_RESULT, 8));
    if (form.size === 10) e.store(e.op('i64.add', address, e.i64(8)), 2, e.loadState(FP_RESULT + 8, 2));
  });
}

function store(popping: boolean): Semantic {
  const pops = popping ? 1 : 0;
  return waiting((e, form) => {
    const [destination] = form.operands;
    if (destination.kind === 'st') e.callVoid('x87StoreRegister', e.stNumber(destination), e.i32(pops));
    else if (form.size === 10) storeToMemory(e, form, () => e.call('x87Store80'));
    else storeToMemory(e, form, () => e.call('x87Store', e.i32(formatOf(form.size, false)), e.i32(pops)));
  });
}

function storeInteger(popping: boolean, truncate: boolean): Semantic {
  const flags = [popping ? 1 : 0, truncate ? 1 : 0];
  return waiting((e, form) =>
    storeToMemory(e, form, () =>
      e.call('x87StoreInteger', e.i32(formatOf(form.size, true)), ...flags.map((flag) => e.i32(flag))),
    ),
  );
}

function compare(pops: number, options: { signalling: boolean; integer?: boolean }): Semantic {
  const { signalling, integer = false } = options;
  return waiting((e, form) => {
    if (form.operands[0].kind === 'memory') {
      const { format, value } = memoryOperand(e, form, integer);
      e.callVoid('x87CompareMemory', format, value, e.i32(pops));
    } else {
      e.callVoid('x87Compare', e.stNumber(form.operands[1]), e.i32(signalling ? 1 : 0), e.i32(pops));
    }
  });
}

/** FCOMPP and FUCOMPP compare ST(0) with ST(1). */
function compareAndPopBoth(signalling: boolean): Semantic {
  return helper('x87Compare', 1, signalling ? 1 : 0, 2);
}

function compareToFlags(signalling: boolean, popping: boolean): Semantic {
  return waiting((e, form) => {
    const options = [signalling ? 1 : 0, popping ? 1 : 0].map((option) => e.i32(option));
    e.setFlags('flags', 4, e.call('x87CompareFlags', e.stNumber(form.operands[1]), ...options));
  });
}

/** FCMOVcc by the condition code of Jcc. */
function conditionalMove(condition: number): Semantic {
  return waiting((e, form) => e.callVoid('x87ConditionalMove', e.condition(condition), e.stNumber(form.operands[1])));
}

const stOperand = (name: string, ...rest: number[]): Semantic =>
  waiting((e, form) => e.callVoid(name, e.stNumber(form.operands[0]), ...rest.map((value) => e.i32(value))));

const nothing: Semantic = () => {};

function arithmeticFamily(): SemanticTable {
  const family: Record<string, Semantic> = {};
  for (const [name, code] of Object.entries(ARITHMETIC)) {
    family[`f${name}`] = arithmetic(code);
    family[`f${name}p`] = arithmetic(code + C.POP);
    family[`fi${name}`] = arithmetic(code, true);
  }
  return family;
}

const CONSTANTS: Record<string, number> = {
  fld1: C.CONSTANT_1,
  fldl2t: C.CONSTANT_L2T,
  fldl2e: C.CONSTANT_L2E,
  fldpi: C.CONSTANT_PI,
  fldlg2: C.CONSTANT_LG2,
  fldln2: C.CONSTANT_LN2,
  fldz: C.CONSTANT_0,
};

const UNARY: Record<string, number> = {
  fchs: C.UNARY_CHS,
  fabs: C.UNARY_ABS,
  fsqrt: C.UNARY_SQRT,
  frndint: C.UNARY_RNDINT,
  fscale: C.UNARY_SCALE,
  fxtract: C.UNARY_EXTRACT,
  fprem: C.UNARY_PREM,
  fprem1: C.UNARY_PREM1,
};

/** B E BE U and their negations, as condition codes: carry, zero, either, parity. */
const CONDITIONS: Record<string, number> = { b: 2, e: 4, be: 6, u: 10, nb: 3, ne: 5, nbe: 7, nu: 11 };

const each = (codes: Record<string, number>, make: (code: number) => Semantic): [string, Semantic][] =>
  Object.entries(codes).map(([op, code]) => [op, make(code)]);

export const x87: SemanticTable = {
  ...arithmeticFamily(),
  ...Object.fromEntries([
    ...each(CONSTANTS, (code) => helper('x87Constant', code)),
    ...each(UNARY, (code) => helper('x87Unary', code)),
    ...each(CONDITIONS, conditionalMove).map(([name, semantic]) => [`fcmov${name}`, semantic] as const),
  ]),
  fld: load(false),
  fild: load(true),
  fst: store(false),
  fstp: store(true),
  fstpnce: stOperand('x87StoreUnchecked'),
  fist: storeInteger(false, false),
  fistp: storeInteger(true, false),
  fisttp: storeInteger(true, true),
  fbld: waiting((e, form) => {
    const { low, high } = readTenBytes(e, form);
    e.callVoid('x87LoadDecimal', low, high);
  }),
  fbstp: waiting((e, form) => storeToMemory(e, form, () => e.call('x87StoreDecimal'))),
  fxch: stOperand('x87Exchange'),
  ffree: stOperand('x87Free', 0),
  ffreep: stOperand('x87Free', 1),
  fincstp: helper('x87Rotate', 1),
  fdecstp: helper('x87Rotate', -1),
  fcom: compare(0, { signalling: true }),
  fcomp: compare(1, { signalling: true }),
  fcompp: compareAndPopBoth(true),
  fucom: compare(0, { signalling: false }),
  fucomp: compare(1, { signalling: false }),
  fucompp: compareAndPopBoth(false),
  ficom: compare(0, { signalling: true, integer: true }),
  ficomp: compare(1, { signalling: true, integer: true }),
  fcomi: compareToFlags(true, false),
  fcomip: compareToFlags(true, true),
  fucomi: compareToFlags(false, false),
  fucomip: compareToFlags(false, true),
  ftst: helper('x87Test'),
  fxam: helper('x87Examine'),
  fnop: waiting(nothing),
  fwait: waiting(nothing),
  // The 8087's and 287's: without effect since the 387 (SDM 2A).
  fneni: nothing,
  fndisi: nothing,
  fnsetpm: nothing,
};
