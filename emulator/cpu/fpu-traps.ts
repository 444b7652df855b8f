/**
 * Whether x87, MMX, SSE and AVX instructions may execute at all (SDM 3A 2.5, tables 2-3 and 14-1; SDM 2A 2.4). Decided when a block is decoded, so that
 * it costs nothing afterwards: what decides is part of a block's key.
 */
import { GENERAL_VEX } from './decode-table.ts';
import type { CodeMode } from './decode-table.ts';
import type { DecodedInstruction } from './decode.ts';
import * as L from './layout.ts';
import type { LinearMemory } from './state.ts';
import { CR0_EM, CR0_TS, CR4_OSFXSR, CR4_OSXSAVE, XCR0_AVX } from './control-bits.ts';

/** SSE and AVX state. */

const MODE = 3;
const TASK_SWITCHED = 4;
const EMULATED = 8;
const NO_FXSR = 16;
export const AVX_ENABLED = 32;
/** Values of a code context are below this. */
export const CODE_CONTEXTS = 64;

/** Everything but the address that makes the same bytes mean something else: code mode and availability of the FPU, SSE and AVX. */
export type CodeContext = number;

export function codeContext(mem: LinearMemory): CodeContext {
  const cr0 = mem.get32(L.CR0);
  let context = mem.get32(L.CODE_MODE);
  if (cr0 & (CR0_TS | CR0_EM)) context |= (cr0 & CR0_TS ? TASK_SWITCHED : 0) | (cr0 & CR0_EM ? EMULATED : 0);
  const cr4 = mem.get32(L.CR4);
  if (cr4 & CR4_OSXSAVE && (mem.get32(L.XCR0) & XCR0_AVX) === XCR0_AVX) context |= AVX_ENABLED;
  return cr4 & CR4_OSFXSR ? context : context | NO_FXSR;
}

export const modeOf = (context: CodeContext): CodeMode => (context & MODE) as CodeMode;

const VECTOR_UD = 6;
const VECTOR_NM = 7;
const USES_MXCSR = new Set(['ldmxcsr', 'stmxcsr']);

export interface Refusal {
  readonly vector: number;
  readonly because: string;
}

/** Why the instruction cannot be executed, if so. */
export function fpuRefusal({ row, operands, op }: DecodedInstruction, context: CodeContext): Refusal | undefined {
  if (row.vex !== undefined) return GENERAL_VEX.has(row.feature) ? undefined : avxRefusal(context);
  if ((context & ~AVX_ENABLED) <= MODE || row.system) return undefined;
  const has = (kind: string): boolean => operands.some((operand) => operand.kind === kind);
  const sse = has('xmm') || USES_MXCSR.has(op);
  const mmx = !sse && (has('mmx') || row.feature === 'mmx');
  if (!sse && !mmx && !/^(D[89A-F]|9B$)/.test(row.encoding)) return undefined;
  if (sse && context & NO_FXSR) return { vector: VECTOR_UD, because: 'an SSE instruction while CR4.OSFXSR is 0' };
  if ((sse || mmx) && context & EMULATED)
    return { vector: VECTOR_UD, because: 'an SSE or MMX instruction while CR0.EM is 1' };
  if (context & TASK_SWITCHED) return { vector: VECTOR_NM, because: 'a floating-point instruction while CR0.TS is 1' };
  return context & EMULATED ? { vector: VECTOR_NM, because: 'an x87 instruction while CR0.EM is 1' } : undefined;
}

/** VEX-encoded vector instructions: CR0.EM and CR4.OSFXSR do not matter to them. */
function avxRefusal(context: CodeContext): Refusal | undefined {
  if (!(context & AVX_ENABLED))
    return { vector: VECTOR_UD, because: 'an AVX instruction while CR4.OSXSAVE or the AVX state of XCR0 is off' };
  if (context & TASK_SWITCHED) return { vector: VECTOR_NM, because: 'an AVX instruction while CR0.TS is 1' };
  return undefined;
}
