/** SYSCALL, SYSRET, SYSENTER, SYSEXIT, SWAPGS (SDM 2B). Segments come from MSRs and fixed attributes, not from the GDT. */
import type { CpuContext, SystemOutcome } from '../context.ts';
import type { Instruction } from '../instruction.ts';
import { CPU_COSTS } from '../costs.ts';
import * as L from '../layout.ts';
import type { SegmentRegister } from '../state.ts';
import { EFER_LMA, setCodeAndStack } from './descriptors.ts';
import { ringChangeEvent, trappedSyscallEvent } from './events.ts';
import { generalProtection, requireCpl0, undefinedOpcode } from './fault.ts';
import { hex, isCanonical } from './memory.ts';
import { hasRealSegments, isRealMode } from './modes.ts';
import { Flag, readRflags, systemFlags, writeRflags, writeSystemFlags } from './rflags.ts';

const EFER_SCE = 1;
const RCX = 1;
const R11 = 11;
const RDX = 2;

/** Flat segments, VMCS rights: present, accessed, granular, base 0, limit 4 GB. */
function flatCode(selector: number, dpl: 0 | 3, wide: boolean): SegmentRegister {
  return { selector, base: 0n, limit: 0xffff_ffff, rights: (wide ? 0xa09b : 0xc09b) | (dpl << 5) };
}
function flatData(selector: number, dpl: 0 | 3): SegmentRegister {
  return { selector, base: 0n, limit: 0xffff_ffff, rights: 0xc093 | (dpl << 5) };
}

export function syscall(context: CpuContext, instruction: Instruction): SystemOutcome {
  const { mem, cpu, engine } = context;
  if (!(mem.get32(L.MSR_EFER) & EFER_SCE)) undefinedOpcode('SYSCALL with EFER.SCE = 0');
  if (mem.get32(L.CODE_MODE) !== 2) undefinedOpcode('SYSCALL outside 64-bit mode');
  const cpl = cpu.cpl;
  if (cpl === 3 && cpu.nonRoot && trappedSyscallEvent(context)) return 'held';
  mem.copy64(L.GPR + RCX * 8, L.RIP);
  mem.add64(L.GPR + RCX * 8, instruction.length);
  mem.setLow64(L.GPR + R11 * 8, readRflags(context) & ~Flag.RF);
  if (!cpu.nonRoot && engine.supervisor && cpl === 3) {
    mem.copy64(L.RIP, L.GPR + RCX * 8);
    engine.supervisor.syscall();
    return 'moved';
  }
  const star = mem.get64(L.MSR_STAR);
  const selector = Number((star >> 32n) & 0xfffcn);
  cpu.rip = mem.get64(L.MSR_LSTAR);
  writeRflags(context, readRflags(context) & ~Number(mem.get64(L.MSR_FMASK) & 0xffff_ffffn) & ~Flag.RF);
  setCodeAndStack(context, flatCode(selector, 0, true), flatData(selector + 8, 0));
  context.addCycles(CPU_COSTS.syscall);
  ringChangeEvent(context, cpl, 'SYSCALL');
  return 'moved';
}

export function sysret(context: CpuContext, instruction: Instruction): SystemOutcome {
  const { mem, cpu } = context;
  if (!(mem.get32(L.MSR_EFER) & EFER_SCE)) undefinedOpcode('SYSRET with EFER.SCE = 0');
  requireCpl0(context, 'SYSRET');
  const wide = instruction.size === 8;
  const target = wide ? cpu.gpr(RCX) : cpu.gpr(RCX) & 0xffff_ffffn;
  if (!isCanonical(context, target)) generalProtection(`SYSRET to ${hex(target)}, which is not canonical`);
  const selector = Number(mem.get64(L.MSR_STAR) >> 48n);
  cpu.rip = target;
  // SDM 2B "SYSRET": RF, VM and the reserved bits are cleared, bit 1 is set.
  writeRflags(context, Number(cpu.gpr(R11) & 0x3c7fd7n));
  const cs = ((wide ? selector + 16 : selector) | 3) & 0xffff;
  setCodeAndStack(context, flatCode(cs, 3, wide), flatData(((selector + 8) | 3) & 0xffff, 3));
  context.addCycles(CPU_COSTS.sysret);
  ringChangeEvent(context, 0, 'SYSRET');
  return 'moved';
}

export function sysenter(context: CpuContext): SystemOutcome {
  const { mem, cpu } = context;
  const selector = Number(mem.get64(L.MSR_SYSENTER_CS) & 0xfffcn);
  if (isRealMode(context)) generalProtection('SYSENTER in real mode');
  if (selector === 0) generalProtection('SYSENTER with IA32_SYSENTER_CS = 0');
  const cpl = cpu.cpl;
  const wide = (cpu.efer & EFER_LMA) !== 0n;
  const mask = wide ? 0xffff_ffff_ffff_ffffn : 0xffff_ffffn;
  cpu.rsp = mem.get64(L.MSR_SYSENTER_ESP) & mask;
  cpu.rip = mem.get64(L.MSR_SYSENTER_EIP) & mask;
  writeSystemFlags(context, systemFlags(context) & ~(Flag.VM | Flag.IF | Flag.RF));
  setCodeAndStack(context, flatCode(selector, 0, wide), flatData(selector + 8, 0));
  ringChangeEvent(context, cpl, 'SYSENTER');
  return 'moved';
}

export function sysexit(context: CpuContext, instruction: Instruction): SystemOutcome {
  const { mem, cpu } = context;
  const selector = Number(mem.get64(L.MSR_SYSENTER_CS) & 0xfffcn);
  if (hasRealSegments(context)) generalProtection('SYSEXIT in real or virtual-8086 mode');
  if (selector === 0) generalProtection('SYSEXIT with IA32_SYSENTER_CS = 0');
  requireCpl0(context, 'SYSEXIT');
  const wide = instruction.size === 8;
  const mask = wide ? 0xffff_ffff_ffff_ffffn : 0xffff_ffffn;
  const rip = cpu.gpr(RDX) & mask;
  const rsp = cpu.gpr(RCX) & mask;
  if (!isCanonical(context, rip) || !isCanonical(context, rsp))
    generalProtection('SYSEXIT to an address that is not canonical');
  cpu.rip = rip;
  cpu.rsp = rsp;
  const cs = selector + (wide ? 32 : 16);
  setCodeAndStack(context, flatCode(cs | 3, 3, wide), flatData((cs + 8) | 3, 3));
  ringChangeEvent(context, 0, 'SYSEXIT');
  return 'moved';
}

export function swapgs(context: CpuContext): SystemOutcome {
  const { mem } = context;
  requireCpl0(context, 'SWAPGS');
  const low = mem.get32(L.GS + L.SEG_BASE);
  const high = mem.get32(L.GS + L.SEG_BASE + 4);
  mem.copy64(L.GS + L.SEG_BASE, L.MSR_KERNEL_GS_BASE);
  mem.set32(L.MSR_KERNEL_GS_BASE, low);
  mem.set32(L.MSR_KERNEL_GS_BASE + 4, high);
  return 'next';
}
