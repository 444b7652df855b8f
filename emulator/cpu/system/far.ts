/** Far JMP, CALL and RET: code segments, call gates, tasks (SDM 3A 5.8, 8.3; SDM 2A "CALL", "JMP", 2B "RET"). */
import type { CpuContext, SystemOutcome } from '../context.ts';
import type { Instruction } from '../instruction.ts';
import * as L from '../layout.ts';
import type { SegmentRegister } from '../state.ts';
import {
  Rights,
  SystemType,
  isNull,
  markAccessed,
  readDescriptor,
  selectorError,
  setCodeAndStack,
  toSegment,
} from './descriptors.ts';
import { callThroughGate, checkGate, isCode, throughGate } from './call-gates.ts';
import type { GateTarget } from './call-gates.ts';
import type { Descriptor } from './descriptors.ts';
import { ringChangeEvent } from './events.ts';
import { Vector, generalProtection, raise, undefinedOpcode } from './fault.ts';
import { checkTarget, checkWidth, dropInnerSegments, loadOuterStack, returnCode, returnStack } from './iret.ts';
import { realCode } from './legacy-gates.ts';
import { hex, linearAddress, readLinear } from './memory.ts';
import type { Bytes } from './memory.ts';
import { hasRealSegments, isLongMode } from './modes.ts';
import { moveStack, peekStack, pokeStack } from './stack.ts';
import { taskGateSelector, taskSwitch } from './task-switch.ts';

interface FarPointer {
  readonly selector: number;
  readonly offset: bigint;
}

function farOperand(context: CpuContext, instruction: Instruction): FarPointer {
  const [operand] = instruction.operands;
  if (operand?.kind === 'immediate')
    return { offset: operand.value & 0xffff_ffffn, selector: Number(operand.value >> 32n) };
  if (operand?.kind !== 'memory') undefinedOpcode('far target must be in memory');
  const bytes = instruction.size as Bytes;
  const gva = linearAddress(context, operand, bytes + 2);
  const offset = readLinear(context, gva, bytes, 'cpl');
  return { offset, selector: Number(readLinear(context, gva + BigInt(bytes), 2, 'cpl')) };
}

/** CS that a direct far JMP or CALL loads: same ring only. */
function directCode(context: CpuContext, descriptor: Descriptor, selector: number): SegmentRegister {
  const { rights, dpl } = descriptor;
  const { cpl } = context.cpu;
  const error = selectorError(selector);
  const wrong = rights & Rights.CONFORMING ? dpl > cpl : (selector & 3) > cpl || dpl !== cpl;
  if (wrong) generalProtection(`CS ${hex(selector)} has DPL ${dpl}, CPL is ${cpl}`, error);
  if (!(rights & Rights.PRESENT)) raise(Vector.NP, error, `CS ${hex(selector)} is not present`);
  checkWidth(rights, selector);
  return toSegment(markAccessed(context, descriptor), (selector & 0xfffc) | cpl);
}

function targetDescriptor(context: CpuContext, selector: number): Descriptor {
  if (isNull(selector)) generalProtection('far transfer to a null selector');
  return readDescriptor(context, selector);
}

/** Where a selector that is no code segment leads: another task, or through a call gate. */
function throughSystem(
  context: CpuContext,
  instruction: Instruction,
  descriptor: Descriptor,
  selector: number,
  by: 'jmp' | 'call',
): GateTarget | 'switched' {
  const type = descriptor.rights & (Rights.S | Rights.TYPE);
  if (isLongMode(context) || !TASK_TYPES.has(type)) return throughGate(context, descriptor, selector);
  checkGate(context, descriptor, selector);
  const tss = type === SystemType.TASK_GATE ? taskGateSelector(Number((descriptor.low >> 16n) & 0xffffn)) : selector;
  const eip = BigInt.asUintN(32, context.cpu.rip + BigInt(instruction.length));
  taskSwitch(context, { selector: tss, by, eip, instructionLength: instruction.length });
  return 'switched';
}
const TASK_TYPES: ReadonlySet<number> = new Set([
  SystemType.TASK_GATE,
  SystemType.TSS_AVAILABLE,
  SystemType.TSS_BUSY,
  SystemType.TSS_AVAILABLE_16,
  SystemType.TSS_BUSY_16,
]);

export function jmpFar(context: CpuContext, instruction: Instruction): SystemOutcome {
  const { cpu } = context;
  const pointer = farOperand(context, instruction);
  if (hasRealSegments(context)) return goReal(context, pointer);
  const descriptor = targetDescriptor(context, pointer.selector);
  if (isCode(descriptor)) {
    const cs = directCode(context, descriptor, pointer.selector);
    checkTarget(context, cs, pointer.offset);
    cpu.rip = pointer.offset;
    setCodeAndStack(context, cs, undefined);
    return 'moved';
  }
  const target = throughSystem(context, instruction, descriptor, pointer.selector, 'jmp');
  if (target === 'switched') return 'moved';
  if (!(target.code.rights & Rights.CONFORMING) && target.code.dpl !== cpu.cpl) {
    generalProtection('JMP through a call gate cannot change the ring', selectorError(target.selector));
  }
  const cs = toSegment(markAccessed(context, target.code), (target.selector & 0xfffc) | cpu.cpl);
  cpu.rip = target.offset;
  setCodeAndStack(context, cs, undefined);
  return 'moved';
}

function goReal(context: CpuContext, { selector, offset }: FarPointer): SystemOutcome {
  const cs = realCode(context, selector, offset);
  context.cpu.rip = offset;
  setCodeAndStack(context, cs, undefined);
  return 'moved';
}

export function callFar(context: CpuContext, instruction: Instruction): SystemOutcome {
  const { cpu } = context;
  const pointer = farOperand(context, instruction);
  const next = BigInt.asUintN(64, cpu.rip + BigInt(instruction.length));
  const link = BigInt(context.mem.get16(L.CS + L.SEG_SELECTOR));
  const bytes = instruction.size as Bytes;
  if (hasRealSegments(context)) {
    realCode(context, pointer.selector, pointer.offset);
    pushLink(context, bytes, link, next);
    return goReal(context, pointer);
  }
  const descriptor = targetDescriptor(context, pointer.selector);
  if (!isCode(descriptor)) {
    const target = throughSystem(context, instruction, descriptor, pointer.selector, 'call');
    return target === 'switched' ? 'moved' : callThroughGate(context, target, link, next);
  }
  const cs = directCode(context, descriptor, pointer.selector);
  checkTarget(context, cs, pointer.offset);
  pushLink(context, bytes, link, next);
  cpu.rip = pointer.offset;
  setCodeAndStack(context, cs, undefined);
  return 'moved';
}

function pushLink(context: CpuContext, bytes: Bytes, link: bigint, next: bigint): void {
  pokeStack(context, -bytes, bytes, link);
  pokeStack(context, -2 * bytes, bytes, next);
  moveStack(context, -2 * bytes);
}

export function retFar(context: CpuContext, instruction: Instruction): SystemOutcome {
  const { cpu } = context;
  const bytes = instruction.size as Bytes;
  const [operand] = instruction.operands;
  const release = operand?.kind === 'immediate' ? Number(operand.value & 0xffffn) : 0;
  const rip = peekStack(context, 0, bytes);
  const selector = Number(peekStack(context, bytes, bytes) & 0xffffn);
  if (hasRealSegments(context)) {
    realCode(context, selector, rip);
    moveStack(context, 2 * bytes + release);
    return goReal(context, { selector, offset: rip });
  }
  const oldCpl = cpu.cpl;
  const outer = (selector & 3) > oldCpl;
  const rsp = outer ? peekStack(context, 2 * bytes + release, bytes) : 0n;
  const ssSelector = outer ? Number(peekStack(context, 3 * bytes + release, bytes) & 0xffffn) : 0;
  const cs = returnCode(context, selector);
  const ss = outer ? returnStack(context, ssSelector, cs) : undefined;
  checkTarget(context, cs, rip);
  if (ss) loadOuterStack(context, cs, ss, BigInt.asUintN(64, rsp + BigInt(release)));
  else moveStack(context, 2 * bytes + release);
  cpu.rip = rip;
  setCodeAndStack(context, cs, ss);
  if (outer) dropInnerSegments(context);
  ringChangeEvent(context, oldCpl, 'RET');
  return 'moved';
}
