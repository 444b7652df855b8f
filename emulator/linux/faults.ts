/** Exceptions of ring 3 in Linux mode: page faults are repaired, the rest becomes signals (arch/x86/kernel/traps.c, mm/fault.c). */
import type { Fault } from '../cpu/engine-api.ts';
import * as L from '../cpu/layout.ts';
import type { Explanation } from '../machine/api.ts';
import { COSTS } from './costs.ts';
import { describeAddress } from './describe.ts';
import { fault as repair } from './mm.ts';
import type { Access } from './mm.ts';
import * as S from './signal-numbers.ts';
import { forceSignal } from './post.ts';
import { returnToUser } from './signals.ts';
import type { Linux, SignalInfo, Task } from './state.ts';
import { TASK_SIZE } from './vma.ts';

const PAGE_FAULT = 14;
const ERROR_WRITE = 2;
const ERROR_FETCH = 16;

interface TrapRow {
  readonly name: string;
  readonly signal: number;
  readonly code: number;
  /** si_addr is RIP; otherwise 0. */
  readonly atRip: boolean;
}
const TRAPS: Readonly<Record<number, TrapRow>> = {
  0: { name: '#DE divide error', signal: S.SIGFPE, code: 1, atRip: true },
  1: { name: '#DB debug exception', signal: S.SIGTRAP, code: 2, atRip: true },
  3: { name: '#BP breakpoint', signal: S.SIGTRAP, code: S.SI_KERNEL, atRip: false },
  4: { name: '#OF overflow', signal: S.SIGSEGV, code: S.SI_KERNEL, atRip: false },
  5: { name: '#BR bound range exceeded', signal: S.SIGSEGV, code: S.SI_KERNEL, atRip: false },
  6: { name: '#UD invalid opcode', signal: S.SIGILL, code: 2, atRip: true },
  10: { name: '#TS invalid TSS', signal: S.SIGSEGV, code: S.SI_KERNEL, atRip: false },
  11: { name: '#NP segment not present', signal: S.SIGBUS, code: S.SI_KERNEL, atRip: false },
  12: { name: '#SS stack segment fault', signal: S.SIGBUS, code: S.SI_KERNEL, atRip: false },
  13: { name: '#GP general protection', signal: S.SIGSEGV, code: S.SI_KERNEL, atRip: false },
  16: { name: '#MF x87 floating point', signal: S.SIGFPE, code: 0, atRip: true },
  17: { name: '#AC alignment check', signal: S.SIGBUS, code: 1, atRip: true },
  19: { name: '#XM SIMD floating point', signal: S.SIGFPE, code: 0, atRip: true },
};

/** A Linux-mode thread took an exception. */
export function handleException(linux: Linux, task: Task, fault: Fault): void {
  if (fault.kind !== 'exception') throw new Error(`${fault.kind} outside VMX non-root operation`);
  const { cpu } = linux;
  const record = { fault, rip: cpu.rip, cpl: cpu.cpl };
  const error = fault.errorCode ?? 0;
  if (fault.vector === PAGE_FAULT) {
    const gva = BigInt.asUintN(64, fault.gva ?? cpu.cr2);
    const access: Access = error & ERROR_FETCH ? 'execute' : error & ERROR_WRITE ? 'write' : 'read';
    linux.context.addCycles(COSTS.pageFault);
    const refusal =
      gva < BigInt(TASK_SIZE)
        ? repair(linux, task.process, Number(gva), access)
        : { signal: 'SIGSEGV' as const, code: 1, why: 'the address is not a user address' };
    if (!refusal) return;
    linux.context.faultChain = [record];
    const signals = { SIGSEGV: S.SIGSEGV, SIGBUS: S.SIGBUS, SIGKILL: S.SIGKILL };
    const info = { signal: signals[refusal.signal], code: refusal.code, address: Number(gva), trap: PAGE_FAULT, error };
    raise(linux, task, info, {
      headline: `${refusal.signal}: ${access} of 0x${gva.toString(16)} at RIP 0x${cpu.rip.toString(16)}: ${refusal.why}.`,
      details: [
        describeAddress(task.process, Number(gva)),
        `page-fault error code 0x${error.toString(16)} (${errorText(error)})`,
      ],
    });
    return;
  }
  linux.context.addCycles(COSTS.signal);
  linux.context.faultChain = [record];
  const row = TRAPS[fault.vector] ?? {
    name: `vector ${fault.vector}`,
    signal: S.SIGSEGV,
    code: S.SI_KERNEL,
    atRip: false,
  };
  const code = row.code || floatingCode(linux, fault.vector);
  const info = { signal: row.signal, code, address: row.atRip ? Number(cpu.rip) : 0, trap: fault.vector, error };
  raise(linux, task, info, {
    headline: `${S.signalName(row.signal)}: ${row.name} at RIP 0x${cpu.rip.toString(16)}${fault.because ? `: ${fault.because}` : ''}.`,
    details: fault.errorCode ? [`error code 0x${error.toString(16)}`] : [],
  });
}

function raise(linux: Linux, task: Task, info: SignalInfo, explanation: Explanation): void {
  forceSignal(task, info);
  if (task.process.actions.list[info.signal]!.handler === S.SIG_DFL)
    linux.state.explanations.set(task.tid, explanation);
  returnToUser(linux, task);
}

function errorText(error: number): string {
  const parts = [
    error & 1 ? 'page present, rights refuse' : 'page not present',
    error & 2 ? 'write' : 'read',
    error & 4 ? 'user' : 'supervisor',
  ];
  if (error & 8) parts.push('reserved bit set');
  if (error & 16) parts.push('instruction fetch');
  return parts.join(', ');
}

/** FPE_* of the unmasked exception, in the order fpu__exception_code tests them. */
function floatingCode(linux: Linux, vector: number): number {
  const { mem } = linux;
  const mxcsr = mem.get32(L.MXCSR);
  const pending = vector === 16 ? mem.get32(L.X87_SW) & ~mem.get32(L.X87_CW) : ~(mxcsr >> 7) & mxcsr;
  const [FPE_FLTDIV, FPE_FLTOVF, FPE_FLTUND, FPE_FLTRES, FPE_FLTINV] = [3, 4, 5, 6, 7];
  if (pending & 1) return FPE_FLTINV;
  if (pending & 4) return FPE_FLTDIV;
  if (pending & 8) return FPE_FLTOVF;
  if (pending & 0x12) return FPE_FLTUND;
  return pending & 0x20 ? FPE_FLTRES : 0;
}
