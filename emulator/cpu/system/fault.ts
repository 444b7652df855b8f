/** How a system handler ends its instruction with an exception. */
import * as C from '../codes.ts';
import type { CpuContext } from '../context.ts';
import type { EptFault, Fault } from '../engine-api.ts';
import * as L from '../layout.ts';
import { RIGHTS_UNUSABLE } from '../segment-rights.ts';
import { Segment } from '../state.ts';

export const enum Vector {
  DE = 0,
  DB = 1,
  NMI = 2,
  BP = 3,
  OF = 4,
  BR = 5,
  UD = 6,
  NM = 7,
  DF = 8,
  TS = 10,
  NP = 11,
  SS = 12,
  GP = 13,
  PF = 14,
  MF = 16,
  AC = 17,
  MC = 18,
  XM = 19,
  VE = 20,
  CP = 21,
}

/** SDM 3A table 6-1. */
export const VECTOR_NAMES: Readonly<Record<number, string>> = {
  [Vector.DE]: '#DE',
  [Vector.DB]: '#DB',
  [Vector.NMI]: 'NMI',
  [Vector.BP]: '#BP',
  [Vector.OF]: '#OF',
  [Vector.BR]: '#BR',
  [Vector.UD]: '#UD',
  [Vector.NM]: '#NM',
  [Vector.DF]: '#DF',
  [Vector.TS]: '#TS',
  [Vector.NP]: '#NP',
  [Vector.SS]: '#SS',
  [Vector.GP]: '#GP',
  [Vector.PF]: '#PF',
  [Vector.MF]: '#MF',
  [Vector.AC]: '#AC',
  [Vector.MC]: '#MC',
  [Vector.XM]: '#XM',
  [Vector.VE]: '#VE',
  [Vector.CP]: '#CP',
};

/** "#GP", "#PF", "vector 32". */
export function vectorName(vector: number): string {
  return VECTOR_NAMES[vector] ?? `vector ${vector}`;
}

/**
 * Thrown by a handler before it has changed anything. Not an Error: it is a guest's ordinary business and carries no stack.
 */
export class GuestFault {
  constructor(readonly fault: Fault) {}
}

/** `because` says in words which check refused. */
export function raise(vector: Vector, errorCode: number | undefined, because: string): never {
  throw new GuestFault({ kind: 'exception', vector, ...(errorCode === undefined ? {} : { errorCode }), because });
}
/** `selector` without its RPL becomes the error code. */
export function generalProtection(because: string, errorCode = 0): never {
  raise(Vector.GP, errorCode, because);
}
export function undefinedOpcode(because: string): never {
  raise(Vector.UD, undefined, because);
}

export function requireCpl0(context: CpuContext, what: string): void {
  if (context.cpu.cpl !== 0) generalProtection(`${what} at CPL ${context.cpu.cpl}`);
}

/** Takes the fault that the core left in FAULT_*. */
export function takeCoreFault(context: CpuContext): Fault {
  const { mem } = context;
  const kind = mem.get32(L.FAULT_KIND);
  mem.set32(L.FAULT_KIND, C.FAULT_NONE);
  const gva = mem.get64(L.FAULT_GVA);
  switch (kind) {
    case C.FAULT_EXCEPTION: {
      const vector = mem.get32(L.FAULT_VECTOR);
      const errorCode = mem.get32(L.FAULT_ERROR);
      if (vector === Vector.PF) return { kind: 'exception', vector, errorCode, gva };
      return hasErrorCode(vector) ? { kind: 'exception', vector, errorCode } : { kind: 'exception', vector };
    }
    case C.FAULT_NOT_CANONICAL:
      return {
        kind: 'exception',
        vector: referencesStack(context, gva) ? Vector.SS : Vector.GP,
        errorCode: 0,
        because: `address 0x${gva.toString(16)} is not canonical`,
      };
    case C.FAULT_SEGMENT:
      return segmentFault(context, mem.get32(L.FAULT_ERROR), gva);
    case C.FAULT_EPT_VIOLATION:
      return { ...eptFault(context, 'ept-violation', gva), convertible: mem.get32(L.FAULT_ERROR) === 1 };
    case C.FAULT_EPT_MISCONFIG:
      return misconfiguration(eptFault(context, 'ept-misconfiguration', gva), mem.get32(L.FAULT_ERROR));
    case C.FAULT_LOG_FULL:
      return eptFault(context, 'log-full', gva);
    case C.FAULT_SUB_PAGE:
      return eptFault(context, 'sub-page-event', gva);
    case C.FAULT_APIC_ACCESS: {
      const access = { access: mem.get32(L.FAULT_VECTOR), bytes: mem.get32(L.FAULT_ERROR) };
      return { ...eptFault(context, 'apic-access', gva), qualification: 0n, ...access };
    }
    default:
      throw new Error(`the core reported fault kind ${kind}, which is not the guest's`);
  }
}

function eptFault({ mem }: CpuContext, kind: EptFault['kind'], gva: bigint): EptFault {
  return { kind, gva, gpa: Number(mem.get64(L.FAULT_GPA)), qualification: mem.get64(L.FAULT_QUALIFICATION) };
}

/** Bit 7 of the qualification that a violation would have: a linear address was translated. */
const LINEAR_VALID = 0x80n;

/** Its exit has no qualification. @param access what was to be done at the linear address, if there is one */
function misconfiguration(fault: EptFault, access: number): EptFault {
  const linear = (fault.qualification & LINEAR_VALID) !== 0n;
  return { ...fault, qualification: 0n, ...(linear ? { access } : {}) };
}

const SEGMENT_NAMES: readonly string[] = ['ES', 'CS', 'SS', 'DS', 'FS', 'GS'];

function segmentFault({ cpu }: CpuContext, segment: Segment, offset: bigint): Fault {
  const { rights, limit } = cpu.segment(segment);
  const refused = rights & RIGHTS_UNUSABLE ? 'which is null' : `whose limit 0x${limit.toString(16)} or type forbids it`;
  return {
    kind: 'exception',
    vector: segment === Segment.SS ? Vector.SS : Vector.GP,
    errorCode: 0,
    because: `access at offset 0x${offset.toString(16)} of ${SEGMENT_NAMES[segment]}, ${refused}`,
  };
}

const STACK_OPS: ReadonlySet<string> = new Set([
  'push',
  'pop',
  'push_segment',
  'pop_segment',
  'pushf',
  'popf',
  'call',
  'call_indirect',
  'call_far',
  'ret',
  'retf',
  'iret',
  'enter',
  'leave',
]);
/** Those that push and pop at RBP, too. */
const FRAME_OPS: ReadonlySet<string> = new Set(['enter', 'leave']);
/** Bytes around RSP that an instruction may touch by pushing and popping; ENTER copies at most 32 frame pointers. */
const STACK_REACH = 0x200n;

/** Whether the access of the instruction at RIP went to the stack segment: by an operand, or by a push or pop. */
function referencesStack(context: CpuContext, gva: bigint): boolean {
  const { cpu, engine } = context;
  const instruction = engine.decodeAt(cpu.codeAddress);
  if (!instruction) return false;
  const memory = instruction.operands.find((operand) => operand.kind === 'memory');
  if (memory?.segment === Segment.SS) return true;
  if (!STACK_OPS.has(instruction.op)) return false;
  const pointers = FRAME_OPS.has(instruction.op) ? [cpu.rsp, cpu.gpr(5)] : [cpu.rsp];
  return pointers.some((pointer) => {
    const distance = BigInt.asIntN(64, gva - pointer);
    return distance >= -STACK_REACH && distance < STACK_REACH;
  });
}

/** SDM 3A 6.13. */
export function hasErrorCode(vector: number): boolean {
  return vector === 8 || (vector >= 10 && vector <= 14) || vector === 17 || vector === 21;
}
