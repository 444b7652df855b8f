/** RFLAGS whole: the lazy arithmetic flags and SYSTEM_FLAGS put together and taken apart (SDM 1 3.4.3). */
import * as C from '../codes.ts';
import type { CpuContext } from '../context.ts';
import * as L from '../layout.ts';

export const Flag = {
  CF: 1 << 0,
  PF: 1 << 2,
  AF: 1 << 4,
  ZF: 1 << 6,
  SF: 1 << 7,
  TF: 1 << 8,
  IF: 1 << 9,
  DF: 1 << 10,
  OF: 1 << 11,
  IOPL: 3 << 12,
  NT: 1 << 14,
  RF: 1 << 16,
  VM: 1 << 17,
  AC: 1 << 18,
  VIF: 1 << 19,
  VIP: 1 << 20,
  ID: 1 << 21,
} as const;

const ARITHMETIC = Flag.CF | Flag.PF | Flag.AF | Flag.ZF | Flag.SF | Flag.OF;
const SYSTEM =
  Flag.TF | Flag.IF | Flag.DF | Flag.IOPL | Flag.NT | Flag.RF | Flag.VM | Flag.AC | Flag.VIF | Flag.VIP | Flag.ID;
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
