/** VMCALL: a Linux system call from the guest, with the cases that the module treats by itself. */
import * as C from '../cpu/codes.ts';
import * as L from '../cpu/layout.ts';
import { Segment } from '../cpu/state.ts';
import { Field } from '../vmx/fields.ts';
import type { SyscallResult, Thread } from '../linux/api.ts';
import { DuneRet } from './config.ts';
import { completeSyscall, linuxPage } from './enter.ts';
import { lintSyscall, syscallName } from './lint-syscall.ts';
import { diagnose, diagnoseOnce, type Dune, type Vcpu } from './state.ts';
import { hostFields, read, write } from './vcpu.ts';
import { RFLAGS_IF } from '../cpu/control-bits.ts';

const RAX = 0;
const RCX = 1;
const RSP = 4;

const EINVAL = 22n;
const ENOSYS = 38n;

const Syscall = {
  rtSigreturn: 15,
  clone: 56,
  fork: 57,
  vfork: 58,
  execve: 59,
  exit: 60,
  sigaltstack: 131,
  archPrctl: 158,
  iopl: 172,
  exitGroup: 231,
  clone3: 435,
} as const;

/** The module's copy of the system-call table has 312 entries, and the check lets one more through. */
const STRICT_LAST = 312n;
/** End of user space. */
const TASK_SIZE = 0x7fff_ffff_f000n;
const ARITHMETIC_LOW_BYTE = 0xd5;

/** RIP stands behind the VMCALL. */
export function vmcall(dune: Dune, thread: Thread, vcpu: Vcpu): void {
  const { services } = dune;
  const number = vcpu.registers[RAX]!;
  const { registers } = vcpu;
  // RDI RSI RDX R10 R8 R9.
  const args = [registers[7]!, registers[6]!, registers[2]!, registers[10]!, registers[8]!, registers[9]!];
  lintSyscall(dune, vcpu, number, args);
  vcpu.pending = Number(number & 0xffff_ffffn);
  const refused = refusal(dune, thread, number);
  if (refused !== undefined) return completeSyscall(vcpu, refused);
  switch (Number(number)) {
    case Syscall.exit:
    case Syscall.exitGroup:
      vcpu.status = BigInt.asIntN(32, args[0]!);
      vcpu.ret = DuneRet.Exit;
      vcpu.shutdown = true;
      vcpu.done = true;
      vcpu.pending = undefined;
      return;
    case Syscall.clone:
    case Syscall.fork:
    case Syscall.vfork:
      return complete(
        vcpu,
        services.cloneFromDune(thread, Number(number), args, childPage(dune, vcpu, Number(number), args)),
      );
    case Syscall.archPrctl:
      complete(vcpu, services.syscall(thread, Number(number), args));
      return takeHostBases(dune, vcpu);
    case Syscall.execve:
      return execve(dune, thread, vcpu, args);
    default:
      return complete(vcpu, services.syscall(thread, Number(BigInt.asUintN(32, number)), args));
  }
}

/** 'blocked': the kernel completes it later. 'no-return': an ENTER from inside the guest; the outer vCPU waits for the inner. */
function complete(vcpu: Vcpu, result: SyscallResult): void {
  if (typeof result === 'bigint') completeSyscall(vcpu, result);
}

/** The result of calls that never reach Linux. */
function refusal(dune: Dune, { pid }: Thread, number: bigint): bigint | undefined {
  if (number > STRICT_LAST) {
    if (dune.options.syscalls === 'strict') {
      diagnoseOnce(dune, pid, `strict ${number}`, () => ({
        summary: `system call ${number} (${syscallName(Number(number))}) is above 312: the module answers EINVAL`,
        facts: { number },
      }));
      return -EINVAL;
    }
    // Threads and processes are made by clone here, as before Linux 5.3; C libraries fall back when told so.
    if (number === BigInt(Syscall.clone3)) return -ENOSYS;
    return number > 0xffff_ffffn ? -ENOSYS : undefined;
  }
  const low = Number(number);
  if (low === Syscall.sigaltstack || low === Syscall.iopl) return -EINVAL;
  if (low === Syscall.rtSigreturn) {
    diagnoseOnce(dune, pid, 'rt_sigreturn', () => ({
      summary: 'rt_sigreturn from Dune mode: signal frames belong to Linux mode, there is none to return from',
      facts: {},
    }));
    return -EINVAL;
  }
  return undefined;
}

/** A child of fork, vfork or clone starts in Linux mode, ring 3, behind the instruction that made it. */
function childPage(dune: Dune, vcpu: Vcpu, number: number, args: readonly bigint[]): Uint8Array {
  const page = linuxPage(dune, vcpu);
  const view = new DataView(page.buffer);
  const set = (offset: number, value: bigint): void => view.setBigUint64(offset - L.STATE, value, true);
  vcpu.registers.forEach((value, register) => set(L.GPR + register * 8, value));
  const rip = read(dune, Field.guestRip);
  const stack = number === Syscall.clone ? args[1]! : 0n;
  set(L.GPR + RAX * 8, 0n);
  set(L.GPR + RSP * 8, stack || vcpu.registers[RSP]!);
  // From the page behind LSTAR, the way back is where SYSCALL put it.
  set(L.RIP, rip >= TASK_SIZE ? vcpu.registers[RCX]! : rip);
  view.setUint32(L.CC_OP - L.STATE, C.CC_FLAGS << 2, true);
  set(L.CC_A, read(dune, Field.guestRflags) & BigInt(ARITHMETIC_LOW_BYTE));
  view.setUint32(L.SYSTEM_FLAGS - L.STATE, RFLAGS_IF, true);
  return page;
}

/** arch_prctl works on the host thread: its FS and GS base, which the guest does not see. */
function takeHostBases(dune: Dune, vcpu: Vcpu): void {
  const { cpu } = dune.context;
  const view = new DataView(vcpu.linux.buffer, vcpu.linux.byteOffset);
  for (const [segment, at] of [[Segment.FS, L.FS] as const, [Segment.GS, L.GS] as const])
    view.setBigUint64(at + L.SEG_BASE - L.STATE, cpu.segment(segment).base, true);
  for (const [field, value] of hostFields(dune)) write(dune, field, value);
}

/** The real module goes on running the old vCPU under the new program; here the new program starts in Linux mode. */
function execve(dune: Dune, thread: Thread, vcpu: Vcpu, args: readonly bigint[]): void {
  diagnose(dune, 'execve from Dune mode: the real module does not survive it; the new program starts in Linux mode');
  const result = dune.services.syscall(thread, Syscall.execve, args);
  if (result !== 'no-return') return complete(vcpu, result);
  vcpu.tid = 0;
  thread.vcpu = 0;
}
