/** CPUID, RDMSR, WRMSR and the instructions that read and write segment bases (SDM 2). */
import type { CpuContext, SystemOutcome } from '../context.ts';
import type { Instruction } from '../instruction.ts';
import { CPU_COSTS } from '../costs.ts';
import * as L from '../layout.ts';
import { cpuid, cpuidEnvironment } from './cpuid.ts';
import { msrEvent } from './events.ts';
import { ExitReason, exit } from './exits.ts';
import { generalProtection, requireCpl0, undefinedOpcode } from './fault.ts';
import { hex, isCanonicalBase, readOperand, writeOperand } from './memory.ts';
import type { Bytes } from './memory.ts';
import { msrName, readMsr, refuseMsr, writeMsr } from './msrs.ts';
import { afterVirtualWrite } from './tpr.ts';
import { guestTsc, setEdxEax } from './tsc.ts';
import { BITS_64 } from '../control-bits-64.ts';

const { CR4_FSGSBASE } = BITS_64;

const LOW32 = 0xffff_ffffn;

export function executeCpuid(context: CpuContext, instruction: Instruction): SystemOutcome {
  const { cpu, model } = context;
  if (cpu.nonRoot) return exit(context, instruction, ExitReason.Cpuid);
  const environment = cpuidEnvironment(context);
  const leaf = Number(cpu.gpr(0) & LOW32);
  const [eax, ebx, ecx, edx] = cpuid(model, environment, leaf, Number(cpu.gpr(1) & LOW32));
  context.addCycles(CPU_COSTS.cpuid);
  cpu.setGpr(0, BigInt(eax));
  cpu.setGpr(3, BigInt(ebx));
  cpu.setGpr(1, BigInt(ecx));
  cpu.setGpr(2, BigInt(edx));
  return 'next';
}

export function rdmsr(context: CpuContext, instruction: Instruction): SystemOutcome {
  const { cpu, vmx } = context;
  requireCpl0(context, 'RDMSR');
  const number = Number(cpu.gpr(1) & LOW32);
  if (cpu.nonRoot && vmx.msrExits(number, false)) return exit(context, instruction, ExitReason.Rdmsr);
  const value = cpu.nonRoot ? readOfGuest(context, number) : readMsr(context, number);
  if (value === undefined) generalProtection(`RDMSR: there is no MSR ${hex(number)}`);
  setEdxEax(context, value);
  return 'next';
}

/** MSRs that the controls of a VMCS change. */
function readOfGuest(context: CpuContext, number: number): bigint | undefined {
  if (number === MSR_TSC) return guestTsc(context);
  return context.vmx.readVirtualApic(number) ?? readMsr(context, number);
}
const MSR_TSC = 0x10;

export function wrmsr(context: CpuContext, instruction: Instruction): SystemOutcome {
  const { cpu, vmx, events } = context;
  requireCpl0(context, 'WRMSR');
  const number = Number(cpu.gpr(1) & LOW32);
  if (cpu.nonRoot && vmx.msrExits(number, true)) return exit(context, instruction, ExitReason.Wrmsr);
  const value = (cpu.gpr(0) & LOW32) | ((cpu.gpr(2) & LOW32) << 32n);
  const virtual = cpu.nonRoot ? vmx.writeVirtualApic(number, value) : undefined;
  if (virtual) return afterVirtualWrite(context, instruction, virtual);
  const refused = refuseMsr(context, number, value);
  if (refused !== undefined) generalProtection(`WRMSR: ${refused}`);
  if (events.wants('msr-write')) {
    const held = msrEvent(context, number, msrName(number) ?? 'MSR', readMsr(context, number) ?? 0n, value);
    if (held) return 'held';
  }
  writeMsr(context, number, value);
  context.addCycles(CPU_COSTS.wrmsr);
  return 'next';
}

function requireFsgsbase(context: CpuContext): void {
  if (!(context.cpu.cr4 & CR4_FSGSBASE)) undefinedOpcode('CR4.FSGSBASE = 0');
}

/** RDFSBASE, RDGSBASE. */
export const readBase =
  (segment: number) =>
  (context: CpuContext, instruction: Instruction): SystemOutcome => {
    requireFsgsbase(context);
    writeOperand(context, instruction.operands[0]!, instruction.size as Bytes, context.mem.get64(segment + L.SEG_BASE));
    return 'next';
  };

/** WRFSBASE, WRGSBASE. */
export const writeBase =
  (segment: number) =>
  (context: CpuContext, instruction: Instruction): SystemOutcome => {
    requireFsgsbase(context);
    const base = readOperand(context, instruction.operands[0]!, instruction.size as Bytes);
    if (!isCanonicalBase(context, base)) generalProtection(`segment base ${hex(base)} is not canonical`);
    context.mem.set64(segment + L.SEG_BASE, base);
    return 'next';
  };
