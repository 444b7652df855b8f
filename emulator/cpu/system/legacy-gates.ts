/** Entry to a handler outside IA-32e mode: the interrupt vector table of real mode, and 16- and 32-bit gates of the IDT (SDM 3A 6.11, 6.12; 3B 21.1.4, 21.3). */
import type { CpuContext } from '../context.ts';
import { InterruptionType } from '../engine-api.ts';
import * as L from '../layout.ts';
import { Segment } from '../state.ts';
import type { SegmentRegister } from '../state.ts';
import {
  Rights,
  SystemType,
  isNull,
  markAccessed,
  nullSegment,
  readDescriptor,
  selectorError,
  toSegment,
} from './descriptors.ts';
import type { Descriptor } from './descriptors.ts';
import { Vector, generalProtection, hasErrorCode, raise } from './fault.ts';
import { finishEntry, frameFlags, interruptionType, isSoftware, returnAddress, vectoringOf } from './gates.ts';
import type { Exception, Progress } from './gates.ts';
import { hex, readLinear } from './memory.ts';
import { isRealMode, isVirtual8086, realSegment } from './modes.ts';
import { currentStack, loadPointer, pushNew, ringStack } from './new-stack.ts';
import type { NewStack } from './new-stack.ts';
import { Flag } from './rflags.ts';
import { taskGateSelector, taskSwitch } from './task-switch.ts';

/** What the legacy gate types have in common beside the vector's own error code. */
const GATES: ReadonlySet<number> = new Set([
  SystemType.TASK_GATE,
  SystemType.INTERRUPT_GATE_16,
  SystemType.TRAP_GATE_16,
  SystemType.INTERRUPT_GATE,
  SystemType.TRAP_GATE,
]);
/** Bit 3 of a gate's type: 32 bits wide. */
const WIDE = 8;

/** As `enterHandler`, outside IA-32e mode. */
export function enterLegacyHandler(context: CpuContext, event: Exception, progress: Progress): void {
  if (event.vector === Vector.PF && interruptionType(event) === InterruptionType.HardwareException)
    context.cpu.cr2 = event.gva ?? 0n;
  if (isRealMode(context)) enterRealHandler(context, event, progress);
  else enterProtectedHandler(context, event, progress);
}

/** No error code is pushed, and the type of the event does not matter. */
function enterRealHandler(context: CpuContext, event: Exception, progress: Progress): void {
  const { cpu, mem } = context;
  const { vector } = event;
  progress.stage = 'reading the interrupt vector';
  progress.about = vector;
  const limit = mem.get32(L.IDTR_LIMIT);
  if (vector * 4 + 3 > limit) generalProtection(`IVT limit ${hex(limit)}: vector ${vector} is outside`);
  const entry = Number(readLinear(context, mem.get64(L.IDTR_BASE) + BigInt(vector * 4), 4, 'supervisor'));
  progress.stage = 'pushing the frame below';
  const stack = currentStack(context);
  progress.about = stack.pointer;
  for (const value of [BigInt(frameFlags(context, event)), selectorOf(context, L.CS), returnAddress(context, event)])
    pushNew(context, stack, 2, value);
  cpu.setSegment(Segment.CS, realSegment(cpu.segment(Segment.CS), entry >>> 16, false));
  loadPointer(context, stack);
  cpu.rip = BigInt(entry & 0xffff);
  finishEntry(context, event, Flag.IF | Flag.TF | Flag.AC | Flag.RF);
}

const selectorOf = ({ mem }: CpuContext, segment: number): bigint => BigInt(mem.get16(segment + L.SEG_SELECTOR));

interface LegacyGate {
  readonly type: number;
  readonly selector: number;
  readonly offset: bigint;
}

function readLegacyGate(context: CpuContext, event: Exception, external: number): LegacyGate {
  const { mem, cpu } = context;
  const { vector } = event;
  const error = vector * 8 + 2 + external;
  const limit = mem.get32(L.IDTR_LIMIT);
  if (vector * 8 + 7 > limit) generalProtection(`IDT limit ${hex(limit)}: vector ${vector} is outside`, error);
  const low = readLinear(context, mem.get64(L.IDTR_BASE) + BigInt(vector * 8), 8, 'supervisor');
  const type = Number((low >> 40n) & 0x1fn);
  const dpl = Number((low >> 45n) & 3n);
  if (!GATES.has(type)) generalProtection(`IDT entry ${vector} (${hex(low)}) is no gate for interrupts`, error);
  if (isSoftware(event) && dpl < cpu.cpl)
    generalProtection(
      `IDT entry ${vector} has DPL ${dpl}: a software interrupt from CPL ${cpu.cpl} may not use it`,
      error,
    );
  if (!((low >> 47n) & 1n)) raise(Vector.NP, error, `IDT entry ${vector} is not present`);
  const offset = (low & 0xffffn) | (type & WIDE ? (low >> 32n) & 0xffff_0000n : 0n);
  return { type, selector: Number((low >> 16n) & 0xffffn), offset };
}

function enterProtectedHandler(context: CpuContext, event: Exception, progress: Progress): void {
  const { cpu } = context;
  const external = isSoftware(event) ? 0 : 1;
  progress.stage = 'reading IDT entry';
  progress.about = event.vector;
  const gate = readLegacyGate(context, event, external);
  if (gate.type === SystemType.TASK_GATE) return enterTask(context, event, gate, external, progress);
  progress.stage = 'loading the CS of IDT entry';
  const code = handlerCode(context, gate, external);
  const oldCpl = cpu.cpl;
  const newCpl = code.rights & Rights.CONFORMING ? oldCpl : code.dpl;

  progress.stage = 'finding the stack of the handler for vector';
  const stack = newCpl === oldCpl ? currentStack(context, external) : ringStack(context, newCpl, external);
  progress.stage = 'pushing the frame below';
  progress.about = stack.pointer;
  pushFrame(context, event, stack, gate.type & WIDE ? 4 : 2, newCpl !== oldCpl);
  progress.stage = 'marking CS accessed';
  progress.about = undefined;
  const accessed = markAccessed(context, code);

  const virtual = isVirtual8086(context);
  cpu.setSegment(Segment.CS, toSegment(accessed, (gate.selector & 0xfffc) | newCpl));
  if (newCpl !== oldCpl) cpu.setSegment(Segment.SS, stack.segment);
  if (virtual)
    for (const segment of [Segment.ES, Segment.DS, Segment.FS, Segment.GS]) cpu.setSegment(segment, nullSegment(0));
  loadPointer(context, stack);
  cpu.rip = gate.offset;
  const masks = gate.type === SystemType.INTERRUPT_GATE || gate.type === SystemType.INTERRUPT_GATE_16;
  finishEntry(context, event, Flag.TF | Flag.VM | Flag.RF | Flag.NT | (masks ? Flag.IF : 0));
}

function handlerCode(context: CpuContext, { selector, offset }: LegacyGate, external: number): Descriptor {
  const { cpl } = context.cpu;
  if (isNull(selector)) generalProtection('the gate holds a null code selector', external);
  const code = readDescriptor(context, selector, Vector.GP, external);
  const error = selectorError(selector, external);
  if ((code.rights & (Rights.S | Rights.CODE)) !== (Rights.S | Rights.CODE))
    generalProtection(`selector ${hex(selector)} is not a code segment`, error);
  if (code.dpl > cpl) generalProtection(`the handler's CS has DPL ${code.dpl}, outside CPL ${cpl}`, error);
  if (!(code.rights & Rights.PRESENT)) raise(Vector.NP, error, `code segment ${hex(selector)} is not present`);
  if (isVirtual8086(context) && (code.rights & Rights.CONFORMING || code.dpl !== 0))
    generalProtection(`from virtual-8086 mode only ring 0 can be entered, not by CS ${hex(selector)}`, error);
  const { limit } = toSegment(code, selector);
  if (offset > BigInt(limit)) generalProtection(`handler offset ${hex(offset)} is outside its segment`, external);
  return code;
}

function pushFrame(context: CpuContext, event: Exception, stack: NewStack, bytes: 2 | 4, changesRing: boolean): void {
  const { cpu } = context;
  const frame: bigint[] = [];
  if (isVirtual8086(context)) for (const segment of [L.GS, L.FS, L.DS, L.ES]) frame.push(selectorOf(context, segment));
  if (changesRing) frame.push(selectorOf(context, L.SS), cpu.rsp);
  frame.push(BigInt(frameFlags(context, event)), selectorOf(context, L.CS), returnAddress(context, event));
  if (pushesErrorCode(event)) frame.push(BigInt(event.errorCode ?? 0));
  for (const value of frame) pushNew(context, stack, bytes, value);
}

function pushesErrorCode(event: Exception): boolean {
  return interruptionType(event) === InterruptionType.HardwareException && hasErrorCode(event.vector);
}

function enterTask(
  context: CpuContext,
  event: Exception,
  gate: LegacyGate,
  external: number,
  progress: Progress,
): void {
  progress.stage = 'switching to the task of IDT entry';
  const selector = taskGateSelector(gate.selector, external);
  const eip = returnAddress(context, event);
  const errorCode = pushesErrorCode(event) ? (event.errorCode ?? 0) : undefined;
  if (context.cpu.nonRoot) context.vectoring = vectoringOf(event);
  try {
    const length = event.instructionLength;
    const switched = taskSwitch(context, {
      selector,
      by: 'gate',
      eip,
      external,
      errorCode,
      ...(length === undefined ? {} : { instructionLength: length }),
    });
    if (switched) finishEntry(context, event, 0);
  } finally {
    context.vectoring = undefined;
  }
}

/** The code segment a far transfer or IRET of real or virtual-8086 mode leads to. */
export function realCode(context: CpuContext, selector: number, offset: bigint): SegmentRegister {
  const { cpu } = context;
  const cs = realSegment(cpu.segment(Segment.CS), selector, isVirtual8086(context));
  if (offset > BigInt(cs.limit)) generalProtection(`target ${hex(offset)} is outside the code segment`);
  return cs;
}
