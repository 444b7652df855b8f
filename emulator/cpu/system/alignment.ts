/** #GP of vector instructions whose memory operand has to be aligned (SDM 1 10.8.1.1, MOVAPS). */
import type { CpuContext } from '../context.ts';
import type { Fault } from '../engine-api.ts';
import * as L from '../layout.ts';
import type { MemoryOperand } from '../instruction.ts';
import { Segment } from '../state.ts';
import { Vector } from './fault.ts';
import { effectiveAddress, hex, isCanonical } from './memory.ts';

const MODE_64 = 2;
const COMPUTED_BRANCH = /^(ret|jmp_indirect|call_indirect)$/;
/** Of the VEX-encoded vector instructions only those that move aligned or non-temporal data want alignment. */
const WANTS_NONE = /^v(?!mov(ap[sd]|dqa|ntp[sd]|ntdqa?)$)/;
const RSP = 4;
const RBP = 5;

export interface Misalignment {
  readonly op: string;
  /** What the address should be a multiple of. */
  readonly bytes: number;
  readonly gva: bigint;
  /** The operand is addressed by RSP or RBP. */
  readonly stack: boolean;
}

/** What the instruction at RIP wants aligned and is not; undefined if that is not its fault. */
export function misalignedVector(context: CpuContext): Misalignment | undefined {
  const { cpu, engine } = context;
  const instruction = engine.decodeAt(cpu.codeAddress);
  const memory = instruction?.operands.find((operand): operand is MemoryOperand => operand.kind === 'memory');
  if (!instruction || !memory || !instruction.operands.some(({ kind }) => kind === 'xmm' || kind === 'ymm'))
    return undefined;
  if (WANTS_NONE.test(instruction.op)) return undefined;
  if (memory.segment === Segment.FS || memory.segment === Segment.GS) return undefined;
  const gva = effectiveAddress(context, memory);
  const bytes = instruction.size === 32 ? 32 : 16;
  if (gva % BigInt(bytes) === 0n || !isCanonical(context, gva)) return undefined;
  return { op: instruction.op, bytes, gva, stack: memory.base === RSP || memory.base === RBP };
}

/** A #GP of the core with its reason, if it is this one. RIP stands on the instruction. */
export function explainAlignment(context: CpuContext, fault: Fault): Fault {
  if (fault.kind !== 'exception' || fault.vector !== Vector.GP || fault.because) return fault;
  const found = misalignedVector(context);
  if (found) return { ...fault, because: alignmentText(found) };
  const op = context.engine.decodeAt(context.cpu.codeAddress)?.op;
  if (context.mem.get32(L.CODE_MODE) !== MODE_64 || !op || !COMPUTED_BRANCH.test(op)) return fault;
  return { ...fault, because: 'the branch target is not a canonical address' };
}

export function alignmentText({ op, bytes, gva }: Misalignment): string {
  return `${op.toUpperCase()} needs an address that is a multiple of ${bytes}, and ${hex(gva)} is none`;
}
