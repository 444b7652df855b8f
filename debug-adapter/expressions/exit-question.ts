/**
 * "Would this exit?" as people ask it: `rdmsr 0xc0000080`, `wrmsr 0x1b 0xfee00900`, `port 0x3f8 w`, `#PF 0x6`, `cr0 0x80010031`, `at main`, an instruction in
 * either syntax, or nothing for the instruction at RIP. Numbers may be expressions where they stand last.
 */
import { Assembler } from '../../emulator/assembler/index.ts';
import { contentsOf } from '../../emulator/assembler/relocations.ts';
import { VECTOR_NAMES, vectorName } from '../../emulator/cpu/system/fault.ts';
import { MSRS, msrName, VMX_CAPABILITY_MSRS } from '../../emulator/cpu/system/msrs.ts';
import type { ExitQuestion } from '../../emulator/vmx/would-exit.ts';
import { RequestError } from '../request.ts';

export interface AskedQuestion {
  /** In words: "RDMSR of 0xc0000080 (EFER)". */
  readonly asked: string;
  readonly question: ExitQuestion;
}

export interface QuestionContext {
  /** Value of an expression. */
  evaluate(text: string): bigint;
  /** Bytes of code of the thread. */
  code(gva: bigint): Uint8Array;
  /** One instruction in words. */
  disassemble(gva: bigint): string;
  /** Linear address of the next instruction, and whether it is the guest's. */
  readonly rip: bigint;
  readonly inGuest: boolean;
}

type Form = readonly [pattern: RegExp, read: (found: RegExpExecArray, context: QuestionContext) => AskedQuestion];

const hex = (value: number | bigint): string => `0x${value.toString(16)}`;
const BYTES = { b: 1, w: 2, l: 4 } as const;

const MSR_NUMBERS = new Map([...MSRS, ...VMX_CAPABILITY_MSRS].map(({ name, number }) => [name, number]));
const VECTORS = new Map(Object.entries(VECTOR_NAMES).map(([vector, name]) => [name, Number(vector)]));

/** An MSR by number or by its name, with or without IA32_. */
function msrNumber(text: string, context: QuestionContext): number {
  const named = MSR_NUMBERS.get(text.toUpperCase().replace(/^(IA32|MSR)_/, ''));
  return named ?? number(text, 0xffff_ffffn, 'an MSR', context);
}

function number(text: string, most: bigint, what: string, context: QuestionContext): number {
  const value = context.evaluate(text);
  if (value > most) throw new RequestError(`${hex(value)} is not ${what}: the highest is ${hex(most)}.`);
  return Number(value);
}

function msr(found: RegExpExecArray, context: QuestionContext): AskedQuestion {
  const write = /^w/i.test(found[1]!);
  const msr = msrNumber(found[2]!, context);
  const value = write && found[3] ? context.evaluate(found[3]) : undefined;
  const name = msrName(msr);
  return {
    asked: `${write ? 'WRMSR' : 'RDMSR'} of ${hex(msr)}${name ? ` (${name})` : ''}${value === undefined ? '' : ` with ${hex(value)}`}`,
    question: { kind: 'msr', msr, write, ...(value === undefined ? {} : { value }) },
  };
}

function port(text: string, suffix: string | undefined, write: boolean, context: QuestionContext): AskedQuestion {
  const port = number(text, 0xffffn, 'a port', context);
  const bytes = BYTES[(suffix?.toLowerCase() ?? 'b') as keyof typeof BYTES];
  const size = { 1: 'a byte', 2: 'two bytes', 4: 'four bytes' }[bytes];
  return {
    asked: `${write ? 'OUT' : 'IN'} of ${size}, port ${hex(port)}`,
    question: { kind: 'port', port, bytes, write },
  };
}

function exception(name: string, code: string | undefined, context: QuestionContext): AskedQuestion {
  const vector = VECTORS.get(`#${name.toUpperCase()}`) ?? number(name, 31n, 'an exception', context);
  const errorCode = code ? number(code, 0xffff_ffffn, 'an error code', context) : undefined;
  return {
    asked: `${vectorName(vector)}${errorCode === undefined ? '' : ` with error code ${hex(errorCode)}`}`,
    question: { kind: 'exception', vector, ...(errorCode === undefined ? {} : { errorCode }) },
  };
}

function at(gva: bigint, context: QuestionContext): AskedQuestion {
  const bytes = context.code(gva);
  if (bytes.length === 0) throw new RequestError(`The instruction at ${hex(gva)} cannot be read.`);
  return { asked: `${context.disassemble(gva)} at ${hex(gva)}`, question: { kind: 'instruction', bytes, at: gva } };
}

const NEXT_OF_GUEST: AskedQuestion = { asked: 'the next instruction of the guest', question: { kind: 'instruction' } };

/** The first that fits is meant; everything else is an instruction. */
const FORMS: readonly Form[] = [
  [/^$/, (_found, context) => (context.inGuest ? at(context.rip, context) : NEXT_OF_GUEST)],
  [/^at\s+(.+)$/i, ([, place], context) => at(context.evaluate(place!), context)],
  [/^(rdmsr|wrmsr)\s+([^\s,]+)(?:[\s,]+(.+))?$/i, msr],
  [/^in([bwl]?)\s+(0x[0-9a-f]+|\d+)$/i, ([, size, port_], context) => port(port_!, size || undefined, false, context)],
  [/^out([bwl]?)\s+(0x[0-9a-f]+|\d+)$/i, ([, size, port_], context) => port(port_!, size || undefined, true, context)],
  [/^port\s+(\S+)(?:\s+([bwl]))?(?:\s+(in|out|read|write))?$/i, ([, text, size, way], context) => port(text!, size, /^(out|write)$/i.test(way ?? ''), context)],
  [/^#([a-z]{2})(?:\s*\(?\s*(.+?)\)?)?$/i, ([, name, code], context) => exception(name!, code, context)],
  [/^exception\s+#?(\w+)(?:\s+(.+))?$/i, ([, name, code], context) => exception(name!, code, context)],
  [/^cr([02348])\s*(?:[=\s]\s*(.+))?$/i, controlRegister],
]; // prettier-ignore

function controlRegister(found: RegExpExecArray, context: QuestionContext): AskedQuestion {
  const register = Number(found[1]);
  const value = found[2] ? context.evaluate(found[2]) : undefined;
  const asked = value === undefined ? `MOV from CR${register}` : `MOV of ${hex(value)} to CR${register}`;
  return { asked, question: { kind: 'control-register', register, ...(value === undefined ? {} : { value }) } };
}

/** Throws RequestError for what is no question. */
export function parseExitQuestion(text: string, context: QuestionContext): AskedQuestion {
  const trimmed = text.trim();
  for (const [pattern, read] of FORMS) {
    const found = pattern.exec(trimmed);
    if (found) return read(found, context);
  }
  return { asked: trimmed, question: { kind: 'instruction', bytes: assembled(trimmed) } };
}

/** Bytes of one instruction. */
function assembled(text: string): Uint8Array {
  const att = assembleOne(text, 'att');
  const intel = typeof att === 'string' ? assembleOne(text, 'intel') : att;
  if (typeof intel !== 'string') return intel;
  throw new RequestError(`'${text}' is no instruction: ${att as string} (AT&T); ${intel} (Intel).`);
}

function assembleOne(text: string, syntax: 'att' | 'intel'): Uint8Array | string {
  const assembler = new Assembler();
  assembler.syntax = syntax;
  assembler.assemble('question', text);
  let problem = assembler.diagnostics.find(({ severity }) => severity === 'error')?.message;
  for (const section of assembler.sections.all) {
    const { bytes } = contentsOf(section, (_position, message) => (problem ??= message));
    if (bytes.length > 0 && problem === undefined) return bytes;
  }
  return problem ?? 'it makes no code';
}
