/** Memory and operands as system instructions and event delivery access them: through the MMU, a page at most at a time. */
import * as C from '../codes.ts';
import type { CpuContext } from '../context.ts';
import type { MemoryOperand, Operand } from '../instruction.ts';
import * as L from '../layout.ts';
import { isCanonicalIn, linearBits } from '../../mmu/modes.ts';
import { segmentAccess } from '../records.ts';
import { Segment } from '../state.ts';
import { GuestFault, Vector, raise, takeCoreFault, undefinedOpcode } from './fault.ts';

export type Bytes = 1 | 2 | 4 | 8;

const MASKS = { 1: 0xffn, 2: 0xffffn, 4: 0xffff_ffffn, 8: 0xffff_ffff_ffff_ffffn } as const;
const ALL = 0xffff_ffff_ffff_ffffn;

/** Whether code and data at the address can be reached (SDM 1 3.3.7.1): bits 63:47 are equal, 63:56 with CR4.LA57. */
export function isCanonical(context: CpuContext, gva: bigint): boolean {
  return isCanonicalIn(linearBits(context.mem), gva);
}

/**
 * Whether a register may hold the address: MSRs, bases of segments and tables, operands of INVLPG and the like go by the width that the processor
 * supports, whatever CR4.LA57 (5-Level Paging and 5-Level EPT, 2.3).
 */
export function isCanonicalBase(context: CpuContext, address: bigint): boolean {
  return isCanonicalIn(context.model.features.has('la57') ? 57 : 48, address);
}

/** Whose rights an access has: those of the CPL, or the supervisor's whatever the CPL (tables, TSS, stacks of delivery). */
export type Rights = 'cpl' | 'supervisor';

/** Throws GuestFault. */
export function readLinear(context: CpuContext, gva: bigint, bytes: Bytes, rights: Rights): bigint {
  const { view } = context.mem;
  checkAlignment(context, gva, bytes, rights);
  if (rights === 'cpl') context.engine.debug.noteAccess(gva, bytes, C.ACCESS_READ);
  if (crossesPage(gva, bytes)) return readBytes(context, gva, bytes, rights);
  const at = translate(context, gva, C.ACCESS_READ, rights);
  if (at === NOWHERE) return deviceRead(context, bytes);
  if (bytes === 8) return view.getBigUint64(at, true);
  if (bytes === 4) return BigInt(view.getUint32(at, true));
  return BigInt(bytes === 2 ? view.getUint16(at, true) : view.getUint8(at));
}

/** Nothing is written if any byte is refused. Throws GuestFault. */
export function writeLinear(context: CpuContext, gva: bigint, bytes: Bytes, value: bigint, rights: Rights): void {
  const { view } = context.mem;
  checkAlignment(context, gva, bytes, rights);
  if (rights === 'cpl') context.engine.debug.noteAccess(gva, bytes, C.ACCESS_WRITE);
  if (crossesPage(gva, bytes)) return writeBytes(context, gva, bytes, value, rights);
  const at = translate(context, gva, C.ACCESS_WRITE, rights);
  if (at === NOWHERE) return deviceWrite(context, bytes, value);
  if (bytes === 8) view.setBigUint64(at, value & ALL, true);
  else if (bytes === 4) view.setUint32(at, Number(value & MASKS[4]), true);
  else if (bytes === 2) view.setUint16(at, Number(value & MASKS[2]), true);
  else view.setUint8(at, Number(value & MASKS[1]));
  context.physical.touched(at - L.RAM_BASE, bytes);
}

/** What stands where the last translation found no RAM. */
function deviceRead({ board, mem }: CpuContext, bytes: Bytes): bigint {
  if (!board) return MASKS[bytes];
  const data = new DataView(new ArrayBuffer(8));
  board.readMemory(Number(mem.get64(L.NOWHERE_HPA)), new Uint8Array(data.buffer, 0, bytes));
  return data.getBigUint64(0, true);
}
function deviceWrite({ board, mem }: CpuContext, bytes: Bytes, value: bigint): void {
  if (!board) return;
  const data = new DataView(new ArrayBuffer(8));
  data.setBigUint64(0, value & MASKS[bytes], true);
  board.writeMemory(Number(mem.get64(L.NOWHERE_HPA)), new Uint8Array(data.buffer, 0, bytes));
}

/** Throws #AC. */
function checkAlignment(context: CpuContext, gva: bigint, bytes: Bytes, rights: Rights): void {
  if (rights === 'cpl' && context.core.checkAlignment(gva, bytes)) throw new GuestFault(takeCoreFault(context));
}

function crossesPage(gva: bigint, bytes: number): boolean {
  return Number(gva & 0xfffn) + bytes > 4096;
}

function readBytes(context: CpuContext, gva: bigint, bytes: number, rights: Rights): bigint {
  let value = 0n;
  for (let i = 0; i < bytes; i++) {
    const at = translate(context, (gva + BigInt(i)) & ALL, C.ACCESS_READ, rights);
    value |= BigInt(at === NOWHERE ? 0xff : context.mem.bytes[at]!) << BigInt(i * 8);
  }
  return value;
}

function writeBytes(context: CpuContext, gva: bigint, bytes: number, value: bigint, rights: Rights): void {
  const targets: number[] = [];
  for (let i = 0; i < bytes; i++) targets.push(translate(context, (gva + BigInt(i)) & ALL, C.ACCESS_WRITE, rights));
  targets.forEach((at, i) => {
    if (at === NOWHERE) return;
    context.mem.bytes[at] = Number((value >> BigInt(i * 8)) & 0xffn);
    context.physical.touched(at - L.RAM_BASE, 1);
  });
}

/** Bytes with a linear address, for transfers larger than a register. */
export interface MemoryBlock {
  readonly gva: bigint;
  readonly data: Uint8Array;
}

/** Reads with the rights of the CPL. Throws GuestFault. */
export function readBlock(context: CpuContext, gva: bigint, bytes: number): Uint8Array {
  const data = new Uint8Array(bytes);
  for (const { from, at, count } of pagesOf(context, gva, bytes, C.ACCESS_READ)) {
    if (at === NOWHERE) data.fill(0xff, from, from + count);
    else data.set(context.mem.bytes.subarray(at, at + count), from);
  }
  return data;
}

/** Writes with the rights of the CPL; nothing is written if any byte of any block is refused. Throws GuestFault. */
export function writeBlocks(context: CpuContext, blocks: readonly MemoryBlock[]): void {
  const writes = blocks.flatMap(({ gva, data }) =>
    pagesOf(context, gva, data.length, C.ACCESS_WRITE).map((page) => ({ ...page, data })),
  );
  for (const { from, at, count, data } of writes)
    if (at !== NOWHERE) context.physical.write(at - L.RAM_BASE, data.subarray(from, from + count));
}

interface PagePart {
  /** Offset in the block. */
  readonly from: number;
  readonly count: number;
  /** Offset in linear memory, or NOWHERE. */
  readonly at: number;
}

function pagesOf(context: CpuContext, gva: bigint, bytes: number, access: number): PagePart[] {
  const parts: PagePart[] = [];
  for (let from = 0; from < bytes;) {
    const start = (gva + BigInt(from)) & ALL;
    const count = Math.min(bytes - from, 4096 - Number(start & 0xfffn));
    parts.push({ from, count, at: translate(context, start, access, 'cpl') });
    from += count;
  }
  return parts;
}

const REFUSED = -1;
/** No memory behind the address: reads all ones, writes go nowhere. */
const NOWHERE = -2;

/** Offset in linear memory, or NOWHERE. */
function translate(context: CpuContext, gva: bigint, kind: number, rights: Rights): number {
  const implicit = rights === 'supervisor' && context.cpu.cpl === 3 ? C.ACCESS_IMPLICIT : 0;
  const at = context.core.translate(gva, kind | implicit);
  if (at === REFUSED) throw new GuestFault(takeCoreFault(context));
  return at === NOWHERE ? NOWHERE : at >>> 0;
}

/** Offset part of a memory operand, truncated to the address size. */
export function effectiveAddress(context: CpuContext, operand: MemoryOperand): bigint {
  const { cpu } = context;
  let offset = operand.displacement;
  if (operand.base >= 0) offset += cpu.gpr(operand.base);
  if (operand.index >= 0) offset += cpu.gpr(operand.index) << BigInt(operand.scale);
  return BigInt.asUintN(operand.addressSize, offset);
}

/** Linear address of an access of `bytes`; #GP(0) or #SS(0) outside the segment or if not canonical. */
export function linearAddress(context: CpuContext, operand: MemoryOperand, bytes: number, write = false): bigint {
  const offset = effectiveAddress(context, operand);
  const segment = context.cpu.segment(operand.segment as Segment);
  const vector = operand.segment === Segment.SS ? Vector.SS : Vector.GP;
  if (context.mem.get32(L.CODE_MODE) === 2) {
    const flat = operand.segment !== Segment.FS && operand.segment !== Segment.GS;
    const gva = BigInt.asUintN(64, flat ? offset : segment.base + offset);
    if (!isCanonical(context, gva) || !isCanonical(context, BigInt.asUintN(64, gva + BigInt(bytes - 1)))) {
      raise(vector, 0, `address ${hex(gva)} is not canonical`);
    }
    return gva;
  }
  return segmentAddress(context, operand.segment, offset, bytes, write);
}

/** Outside 64-bit mode: linear address of an access, checked against its segment. */
export function segmentAddress(
  context: CpuContext,
  segment: Segment,
  offset: bigint,
  bytes: number,
  write: boolean,
): bigint {
  const at = L.SEG + segment * L.SEG_STRIDE;
  const gva = context.core.segmentAddress(at, offset, segmentAccess(bytes, write));
  if (gva < 0n) throw new GuestFault(takeCoreFault(context));
  return gva;
}

/** Reads a general register, immediate or memory operand, zero-extended. Memory is read with the rights of the CPL. */
export function readOperand(context: CpuContext, operand: Operand, bytes: Bytes): bigint {
  switch (operand.kind) {
    case 'gpr':
      return operand.high
        ? (context.cpu.gpr(operand.register & 3) >> 8n) & 0xffn
        : context.cpu.gpr(operand.register) & MASKS[bytes];
    case 'immediate':
      return operand.value & MASKS[bytes];
    case 'memory':
      return readLinear(context, linearAddress(context, operand, bytes), bytes, 'cpl');
    default:
      return undefinedOpcode(`operand of kind ${operand.kind}`);
  }
}

/** Writes a general register (32 bits clear the upper half, fewer keep the rest) or memory. */
export function writeOperand(context: CpuContext, operand: Operand, bytes: Bytes, value: bigint): void {
  if (operand.kind === 'gpr') return writeGpr(context, operand.register, bytes, value);
  if (operand.kind !== 'memory') undefinedOpcode(`operand of kind ${operand.kind} as a destination`);
  writeLinear(context, linearAddress(context, operand, bytes, true), bytes, value, 'cpl');
}

export function writeGpr(context: CpuContext, register: number, bytes: Bytes, value: bigint): void {
  const kept = bytes >= 4 ? 0n : context.cpu.gpr(register) & ~MASKS[bytes];
  context.cpu.setGpr(register, BigInt.asUintN(64, kept | (value & MASKS[bytes])));
}

export function hex(value: bigint | number): string {
  return `0x${value.toString(16)}`;
}
