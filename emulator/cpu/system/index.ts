/** Instructions that TypeScript executes: every row of the instruction table marked `system`. */
import type { CpuContext, ExecuteSystem, SystemOutcome } from '../context.ts';
import type { Instruction } from '../instruction.ts';
import * as L from '../layout.ts';
import { Segment } from '../state.ts';
import { clts, lmsw, movFromControl, movToControl, smsw } from './control-registers.ts';
import { movFromDebug, movToDebug } from './debug-registers.ts';
import { callFar, jmpFar, retFar } from './far.ts';
import { GuestFault, Vector } from './fault.ts';
import { executeCpuid, rdmsr, readBase, writeBase, wrmsr } from './identification.ts';
import { bound, cli, hlt, int, int1, int3, into, popf, sti } from './interrupts.ts';
import { invd, invlpg, invpcid, wbinvd } from './invalidation.ts';
import { input, output, stringIo } from './io.ts';
import { iret } from './iret.ts';
import { leaving } from './leaving.ts';
import { monitor, mwait, pause, setAc } from './miscellaneous.ts';
import { rdpkru, wrpkru } from './protection-keys.ts';
import { random, rdpid } from './random.ts';
import { loadFarPointer, movFromSegment, movToSegment, popSegment, pushSegment } from './segments.ts';
import { swapgs, syscall, sysenter, sysexit, sysret } from './syscall.ts';
import { arpl, lar, lldt, loadTable, lsl, ltr, storeTable, storeTableSelector, verify } from './tables.ts';
import { rdpmc, rdtsc, rdtscp } from './tsc.ts';
import * as vmx from './vmx-instructions.ts';
import { restore, save, xgetbv, xsetbv } from './xsave.ts';

/** Throws GuestFault before changing anything, or says how the instruction ended. */
export type Handler = (context: CpuContext, instruction: Instruction) => SystemOutcome;

const HANDLERS: Readonly<Record<string, Handler>> = {
  syscall,
  sysret,
  sysenter,
  sysexit,
  swapgs,

  int,
  int3,
  int1,
  into,
  bound,
  iret,
  hlt,
  pause,
  cli,
  sti,
  popf,

  cpuid: executeCpuid,
  rdtsc,
  rdtscp,
  rdpid,
  rdrand: random('rdrand'),
  rdseed: random('rdseed'),
  rdpmc,
  rdmsr,
  wrmsr,
  rdfsbase: readBase(L.FS),
  rdgsbase: readBase(L.GS),
  wrfsbase: writeBase(L.FS),
  wrgsbase: writeBase(L.GS),

  xsave: save('xsave'),
  xsaveopt: save('xsaveopt'),
  xsavec: save('xsavec'),
  xsaves: save('xsaves'),
  xrstor: restore('xrstor'),
  xrstors: restore('xrstors'),
  xgetbv,
  xsetbv,

  mov_from_control: movFromControl,
  mov_to_control: movToControl,
  clts,
  lmsw,
  smsw,
  mov_from_debug: movFromDebug,
  mov_to_debug: movToDebug,

  mov_to_segment: movToSegment,
  mov_from_segment: movFromSegment,
  push_segment: pushSegment,
  pop_segment: popSegment,
  les: loadFarPointer(Segment.ES),
  lss: loadFarPointer(Segment.SS),
  lds: loadFarPointer(Segment.DS),
  lfs: loadFarPointer(Segment.FS),
  lgs: loadFarPointer(Segment.GS),
  jmp_far: jmpFar,
  call_far: callFar,
  retf: retFar,

  lgdt: loadTable(L.GDTR_BASE, L.GDTR_LIMIT),
  lidt: loadTable(L.IDTR_BASE, L.IDTR_LIMIT),
  sgdt: storeTable(L.GDTR_BASE, L.GDTR_LIMIT),
  sidt: storeTable(L.IDTR_BASE, L.IDTR_LIMIT),
  lldt,
  ltr,
  sldt: storeTableSelector(Segment.LDTR),
  str: storeTableSelector(Segment.TR),
  lar,
  lsl,
  verr: verify(false),
  verw: verify(true),
  arpl,

  invlpg,
  invpcid,
  invd,
  wbinvd,
  monitor,
  mwait,
  rdpkru,
  wrpkru,
  clac: setAc(false),
  stac: setAc(true),
  in: input,
  out: output,
  ins: stringIo('in'),
  outs: stringIo('out'),

  vmcall: vmx.vmcall,
  vmfunc: vmx.vmfunc,
  vmlaunch: vmx.vmlaunch,
  vmresume: vmx.vmresume,
  vmxon: vmx.vmxon,
  vmxoff: vmx.vmxoff,
  vmptrld: vmx.vmptrld,
  vmptrst: vmx.vmptrst,
  vmclear: vmx.vmclear,
  vmread: vmx.vmread,
  vmwrite: vmx.vmwrite,
  invept: vmx.invept,
  invvpid: vmx.invvpid,
};

/** Branches that the block cache has found to lead out of their segment. */
const LEAVING: Readonly<Record<string, Handler>> = Object.fromEntries(
  ['jmp', 'call', 'jcc', 'jrcxz', 'loop', 'loope', 'loopne'].map((op) => [`${op}_leaving`, leaving(op)]),
);

/** Ops with a handler; the rest of the `system` rows are instructions of features this CPU does not have. */
export const SYSTEM_OPS: ReadonlySet<string> = new Set(Object.keys(HANDLERS));

/** What was executed last is often executed next. */
let latestOp = '';
let latest: Handler | undefined;
function handlerOf(op: string): Handler | undefined {
  if (op !== latestOp) {
    latest = HANDLERS[op] ?? LEAVING[op];
    latestOp = op;
  }
  return latest;
}

export const executeSystem: ExecuteSystem = (context, instruction) => {
  const handler = handlerOf(instruction.op);
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
