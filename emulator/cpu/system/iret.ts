/** IRET (SDM 2A "IRET") and the far transfers' common checks of CS and SS. */
import type { CpuContext, SystemOutcome } from '../context.ts';
import type { Instruction } from '../instruction.ts';
import { CPU_COSTS } from '../costs.ts';
import * as L from '../layout.ts';
import { Segment } from '../state.ts';
import type { SegmentRegister } from '../state.ts';
import {
  Rights,
  codeMode,
  isNull,
  markAccessed,
  nullSegment,
  readDescriptor,
  selectorError,
  setCodeAndStack,
  toSegment,
  underSupervisor,
  updateDerived,
} from './descriptors.ts';
import { ringChangeEvent } from './events.ts';
import { GuestFault, Vector, generalProtection, raise } from './fault.ts';
import { Blocking } from '../activity.ts';
import { popfMask } from './interrupts.ts';
import { realCode } from './legacy-gates.ts';
import { hex, isCanonical, readLinear } from './memory.ts';
import { hasRealSegments, isLongMode, realSegment, refuseVirtual8086 } from './modes.ts';
import { stackBitsOf } from './new-stack.ts';
import { Flag, readRflags, systemFlags, writeRflags } from './rflags.ts';
import { stackSegment } from './segments.ts';
import { moveStack, peekStack, setStackPointer } from './stack.ts';
import { taskSwitch } from './task-switch.ts';

const MODE_64 = 2;
const DEBUG_ENABLES = 0xffn;

/** CS that a return to `selector` loads, with the checks of SDM 2A "IRET" and "RET". The new CPL is the selector's RPL. */
export function returnCode(context: CpuContext, selector: number): SegmentRegister {
  if (isNull(selector)) generalProtection('return to a null CS');
  const descriptor = readDescriptor(context, selector);
  const { rights, dpl } = descriptor;
  const error = selectorError(selector);
  const rpl = selector & 3;
  if ((rights & (Rights.S | Rights.CODE)) !== (Rights.S | Rights.CODE))
    generalProtection(`CS ${hex(selector)} is not code`, error);
  if (rpl < context.cpu.cpl) generalProtection(`return to ring ${rpl} from ring ${context.cpu.cpl}`, error);
  const wrong = rights & Rights.CONFORMING ? dpl > rpl : dpl !== rpl;
  if (wrong) generalProtection(`CS ${hex(selector)} has DPL ${dpl}, its RPL is ${rpl}`, error);
  if (!(rights & Rights.PRESENT)) raise(Vector.NP, error, `CS ${hex(selector)} is not present`);
  checkWidth(rights, selector);
  return toSegment(markAccessed(context, descriptor), selector);
}

export function checkWidth(rights: number, selector: number): void {
  if ((rights & (Rights.L | Rights.DB)) === (Rights.L | Rights.DB)) {
    generalProtection(`CS ${hex(selector)} has both L and D set`, selectorError(selector));
  }
}

/** SS that a return loads; null is right when the target is 64-bit code of an inner ring. */
export function returnStack(context: CpuContext, selector: number, cs: SegmentRegister): SegmentRegister {
  const cpl = cs.selector & 3;
  if (!isNull(selector)) return stackSegment(context, selector, cpl);
  if (!(cs.rights & Rights.L) || cpl === 3 || (selector & 3) !== cpl)
    generalProtection(`return to ring ${cpl} with null SS ${hex(selector)}`);
  return nullSegment(selector, cpl);
}

export function checkTarget(context: CpuContext, cs: SegmentRegister, rip: bigint): void {
  if (codeMode(context.mem.get32(L.MSR_EFER), cs.rights) === 2) {
    if (!isCanonical(context, rip)) generalProtection(`target ${hex(rip)} is not canonical`);
  } else if (rip > BigInt(cs.limit)) generalProtection(`target ${hex(rip)} is outside the code segment`);
}

/** After a return to an outer ring, segments that ring may not use become null (SDM 3A 5.8.6). */
export function dropInnerSegments(context: CpuContext): void {
  const { cpu } = context;
  for (const index of [Segment.ES, Segment.DS, Segment.FS, Segment.GS]) {
    const { rights, base } = cpu.segment(index);
    const conforming = (rights & (Rights.CODE | Rights.CONFORMING)) === (Rights.CODE | Rights.CONFORMING);
    if (rights & Rights.UNUSABLE || conforming) continue;
    if (((rights >> Rights.DPL_SHIFT) & 3) < cpu.cpl) cpu.setSegment(index, { ...nullSegment(0), base });
  }
  // Outside 64-bit mode, what decoded code may leave unchecked depends on the segments.
  if (context.mem.get32(L.CODE_MODE) !== MODE_64) context.engine.contextChanged();
}

export function iret(context: CpuContext, instruction: Instruction): SystemOutcome {
  return returnQuickly(context, instruction) ? 'moved' : iretWithChecks(context, instruction);
}

/** As `iret`, every case with its reasons. It unblocks NMIs, also when it faults (SDM 3A 6.7.1); an exit for its fault says so (SDM 3C 28.2.3). */
export function iretWithChecks(context: CpuContext, instruction: Instruction): SystemOutcome {
  const { mem } = context;
  const blocking = mem.get32(L.INTERRUPTIBILITY);
  const keeps = (mem.get32(L.VMX_MODE) & (L.VMX_NMI_EXITING | L.VMX_VIRTUAL_NMIS)) === L.VMX_NMI_EXITING;
  if (!(blocking & Blocking.NMI) || keeps) return returnWithChecks(context, instruction);
  mem.set32(L.INTERRUPTIBILITY, blocking & ~Blocking.NMI);
  try {
    return returnWithChecks(context, instruction);
  } catch (error) {
    if (error instanceof GuestFault) throw new GuestFault({ ...error.fault, unblockedNmi: true });
    throw error;
  }
}

/** Bits of the core's answer. */
const CONTEXT_CHANGED = 2;

/** The common case, in the core; false when nothing has changed and the case has to be looked at whole. */
function returnQuickly(context: CpuContext, instruction: Instruction): boolean {
  const { cpl } = context.cpu;
  if (instruction.size !== 8 || underSupervisor(context)) return false;
  const done = context.core.returnFromHandler();
  if (done === 0) return false;
  if (done & CONTEXT_CHANGED) context.engine.contextChanged();
  context.addCycles(CPU_COSTS.iret);
  ringChangeEvent(context, cpl, 'IRET');
  return true;
}

function returnWithChecks(context: CpuContext, instruction: Instruction): SystemOutcome {
  const { cpu, mem } = context;
  const bytes = instruction.size as 2 | 4 | 8;
  refuseVirtual8086(context, 'IRET');
  if (hasRealSegments(context)) return realReturn(context, bytes);
  if (systemFlags(context) & Flag.NT) {
    if (isLongMode(context)) generalProtection('IRET with RFLAGS.NT = 1 in IA-32e mode');
    return taskReturn(context, instruction);
  }
  const rip = peekStack(context, 0, bytes);
  const selector = Number(peekStack(context, bytes, bytes) & 0xffffn);
  const flags = Number(peekStack(context, 2 * bytes, bytes) & 0xffff_ffffn);
  const oldCpl = cpu.cpl;
  if (flags & Flag.VM && oldCpl === 0 && bytes === 4 && !isLongMode(context))
    return returnToVirtual8086(context, rip, selector, flags);
  const sixtyFour = mem.get32(L.CODE_MODE) === 2;
  const loadsStack = sixtyFour || (selector & 3) !== oldCpl;
  const rsp = loadsStack ? peekStack(context, 3 * bytes, bytes) : 0n;
  const ssSelector = loadsStack ? Number(peekStack(context, 4 * bytes, bytes) & 0xffffn) : 0;

  const cs = returnCode(context, selector);
  const ss = loadsStack ? returnStack(context, ssSelector, cs) : undefined;
  checkTarget(context, cs, rip);

  const changes = flagsToLoad(context, bytes);
  const rflags = (readRflags(context) & ~changes & ~Flag.RF) | (flags & changes);
  if (ss) loadOuterStack(context, cs, ss, rsp);
  else moveStack(context, 3 * bytes);
  cpu.rip = rip;
  writeRflags(context, rflags);
  setCodeAndStack(context, cs, ss);
  if (cpu.cpl !== oldCpl) dropInnerSegments(context);
  context.addCycles(CPU_COSTS.iret);
  ringChangeEvent(context, oldCpl, 'IRET');
  return 'moved';
}

/** The stack pointer of an outer ring: at the width of the stack, unless 64-bit code goes on there. */
export function loadOuterStack(context: CpuContext, cs: SegmentRegister, ss: SegmentRegister, pointer: bigint): void {
  const wide = codeMode(context.mem.get32(L.MSR_EFER), cs.rights) === 2;
  setStackPointer(context, wide ? 64 : stackBitsOf(ss), pointer);
}

/** In virtual-8086 mode IOPL and VM stay, which is all that differs from real mode. */
function realReturn(context: CpuContext, bytes: 2 | 4 | 8): SystemOutcome {
  const { cpu } = context;
  const rip = peekStack(context, 0, bytes);
  const selector = Number(peekStack(context, bytes, bytes) & 0xffffn);
  const flags = Number(peekStack(context, 2 * bytes, bytes) & 0xffff_ffffn);
  const cs = realCode(context, selector, rip);
  const changes = popfMask(context, bytes) | (bytes > 2 ? Flag.RF : 0);
  const rflags = (readRflags(context) & ~changes) | (flags & changes);
  moveStack(context, 3 * bytes);
  cpu.rip = rip;
  cpu.setSegment(Segment.CS, cs);
  writeRflags(context, rflags);
  updateDerived(context);
  context.addCycles(CPU_COSTS.iret);
  return 'moved';
}

/** To virtual-8086 mode, from ring 0 of protected mode: ESP, SS, ES, DS, FS and GS follow on the stack (SDM 3B 21.2.5). */
function returnToVirtual8086(context: CpuContext, eip: bigint, selector: number, flags: number): SystemOutcome {
  const { cpu } = context;
  const word = (index: number): bigint => peekStack(context, index * 4, 4);
  const esp = word(3);
  const selectors = [Segment.SS, Segment.ES, Segment.DS, Segment.FS, Segment.GS].map(
    (segment, index) => [segment, Number(word(4 + index) & 0xffffn)] as const,
  );
  if (eip > 0xffffn) generalProtection(`target ${hex(eip)} is outside the code segment`);
  writeRflags(context, flags & VIRTUAL_FLAGS);
  for (const [segment, value] of [[Segment.CS, selector] as const, ...selectors])
    cpu.setSegment(segment, realSegment(cpu.segment(segment), value, true));
  cpu.rsp = esp;
  cpu.rip = eip;
  updateDerived(context);
  context.addCycles(CPU_COSTS.iret);
  ringChangeEvent(context, 0, 'IRET');
  return 'moved';
}
/** All that IRET loads at CPL 0. */
const VIRTUAL_FLAGS = 0x3f_7fd5;

/** Back to the task that the TSS in force links to. */
function taskReturn(context: CpuContext, instruction: Instruction): SystemOutcome {
  const { cpu } = context;
  const selector = Number(readLinear(context, cpu.segment(Segment.TR).base, 2, 'supervisor'));
  const eip = BigInt.asUintN(32, cpu.rip + BigInt(instruction.length));
  taskSwitch(context, { selector, by: 'iret', eip, instructionLength: instruction.length });
  return 'moved';
}

/** RF matters only to instruction breakpoints; it is loaded while DR7 enables any, since nothing else could show it. */
function flagsToLoad(context: CpuContext, bytes: number): number {
  let mask = popfMask(context, bytes);
  if (bytes > 2 && context.mem.get64(L.DR7) & DEBUG_ENABLES) mask |= Flag.RF;
  if (bytes > 2 && context.cpu.cpl === 0) mask |= Flag.VIF | Flag.VIP;
  return mask;
}
