/** SYSCALL, SYSRET, SYSENTER, SYSEXIT, SWAPGS (SDM 2B). Segments come from MSRs and fixed attributes, not from the GDT. */
import type { CpuContext, SystemOutcome } from '../context.ts';
import type { Instruction } from '../instruction.ts';
import { CPU_COSTS } from '../costs.ts';
import * as L from '../layout.ts';
import type { LinearMemory } from '../state.ts';
import { updateDerived } from './descriptors.ts';
import { ringChangeEvent, trappedSyscallEvent } from './events.ts';
import { generalProtection, requireCpl0, undefinedOpcode } from './fault.ts';
import { hex, isCanonical } from './memory.ts';
import { hasRealSegments, isRealMode } from './modes.ts';
import { Flag, readRflags, systemFlags, writeRflags, writeSystemFlags } from './rflags.ts';
import { EFER_LMA, EFER_SCE } from '../control-bits.ts';

const RCX = 1;
const R11 = 11;
const RDX = 2;

/** VMCS rights of flat segments: present, accessed, granular. */
const CODE_64 = 0xa09b;
const CODE_32 = 0xc09b;
const DATA = 0xc093;

/** CS and SS with base 0 and limit 4 GB. */
function loadFlat(context: CpuContext, cs: number, ss: number, dpl: 0 | 3, wide: boolean): void {
  const { mem } = context;
  flat(mem, L.CS, cs, (wide ? CODE_64 : CODE_32) | (dpl << 5));
  flat(mem, L.SS, ss, DATA | (dpl << 5));
  updateDerived(context);
}
function flat(mem: LinearMemory, segment: number, selector: number, rights: number): void {
  mem.set16(segment + L.SEG_SELECTOR, selector);
  mem.setLow64(segment + L.SEG_BASE, 0);
  mem.set32(segment + L.SEG_LIMIT, 0xffff_ffff);
  mem.set32(segment + L.SEG_RIGHTS, rights);
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
  const selector = mem.get32(L.MSR_STAR + 4) & 0xfffc;
  mem.copy64(L.RIP, L.MSR_LSTAR);
  writeRflags(context, readRflags(context) & ~mem.get32(L.MSR_FMASK) & ~Flag.RF);
  loadFlat(context, selector, selector + 8, 0, true);
  context.addCycles(CPU_COSTS.syscall);
  ringChangeEvent(context, cpl, 'SYSCALL');
  return 'moved';
}

/** Whether bits 63:47 of a quadword are equal: canonical at any width. */
function isCanonicalAt(mem: LinearMemory, at: number): boolean {
  const high = mem.get32(at + 4) | 0;
  return (high << 16) >> 16 === high;
}

export function sysret(context: CpuContext, instruction: Instruction): SystemOutcome {
  const { mem, cpu } = context;
  if (!(mem.get32(L.MSR_EFER) & EFER_SCE)) undefinedOpcode('SYSRET with EFER.SCE = 0');
  requireCpl0(context, 'SYSRET');
  const wide = instruction.size === 8;
  if (!wide) mem.setLow64(L.RIP, mem.get32(L.GPR + RCX * 8));
  else if (isCanonicalAt(mem, L.GPR + RCX * 8) || isCanonical(context, cpu.gpr(RCX)))
    mem.copy64(L.RIP, L.GPR + RCX * 8);
  else generalProtection(`SYSRET to ${hex(cpu.gpr(RCX))}, which is not canonical`);
  const selector = mem.get32(L.MSR_STAR + 4) >>> 16;
  // SDM 2B "SYSRET": RF, VM and the reserved bits are cleared, bit 1 is set.
  writeRflags(context, mem.get32(L.GPR + R11 * 8) & 0x3c7fd7);
  loadFlat(context, (wide ? selector + 16 : selector) | 3, (selector + 8) | 3, 3, wide);
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
  const wide = (mem.get32(L.MSR_EFER) & EFER_LMA) !== 0;
  const mask = wide ? 0xffff_ffff_ffff_ffffn : 0xffff_ffffn;
  cpu.rsp = mem.get64(L.MSR_SYSENTER_ESP) & mask;
  cpu.rip = mem.get64(L.MSR_SYSENTER_EIP) & mask;
  writeSystemFlags(context, systemFlags(context) & ~(Flag.VM | Flag.IF | Flag.RF));
  loadFlat(context, selector, selector + 8, 0, wide);
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
  loadFlat(context, cs | 3, (cs + 8) | 3, 3, wide);
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
