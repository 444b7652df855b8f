/** Loads of segment registers with all their checks (SDM 3A 5.6, 5.7; SDM 2B "MOV"). */
import type { CpuContext, SystemOutcome } from '../context.ts';
import type { Instruction } from '../instruction.ts';
import * as L from '../layout.ts';
import { Segment } from '../state.ts';
import { Rights, isNull, markAccessed, nullSegment, readDescriptor, selectorError, toSegment } from './descriptors.ts';
import { Vector, generalProtection, raise, undefinedOpcode } from './fault.ts';
import { Blocking } from '../activity.ts';
import { hex, linearAddress, readLinear, readOperand, writeGpr, writeOperand } from './memory.ts';
import type { Bytes } from './memory.ts';
import { hasRealSegments, loadRealSegment } from './modes.ts';
import { moveStack, peekStack, pokeStack } from './stack.ts';

const MODE_64 = 2;
const NAMES: readonly string[] = ['ES', 'CS', 'SS', 'DS', 'FS', 'GS'];

/** ES DS FS GS or SS. Throws GuestFault before anything changes. */
export function loadSegment(context: CpuContext, segment: Segment, selector: number): void {
  if (hasRealSegments(context)) loadRealSegment(context, segment, selector);
  else if (segment === Segment.SS) loadStack(context, selector);
  else loadData(context, segment, selector);
  // Outside 64-bit mode, what decoded code may leave unchecked depends on the segments.
  if (context.mem.get32(L.CODE_MODE) !== MODE_64) context.engine.contextChanged();
}

function loadData(context: CpuContext, segment: Segment, selector: number): void {
  const { cpu } = context;
  if (isNull(selector)) {
    cpu.setSegment(segment, nullSegment(selector));
    return;
  }
  const name = NAMES[segment];
  const descriptor = readDescriptor(context, selector);
  const { rights, dpl } = descriptor;
  const error = selectorError(selector);
  const code = (rights & Rights.CODE) !== 0;
  if (!(rights & Rights.S) || (code && !(rights & Rights.READABLE))) {
    generalProtection(`${name} ${hex(selector)} is not data or readable code`, error);
  }
  const conforming = code && rights & Rights.CONFORMING;
  if (!conforming && (dpl < (selector & 3) || dpl < cpu.cpl)) {
    generalProtection(`${name} ${hex(selector)} has DPL ${dpl}, CPL is ${cpu.cpl}`, error);
  }
  if (!(rights & Rights.PRESENT)) raise(Vector.NP, error, `${name} ${hex(selector)} is not present`);
  cpu.setSegment(segment, toSegment(markAccessed(context, descriptor), selector));
}

function loadStack(context: CpuContext, selector: number): void {
  const { cpu, mem } = context;
  if (isNull(selector)) {
    const allowed = mem.get32(L.CODE_MODE) === 2 && cpu.cpl !== 3 && (selector & 3) === cpu.cpl;
    if (!allowed) generalProtection(`null SS ${hex(selector)} at CPL ${cpu.cpl}`);
    cpu.setSegment(Segment.SS, nullSegment(selector, cpu.cpl));
    return;
  }
  cpu.setSegment(Segment.SS, stackSegment(context, selector, cpu.cpl));
}

/** What SS becomes at this CPL; raises #GP or #SS with the selector. */
export function stackSegment(context: CpuContext, selector: number, cpl: number): ReturnType<typeof toSegment> {
  const descriptor = readDescriptor(context, selector);
  const { rights, dpl } = descriptor;
  const error = selectorError(selector);
  if ((selector & 3) !== cpl) generalProtection(`SS ${hex(selector)} has RPL ${selector & 3}, CPL is ${cpl}`, error);
  if ((rights & (Rights.S | Rights.CODE | Rights.WRITABLE)) !== (Rights.S | Rights.WRITABLE)) {
    generalProtection(`SS ${hex(selector)} is not writable data`, error);
  }
  if (dpl !== cpl) generalProtection(`SS ${hex(selector)} has DPL ${dpl}, CPL is ${cpl}`, error);
  if (!(rights & Rights.PRESENT)) raise(Vector.SS, error, `SS ${hex(selector)} is not present`);
  return toSegment(markAccessed(context, descriptor), selector);
}

/** Interrupts and debug traps wait for the instruction after a load of SS. */
function shadowIfStack(context: CpuContext, segment: number): void {
  if (segment !== Segment.SS) return;
  context.mem.set32(L.INTERRUPTIBILITY, context.mem.get32(L.INTERRUPTIBILITY) | Blocking.MOV_SS);
}

function segmentOperand(instruction: Instruction, index: number): number {
  const operand = instruction.operands[index];
  if (operand?.kind !== 'segment' || operand.register > Segment.GS) undefinedOpcode('no such segment register');
  return operand.register;
}

export function movToSegment(context: CpuContext, instruction: Instruction): SystemOutcome {
  const segment = segmentOperand(instruction, 0);
  if (segment === Segment.CS) undefinedOpcode('MOV to CS');
  loadSegment(context, segment, Number(readOperand(context, instruction.operands[1]!, 2)));
  shadowIfStack(context, segment);
  return 'next';
}

/** A register destination is zero-extended to the operand size; memory is always 16 bits. */
export function movFromSegment(context: CpuContext, instruction: Instruction): SystemOutcome {
  const selector = context.cpu.segment(segmentOperand(instruction, 1)).selector;
  storeSelector(context, instruction, selector);
  return 'next';
}

export function storeSelector(context: CpuContext, instruction: Instruction, selector: number): void {
  const destination = instruction.operands[0]!;
  const bytes = destination.kind === 'memory' ? 2 : (instruction.size as Bytes);
  writeOperand(context, destination, bytes, BigInt(selector));
}

export function pushSegment(context: CpuContext, instruction: Instruction): SystemOutcome {
  const bytes = instruction.size as Bytes;
  pokeStack(context, -bytes, bytes, BigInt(context.cpu.segment(segmentOperand(instruction, 0)).selector));
  moveStack(context, -bytes);
  return 'next';
}

export function popSegment(context: CpuContext, instruction: Instruction): SystemOutcome {
  const segment = segmentOperand(instruction, 0);
  const bytes = instruction.size as Bytes;
  loadSegment(context, segment, Number(peekStack(context, 0, bytes) & 0xffffn));
  moveStack(context, instruction.size);
  shadowIfStack(context, segment);
  return 'next';
}

/** LDS, LES, LFS, LGS, LSS: offset, then selector. */
export const loadFarPointer =
  (segment: Segment) =>
  (context: CpuContext, instruction: Instruction): SystemOutcome => {
    const [destination, source] = instruction.operands;
    if (source?.kind !== 'memory' || destination?.kind !== 'gpr')
      undefinedOpcode('a far pointer is loaded from memory');
    const bytes = instruction.size as Bytes;
    const gva = linearAddress(context, source, bytes + 2);
    const offset = readLinear(context, gva, bytes, 'cpl');
    const selector = Number(readLinear(context, gva + BigInt(bytes), 2, 'cpl'));
    loadSegment(context, segment, selector);
    writeGpr(context, destination.register, bytes, offset);
    return 'next';
  };
