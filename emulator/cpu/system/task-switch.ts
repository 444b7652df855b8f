/** Task switches by the TSS (SDM 3A 8.2, 8.3); in VMX non-root operation they exit instead (SDM 3C 26.2). */
import type { CpuContext } from '../context.ts';
import * as L from '../layout.ts';
import { Segment } from '../state.ts';
import type { SegmentRegister } from '../state.ts';
import { setCr3 } from './control-registers.ts';
import {
  Rights,
  SystemType,
  isNull,
  locateDescriptor,
  markAccessed,
  nullSegment,
  parseDescriptor,
  readDescriptor,
  selectorError,
  toSegment,
  updateDerived,
} from './descriptors.ts';
import type { Descriptor } from './descriptors.ts';
import { ExitReason } from './exits.ts';
import { GuestFault, Vector, generalProtection, raise } from './fault.ts';
import { hex, readLinear, writeLinear } from './memory.ts';
import type { Bytes } from './memory.ts';
import { isLongMode, realSegment } from './modes.ts';
import { currentStack, loadPointer, pushNew } from './new-stack.ts';
import { Flag, readRflags, writeRflags } from './rflags.ts';
import { BITS_64 } from '../control-bits-64.ts';

const { CR0_PG, CR0_TS } = BITS_64;

const DR6_BT = 0x8000n;
const BUSY = 2;
const WIDE = 8;
/** Limit that holds the whole state of a task (SDM 3A 8.2.2, 8.6). */
const LIMIT_32 = 0x67;
const LIMIT_16 = 0x2b;
/** Bits 31:30 of the exit qualification (SDM 3C table 28-6). */
const SOURCE = { call: 0n, iret: 1n, jmp: 2n, gate: 3n } as const;

export interface TaskSwitch {
  /** Of the new TSS. */
  readonly selector: number;
  /** What caused it; `gate` is a task gate in the IDT. */
  readonly by: keyof typeof SOURCE;
  /** Where the old task goes on. */
  readonly eip: bigint;
  /** EXT bit of error codes. */
  readonly external?: number;
  /** Pushed on the new task's stack. */
  readonly errorCode?: number | undefined;
  readonly instructionLength?: number;
}

/** The TSS selector in a task gate, which must name the GDT. */
export function taskGateSelector(selector: number, external = 0): number {
  if (selector & 4)
    generalProtection(`the task gate's TSS ${hex(selector)} is in the LDT`, selectorError(selector, external));
  return selector;
}

/** Layout of a TSS: 32 or 16 bits (SDM 3A figures 8-2, 8-10). */
interface Layout {
  readonly bytes: 4 | 2;
  readonly eip: number;
  /** EFLAGS follows; then EAX ECX EDX EBX ESP EBP ESI EDI, then the segments, then LDT. */
  readonly segments: readonly Segment[];
}
const WIDE_LAYOUT: Layout = {
  bytes: 4,
  eip: 32,
  segments: [Segment.ES, Segment.CS, Segment.SS, Segment.DS, Segment.FS, Segment.GS],
};
const NARROW_LAYOUT: Layout = { bytes: 2, eip: 14, segments: [Segment.ES, Segment.CS, Segment.SS, Segment.DS] };
const layoutOf = (rights: number): Layout => (rights & WIDE ? WIDE_LAYOUT : NARROW_LAYOUT);

/**
 * Leaves the CPU at the first instruction of the new task. Faults before the switch leave everything as it was; faults while the new task's segments are
 * loaded belong to the new task, whose other registers are then loaded. False: it exited instead.
 */
export function taskSwitch(context: CpuContext, request: TaskSwitch): boolean {
  const { selector, by, external = 0 } = request;
  if (isLongMode(context))
    generalProtection('there are no task switches in IA-32e mode', selectorError(selector, external));
  const tss = checkTss(context, selector, by, external);
  if (context.cpu.nonRoot) {
    exitForTaskSwitch(context, request);
    return false;
  }
  const oldSelector = context.mem.get16(L.TR + L.SEG_SELECTOR);
  const nested = by === 'call' || by === 'gate';
  const segment = toSegment(tss, selector);
  const task = readTask(context, segment);
  saveTask(context, request);
  if (!nested) setBusy(context, oldSelector, false);
  if (nested) writeLinear(context, segment.base, 2, BigInt(oldSelector), 'supervisor');
  if (by !== 'iret') setBusy(context, selector, true);
  loadTask(context, { ...segment, rights: segment.rights | BUSY }, task, nested);
  if (request.errorCode !== undefined) pushErrorCode(context, segment, request.errorCode);
  debugTrap(context, segment);
  return true;
}

function checkTss(context: CpuContext, selector: number, by: TaskSwitch['by'], external: number): Descriptor {
  const error = selectorError(selector, external);
  const vector = by === 'iret' ? Vector.TS : Vector.GP;
  const name = `TSS ${hex(selector)}`;
  if (isNull(selector) || selector & 4) raise(vector, error, `${name} is not in the GDT`);
  const tss = readDescriptor(context, selector, vector, external);
  const type = tss.rights & (Rights.S | Rights.TYPE);
  const wanted: readonly number[] =
    by === 'iret'
      ? [SystemType.TSS_BUSY, SystemType.TSS_BUSY_16]
      : [SystemType.TSS_AVAILABLE, SystemType.TSS_AVAILABLE_16];
  if (!wanted.includes(type)) raise(vector, error, `${name} has type ${type}, not ${wanted.join(' or ')}`);
  if (!(tss.rights & Rights.PRESENT)) raise(Vector.NP, error, `${name} is not present`);
  const { limit } = toSegment(tss, selector);
  if (limit < (type & WIDE ? LIMIT_32 : LIMIT_16)) raise(Vector.TS, error, `${name} has limit ${hex(limit)}`);
  return tss;
}

function exitForTaskSwitch(context: CpuContext, { selector, by, instructionLength }: TaskSwitch): void {
  context.vmx.exit(ExitReason.TaskSwitch, {
    qualification: BigInt(selector) | (SOURCE[by] << 30n),
    ...(instructionLength === undefined ? {} : { instructionLength }),
  });
}

/** Marks a TSS descriptor of the GDT. */
function setBusy(context: CpuContext, selector: number, busy: boolean): void {
  const at = locateDescriptor(context, selector);
  if (at === undefined) return;
  const type = readLinear(context, at + 5n, 1, 'supervisor');
  writeLinear(context, at + 5n, 1, busy ? type | BigInt(BUSY) : type & ~BigInt(BUSY), 'supervisor');
}

/** Registers into the TSS in force. IRET leaves its NT behind. */
function saveTask(context: CpuContext, { by, eip }: TaskSwitch): void {
  const { cpu } = context;
  const tr = cpu.segment(Segment.TR);
  const { bytes, eip: first, segments } = layoutOf(tr.rights);
  const flags = readRflags(context) & ~(by === 'iret' ? Flag.NT : 0);
  const general = Array.from({ length: 8 }, (_, register) => cpu.gpr(register));
  const selectors = segments.map((segment) => BigInt(cpu.segment(segment).selector));
  // The whole area is tried before any of it is written.
  const values = [eip, BigInt(flags), ...general, ...selectors];
  values.forEach((value, index) => {
    const width = index < 10 ? bytes : 2;
    writeLinear(
      context,
      tr.base + BigInt(first + index * bytes),
      width,
      BigInt.asUintN(width * 8, value),
      'supervisor',
    );
  });
}

/** A task as its TSS holds it. */
interface Task {
  /** EIP, EFLAGS, general registers. */
  readonly values: readonly bigint[];
  readonly selectors: readonly number[];
  readonly ldt: number;
  readonly cr3: bigint;
}

function readTask(context: CpuContext, tss: SegmentRegister): Task {
  const { bytes, eip: first, segments } = layoutOf(tss.rights);
  const word = (index: number, width: Bytes = bytes): bigint =>
    readLinear(context, tss.base + BigInt(first + index * bytes), width, 'supervisor');
  return {
    values: Array.from({ length: 10 }, (_, index) => word(index)),
    selectors: segments.map((_, index) => Number(word(10 + index, 2))),
    ldt: Number(word(10 + segments.length, 2)),
    cr3: bytes === 4 ? readLinear(context, tss.base + 28n, 4, 'supervisor') : 0n,
  };
}

function loadTask(context: CpuContext, tr: SegmentRegister, task: Task, nested: boolean): void {
  const { cpu, mem } = context;
  const { bytes, segments } = layoutOf(tr.rights);
  const { values, selectors, ldt } = task;
  const wide = bytes === 4;
  if (wide && cpu.cr0 & CR0_PG) setCr3(context, task.cr3);

  cpu.setSegment(Segment.TR, tr);
  mem.set64(L.CR0, cpu.cr0 | CR0_TS);
  cpu.rip = values[0]!;
  const flags = Number(values[1]!) | (nested ? Flag.NT : 0);
  values.slice(2).forEach((value, register) => cpu.setGpr(register, wide ? value : value | 0xffff_0000n));
  for (const segment of WIDE_LAYOUT.segments) cpu.setSegment(segment, nullSegment(0));
  segments.forEach((segment, index) => cpu.setSegment(segment, nullSegment(selectors[index]!)));
  cpu.setSegment(Segment.LDTR, nullSegment(ldt));
  // A fault of the loads below is delivered at the new task's level.
  const cpl = flags & Flag.VM ? 3 : selectors[1]! & 3;
  cpu.setSegment(Segment.SS, nullSegment(selectors[2]!, cpl));
  writeRflags(context, flags);
  updateDerived(context);
  loadLdt(context, ldt);
  segments.forEach((segment, index) => loadTaskSegment(context, segment, selectors[index]!, cpl));
  updateDerived(context);
  if (cpu.rip > BigInt(cpu.segment(Segment.CS).limit))
    generalProtection(`EIP ${hex(cpu.rip)} of the task is outside its CS`);
}

function loadLdt(context: CpuContext, selector: number): void {
  if (isNull(selector)) return;
  const error = selectorError(selector);
  const at = selector & 4 ? undefined : locateDescriptor(context, selector);
  if (at === undefined) raise(Vector.TS, error, `the task's LDT ${hex(selector)} is not in the GDT`);
  const descriptor = parseDescriptor(at, readLinear(context, at, 8, 'supervisor'));
  const kind = descriptor.rights & (Rights.S | Rights.TYPE | Rights.PRESENT);
  if (kind !== (SystemType.LDT | Rights.PRESENT)) raise(Vector.TS, error, `the task's LDT ${hex(selector)} is none`);
  context.cpu.setSegment(Segment.LDTR, toSegment(descriptor, selector));
}

/** SDM 3A table 8-1. */
function loadTaskSegment(context: CpuContext, segment: Segment, selector: number, cpl: number): void {
  const { cpu } = context;
  if (readRflags(context) & Flag.VM) return cpu.setSegment(segment, realSegment(cpu.segment(segment), selector, true));
  const needed = segment === Segment.CS || segment === Segment.SS;
  const error = selectorError(selector);
  if (isNull(selector)) {
    if (needed) raise(Vector.TS, error, 'the task has a null CS or SS');
    return;
  }
  const descriptor = readDescriptor(context, selector, Vector.TS);
  const because = `segment ${hex(selector)} of the task does not fit its register`;
  if (!fits(descriptor, segment, selector, cpl)) raise(Vector.TS, error, because);
  const absent = segment === Segment.SS ? Vector.SS : Vector.NP;
  if (!(descriptor.rights & Rights.PRESENT))
    raise(absent, error, `segment ${hex(selector)} of the task is not present`);
  cpu.setSegment(segment, toSegment(markAccessed(context, descriptor), selector));
}

function fits({ rights, dpl }: Descriptor, segment: Segment, selector: number, cpl: number): boolean {
  const rpl = selector & 3;
  const code = (rights & Rights.CODE) !== 0;
  const conforming = code && (rights & Rights.CONFORMING) !== 0;
  if (!(rights & Rights.S)) return false;
  if (segment === Segment.CS) return code && (conforming ? dpl <= rpl : dpl === rpl);
  if (segment === Segment.SS) return !code && (rights & Rights.WRITABLE) !== 0 && dpl === cpl && rpl === cpl;
  if (code && !(rights & Rights.READABLE)) return false;
  return conforming || (dpl >= cpl && dpl >= rpl);
}

function pushErrorCode(context: CpuContext, tss: SegmentRegister, errorCode: number): void {
  const stack = currentStack(context);
  pushNew(context, stack, tss.rights & WIDE ? 4 : 2, BigInt(errorCode));
  loadPointer(context, stack);
}

/** The T bit of a 32-bit TSS traps before the task's first instruction (SDM 3B 18.3.1.5). */
function debugTrap(context: CpuContext, tss: SegmentRegister): void {
  if (!(tss.rights & WIDE) || !(readLinear(context, tss.base + 100n, 2, 'supervisor') & 1n)) return;
  const { mem } = context;
  mem.set64(L.DR6, mem.get64(L.DR6) | DR6_BT);
  throw new GuestFault({ kind: 'exception', vector: Vector.DB, because: 'the T bit of the new task is set' });
}
