/** Segment descriptors in the GDT and LDT (SDM 3A 3.4.5, 7.2.3), and what follows from CS and SS. */
import type { CpuContext } from '../context.ts';
import * as L from '../layout.ts';
import * as rights from '../segment-rights.ts';
import { Segment } from '../state.ts';
import type { LinearMemory, SegmentRegister } from '../state.ts';
import { Vector, raise } from './fault.ts';
import { linuxDescriptor } from './linux-gdt.ts';
import { hex, readLinear, writeLinear } from './memory.ts';
import { EFER_LMA } from '../control-bits.ts';

/** Bits of the access rights in VMCS format (SDM 3C 25.4.1). */
export const Rights = {
  TYPE: rights.RIGHTS_TYPE,
  ACCESSED: rights.RIGHTS_ACCESSED,
  WRITABLE: rights.RIGHTS_WRITABLE,
  READABLE: rights.RIGHTS_READABLE,
  EXPAND_DOWN: rights.RIGHTS_EXPAND_DOWN,
  CONFORMING: rights.RIGHTS_CONFORMING,
  CODE: rights.RIGHTS_CODE,
  S: rights.RIGHTS_S,
  DPL_SHIFT: rights.RIGHTS_DPL_SHIFT,
  PRESENT: rights.RIGHTS_PRESENT,
  L: rights.RIGHTS_L,
  DB: rights.RIGHTS_DB,
  G: rights.RIGHTS_G,
  UNUSABLE: rights.RIGHTS_UNUSABLE,
} as const;

export const SystemType = {
  TSS_AVAILABLE_16: 1,
  LDT: 2,
  TSS_BUSY_16: 3,
  CALL_GATE_16: 4,
  TASK_GATE: 5,
  INTERRUPT_GATE_16: 6,
  TRAP_GATE_16: 7,
  TSS_AVAILABLE: 9,
  TSS_BUSY: 11,
  CALL_GATE: 12,
  INTERRUPT_GATE: 14,
  TRAP_GATE: 15,
} as const;

export interface Descriptor {
  /** Linear address of it. */
  readonly gva: bigint;
  /** Its first 8 bytes. */
  readonly low: bigint;
  /** VMCS format. */
  readonly rights: number;
  readonly dpl: number;
}

/** RPL and TI aside, selector 0 is null. */
export function isNull(selector: number): boolean {
  return (selector & 0xfffc) === 0;
}

/** Selector as an error code: without its RPL (SDM 3A 6.13). */
export function selectorError(selector: number, external = 0): number {
  return (selector & 0xfffc) | external;
}

/** Linear address of a selector's descriptor, or undefined if it lies outside its table. */
export function locateDescriptor(context: CpuContext, selector: number, bytes: 8 | 16 = 8): bigint | undefined {
  const { mem, cpu } = context;
  const offset = selector & 0xfff8;
  if (selector & 4) {
    const ldt = cpu.segment(Segment.LDTR);
    if (ldt.rights & Rights.UNUSABLE || offset + bytes - 1 > ldt.limit) return undefined;
    return ldt.base + BigInt(offset);
  }
  if (offset + bytes - 1 > mem.get32(L.GDTR_LIMIT)) return undefined;
  return mem.get64(L.GDTR_BASE) + BigInt(offset);
}

/** Reads a descriptor; `vector`(selector) if it lies outside its table. `external` is bit 0 of the error code. */
export function readDescriptor(context: CpuContext, selector: number, vector = Vector.GP, external = 0): Descriptor {
  const gva = locateDescriptor(context, selector);
  if (gva === undefined) {
    const table = selector & 4 ? 'LDT' : `GDT (limit ${hex(context.mem.get32(L.GDTR_LIMIT))})`;
    raise(vector, selectorError(selector, external), `selector ${hex(selector)} is outside the ${table}`);
  }
  return parseDescriptor(
    gva,
    underSupervisor(context) ? linuxDescriptor(selector) : readLinear(context, gva, 8, 'supervisor'),
  );
}

/** For LAR, LSL, VERR and VERW, which answer in ZF instead of faulting on a selector. */
export function inspectDescriptor(context: CpuContext, selector: number): Descriptor | undefined {
  const gva = isNull(selector) ? undefined : locateDescriptor(context, selector);
  if (gva === undefined) return undefined;
  return parseDescriptor(
    gva,
    underSupervisor(context) ? linuxDescriptor(selector) : readLinear(context, gva, 8, 'supervisor'),
  );
}

/** Root operation with no kernel inside the machine: Linux's tables are constants. */
export function underSupervisor(context: CpuContext): boolean {
  return !context.cpu.nonRoot && context.engine.supervisor !== undefined;
}

export function parseDescriptor(gva: bigint, low: bigint): Descriptor {
  const rights = Number((low >> 40n) & 0xf0ffn);
  return { gva, low, rights, dpl: (rights >> Rights.DPL_SHIFT) & 3 };
}

/** Segment register as a load of this descriptor leaves it. */
export function toSegment(descriptor: Descriptor, selector: number): SegmentRegister {
  const { low, rights } = descriptor;
  const limit = Number(low & 0xffffn) | Number((low >> 32n) & 0xf0000n);
  return {
    selector,
    base: ((low >> 16n) & 0xffffffn) | ((low >> 32n) & 0xff000000n),
    limit: rights & Rights.G ? ((limit << 12) | 0xfff) >>> 0 : limit,
    rights,
  };
}

/** Sets the accessed bit in the table if it is clear. May fault. */
export function markAccessed(context: CpuContext, descriptor: Descriptor): Descriptor {
  if (descriptor.rights & Rights.ACCESSED) return descriptor;
  const low = descriptor.low | (1n << 40n);
  writeLinear(context, descriptor.gva + 5n, 1, (low >> 40n) & 0xffn, 'supervisor');
  return { ...descriptor, low, rights: descriptor.rights | Rights.ACCESSED };
}

/** What a null selector leaves: unusable; in SS the DPL still tells the CPL. */
export function nullSegment(selector: number, dpl = 0): SegmentRegister {
  return { selector, base: 0n, limit: 0, rights: Rights.UNUSABLE | (dpl << Rights.DPL_SHIFT) };
}

/** Brings CPL and CODE_MODE in line with SS and CS, and tells the engine. To be called after the segments were set as a whole. */
export function updateDerived(context: CpuContext): void {
  deriveCode(context.mem);
  context.engine.contextChanged();
}

/** CPL and width of code, from segments, CR0 and EFER. */
export function deriveCode(mem: LinearMemory): void {
  const protectedMode = (mem.get32(L.CR0) & 1) !== 0;
  mem.set32(L.CPL, protectedMode ? (mem.get32(L.SS + L.SEG_RIGHTS) >> Rights.DPL_SHIFT) & 3 : 0);
  mem.set32(L.CODE_MODE, codeMode(mem.get32(L.MSR_EFER), mem.get32(L.CS + L.SEG_RIGHTS)));
}

/** 0 16-bit, 1 32-bit, 2 64-bit. `efer`: its low half. */
export function codeMode(efer: number, csRights: number): number {
  if (efer & EFER_LMA && csRights & Rights.L) return 2;
  return csRights & Rights.DB ? 1 : 0;
}

/** Stores CS and the SS that go with a new CPL. The caller tells the engine (`updateDerived`). */
export function setCodeAndStack(context: CpuContext, cs: SegmentRegister, ss: SegmentRegister | undefined): void {
  context.cpu.setSegment(Segment.CS, cs);
  if (ss) context.cpu.setSegment(Segment.SS, ss);
  updateDerived(context);
}
