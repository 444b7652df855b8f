/** Instructions that TypeScript executes: every row of the instruction table marked `system`. */
import type { CpuContext, ExecuteSystem, SystemOutcome } from '../context.ts';
import type { Instruction } from '../instruction.ts';
import * as L from '../layout.ts';
import { GuestFault, Vector } from './fault.ts';
import { executeCpuid, rdmsr, readBase, writeBase, wrmsr } from './identification.ts';
import { swapgs, syscall, sysenter, sysexit, sysret } from './syscall.ts';
import { rdpmc, rdtsc, rdtscp } from './tsc.ts';

/** Throws GuestFault before changing anything, or says how the instruction ended. */
export type Handler = (context: CpuContext, instruction: Instruction) => SystemOutcome;

const HANDLERS: Readonly<Record<string, Handler>> = {
  syscall,
  sysret,
  sysenter,
  sysexit,
  swapgs,
  cpuid: executeCpuid,
  rdtsc,
  rdtscp,
  rdpmc,
  rdmsr,
  wrmsr,
  rdfsbase: readBase(L.FS),
  rdgsbase: readBase(L.GS),
  wrfsbase: writeBase(L.FS),
  wrgsbase: writeBase(L.GS),
};

/** Ops with a handler; the rest of the `system` rows are instructions of features this CPU does not have. */
export const SYSTEM_OPS: ReadonlySet<string> = new Set(Object.keys(HANDLERS));

export const executeSystem: ExecuteSystem = (context, instruction) => {
  const handler = HANDLERS[instruction.op];
  if (!handler)
    return {
      kind: 'exception',
      vector: Vector.UD,
      because: `${instruction.op.toUpperCase()} is not implemented by this CPU`,
    };
  try {
    return handler(context, instruction);
  } catch (fault) {
    if (fault instanceof GuestFault) return fault.fault;
    throw fault;
  }
};
