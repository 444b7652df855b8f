/** States a CPU starts from. */
import type { CpuContext } from '../context.ts';
import * as L from '../layout.ts';
import { Segment } from '../state.ts';
import { PKRU_STATE, xcr0Known } from '../xstate.ts';
import type { SegmentRegister } from '../state.ts';
import { cr4Known } from './control-registers.ts';
import type { CpuModel } from './models.ts';
import { nullSegment, updateDerived } from './descriptors.ts';
import { LINUX_GDT_LIMIT } from './linux-gdt.ts';
import { BITS_64 } from '../control-bits-64.ts';

const { CR4_SMEP } = BITS_64;

export { updateDerived } from './descriptors.ts';

/** PE MP ET NE WP AM PG: what Linux runs with. */
export const LINUX_CR0 = 0x8005_0033n;
/** PAE PGE OSFXSR OSXMMEXCPT VMXE FSGSBASE PCIDE OSXSAVE SMEP: what Linux sets where the processor has it. */
const LINUX_CR4 = 0x0017_26a0n;
/** SCE LME LMA NXE. */
export const LINUX_EFER = 0xd01n;
export const LINUX_STAR = 0x0023_0010_0000_0000n;
export const LINUX_LSTAR = 0xffff_ffff_8180_0040n;
/** TF IF DF IOPL NT AC. */
export const LINUX_FMASK = 0x4_7700n;
/** Power-on value: WB WT UC- UC, twice. */
export const DEFAULT_PAT = 0x0007_0406_0007_0406n;

/** Fast strings and MONITOR; no branch trace store, no PEBS. */
const MISC_ENABLE = 0x4_1801n;
const LINUX_TSS_SELECTOR = 0x40;
const NEVER = 0xffff_ffff_ffff_ffffn;
const FLAT_LIMIT = 0xffff_ffff;

const flat = (selector: number, rights: number): SegmentRegister => ({ selector, base: 0n, limit: FLAT_LIMIT, rights });

/** Zeroes the state page and sets what every start has in common: DRs, FPU, MXCSR, PAT, APIC, no VMX. */
function clear(context: CpuContext): void {
  const { mem } = context;
  mem.bytes.fill(0, L.STATE, L.STATE + L.STATE_SIZE);
  mem.set64(L.DR6, 0xffff_0ff0n);
  mem.set64(L.DR7, 0x400n);
  mem.set64(L.XCR0, 1n);
  mem.set64(L.MSR_PAT, DEFAULT_PAT);
  mem.set64(L.MSR_APIC_BASE, 0xfee0_0c00n | (context.cpuIndex === 0 ? 0x100n : 0n));
  mem.set64(L.MSR_MISC_ENABLE, MISC_ENABLE);
  mem.set64(L.MSR_FEATURE_CONTROL, 5n);
  mem.set64(L.VMXON_POINTER, NEVER);
  mem.set64(L.VMCS_POINTER, NEVER);
  initFpu(context);
}

/** As FNINIT leaves it, and MXCSR with every exception masked. */
export function initFpu(context: CpuContext): void {
  const { mem } = context;
  mem.set32(L.X87_CW, 0x37f);
  mem.set32(L.X87_SW, 0);
  mem.set32(L.X87_TOP, 0);
  mem.set32(L.X87_TAG, 0xffff);
  mem.set32(L.MXCSR, 0x1f80);
}

/** CR4 of Linux on a processor model. */
export function linuxCr4(model: CpuModel): bigint {
  return LINUX_CR4 & cr4Known(model);
}
/** XCR0 of Linux: all but PKRU, as without protection keys. */
export function linuxXcr0(model: CpuModel): number {
  return xcr0Known(model) & ~PKRU_STATE;
}

/** A 64-bit process at CPL 3 as Linux starts one; RIP, RSP and CR3 are the caller's. */
export function resetLinux(context: CpuContext, cr3: bigint): void {
  const { mem, cpu } = context;
  clear(context);
  mem.set64(L.CR0, LINUX_CR0);
  mem.set64(L.CR3, cr3);
  mem.set64(L.CR4, linuxCr4(context.model));
  mem.set64(L.XCR0, BigInt(linuxXcr0(context.model)));
  mem.set64(L.MSR_EFER, LINUX_EFER);
  mem.set64(L.MSR_STAR, LINUX_STAR);
  mem.set64(L.MSR_LSTAR, LINUX_LSTAR);
  mem.set64(L.MSR_FMASK, LINUX_FMASK);
  mem.set64(L.MSR_TSC_AUX, BigInt(context.cpuIndex));
  mem.set32(L.SYSTEM_FLAGS, 0x200);
  cpu.setSegment(Segment.CS, flat(0x33, 0xa0fb));
  cpu.setSegment(Segment.SS, flat(0x2b, 0xc0f3));
  for (const data of [Segment.ES, Segment.DS, Segment.FS, Segment.GS]) cpu.setSegment(data, nullSegment(0));
  cpu.setSegment(Segment.LDTR, nullSegment(0));
  cpu.setSegment(Segment.TR, { selector: LINUX_TSS_SELECTOR, base: 0n, limit: 0x206f, rights: 0x8b });
  mem.set32(L.GDTR_LIMIT, LINUX_GDT_LIMIT);
  mem.set32(L.IDTR_LIMIT, 0xfff);
  updateDerived(context);
}

/** Real mode as after power-up or INIT (SDM 3A table 10-1), with FPU and SSE ready. */
export function resetRealMode(context: CpuContext): void {
  const { mem, cpu } = context;
  clear(context);
  mem.set64(L.CR0, 0x6000_0010n);
  for (const segment of [Segment.ES, Segment.SS, Segment.DS, Segment.FS, Segment.GS])
    cpu.setSegment(segment, { selector: 0, base: 0n, limit: 0xffff, rights: 0x93 });
  cpu.setSegment(Segment.CS, { selector: 0xf000, base: 0xffff_0000n, limit: 0xffff, rights: 0x93 });
  cpu.setSegment(Segment.LDTR, { selector: 0, base: 0n, limit: 0xffff, rights: 0x82 });
  cpu.setSegment(Segment.TR, { selector: 0, base: 0n, limit: 0xffff, rights: 0x8b });
  mem.set32(L.GDTR_LIMIT, 0xffff);
  mem.set32(L.IDTR_LIMIT, 0xffff);
  cpu.rip = 0xfff0n;
  updateDerived(context);
}

/** 64-bit code in ring 0 with flat segments, paging as CR3 says (no SMEP), no IDT, GDT or TSS: for tests and boards. */
export function resetFlat64(context: CpuContext, cr3: bigint): void {
  const { mem, cpu } = context;
  resetLinux(context, cr3);
  mem.set64(L.CR4, linuxCr4(context.model) & ~CR4_SMEP);
  mem.set32(L.SYSTEM_FLAGS, 0);
  cpu.setSegment(Segment.CS, flat(0x10, 0xa09b));
  for (const data of [Segment.ES, Segment.SS, Segment.DS, Segment.FS, Segment.GS])
    cpu.setSegment(data, flat(0x18, 0xc093));
  mem.set32(L.GDTR_LIMIT, 0);
  mem.set32(L.IDTR_LIMIT, 0);
  updateDerived(context);
}
