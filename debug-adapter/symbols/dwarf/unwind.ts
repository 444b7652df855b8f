/** From a frame to its caller: by CFI, else by the frame pointer, else by looking for a return address on the stack. */
import type { ElfImage } from '../elf.ts';
import { linkAddressOf } from '../link-address.ts';
import { evaluateNumber, littleEndian, type ExpressionContext } from './expression.ts';
import { unwindRow, type RegisterRule, type UnwindRow } from './frame-program.ts';
import type { CommonInformation, FrameTable } from './frame.ts';
import { DwarfRegister, UNWOUND_REGISTERS } from './registers.ts';

/** A register of a frame, and where a write to it must go when a callee saved it. */
export interface FrameRegister {
  readonly value: bigint;
  /** Undefined: it still is in the register. */
  readonly savedAt?: bigint;
  /** Bytes of the place in which it was saved: 4 in 32-bit code. */
  readonly savedBytes?: 4;
}

/** Registers of one frame by DWARF number 0..16; 16 is the program counter. */
export type FrameRegisters = readonly (FrameRegister | undefined)[];

export type ReadMemory = (address: bigint, bytes: number) => Uint8Array | undefined;

export interface UnwoundFrame {
  readonly registers: FrameRegisters;
  /** Canonical frame address of the frame that was unwound. */
  readonly cfa: bigint;
  /** The frame that was unwound is a signal or trap frame: the caller's pc is the interrupted instruction, not a return address. */
  readonly signal: boolean;
  readonly method: 'cfi' | 'entry' | 'frame-pointer' | 'scan';
}

export function frameRegisters(values: readonly (bigint | undefined)[]): FrameRegisters {
  return values.map((value) => (value === undefined ? undefined : { value: BigInt.asUintN(64, value) }));
}

export interface UnwindSource {
  readonly elf: ElfImage;
  readonly frames: FrameTable;
  /** Run-time minus link-time address. */
  readonly bias: bigint;
  /** Whether the code at a link-time address is of 32 bits. */
  isNarrow(address: number): boolean;
}

/** Stack words looked at when nothing better is known. */
const SCAN_WORDS = 512;
const MAX_FRAME_BYTES = 8n << 20n;
/** Registers that belong to the caller: RBX, RBP, R12 to R15; EBX, ESI, EDI, EBP. */
const KEPT = [3, 6, 12, 13, 14, 15];
const KEPT_BY_I386 = [3, 4, 5, 6];

/**
 * One step outwards. `interrupted` says that the frame's pc is the next instruction to execute (the innermost frame, or
 * one interrupted by a signal or trap) rather than a return address. Undefined at the outermost frame.
 */
export function unwind(
  source: UnwindSource,
  registers: FrameRegisters,
  readMemory: ReadMemory,
  interrupted: boolean,
): UnwoundFrame | undefined {
  const pc = registers[DwarfRegister.ReturnAddress]?.value;
  const rsp = registers[DwarfRegister.Rsp]?.value;
  if (pc === undefined || rsp === undefined) return undefined;
  const address = linkAddress(source, pc) - (interrupted ? 0 : 1);
  const description = source.frames.at(address);
  if (!description) return guess(source, registers, readMemory, rsp, linkAddress(source, pc));
  const row = unwindRow(description, address);
  const ra = row.rules.get(description.cie.returnRegister);
  if (ra?.kind === 'undefined') return undefined;
  return applyRow(source, row, registers, readMemory, description.cie);
}

function linkAddress(source: UnwindSource, pc: bigint): number {
  return linkAddressOf(pc, source.bias);
}

export function canonicalFrameAddress(
  source: UnwindSource,
  registers: FrameRegisters,
  readMemory: ReadMemory,
  interrupted: boolean,
): bigint | undefined {
  const pc = registers[DwarfRegister.ReturnAddress]?.value;
  if (pc === undefined) return undefined;
  const address = linkAddress(source, pc) - (interrupted ? 0 : 1);
  const description = source.frames.at(address);
  if (!description) return undefined;
  return cfaOf(source, unwindRow(description, address), registers, readMemory, description.cie.narrow);
}

function context(
  source: UnwindSource,
  registers: FrameRegisters,
  readMemory: ReadMemory,
  narrow: boolean,
): ExpressionContext {
  return { unit: undefined, narrow, bias: source.bias, register: (number) => registers[number]?.value, readMemory };
}

function cfaOf(
  source: UnwindSource,
  row: UnwindRow,
  registers: FrameRegisters,
  readMemory: ReadMemory,
  narrow: boolean,
): bigint | undefined {
  if (!row.cfa) return undefined;
  if (row.cfa.kind === 'expression')
    return evaluateNumber(row.cfa.expression, context(source, registers, readMemory, narrow));
  const base = registers[row.cfa.register]?.value;
  return base === undefined ? undefined : BigInt.asUintN(narrow ? 32 : 64, base + BigInt(row.cfa.offset));
}

function applyRow(
  source: UnwindSource,
  row: UnwindRow,
  registers: FrameRegisters,
  readMemory: ReadMemory,
  { signal, returnRegister, narrow }: CommonInformation,
): UnwoundFrame | undefined {
  const cfa = cfaOf(source, row, registers, readMemory, narrow);
  if (cfa === undefined) return undefined;
  const next: (FrameRegister | undefined)[] = [];
  for (let register = 0; register < UNWOUND_REGISTERS; register++) {
    const rule = row.rules.get(register);
    if (rule) next[register] = applyRule(source, { rule, register, cfa, narrow }, registers, readMemory);
    else if (register === DwarfRegister.Rsp) next[register] = { value: cfa };
    else next[register] = registers[register];
  }
  const returnAddress = next[returnRegister];
  if (!returnAddress || returnAddress.value === 0n || (!row.rules.has(returnRegister) && !signal)) return undefined;
  next[DwarfRegister.ReturnAddress] = returnAddress;
  return { registers: next, cfa, signal, method: 'cfi' };
}

interface Applied {
  readonly rule: RegisterRule;
  readonly register: number;
  readonly cfa: bigint;
  readonly narrow: boolean;
}

function applyRule(
  source: UnwindSource,
  { rule, register, cfa, narrow }: Applied,
  registers: FrameRegisters,
  readMemory: ReadMemory,
): FrameRegister | undefined {
  const bits = narrow ? 32 : 64;
  switch (rule.kind) {
    case 'undefined':
      return undefined;
    case 'same':
      return registers[register];
    case 'register':
      return registers[rule.register];
    case 'offset':
      return saved(BigInt.asUintN(bits, cfa + BigInt(rule.offset)), readMemory, narrow);
    case 'value-offset':
      return { value: BigInt.asUintN(bits, cfa + BigInt(rule.offset)) };
    case 'expression': {
      const at = evaluateNumber(rule.expression, context(source, registers, readMemory, narrow), [cfa]);
      return at === undefined ? undefined : saved(at, readMemory, narrow);
    }
    case 'value-expression': {
      const value = evaluateNumber(rule.expression, context(source, registers, readMemory, narrow), [cfa]);
      return value === undefined ? undefined : { value };
    }
  }
}

function saved(address: bigint, readMemory: ReadMemory, narrow: boolean): FrameRegister | undefined {
  const value = readWord(address, readMemory, narrow ? 4 : 8);
  if (value === undefined) return undefined;
  return narrow ? { value, savedAt: address, savedBytes: 4 } : { value, savedAt: address };
}

function readWord(address: bigint, readMemory: ReadMemory, size: 4 | 8): bigint | undefined {
  const bytes = readMemory(address, size);
  return bytes && bytes.length >= size ? littleEndian(bytes.subarray(0, size)) : undefined;
}

/** Without CFI: a function that has just been entered, a frame-pointer chain, or the first thing that looks like a return address. */
function guess(
  source: UnwindSource,
  registers: FrameRegisters,
  readMemory: ReadMemory,
  rsp: bigint,
  pc: number,
): UnwoundFrame | undefined {
  const symbol = source.elf.symbols.at(pc);
  const narrow = source.isNarrow(pc);
  const word = narrow ? 4 : 8;
  const through = (slot: bigint, rbp: FrameRegister | undefined, method: UnwoundFrame['method']) =>
    returnThrough(source, registers, readMemory, { slot, rbp, method, narrow });
  if (symbol?.offset === 0) {
    const frame = through(rsp, undefined, 'entry');
    if (frame) return frame;
  }
  const rbp = registers[DwarfRegister.Rbp]?.value;
  if (rbp !== undefined && rbp >= rsp && rbp - rsp < MAX_FRAME_BYTES && rbp % BigInt(word) === 0n) {
    const callerRbp = saved(rbp, readMemory, narrow);
    if (callerRbp) {
      const frame = through(rbp + BigInt(word), callerRbp, 'frame-pointer');
      if (frame) return frame;
    }
  }
  const bytes = readMemory(rsp, SCAN_WORDS * word) ?? new Uint8Array(0);
  for (let offset = 0; offset + word <= bytes.length; offset += word) {
    if (!isReturnAddress(source, littleEndian(bytes.subarray(offset, offset + word)))) continue;
    return through(rsp + BigInt(offset), undefined, 'scan');
  }
  return undefined;
}

interface Found {
  /** Where the return address stands. */
  readonly slot: bigint;
  readonly rbp: FrameRegister | undefined;
  readonly method: UnwoundFrame['method'];
  readonly narrow: boolean;
}

function returnThrough(
  source: UnwindSource,
  registers: FrameRegisters,
  readMemory: ReadMemory,
  { slot, rbp, method, narrow }: Found,
): UnwoundFrame | undefined {
  const returnAddress = saved(slot, readMemory, narrow);
  if (!returnAddress || !isReturnAddress(source, returnAddress.value)) return undefined;
  const next: (FrameRegister | undefined)[] = new Array<FrameRegister | undefined>(UNWOUND_REGISTERS).fill(undefined);
  for (const kept of narrow ? KEPT_BY_I386 : KEPT) next[kept] = registers[kept];
  if (rbp) next[DwarfRegister.Rbp] = rbp;
  const cfa = slot + (narrow ? 4n : 8n);
  next[DwarfRegister.Rsp] = { value: cfa };
  next[DwarfRegister.ReturnAddress] = returnAddress;
  return { registers: next, cfa, signal: false, method };
}

/** In code, and just after a CALL: E8 rel32, or FF /2 in its lengths 2, 3, 6, 7 (SDM 2A, CALL). */
export function isReturnAddress(source: UnwindSource, address: bigint): boolean {
  const pc = linkAddress(source, address);
  if (Number.isNaN(pc) || !source.elf.isCode(pc - 1)) return false;
  const before = source.elf.bytesAt(pc - 7, 7);
  if (before.length < 7) return false;
  if (before[2] === 0xe8) return true;
  return [2, 3, 4, 6, 7].some((length) => before[7 - length] === 0xff && ((before[8 - length]! >> 3) & 7) === 2);
}
