/** Descriptor-table registers and selector queries: LGDT LIDT SGDT SIDT LLDT LTR SLDT STR LAR LSL VERR VERW ARPL (SDM 2). */
import type { CpuContext, SystemOutcome } from '../context.ts';
import type { Instruction, MemoryOperand } from '../instruction.ts';
import * as L from '../layout.ts';
import { Segment } from '../state.ts';
import {
  Rights,
  SystemType,
  inspectDescriptor,
  isNull,
  locateDescriptor,
  nullSegment,
  readDescriptor,
  selectorError,
  toSegment,
} from './descriptors.ts';
import type { Descriptor } from './descriptors.ts';
import {
  ExitReason,
  Secondary,
  displacement,
  exit,
  memoryInformation,
  operandInformation,
  secondary,
} from './exits.ts';
import { Vector, generalProtection, raise, requireCpl0, undefinedOpcode } from './fault.ts';
import {
  hex,
  isCanonicalBase,
  linearAddress,
  readLinear,
  readOperand,
  writeGpr,
  writeLinear,
  writeOperand,
} from './memory.ts';
import type { Bytes } from './memory.ts';
import { Flag, arithmeticFlags, setArithmeticFlags } from './rflags.ts';
import { isLongMode, requireProtectedMode } from './modes.ts';
import { storeSelector } from './segments.ts';
import { BITS_64 } from '../control-bits-64.ts';

const { CR4_UMIP } = BITS_64;

/** 29:28 of the exit's instruction information. */
const TABLE_CODE = { sgdt: 0, sidt: 1, lgdt: 2, lidt: 3 } as const;
const SELECTOR_CODE = { sldt: 0, str: 1, lldt: 2, ltr: 3 } as const;

type TableOp = keyof typeof TABLE_CODE;
type SelectorOp = keyof typeof SELECTOR_CODE;

function memoryOperand(instruction: Instruction): MemoryOperand {
  const [operand] = instruction.operands;
  if (operand?.kind !== 'memory') undefinedOpcode(`${instruction.op.toUpperCase()} needs a memory operand`);
  return operand;
}

function refuseUmip(context: CpuContext, op: string): void {
  if (context.cpu.cr4 & CR4_UMIP) requireCpl0(context, `${op.toUpperCase()} with CR4.UMIP`);
}

function tableExit(context: CpuContext, instruction: Instruction, operand: MemoryOperand): SystemOutcome | undefined {
  if (!secondary(context, Secondary.DescriptorTableExiting)) return undefined;
  const code = TABLE_CODE[instruction.op as TableOp];
  const size = context.mem.get32(L.CODE_MODE) === 0 ? 0 : 1 << 11;
  return exit(context, instruction, ExitReason.GdtrIdtrAccess, {
    qualification: displacement(operand),
    instructionInformation: (memoryInformation(operand) | size | (code << 28)) >>> 0,
  });
}

/** Limit in two bytes, base in eight (64-bit mode) or four, of which 16-bit operands use three. */
export const loadTable =
  (base: number, limit: number) =>
  (context: CpuContext, instruction: Instruction): SystemOutcome => {
    const operand = memoryOperand(instruction);
    requireCpl0(context, instruction.op.toUpperCase());
    const exited = tableExit(context, instruction, operand);
    if (exited) return exited;
    const wide = context.mem.get32(L.CODE_MODE) === 2;
    const gva = linearAddress(context, operand, wide ? 10 : 6);
    const newLimit = readLinear(context, gva, 2, 'cpl');
    const whole = readLinear(context, BigInt.asUintN(64, gva + 2n), wide ? 8 : 4, 'cpl');
    const newBase = !wide && instruction.size === 2 ? whole & 0xff_ffffn : whole;
    if (!isCanonicalBase(context, newBase)) generalProtection(`table base ${hex(newBase)} is not canonical`);
    context.mem.set32(limit, Number(newLimit));
    context.mem.set64(base, newBase);
    return 'next';
  };

export const storeTable =
  (base: number, limit: number) =>
  (context: CpuContext, instruction: Instruction): SystemOutcome => {
    const operand = memoryOperand(instruction);
    refuseUmip(context, instruction.op);
    const exited = tableExit(context, instruction, operand);
    if (exited) return exited;
    const wide = context.mem.get32(L.CODE_MODE) === 2;
    const gva = linearAddress(context, operand, wide ? 10 : 6, true);
    const baseAt = BigInt.asUintN(64, gva + 2n);
    writeLinear(context, baseAt, wide ? 8 : 4, context.mem.get64(base), 'cpl');
    writeLinear(context, gva, 2, BigInt(context.mem.get32(limit)), 'cpl');
    return 'next';
  };

function selectorExit(context: CpuContext, instruction: Instruction): SystemOutcome | undefined {
  if (!secondary(context, Secondary.DescriptorTableExiting)) return undefined;
  const operand = instruction.operands[0]!;
  const code = SELECTOR_CODE[instruction.op as SelectorOp];
  return exit(context, instruction, ExitReason.LdtrTrAccess, {
    qualification: displacement(operand),
    instructionInformation: (operandInformation(operand) | (code << 28)) >>> 0,
  });
}

/** A 16-byte LDT or TSS descriptor, checked. */
function systemDescriptor(
  context: CpuContext,
  selector: number,
  types: readonly number[],
): { descriptor: Descriptor; base: bigint } {
  const error = selectorError(selector);
  if (selector & 4) generalProtection(`selector ${hex(selector)} must be in the GDT`, error);
  const descriptor = readDescriptor(context, selector);
  const kind = descriptor.rights & (Rights.S | Rights.TYPE);
  if (!types.includes(kind))
    generalProtection(`descriptor ${hex(selector)} has type ${kind}, not ${types.join(' or ')}`, error);
  if (!(descriptor.rights & Rights.PRESENT)) raise(Vector.NP, error, `descriptor ${hex(selector)} is not present`);
  const segment = toSegment(descriptor, selector);
  if (context.mem.get32(L.CODE_MODE) !== 2) return { descriptor, base: segment.base };
  if (locateDescriptor(context, selector, 16) === undefined)
    generalProtection(`descriptor ${hex(selector)} runs over the GDT`, error);
  const high = readLinear(context, descriptor.gva + 8n, 8, 'supervisor');
  const base = segment.base | ((high & 0xffff_ffffn) << 32n);
  if ((high >> 40n) & 0x1fn) generalProtection(`descriptor ${hex(selector)} has type bits in its upper half`, error);
  if (!isCanonicalBase(context, base)) generalProtection(`base ${hex(base)} is not canonical`, error);
  return { descriptor, base };
}

export function lldt(context: CpuContext, instruction: Instruction): SystemOutcome {
  requireProtectedMode(context, 'LLDT');
  requireCpl0(context, 'LLDT');
  const exited = selectorExit(context, instruction);
  if (exited) return exited;
  const selector = Number(readOperand(context, instruction.operands[0]!, 2));
  if (isNull(selector)) {
    context.cpu.setSegment(Segment.LDTR, nullSegment(selector));
    return 'next';
  }
  const { descriptor, base } = systemDescriptor(context, selector, [SystemType.LDT]);
  context.cpu.setSegment(Segment.LDTR, { ...toSegment(descriptor, selector), base });
  return 'next';
}

/** Marks the TSS busy in the GDT. */
export function ltr(context: CpuContext, instruction: Instruction): SystemOutcome {
  requireProtectedMode(context, 'LTR');
  requireCpl0(context, 'LTR');
  const exited = selectorExit(context, instruction);
  if (exited) return exited;
  const selector = Number(readOperand(context, instruction.operands[0]!, 2));
  if (isNull(selector)) generalProtection('LTR with a null selector');
  const { descriptor, base } = systemDescriptor(
    context,
    selector,
    isLongMode(context) ? [SystemType.TSS_AVAILABLE] : [SystemType.TSS_AVAILABLE, SystemType.TSS_AVAILABLE_16],
  );
  const busy = Number((descriptor.low >> 40n) & 0xffn) | 2;
  writeLinear(context, descriptor.gva + 5n, 1, BigInt(busy), 'supervisor');
  context.cpu.setSegment(Segment.TR, { ...toSegment(descriptor, selector), base, rights: descriptor.rights | 2 });
  return 'next';
}

export const storeTableSelector =
  (segment: Segment) =>
  (context: CpuContext, instruction: Instruction): SystemOutcome => {
    requireProtectedMode(context, instruction.op);
    refuseUmip(context, instruction.op);
    const exited = selectorExit(context, instruction);
    if (exited) return exited;
    storeSelector(context, instruction, context.cpu.segment(segment).selector);
    return 'next';
  };

function answer(context: CpuContext, zero: boolean): SystemOutcome {
  setArithmeticFlags(context, (arithmeticFlags(context) & ~Flag.ZF) | (zero ? Flag.ZF : 0));
  return 'next';
}

/** Whether the selector's descriptor may be seen from this CPL and RPL. */
function visible(context: CpuContext, descriptor: Descriptor, selector: number): boolean {
  const { rights, dpl } = descriptor;
  const conforming =
    (rights & (Rights.S | Rights.CODE | Rights.CONFORMING)) === (Rights.S | Rights.CODE | Rights.CONFORMING);
  return conforming || (dpl >= context.cpu.cpl && dpl >= (selector & 3));
}

/** System types that LAR and LSL accept (SDM 2A tables 3-55, 3-60); those of 16 bits and task gates not in IA-32e mode. */
const LAR_TYPES = new Set<number>([
  SystemType.TSS_AVAILABLE_16,
  SystemType.TSS_BUSY_16,
  SystemType.CALL_GATE_16,
  SystemType.TASK_GATE,
  SystemType.LDT,
  SystemType.TSS_AVAILABLE,
  SystemType.TSS_BUSY,
  SystemType.CALL_GATE,
]);
const LSL_TYPES = new Set<number>([
  SystemType.TSS_AVAILABLE_16,
  SystemType.TSS_BUSY_16,
  SystemType.LDT,
  SystemType.TSS_AVAILABLE,
  SystemType.TSS_BUSY,
]);

const LEGACY_TYPES = new Set<number>([
  SystemType.TSS_AVAILABLE_16,
  SystemType.TSS_BUSY_16,
  SystemType.CALL_GATE_16,
  SystemType.TASK_GATE,
]);

function query(
  context: CpuContext,
  instruction: Instruction,
  types: ReadonlySet<number>,
): { descriptor: Descriptor; selector: number } | undefined {
  requireProtectedMode(context, instruction.op);
  const selector = Number(readOperand(context, instruction.operands[1]!, 2));
  const descriptor = inspectDescriptor(context, selector);
  if (!descriptor || !visible(context, descriptor, selector)) return undefined;
  const type = descriptor.rights & Rights.TYPE;
  const absent = isLongMode(context) && LEGACY_TYPES.has(type);
  if (!(descriptor.rights & Rights.S) && (absent || !types.has(type))) return undefined;
  return { descriptor, selector };
}

function destination(instruction: Instruction): number {
  const [operand] = instruction.operands;
  return operand?.kind === 'gpr' ? operand.register : undefinedOpcode('destination must be a register');
}

export function lar(context: CpuContext, instruction: Instruction): SystemOutcome {
  const found = query(context, instruction, LAR_TYPES);
  if (!found) return answer(context, false);
  writeGpr(context, destination(instruction), instruction.size as Bytes, (found.descriptor.low >> 32n) & 0x00f0_ff00n);
  return answer(context, true);
}

export function lsl(context: CpuContext, instruction: Instruction): SystemOutcome {
  const found = query(context, instruction, LSL_TYPES);
  if (!found) return answer(context, false);
  const { limit } = toSegment(found.descriptor, found.selector);
  writeGpr(context, destination(instruction), instruction.size as Bytes, BigInt(limit));
  return answer(context, true);
}

export const verify =
  (write: boolean) =>
  (context: CpuContext, instruction: Instruction): SystemOutcome => {
    requireProtectedMode(context, instruction.op);
    const selector = Number(readOperand(context, instruction.operands[0]!, 2));
    const descriptor = inspectDescriptor(context, selector);
    if (!descriptor || !(descriptor.rights & Rights.S) || !visible(context, descriptor, selector))
      return answer(context, false);
    const code = (descriptor.rights & Rights.CODE) !== 0;
    const bit = (descriptor.rights & Rights.WRITABLE) !== 0;
    return answer(context, write ? !code && bit : !code || bit);
  };

/** Raises the destination's RPL to the source's. */
export function arpl(context: CpuContext, instruction: Instruction): SystemOutcome {
  requireProtectedMode(context, 'ARPL');
  const [target, source] = instruction.operands;
  const selector = Number(readOperand(context, target!, 2));
  const rpl = Number(readOperand(context, source!, 2)) & 3;
  if ((selector & 3) >= rpl) return answer(context, false);
  writeOperand(context, target!, 2, BigInt((selector & 0xfffc) | rpl));
  return answer(context, true);
}
