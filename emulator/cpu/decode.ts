/** The instruction decoder (SDM 2A chapter 2): bytes to `Instruction`, driven by the instruction table. */
import { decodeTableOf, EXCHANGE_ACCUMULATOR, Read, SizeRule } from './decode-table.ts';
import type { CodeMode, CompiledRow, DecodeTable } from './decode-table.ts';
import type { Instruction, Operand } from './instruction.ts';
import { Prefix, PREFIXES } from './prefixes.ts';
import { GPR, HIGH_BYTE, XMM, YMM, MMX, ST, SEGMENT, CONTROL, DEBUG, SMALL, NO_OPERANDS } from './shared-operands.ts';
import { DEFAULT_MODEL } from './system/models.ts';
import { shiftByZero } from './table/shifts.ts';
import type { OpcodeRow } from './table/row.ts';

export interface DecodedInstruction extends Instruction {
  /** The table row it was decoded by. */
  readonly row: OpcodeRow;
  /** How it was read. */
  readonly compiled: CompiledRow;
  /** Instructions of equal shape differ in nothing but registers, addresses and immediates: form, row and kinds of operands are the same. */
  readonly shape: number;
}

/** Why `decode` answered undefined: #UD; the bytes end before the instruction does; #GP(0) for more than 15 bytes. */
export type DecodeFailure = 'invalid' | 'truncated' | 'too-long';

/** Longest instruction, in bytes (SDM 2A 2.3.11). */
export const MAX_INSTRUCTION_LENGTH = 15;

/** Shapes that a compiled row can have. */
const SHAPES = 4096;

const SEGMENT_SS = 2;
const SEGMENT_DS = 3;
const SEGMENT_ES = 0;

/** 16-bit addressing (SDM 2A table 2-1): base and index register by rm. */
const BASE16 = [3, 3, 5, 5, 6, 7, 5, 3];
const INDEX16 = [6, 7, 6, 7, -1, -1, -1, -1];

// State of the decode in progress: kept here rather than in an object so that nothing is allocated for it.
let code: Uint8Array;
let at = 0;
let rex = 0;
let modrm = 0;
/** VEX.vvvv, not inverted. */
let vvvv = 0;
let addressSize: 64 | 32 | 16 = 64;
/** Operand size in bytes, and base of CS outside 64-bit mode: a branch target is an offset of that size in CS. */
let branchSize = 4;
let codeBase = 0;
/** Segment override, or -1. */
let override = -1;
let ripRelative = false;
let scale = 0;
let base = -1;
let index = -1;
let displacement = 0;
/** Vector register that SIB.index names in a gather. */
let vectorIndex = 0;
let failure: DecodeFailure = 'invalid';

/** Why the latest `decode` answered undefined. */
export function decodeFailure(): DecodeFailure {
  return failure;
}

function signed8(): number {
  return (code[at++]! << 24) >> 24;
}
function unsigned16(): number {
  const value = code[at]! | (code[at + 1]! << 8);
  at += 2;
  return value;
}
function signed32(): number {
  const value = code[at]! | (code[at + 1]! << 8) | (code[at + 2]! << 16) | (code[at + 3]! << 24);
  at += 4;
  return value;
}
function unsigned64(): bigint {
  const low = signed32() >>> 0;
  const high = signed32() >>> 0;
  return (BigInt(high) << 32n) | BigInt(low);
}

function immediate(value: number): Operand {
  return value >= -128 && value < 256 ? SMALL[value + 128]! : { kind: 'immediate', value: BigInt(value) };
}

/** Reads SIB and displacement of a memory ModRM. */
function readAddress(mode: CodeMode): void {
  const mod = modrm >> 6;
  const rm = modrm & 7;
  scale = 0;
  index = -1;
  displacement = 0;
  ripRelative = false;
  if (addressSize === 16) return readAddress16(mod, rm);
  if (rm === 4) {
    const sib = code[at++]!;
    scale = sib >> 6;
    index = ((sib >> 3) & 7) | ((rex & 2) << 2);
    if (index === 4) index = -1;
    base = (sib & 7) | ((rex & 1) << 3);
    if ((sib & 7) === 5 && mod === 0) {
      base = -1;
      displacement = signed32();
    }
  } else if (rm === 5 && mod === 0) {
    base = -1;
    displacement = signed32();
    ripRelative = mode === 2;
  } else base = rm | ((rex & 1) << 3);
  if (mod === 1) displacement = signed8();
  else if (mod === 2) displacement = signed32();
}

function readAddress16(mod: number, rm: number): void {
  base = BASE16[rm]!;
  index = INDEX16[rm]!;
  if (mod === 0 && rm === 6) {
    base = -1;
    displacement = (unsigned16() << 16) >> 16;
  } else if (mod === 1) displacement = signed8();
  else if (mod === 2) displacement = (unsigned16() << 16) >> 16;
}

/** The memory operand that `readAddress` has read. `end` is the address of the next instruction. */
function memoryOperand(end: bigint | undefined): Operand {
  const segment = override >= 0 ? override : base === 4 || base === 5 ? SEGMENT_SS : SEGMENT_DS;
  let offset = BigInt(displacement);
  if (end !== undefined) {
    offset += end;
    offset = addressSize === 64 ? BigInt.asIntN(64, offset) : BigInt.asUintN(32, offset);
  }
  return { kind: 'memory', base, index, scale, displacement: offset, segment, addressSize };
}

function implicitMemory(register: number, segment: number): Operand {
  return { kind: 'memory', base: register, index: -1, scale: 0, displacement: 0n, segment, addressSize };
}

/** A direct branch target; the displacement counts from the end of the instruction. Outside 64-bit mode IP wraps at 64 KB, EIP at 4 GB. */
function target(distance: number, gva: bigint, length: number, mode: CodeMode): Operand {
  const address = gva + BigInt(distance + length);
  if (mode === 2) return { kind: 'target', gva: BigInt.asUintN(64, address) };
  const offset = Number(BigInt.asUintN(32, address)) - codeBase;
  const wrapped = branchSize === 2 ? offset & 0xffff : offset;
  return { kind: 'target', gva: BigInt((codeBase + wrapped) >>> 0) };
}

function byteRegister(register: number): Operand {
  return rex === 0 && register >= 4 && register < 8 ? HIGH_BYTE[register - 4]! : GPR[register]!;
}

/** Reads one operand; undefined if it is not valid (#UD). `start` is where the instruction began. */
function readOperand(
  read: Read,
  opcode: number,
  size: number,
  start: number,
  gva: bigint,
  mode: CodeMode,
  trailing: number,
): Operand | undefined {
  const registerForm = modrm >= 0xc0;
  const reg = ((modrm >> 3) & 7) | ((rex & 4) << 1);
  const rm = (modrm & 7) | ((rex & 1) << 3);
  switch (read) {
    case Read.RmByte:
    case Read.Rm:
    case Read.XmmRm:
    case Read.YmmRm:
    case Read.MmxRm:
      if (!registerForm) return memoryOperand(ripRelative ? gva + BigInt(at - start + trailing) : undefined);
      if (read === Read.Rm) return GPR[rm]!;
      if (read === Read.XmmRm) return XMM[rm]!;
      if (read === Read.YmmRm) return YMM[rm]!;
      return read === Read.RmByte ? byteRegister(rm) : MMX[rm & 7]!;
    case Read.RegByte:
      return byteRegister(reg);
    case Read.Reg:
      return GPR[reg]!;
    case Read.OpcodeByte:
      return byteRegister((opcode & 7) | ((rex & 1) << 3));
    case Read.Opcode:
      return GPR[(opcode & 7) | ((rex & 1) << 3)]!;
    case Read.ImmediateUnsigned8:
      return SMALL[(code[at++]! & 255) + 128]!;
    case Read.ImmediateUnsigned16:
      return immediate(unsigned16());
    case Read.ImmediateSigned8:
      return SMALL[signed8() + 128]!;
    case Read.ImmediateZ:
      return immediate(size === 2 ? (unsigned16() << 16) >> 16 : signed32());
    case Read.ImmediateV:
      if (size === 8) return { kind: 'immediate', value: BigInt.asIntN(64, unsigned64()) };
      return immediate(size === 2 ? (unsigned16() << 16) >> 16 : signed32());
    case Read.TargetByte: {
      const distance = signed8();
      return target(distance, gva, at - start, mode);
    }
    case Read.TargetZ: {
      const distance = size === 2 ? (unsigned16() << 16) >> 16 : signed32();
      return target(distance, gva, at - start, mode);
    }
    case Read.Moffs: {
      const offset =
        addressSize === 64
          ? BigInt.asIntN(64, unsigned64())
          : BigInt(addressSize === 32 ? signed32() >>> 0 : unsigned16());
      const segment = override >= 0 ? override : SEGMENT_DS;
      return { kind: 'memory', base: -1, index: -1, scale: 0, displacement: offset, segment, addressSize };
    }
    case Read.StringSource:
      return implicitMemory(6, override >= 0 ? override : SEGMENT_DS);
    case Read.StringDestination:
      return implicitMemory(7, SEGMENT_ES);
    case Read.BxByte:
      return implicitMemory(3, override >= 0 ? override : SEGMENT_DS);
    case Read.DiByte:
      return implicitMemory(7, override >= 0 ? override : SEGMENT_DS);
    case Read.Xmm:
      return XMM[reg]!;
    case Read.Ymm:
      return YMM[reg]!;
    case Read.Mmx:
      return MMX[reg & 7]!;
    case Read.RegVex:
      return GPR[vvvv]!;
    case Read.XmmVex:
      return XMM[vvvv]!;
    case Read.YmmVex:
      return YMM[vvvv]!;
    case Read.XmmIndex:
      return XMM[vectorIndex]!;
    case Read.YmmIndex:
      return YMM[vectorIndex]!;
    case Read.XmmImmediate:
    case Read.YmmImmediate: {
      const register = (code[at++]! >> 4) & (mode === 2 ? 15 : 7);
      return read === Read.XmmImmediate ? XMM[register]! : YMM[register]!;
    }
    case Read.Xmm0:
      return XMM[0]!;
    case Read.Segment:
      return SEGMENT[reg & 7];
    case Read.Control:
      return reg === 0 || (reg >= 2 && reg <= 4) || reg === 8 ? CONTROL[reg]! : undefined;
    case Read.Debug:
      return DEBUG[reg];
    case Read.FarPointer: {
      const offset = BigInt(size === 2 ? unsigned16() : signed32() >>> 0);
      return { kind: 'immediate', value: (BigInt(unsigned16()) << 32n) | offset };
    }
    case Read.St0:
      return ST[0]!;
    case Read.Sti:
      return ST[modrm & 7]!;
    case Read.One:
      return SMALL[129]!;
    case Read.Accumulator:
      return GPR[0]!;
    case Read.Count:
      return GPR[1]!;
    case Read.Port:
      return GPR[2]!;
    default:
      return SEGMENT[read - Read.FixedSegment]!;
  }
}

/** Bytes of immediates that follow the address, so that a RIP-relative operand knows where its instruction ends. */
function trailingBytes(reads: readonly Read[], size: number): number {
  for (let i = 0; i < reads.length; i++) {
    const read = reads[i]!;
    if (read === Read.ImmediateUnsigned8 || read === Read.ImmediateSigned8) return 1;
    if (read === Read.XmmImmediate || read === Read.YmmImmediate) return 1;
    if (read === Read.ImmediateZ) return size === 2 ? 2 : 4;
  }
  return 0;
}

const DEFAULT_TABLE = decodeTableOf(DEFAULT_MODEL);

/**
 * Decodes the instruction at `offset` of `bytes`, which stands at linear address `gva`. Undefined for #UD, for more than
 * 15 bytes and when `bytes` ends too early; `decodeFailure()` tells which. `base` is that of CS, outside 64-bit mode.
 */
export function decode(
  bytes: Uint8Array,
  offset: number,
  gva: bigint,
  mode: CodeMode,
  table = DEFAULT_TABLE,
  base = 0,
): DecodedInstruction | undefined {
  codeBase = base;
  code = bytes;
  at = offset;
  const instruction = decodeHere(offset, gva, mode, table);
  if (at > bytes.length) failure = 'truncated';
  else if (at - offset > MAX_INSTRUCTION_LENGTH) failure = 'too-long';
  else if (instruction) return instruction;
  else failure = 'invalid';
  return undefined;
}

function decodeHere(start: number, gva: bigint, mode: CodeMode, table: DecodeTable): DecodedInstruction | undefined {
  const prefixes = PREFIXES[mode]!;
  let operandSizePrefix = false;
  let addressSizePrefix = false;
  let lock = false;
  let repeat = 0;
  rex = 0;
  modrm = 0;
  override = -1;
  let byte = code[at++]!;
  for (let prefix = prefixes[byte]; prefix; prefix = prefixes[byte]) {
    // A REX prefix counts only immediately before the opcode.
    rex = 0;
    if (prefix === Prefix.Rex) rex = byte;
    else if (prefix === Prefix.OperandSize) operandSizePrefix = true;
    else if (prefix === Prefix.AddressSize) addressSizePrefix = true;
    else if (prefix === Prefix.Lock) lock = true;
    else if (prefix === Prefix.Repeat) repeat = byte;
    else if (byte >= 0x64) override = byte - 0x60;
    else if (mode !== 2) override = (byte >> 3) & 3;
    byte = code[at++]!;
    if (at - start > MAX_INSTRUCTION_LENGTH + 1) return undefined;
  }

  addressSize = mode === 2 ? (addressSizePrefix ? 32 : 64) : (mode === 1) !== addressSizePrefix ? 32 : 16;
  const operandSize = rex & 8 ? 8 : (mode === 0) !== operandSizePrefix ? 2 : 4;
  branchSize = operandSize;

  if ((byte & 0xfe) === 0xc4 && (mode === 2 || code[at]! >= 0xc0)) {
    // After these prefixes VEX is #UD (SDM 2A 2.3.2-2.3.4).
    const refused = operandSizePrefix || repeat !== 0 || lock || rex !== 0;
    return decodeVex(byte, start, gva, mode, table, refused);
  }

  let map = 0;
  if (byte === 0x0f) {
    byte = code[at++]!;
    map = 1;
    if (byte === 0x38 || byte === 0x3a) {
      map = byte === 0x38 ? 2 : 3;
      byte = code[at++]!;
    }
  }
  const prefixClass = repeat === 0xf2 ? 3 : repeat === 0xf3 ? 2 : operandSizePrefix ? 1 : 0;
  modrm = at < code.length ? code[at]! : 0;
  let compiled = table.row(mode, map, prefixClass, byte, modrm);
  if (compiled === undefined) return undefined;
  if (compiled === null) {
    at++;
    return undefined;
  }
  if (compiled.op === 'nop' && map === 0 && rex & 1) compiled = EXCHANGE_ACCUMULATOR;
  return readRest(compiled, byte, start, gva, mode, operandSize, lock, repeat);
}

/** The rest of an instruction after C4 or C5 (SDM 2A 2.3.5). */
function decodeVex(
  escape: number,
  start: number,
  gva: bigint,
  mode: CodeMode,
  table: DecodeTable,
  refused: boolean,
): DecodedInstruction | undefined {
  const first = code[at++]!;
  const last = escape === 0xc4 ? code[at++]! : first;
  const map = escape === 0xc4 ? first & 0x1f : 1;
  const w = escape === 0xc4 ? last >> 7 : 0;
  rex = mode !== 2 ? 0 : escape === 0xc4 ? (~first >> 5) & 7 : (~first >> 5) & 4;
  vvvv = (~last >> 3) & (mode === 2 ? 15 : 7);
  const opcode = code[at++]!;
  modrm = at < code.length ? code[at]! : 0;
  if (map === 0 || map > 3 || refused) return undefined;
  const compiled = table.vexRow(mode, map, last & 3, opcode, modrm, (last >> 2) & 1, w);
  if (compiled === undefined) return undefined;
  if (compiled === null || (!compiled.usesVvvv && (last & 0x78) !== 0x78)) {
    at++;
    return undefined;
  }
  // Outside 64-bit mode VEX.W chooses among instructions but gives no operand size (SDM 2A 2.3.5.3).
  return readRest(compiled, opcode, start, gva, mode, w && mode === 2 ? 8 : 4, false, 0);
}

/** The address of a gather has a vector register for its index; SIB is required, and all three registers differ (SDM 2 "VPGATHERDD"). */
function takeVectorIndex(): boolean {
  if (addressSize === 16 || (modrm & 7) !== 4) return false;
  // The encoding of "no index" is XMM4.
  vectorIndex = index < 0 ? 4 : index;
  index = -1;
  const destination = ((modrm >> 3) & 7) | ((rex & 4) << 1);
  return destination !== vectorIndex && destination !== vvvv && vectorIndex !== vvvv;
}

/** Everything after the opcode: address, operands. */
function readRest(
  compiled: CompiledRow,
  byte: number,
  start: number,
  gva: bigint,
  mode: CodeMode,
  operandSize: number,
  lock: boolean,
  repeat: number,
): DecodedInstruction | undefined {
  if (compiled.hasModrm) {
    at++;
    if (compiled.ignoresMod) modrm |= 0xc0;
    else if (modrm < 0xc0) readAddress(mode);
    if (compiled.vectorIndex && !takeVectorIndex()) return undefined;
  }
  const { sizeRule } = compiled;
  const size =
    sizeRule === SizeRule.Fixed
      ? compiled.sizes[0]!
      : sizeRule === SizeRule.AddressSize
        ? addressSize >> 3
        : compiled.sizes[operandSize === 2 ? 1 : operandSize === 4 ? 2 : 3]!;

  const { reads } = compiled;
  let operands = NO_OPERANDS as Operand[];
  if (reads.length > 0) {
    operands = new Array<Operand>(reads.length);
    const trailing = ripRelative ? trailingBytes(reads, size) : 0;
    for (let i = 0; i < reads.length; i++) {
      const operand = readOperand(reads[i]!, byte, size, start, gva, mode, trailing);
      if (operand === undefined) return undefined;
      operands[i] = operand;
    }
  }

  if (lock && !(compiled.lock && compiled.hasModrm && modrm < 0xc0)) return undefined;
  let { row, op } = compiled;
  let shape = compiled.id * SHAPES;
  if (op === 'mov_to_segment' && (modrm & 0x38) === 0x08) return undefined; // MOV CS
  if (compiled.shift) {
    const count = operands[operands.length - 1]!;
    if (count.kind === 'immediate' && (Number(count.value) & (size === 8 ? 63 : 31)) === 0) {
      row = shiftByZero;
      op = row.op;
      operands = [operands[0]!];
      shape += 1;
    }
  }
  const rep =
    compiled.repeat === undefined || repeat === 0
      ? 'none'
      : repeat === 0xf2 && compiled.repeat === 'repz'
        ? 'repne'
        : 'rep';
  if (compiled.hasModrm && modrm >= 0xc0) shape += 2;
  if (rep !== 'none') shape += rep === 'rep' ? 4 : 8;
  shape += (addressSize >> 5) * 16 + (operandSize >> 2) * 64;
  if (compiled.hasCondition) shape += (byte & 15) * 256;
  return {
    op,
    size,
    operands,
    gva,
    length: at - start,
    lock,
    rep,
    condition: compiled.hasCondition ? byte & 15 : undefined,
    row,
    compiled,
    shape,
  };
}
