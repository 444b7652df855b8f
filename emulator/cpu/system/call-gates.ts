/** Call gates of 16, 32 and 64 bits (SDM 3A 5.8.3 to 5.8.6). */
import type { CpuContext, SystemOutcome } from '../context.ts';
import * as L from '../layout.ts';
import { Segment } from '../state.ts';
import {
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
import { Vector, generalProtection, raise } from './fault.ts';
import { hex, isCanonical, readLinear, writeLinear } from './memory.ts';
import { isLongMode } from './modes.ts';
import { currentStack, loadPointer, pushNew, ringStack } from './new-stack.ts';
import { peekStack } from './stack.ts';

export interface GateTarget {
  readonly selector: number;
  readonly offset: bigint;
  readonly code: Descriptor;
  /** Of an item on the stack. */
  readonly bytes: 2 | 4 | 8;
  /** Items that a legacy gate copies to an inner stack. */
  readonly parameters: number;
}

export const isCode = ({ rights }: Descriptor): boolean =>
  (rights & (Rights.S | Rights.CODE)) === (Rights.S | Rights.CODE);

/** DPL of a gate or TSS against CPL and RPL, and presence. */
export function checkGate(context: CpuContext, gate: Descriptor, selector: number): void {
  const error = selectorError(selector);
  if (gate.dpl < context.cpu.cpl || gate.dpl < (selector & 3))
    generalProtection(`gate or TSS ${hex(selector)} has DPL ${gate.dpl}`, error);
  if (!(gate.rights & Rights.PRESENT)) raise(Vector.NP, error, `gate or TSS ${hex(selector)} is not present`);
}

/** Where a call gate leads, checked up to the privilege of the transfer. */
export function throughGate(context: CpuContext, gate: Descriptor, gateSelector: number): GateTarget {
  const long = isLongMode(context);
  const type = gate.rights & (Rights.S | Rights.TYPE);
  if (type !== SystemType.CALL_GATE && (long || type !== SystemType.CALL_GATE_16))
    generalProtection(`selector ${hex(gateSelector)} is neither code nor a call gate`, selectorError(gateSelector));
  checkGate(context, gate, gateSelector);
  const high = long ? upperHalf(context, gate, gateSelector) : 0n;
  const wide = type === SystemType.CALL_GATE;
  const offset = (gate.low & 0xffffn) | (wide ? (gate.low >> 32n) & 0xffff_0000n : 0n) | (high << 32n);
  const selector = Number((gate.low >> 16n) & 0xffffn);
  const code = gateCode(context, selector, long);
  if (long && !isCanonical(context, offset)) generalProtection(`call gate to ${hex(offset)}, which is not canonical`);
  if (!long && offset > BigInt(toSegment(code, selector).limit))
    generalProtection(`call gate to ${hex(offset)}, outside its segment`);
  const parameters = long ? 0 : Number((gate.low >> 32n) & 31n);
  return { selector, offset, code, bytes: long ? 8 : wide ? 4 : 2, parameters };
}

/** Bits 63:32 of a 64-bit gate's offset. */
function upperHalf(context: CpuContext, gate: Descriptor, selector: number): bigint {
  const error = selectorError(selector);
  if (locateDescriptor(context, selector, 16) === undefined)
    generalProtection(`call gate ${hex(selector)} runs over its table`, error);
  const high = readLinear(context, gate.gva + 8n, 8, 'supervisor');
  if ((high >> 40n) & 0x1fn) generalProtection(`call gate ${hex(selector)} has type bits in its upper half`, error);
  return high & 0xffff_ffffn;
}

function gateCode(context: CpuContext, selector: number, long: boolean): Descriptor {
  if (isNull(selector)) generalProtection('the call gate holds a null code selector');
  const code = readDescriptor(context, selector);
  const error = selectorError(selector);
  if (!isCode(code) || code.dpl > context.cpu.cpl)
    generalProtection(`the call gate's CS ${hex(selector)} is not code of this or an inner ring`, error);
  if (long && (code.rights & (Rights.L | Rights.DB)) !== Rights.L)
    generalProtection(`the call gate's CS ${hex(selector)} is not 64-bit`, error);
  if (!(code.rights & Rights.PRESENT)) raise(Vector.NP, error, `CS ${hex(selector)} is not present`);
  return code;
}

/** Pushes `link` and `next` and enters the gate's code, on the stack of its ring. */
export function callThroughGate(context: CpuContext, target: GateTarget, link: bigint, next: bigint): SystemOutcome {
  const oldCpl = context.cpu.cpl;
  const newCpl = target.code.rights & Rights.CONFORMING ? oldCpl : target.code.dpl;
  if (target.bytes === 8) callLong(context, target, newCpl, link, next);
  else callLegacy(context, target, newCpl, link, next);
  ringChangeEvent(context, oldCpl, 'CALL through a gate');
  return 'moved';
}

function callLong(context: CpuContext, target: GateTarget, newCpl: number, link: bigint, next: bigint): void {
  const { cpu } = context;
  const oldCpl = cpu.cpl;
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
}

function callLegacy(context: CpuContext, target: GateTarget, newCpl: number, link: bigint, next: bigint): void {
  const { cpu, mem } = context;
  const { bytes, parameters } = target;
  const inner = newCpl !== cpu.cpl;
  const stack = inner ? ringStack(context, newCpl) : currentStack(context);
  const frame = [link, next];
  if (inner) {
    const copied = Array.from({ length: parameters }, (_, index) =>
      peekStack(context, (parameters - 1 - index) * bytes, bytes),
    );
    frame.unshift(BigInt(mem.get16(L.SS + L.SEG_SELECTOR)), cpu.rsp, ...copied);
  }
  for (const value of frame) pushNew(context, stack, bytes, value);
  const cs = toSegment(markAccessed(context, target.code), (target.selector & 0xfffc) | newCpl);
  if (inner) cpu.setSegment(Segment.SS, stack.segment);
  loadPointer(context, stack);
  cpu.rip = target.offset;
  setCodeAndStack(context, cs, undefined);
}
