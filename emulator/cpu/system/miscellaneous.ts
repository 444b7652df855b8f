/** MONITOR, MWAIT, PAUSE, CLAC, STAC (SDM 2). */
import type { CpuContext, SystemOutcome } from '../context.ts';
import type { Instruction } from '../instruction.ts';
import * as L from '../layout.ts';
import { Segment } from '../state.ts';
import { Field } from '../../vmx/fields.ts';
import { ExitReason, Primary, Secondary, exit, primary, secondary } from './exits.ts';
import { generalProtection, undefinedOpcode } from './fault.ts';
import { linearAddress, readLinear } from './memory.ts';
import { readTsc } from './tsc.ts';
import { Flag, systemFlags, writeSystemFlags } from './rflags.ts';

const RAX = 0;
const RCX = 1;
/** By code mode. */
const ADDRESS_SIZES = [16, 32, 64] as const;
const LOW32 = 0xffff_ffffn;

function requireMonitor(context: CpuContext): void {
  if (context.cpu.cpl !== 0) undefinedOpcode('MONITOR and MWAIT are for ring 0');
}

export function monitor(context: CpuContext, instruction: Instruction): SystemOutcome {
  requireMonitor(context);
  if (primary(context, Primary.MonitorExiting)) return exit(context, instruction, ExitReason.Monitor);
  if (context.cpu.gpr(RCX) & LOW32) generalProtection('MONITOR with extensions in ECX');
  const watched = {
    kind: 'memory',
    base: RAX,
    index: -1,
    scale: 0,
    displacement: 0n,
    segment: Segment.DS,
    addressSize: ADDRESS_SIZES[context.mem.get32(L.CODE_MODE)]!,
  } as const;
  readLinear(context, linearAddress(context, watched, 1), 1, 'cpl');
  return 'next';
}

/** Waits no time at all, which the architecture allows. */
export function mwait(context: CpuContext, instruction: Instruction): SystemOutcome {
  requireMonitor(context);
  if (primary(context, Primary.MwaitExiting)) return exit(context, instruction, ExitReason.Mwait);
  if (context.cpu.gpr(RCX) & LOW32) generalProtection('MWAIT with extensions in ECX');
  return 'next';
}

/** PAUSE in VMX non-root operation or on a board; elsewhere the interpreter takes it as a NOP. */
export function pause(context: CpuContext, instruction: Instruction): SystemOutcome {
  if (primary(context, Primary.PauseExiting) || pausesTooLong(context))
    return exit(context, instruction, ExitReason.Pause);
  context.board?.pause();
  return 'next';
}

/** PAUSE-loop exiting (SDM 3C 26.1.3): at CPL 0, PAUSEs no further apart than the gap go on for longer than the window. */
function pausesTooLong(context: CpuContext): boolean {
  const loop = pauseLoop(context);
  if (!loop) return false;
  context.mem.set64(L.PAUSE_LAST, loop.now);
  context.mem.set64(L.PAUSE_FIRST, loop.first);
  return loop.exits;
}

/** What a PAUSE now would find: when its loop began, and whether it exits. Undefined where no loop is watched. */
export function pauseLoop(context: CpuContext): { now: bigint; first: bigint; exits: boolean } | undefined {
  const { mem, cpu, vmx } = context;
  if (cpu.cpl !== 0 || !secondary(context, Secondary.PauseLoopExiting)) return undefined;
  const now = readTsc(context);
  const continues = now - mem.get64(L.PAUSE_LAST) <= vmx.field(Field.pleGap);
  const first = continues ? mem.get64(L.PAUSE_FIRST) : now;
  return { now, first, exits: now - first > vmx.field(Field.pleWindow) };
}

export const setAc =
  (value: boolean) =>
  (context: CpuContext): SystemOutcome => {
    if (!context.model.features.has('smap') || context.cpu.cpl !== 0)
      undefinedOpcode('CLAC and STAC are for ring 0 of a CPU with SMAP');
    const flags = systemFlags(context);
    writeSystemFlags(context, value ? flags | Flag.AC : flags & ~Flag.AC);
    return 'next';
  };
