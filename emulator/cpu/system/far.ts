/** Far JMP, CALL and RET in IA-32e mode: code segments and 64-bit call gates (SDM 3A 5.8; SDM 2A "CALL", "JMP", 2B "RET"). */
import type { CpuContext, SystemOutcome } from '../context.ts';
import type { Instruction } from '../instruction.ts';
import * as L from '../layout.ts';
import { Segment } from '../state.ts';
import type { SegmentRegister } from '../state.ts';
import {
  EFER_LMA,
  Rights,
  SystemType,
  isNull,
  locateDescriptor,
  markAccessed,
  nullSegment,
  readDescriptor,
  selectorError,
  setCodeAndStack,
  toSegment,
} from './descriptors.ts';
import type { Descriptor } from './descriptors.ts';
import { ringChangeEvent } from './events.ts';
import { Vector, generalProtection, raise, undefinedOpcode } from './fault.ts';
import { checkTarget, checkWidth, dropInnerSegments, returnCode, returnStack } from './iret.ts';
import { hex, isCanonical, linearAddress, readLinear, writeLinear } from './memory.ts';
import type { Bytes } from './memory.ts';
import { moveStack, peekStack, pokeStack } from './stack.ts';

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
  if (!(context.cpu.efer & EFER_LMA))
    generalProtection('far transfers outside IA-32e mode are not part of this CPU model');
  if (isNull(selector)) generalProtection('far transfer to a null selector');
  return readDescriptor(context, selector);
}

function isCode(descriptor: Descriptor): boolean {
  return (descriptor.rights & (Rights.S | Rights.CODE)) === (Rights.S | Rights.CODE);
}

interface GateTarget {
  readonly selector: number;
  readonly offset: bigint;
  readonly code: Descriptor;
}

/** The code a 64-bit call gate leads to, checked up to the privilege of the transfer. */
function throughGate(context: CpuContext, gate: Descriptor, gateSelector: number): GateTarget {
  const { cpl } = context.cpu;
  const error = selectorError(gateSelector);
  if (gate.rights & Rights.S || (gate.rights & Rights.TYPE) !== SystemType.CALL_GATE) {
    generalProtection(`selector ${hex(gateSelector)} is neither code nor a call gate`, error);
  }
  if (gate.dpl < cpl || gate.dpl < (gateSelector & 3))
    generalProtection(`call gate ${hex(gateSelector)} has DPL ${gate.dpl}`, error);
  if (!(gate.rights & Rights.PRESENT)) raise(Vector.NP, error, `call gate ${hex(gateSelector)} is not present`);
  if (locateDescriptor(context, gateSelector, 16) === undefined)
    generalProtection(`call gate ${hex(gateSelector)} runs over its table`, error);
  const high = readLinear(context, gate.gva + 8n, 8, 'supervisor');
  if ((high >> 40n) & 0x1fn) generalProtection(`call gate ${hex(gateSelector)} has type bits in its upper half`, error);
  const selector = Number((gate.low >> 16n) & 0xffffn);
  if (isNull(selector)) generalProtection('the call gate holds a null code selector');
  const code = readDescriptor(context, selector);
  const codeError = selectorError(selector);
  if (!isCode(code) || code.dpl > cpl)
    generalProtection(`the call gate's CS ${hex(selector)} is not code of this or an inner ring`, codeError);
  if ((code.rights & (Rights.L | Rights.DB)) !== Rights.L)
    generalProtection(`the call gate's CS ${hex(selector)} is not 64-bit`, codeError);
  if (!(code.rights & Rights.PRESENT)) raise(Vector.NP, codeError, `CS ${hex(selector)} is not present`);
  const offset = (gate.low & 0xffffn) | ((gate.low >> 32n) & 0xffff0000n) | ((high & 0xffffffffn) << 32n);
  if (!isCanonical(context, offset)) generalProtection(`call gate to ${hex(offset)}, which is not canonical`);
  return { selector, offset, code };
}

export function jmpFar(context: CpuContext, instruction: Instruction): SystemOutcome {
  const { cpu } = context;
  const pointer = farOperand(context, instruction);
  const descriptor = targetDescriptor(context, pointer.selector);
  if (isCode(descriptor)) {
    const cs = directCode(context, descriptor, pointer.selector);
    checkTarget(context, cs, pointer.offset);
    cpu.rip = pointer.offset;
    setCodeAndStack(context, cs, undefined);
    return 'moved';
  }
  const target = throughGate(context, descriptor, pointer.selector);
  if (!(target.code.rights & Rights.CONFORMING) && target.code.dpl !== cpu.cpl) {
    generalProtection('JMP through a call gate cannot change the ring', selectorError(target.selector));
  }
  const cs = toSegment(markAccessed(context, target.code), (target.selector & 0xfffc) | cpu.cpl);
  cpu.rip = target.offset;
  setCodeAndStack(context, cs, undefined);
  return 'moved';
}

export function callFar(context: CpuContext, instruction: Instruction): SystemOutcome {
  const { cpu } = context;
  const pointer = farOperand(context, instruction);
  const descriptor = targetDescriptor(context, pointer.selector);
  const next = BigInt.asUintN(64, cpu.rip + BigInt(instruction.length));
  const link = BigInt(context.mem.get16(L.CS + L.SEG_SELECTOR));
  if (!isCode(descriptor)) return callGate(context, throughGate(context, descriptor, pointer.selector), link, next);
  const cs = directCode(context, descriptor, pointer.selector);
  checkTarget(context, cs, pointer.offset);
  const bytes = instruction.size as Bytes;
  pokeStack(context, -bytes, bytes, link);
  pokeStack(context, -2 * bytes, bytes, next);
  moveStack(context, -2 * bytes);
  cpu.rip = pointer.offset;
  setCodeAndStack(context, cs, undefined);
  return 'moved';
}

function callGate(context: CpuContext, target: GateTarget, link: bigint, next: bigint): SystemOutcome {
  const { cpu } = context;
  const oldCpl = cpu.cpl;
  const newCpl = target.code.rights & Rights.CONFORMING ? oldCpl : target.code.dpl;
  const frame = [link, next];
  let rsp = cpu.rsp;
  if (newCpl !== oldCpl) {
    const tr = cpu.segment(Segment.TR);
    if (11 + newCpl * 8 > tr.limit)
      raise(Vector.TS, selectorError(tr.selector), `TSS limit ${hex(tr.limit)}: no RSP${newCpl}`);
    rsp = readLinear(context, tr.base + BigInt(4 + newCpl * 8), 8, 'supervisor');
    if (!isCanonical(context, rsp)) raise(Vector.SS, 0, `RSP${newCpl} ${hex(rsp)} is not canonical`);
    frame.unshift(BigInt(context.mem.get16(L.SS + L.SEG_SELECTOR)), cpu.rsp);
  }
  for (const value of frame) {
    rsp = BigInt.asUintN(64, rsp - 8n);
    writeLinear(context, rsp, 8, value, newCpl === 3 ? 'cpl' : 'supervisor');
  }
  const cs = toSegment(markAccessed(context, target.code), (target.selector & 0xfffc) | newCpl);
  cpu.rsp = rsp;
  cpu.rip = target.offset;
  setCodeAndStack(context, cs, newCpl === oldCpl ? undefined : nullSegment(newCpl, newCpl));
  ringChangeEvent(context, oldCpl, 'CALL through a gate');
  return 'moved';
}

export function retFar(context: CpuContext, instruction: Instruction): SystemOutcome {
  const { cpu } = context;
  if (!(cpu.efer & EFER_LMA)) generalProtection('far returns outside IA-32e mode are not part of this CPU model');
  const bytes = instruction.size as Bytes;
  const [operand] = instruction.operands;
  const release = operand?.kind === 'immediate' ? Number(operand.value & 0xffffn) : 0;
  const rip = peekStack(context, 0, bytes);
  const selector = Number(peekStack(context, bytes, bytes) & 0xffffn);
  const oldCpl = cpu.cpl;
  const outer = (selector & 3) > oldCpl;
  const rsp = outer ? peekStack(context, 2 * bytes + release, bytes) : 0n;
  const ssSelector = outer ? Number(peekStack(context, 3 * bytes + release, bytes) & 0xffffn) : 0;
  const cs = returnCode(context, selector);
  const ss = outer ? returnStack(context, ssSelector, cs) : undefined;
  checkTarget(context, cs, rip);
  if (ss) cpu.rsp = BigInt.asUintN(64, rsp + BigInt(release));
  else moveStack(context, 2 * bytes + release);
  cpu.rip = rip;
  setCodeAndStack(context, cs, ss);
  if (outer) dropInnerSegments(context);
  ringChangeEvent(context, oldCpl, 'RET');
  return 'moved';
}
