/** Entry to a handler through the IDT in IA-32e mode (SDM 3A 6.14; SDM 2A "INT n"). */
import { Blocking } from '../activity.ts';
import type { CpuContext, Vectoring } from '../context.ts';
import { CPU_COSTS } from '../costs.ts';
import { InterruptionType } from '../engine-api.ts';
import type { Fault } from '../engine-api.ts';
import * as L from '../layout.ts';
import { Segment } from '../state.ts';
import {
  Rights,
  SystemType,
  isNull,
  markAccessed,
  nullSegment,
  readDescriptor,
  selectorError,
  toSegment,
  updateDerived,
} from './descriptors.ts';
import type { Descriptor } from './descriptors.ts';
import { Vector, generalProtection, hasErrorCode, raise } from './fault.ts';
import { hex, isCanonical, readLinear, writeLinear } from './memory.ts';
import { Flag, readRflags, writeSystemFlags, systemFlags } from './rflags.ts';

export type Exception = Extract<Fault, { kind: 'exception' }>;

interface Gate {
  readonly selector: number;
  readonly offset: bigint;
  readonly ist: number;
  readonly type: number;
}

export function interruptionType(event: Exception): InterruptionType {
  return event.type ?? InterruptionType.HardwareException;
}

/** INT n, INT3, INTO: subject to the gate's DPL, and the return address is the next instruction. */
export function isSoftware(event: Exception): boolean {
  const type = interruptionType(event);
  return type === InterruptionType.SoftwareInterrupt || type === InterruptionType.SoftwareException;
}

/** What delivery is doing, for the text of a failure. Put together only when there is one. */
export interface Progress {
  stage: string;
  /** Vector, or linear address (bigint), that the stage is about. */
  about: number | bigint | undefined;
}

/**
 * Leaves the CPU at the first instruction of the handler. Throws GuestFault when delivery itself faults; then registers are
 * as before, but CR2 of a page fault is set. `progress` tells what was being done.
 */
export function enterHandler(context: CpuContext, event: Exception, progress: Progress): void {
  const { cpu } = context;
  const external = isSoftware(event) ? 0 : 1;
  if (event.vector === Vector.PF && interruptionType(event) === InterruptionType.HardwareException)
    cpu.cr2 = event.gva ?? 0n;

  progress.stage = 'reading IDT entry';
  progress.about = event.vector;
  const gate = readGate(context, event, external);
  progress.stage = 'loading the CS of IDT entry';
  const code = handlerSegment(context, gate, external);
  const oldCpl = cpu.cpl;
  const newCpl = code.rights & Rights.CONFORMING ? oldCpl : code.dpl;

  progress.stage = 'reading a stack pointer from the TSS';
  progress.about = undefined;
  const stack = handlerStack(context, gate, newCpl, external);
  progress.stage = 'pushing the frame below';
  progress.about = stack;
  const rsp = pushFrame(context, event, stack);
  progress.stage = 'marking CS accessed';
  progress.about = undefined;
  const accessed = markAccessed(context, code);

  cpu.setSegment(Segment.CS, toSegment(accessed, (gate.selector & 0xfffc) | newCpl));
  if (newCpl !== oldCpl) cpu.setSegment(Segment.SS, nullSegment(newCpl, newCpl));
  cpu.rsp = rsp;
  cpu.rip = gate.offset;
  const cleared = Flag.TF | Flag.VM | Flag.RF | Flag.NT | (gate.type === SystemType.INTERRUPT_GATE ? Flag.IF : 0);
  finishEntry(context, event, cleared);
}

/** What the IDT-vectoring information of an exit during the delivery of this event says. */
export function vectoringOf(event: Exception): Vectoring {
  const withError = interruptionType(event) === InterruptionType.HardwareException && hasErrorCode(event.vector);
  return {
    information: (0x80000000 | (withError ? 0x800 : 0) | (interruptionType(event) << 8) | event.vector) >>> 0,
    errorCode: withError ? (event.errorCode ?? 0) : 0,
    instructionLength: event.instructionLength ?? 0,
  };
}

/** What every entry to a handler ends with. */
export function finishEntry(context: CpuContext, event: Exception, clearedFlags: number): void {
  const { mem } = context;
  writeSystemFlags(context, systemFlags(context) & ~clearedFlags);
  const nmi = interruptionType(event) === InterruptionType.Nmi ? Blocking.NMI : 0;
  mem.set32(L.INTERRUPTIBILITY, (mem.get32(L.INTERRUPTIBILITY) & ~(Blocking.STI | Blocking.MOV_SS)) | nmi);
  mem.set32(L.ACTIVITY, 0);
  if (event.vector === Vector.DB) mem.set64(L.DR7, mem.get64(L.DR7) & ~(1n << 13n));
  context.addCycles(CPU_COSTS.delivery);
  updateDerived(context);
}

function readGate(context: CpuContext, event: Exception, external: number): Gate {
  const { mem, cpu } = context;
  const { vector } = event;
  const limit = mem.get32(L.IDTR_LIMIT);
  const error = vector * 8 + 2 + external;
  if (vector * 16 + 15 > limit) generalProtection(`IDT limit ${hex(limit)}: vector ${vector} is outside`, error);
  const gva = mem.get64(L.IDTR_BASE) + BigInt(vector * 16);
  const low = readLinear(context, gva, 8, 'supervisor');
  const high = readLinear(context, gva + 8n, 8, 'supervisor');
  const type = Number((low >> 40n) & 0x1fn);
  const dpl = Number((low >> 45n) & 3n);
  if (type !== SystemType.INTERRUPT_GATE && type !== SystemType.TRAP_GATE) {
    generalProtection(`IDT entry ${vector} (${hex(low)}) is no 64-bit interrupt or trap gate`, error);
  }
  if (isSoftware(event) && dpl < cpu.cpl) {
    generalProtection(
      `IDT entry ${vector} has DPL ${dpl}: a software interrupt from CPL ${cpu.cpl} may not use it`,
      error,
    );
  }
  if (!((low >> 47n) & 1n)) raise(Vector.NP, error, `IDT entry ${vector} is not present`);
  return {
    selector: Number((low >> 16n) & 0xffffn),
    offset: (low & 0xffffn) | ((low >> 32n) & 0xffff0000n) | ((high & 0xffffffffn) << 32n),
    ist: Number((low >> 32n) & 7n),
    type,
  };
}

function handlerSegment(context: CpuContext, gate: Gate, external: number): Descriptor {
  const { selector } = gate;
  if (isNull(selector)) generalProtection('the gate holds a null code selector', external);
  const code = readDescriptor(context, selector, Vector.GP, external);
  const error = selectorError(selector, external);
  if ((code.rights & (Rights.S | Rights.CODE)) !== (Rights.S | Rights.CODE)) {
    generalProtection(`selector ${hex(selector)} is not a code segment`, error);
  }
  if (code.dpl > context.cpu.cpl)
    generalProtection(`the handler's CS has DPL ${code.dpl}, outside CPL ${context.cpu.cpl}`, error);
  if (!(code.rights & Rights.PRESENT)) raise(Vector.NP, error, `code segment ${hex(selector)} is not present`);
  if ((code.rights & (Rights.L | Rights.DB)) !== Rights.L)
    generalProtection(`code segment ${hex(selector)} is not 64-bit`, error);
  if (!isCanonical(context, gate.offset))
    generalProtection(`handler address ${hex(gate.offset)} is not canonical`, external);
  return code;
}

/** Stack pointer to push below, aligned to 16. */
function handlerStack(context: CpuContext, gate: Gate, newCpl: number, external: number): bigint {
  const { cpu } = context;
  let rsp = cpu.rsp;
  if (gate.ist || newCpl < cpu.cpl) {
    const tr = cpu.segment(Segment.TR);
    const offset = gate.ist ? 28 + gate.ist * 8 : 4 + newCpl * 8;
    if (offset + 7 > tr.limit)
      raise(
        Vector.TS,
        selectorError(tr.selector, external),
        `TSS limit ${hex(tr.limit)}: no stack pointer at ${offset}`,
      );
    rsp = readLinear(context, BigInt.asUintN(64, tr.base + BigInt(offset)), 8, 'supervisor');
  }
  if (!isCanonical(context, rsp)) raise(Vector.SS, external, `stack pointer ${hex(rsp)} is not canonical`);
  return rsp & ~15n;
}

function pushFrame(context: CpuContext, event: Exception, stack: bigint): bigint {
  const { cpu, mem } = context;
  const frame = [
    BigInt(mem.get16(L.SS + L.SEG_SELECTOR)),
    cpu.rsp,
    BigInt(frameFlags(context, event)),
    BigInt(mem.get16(L.CS + L.SEG_SELECTOR)),
    returnAddress(context, event),
  ];
  if (interruptionType(event) === InterruptionType.HardwareException && hasErrorCode(event.vector)) {
    frame.push(BigInt(event.errorCode ?? 0));
  }
  let rsp = stack;
  for (const value of frame) {
    rsp = BigInt.asUintN(64, rsp - 8n);
    writeLinear(context, rsp, 8, value, 'supervisor');
  }
  return rsp;
}

/** RFLAGS as a frame holds it. */
export function frameFlags(context: CpuContext, event: Exception): number {
  return readRflags(context) | (isFaultClass(event) ? Flag.RF : 0);
}

/** RIP that a frame holds: after the instruction, for INT n and its like. */
export function returnAddress({ cpu }: CpuContext, event: Exception): bigint {
  const software = isSoftware(event) || interruptionType(event) === InterruptionType.PrivilegedSoftwareException;
  return cpu.rip + (software ? BigInt(event.instructionLength ?? 0) : 0n);
}

/** Faults push RF = 1, so that an instruction breakpoint is not reported again (SDM 3B 18.3.1.1). */
function isFaultClass(event: Exception): boolean {
  const { vector } = event;
  return (
    interruptionType(event) === InterruptionType.HardwareException &&
    (vector !== Vector.DB || event.resumes === true) &&
    vector !== Vector.MC &&
    vector !== Vector.DF
  );
}
