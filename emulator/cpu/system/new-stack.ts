/** A stack that is not in force yet: the frame of a transfer to another ring is written to it before SS is loaded. */
import type { CpuContext } from '../context.ts';
import * as L from '../layout.ts';
import { segmentAccess } from '../records.ts';
import { Segment } from '../state.ts';
import type { SegmentRegister } from '../state.ts';
import { Rights, isNull, markAccessed, readDescriptor, selectorError, toSegment } from './descriptors.ts';
import { Vector, raise } from './fault.ts';
import { hex, readLinear, writeLinear } from './memory.ts';
import type { Bytes } from './memory.ts';

/** Where the core is shown the segment. */
const SCRATCH = L.EXCHANGE + 0x40;

export interface NewStack {
  readonly segment: SegmentRegister;
  /** Of the stack pointer. */
  readonly bits: 32 | 16;
  pointer: bigint;
  /** Of the #SS that a push may raise. */
  readonly errorCode: number;
}

export const stackBitsOf = (segment: SegmentRegister): 32 | 16 => (segment.rights & Rights.DB ? 32 : 16);

/** The stack in force, as one to push on; only outside 64-bit mode. */
export function currentStack({ cpu }: CpuContext, external = 0): NewStack {
  const segment = cpu.segment(Segment.SS);
  const bits = stackBitsOf(segment);
  return { segment, bits, pointer: BigInt.asUintN(bits, cpu.rsp), errorCode: external };
}

/** The stack that the TSS in force names for a ring, with the checks of SDM 2A "INT n" and "CALL". */
export function ringStack(context: CpuContext, cpl: number, external = 0): NewStack {
  const tr = context.cpu.segment(Segment.TR);
  const wide = (tr.rights & 8) !== 0;
  const offset = wide ? 4 + cpl * 8 : 2 + cpl * 4;
  const pointerBytes = wide ? 4 : 2;
  if (offset + pointerBytes + 1 > tr.limit)
    raise(Vector.TS, selectorError(tr.selector, external), `TSS limit ${hex(tr.limit)}: no stack of ring ${cpl}`);
  const at = tr.base + BigInt(offset);
  const pointer = readLinear(context, at & 0xffff_ffffn, pointerBytes, 'supervisor');
  const selector = Number(readLinear(context, (at + BigInt(pointerBytes)) & 0xffff_ffffn, 2, 'supervisor'));
  const segment = innerStack(context, selector, cpl, external);
  return { segment, bits: stackBitsOf(segment), pointer, errorCode: selectorError(selector, external) };
}

function innerStack(context: CpuContext, selector: number, cpl: number, external: number): SegmentRegister {
  if (isNull(selector)) raise(Vector.TS, external, `the TSS holds a null SS${cpl}`);
  const descriptor = readDescriptor(context, selector, Vector.TS, external);
  const { rights, dpl } = descriptor;
  const error = selectorError(selector, external);
  if ((selector & 3) !== cpl || dpl !== cpl)
    raise(Vector.TS, error, `SS${cpl} ${hex(selector)} has RPL ${selector & 3} and DPL ${dpl}`);
  if ((rights & (Rights.S | Rights.CODE | Rights.WRITABLE)) !== (Rights.S | Rights.WRITABLE))
    raise(Vector.TS, error, `SS${cpl} ${hex(selector)} is not writable data`);
  if (!(rights & Rights.PRESENT)) raise(Vector.SS, error, `SS${cpl} ${hex(selector)} is not present`);
  return toSegment(markAccessed(context, descriptor), selector);
}

/** Writes an item below the top and moves the pointer. Throws #SS with the stack's error code. */
export function pushNew(context: CpuContext, stack: NewStack, bytes: Bytes, value: bigint): void {
  const { segment, bits } = stack;
  const pointer = BigInt.asUintN(bits, stack.pointer - BigInt(bytes));
  const gva = checkedAddress(context, segment, pointer, bytes);
  if (gva === undefined)
    raise(Vector.SS, stack.errorCode, `pushing at ${hex(pointer)}, outside the stack segment ${hex(segment.selector)}`);
  const inner = ((segment.rights >> Rights.DPL_SHIFT) & 3) === 3 ? 'cpl' : 'supervisor';
  writeLinear(context, gva, bytes, BigInt.asUintN(bytes * 8, value), inner);
  stack.pointer = pointer;
}

/** The core's check of a segment register that is not loaded. */
function checkedAddress(
  { mem, core }: CpuContext,
  { base, limit, rights }: SegmentRegister,
  offset: bigint,
  bytes: number,
): bigint | undefined {
  mem.set64(SCRATCH + L.SEG_BASE, base);
  mem.set32(SCRATCH + L.SEG_LIMIT, limit);
  mem.set32(SCRATCH + L.SEG_RIGHTS, rights);
  const gva = core.segmentAddress(SCRATCH, offset, segmentAccess(bytes, true));
  if (gva >= 0n) return gva;
  mem.set32(L.FAULT_KIND, 0);
  return undefined;
}

/** Loads the stack pointer: ESP, or SP alone. */
export function loadPointer({ cpu }: CpuContext, { bits, pointer }: NewStack): void {
  cpu.rsp = bits === 16 ? (cpu.rsp & 0xffff_0000n) | pointer : pointer;
}
