/** RFLAGS whole: the lazy arithmetic flags and SYSTEM_FLAGS put together and taken apart (SDM 1 3.4.3). */
import * as C from '../codes.ts';
import * as bits from '../control-bits.ts';
import type { CpuContext } from '../context.ts';
import * as L from '../layout.ts';

export const Flag = {
  CF: bits.RFLAGS_CF,
  PF: bits.RFLAGS_PF,
  AF: bits.RFLAGS_AF,
  ZF: bits.RFLAGS_ZF,
  SF: bits.RFLAGS_SF,
  TF: bits.RFLAGS_TF,
  IF: bits.RFLAGS_IF,
  DF: bits.RFLAGS_DF,
  OF: bits.RFLAGS_OF,
  IOPL: bits.RFLAGS_IOPL,
  NT: bits.RFLAGS_NT,
  RF: bits.RFLAGS_RF,
  VM: bits.RFLAGS_VM,
  AC: bits.RFLAGS_AC,
  VIF: bits.RFLAGS_VIF,
  VIP: bits.RFLAGS_VIP,
  ID: bits.RFLAGS_ID,
} as const;

const { RFLAGS_ARITHMETIC: ARITHMETIC, RFLAGS_SYSTEM: SYSTEM } = bits;
const ALWAYS_ONE = 2;

export function readRflags(context: CpuContext): number {
  return arithmeticFlags(context) | (context.mem.get32(L.SYSTEM_FLAGS) & SYSTEM) | ALWAYS_ONE;
}

/** Reserved bits are ignored. A change of AC (SMAP) or VM is a change of context. */
export function writeRflags(context: CpuContext, value: number): void {
  setArithmeticFlags(context, value & ARITHMETIC);
  writeSystemFlags(context, value & SYSTEM);
}

export function systemFlags(context: CpuContext): number {
  return context.mem.get32(L.SYSTEM_FLAGS);
}

export function writeSystemFlags(context: CpuContext, value: number): void {
  const changed = context.mem.get32(L.SYSTEM_FLAGS) ^ value;
  context.mem.set32(L.SYSTEM_FLAGS, value);
  if (changed & (Flag.AC | Flag.VM)) context.engine.contextChanged();
}

/** The six of them in RFLAGS positions. */
export function arithmeticFlags(context: CpuContext): number {
  const { mem } = context;
  if (mem.get32(L.CC_OP) >>> 2 === C.CC_FLAGS) return mem.get32(L.CC_A) & ARITHMETIC;
  return context.core.arithmeticFlags() & ARITHMETIC;
}

export function setArithmeticFlags(context: CpuContext, flags: number): void {
  const { u32 } = context.mem;
  u32[L.CC_OP >>> 2] = C.CC_FLAGS << 2;
  u32[L.CC_A >>> 2] = flags;
  u32[(L.CC_A >>> 2) + 1] = 0;
  u32[L.CC_B >>> 2] = 0;
  u32[(L.CC_B >>> 2) + 1] = 0;
}
