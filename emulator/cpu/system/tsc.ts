/** The time-stamp counter: modelled cycles plus the guest's adjustment (SDM 3B 17.17). */
import type { CpuContext, SystemOutcome } from '../context.ts';
import type { Instruction } from '../instruction.ts';
import * as L from '../layout.ts';
import { ExitReason, Primary, Secondary, exit, primary, secondary } from './exits.ts';
import { generalProtection, requireCpl0, undefinedOpcode } from './fault.ts';
import { BITS_64 } from '../control-bits-64.ts';

const { CR4_TSD, CR4_PCE } = BITS_64;

const LOW32 = 0xffff_ffffn;
const RAX = 0;
const RCX = 1;
const RDX = 2;

/** As RDTSC would see it outside non-root operation. */
export function readTsc(context: CpuContext): bigint {
  return BigInt.asUintN(64, context.mem.get64(L.CYCLES) + context.mem.get64(L.MSR_TSC_ADJUST));
}

/** A write moves TSC_ADJUST by the same amount. */
export function writeTsc(context: CpuContext, value: bigint): void {
  context.mem.set64(L.MSR_TSC_ADJUST, BigInt.asUintN(64, value - context.mem.get64(L.CYCLES)));
  context.board?.timeChanged();
}

/** With the TSC multiplier and offset in force (SDM 3C 26.3). */
export function guestTsc(context: CpuContext): bigint {
  const { mem, cpu } = context;
  const tsc = readTsc(context);
  if (!cpu.nonRoot) return tsc;
  const multiplier = mem.get64(L.TSC_MULTIPLIER);
  const scaled = multiplier === 0n ? tsc : (tsc * multiplier) >> 48n;
  return BigInt.asUintN(64, scaled + mem.get64(L.TSC_OFFSET));
}

export function setEdxEax(context: CpuContext, value: bigint): void {
  context.cpu.setGpr(RAX, value & LOW32);
  context.cpu.setGpr(RDX, (value >> 32n) & LOW32);
}

function timeStamp(context: CpuContext, instruction: Instruction, reason: number): SystemOutcome | undefined {
  const { cpu } = context;
  if (cpu.cr4 & CR4_TSD && cpu.cpl !== 0) generalProtection(`CR4.TSD forbids it at CPL ${cpu.cpl}`);
  if (primary(context, Primary.RdtscExiting)) return exit(context, instruction, reason);
  setEdxEax(context, guestTsc(context));
  return undefined;
}

export function rdtsc(context: CpuContext, instruction: Instruction): SystemOutcome {
  return timeStamp(context, instruction, ExitReason.Rdtsc) ?? 'next';
}

export function rdtscp(context: CpuContext, instruction: Instruction): SystemOutcome {
  if (context.cpu.nonRoot && !secondary(context, Secondary.Rdtscp)) undefinedOpcode('the VMCS does not enable RDTSCP');
  const exited = timeStamp(context, instruction, ExitReason.Rdtscp);
  if (exited) return exited;
  context.cpu.setGpr(RCX, context.mem.get64(L.MSR_TSC_AUX) & LOW32);
  return 'next';
}

/** There are no performance counters, so every counter number is out of range. */
export function rdpmc(context: CpuContext, instruction: Instruction): SystemOutcome {
  if (!(context.cpu.cr4 & CR4_PCE)) requireCpl0(context, 'RDPMC');
  if (primary(context, Primary.RdpmcExiting)) return exit(context, instruction, ExitReason.Rdpmc);
  return generalProtection('there is no such performance counter');
}
