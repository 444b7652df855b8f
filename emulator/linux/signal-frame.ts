/**
 * The x86-64 signal frame (arch/x86/kernel/signal_64.c, asm/sigcontext.h): struct rt_sigframe on the user stack, and its
 * way back through rt_sigreturn.
 *
 *   pretcode 0 | ucontext 8: flags, link, stack, sigcontext 48, mask 304 | siginfo 312 (128 bytes) = 440 bytes
 *
 * The floating-point state lies above, aligned to 64 (fpstate.ts).
 */
import * as L from '../cpu/layout.ts';
import { readRflags, writeRflags, Flag } from '../cpu/system/rflags.ts';
import { fpStateAddress, fpStateBytes, hasExtendedState, loadFpState, storeFpState } from './fpstate.ts';
import type { Linux, SignalInfo, SignalAction, Task } from './state.ts';
import * as S from './signal-numbers.ts';
import { Packer, copyInto, copyOut } from './usermem.ts';

const FRAME_BYTES = 440;
const CONTEXT = 8 + 40;
const MASK = 304;
const INFO = 312;
const INFO_BYTES = 128;
const RED_ZONE = 128;
const UC_FP_XSTATE = 1;
const UC_SIGCONTEXT_SS = 2;
const UC_STRICT_RESTORE_SS = 4;
const USER_CS = 0x33;
const USER_SS = 0x2b;
/** Flags a frame may change on return (FIX_EFLAGS). */
const USER_FLAGS = Flag.AC | Flag.OF | Flag.DF | Flag.TF | Flag.SF | Flag.ZF | Flag.AF | Flag.PF | Flag.CF | Flag.RF;

/** Offsets in struct sigcontext of registers, by x86 register number. */
const REGISTER_OFFSETS = [104, 112, 96, 88, 120, 80, 72, 64, 0, 8, 16, 24, 32, 40, 48, 56];
/** Where the registers' words stand in a frame and in the state page. */
const CONTEXT_WORDS = REGISTER_OFFSETS.map((offset) => (CONTEXT + offset) >>> 2);
const GPR_WORDS = REGISTER_OFFSETS.map((_, register) => (L.GPR + register * 8) >>> 2);
const SC_RIP = 128;
const SC_FLAGS = 136;
const SC_SELECTORS = 144;
const SC_ERROR = 152;
const SC_TRAP = 160;
const SC_OLDMASK = 168;
const SC_CR2 = 176;
const SC_FPSTATE = 184;

/** The frame that is being written or read. */
const FRAME = new Packer(FRAME_BYTES);
const FRAME_VIEW = new DataView(FRAME.bytes.buffer);
const FRAME_WORDS = new Uint32Array(FRAME.bytes.buffer);

/** Writes the frame and points the registers at the handler. False if the stack cannot take it. */
export function pushSignalFrame(
  linux: Linux,
  task: Task,
  info: SignalInfo,
  action: SignalAction,
  oldMask: bigint,
): boolean {
  const { cpu } = linux;
  const rsp = Number(cpu.rsp);
  const stack = task.altStack;
  const onStack = isOnAltStack(task, rsp);
  const switches = (action.flags & S.SA_ONSTACK) !== 0 && stack.size > 0 && !onStack;
  let at = switches ? stack.address + stack.size : rsp - RED_ZONE;
  const fpstate = fpStateAddress(linux.context.model, at);
  at = fpstate - FRAME_BYTES;
  at = at - (at % 16) - 8;
  // A frame that would run off the alternate stack is an overflow (sigaltstack overflow check).
  if (onStack && (action.flags & S.SA_ONSTACK) !== 0 && !(stack.flags & S.SS_AUTODISARM) && at < stack.address)
    return false;
  if (at <= 0 || !(action.flags & S.SA_RESTORER)) return false;

  linux.dune?.signalFrame(task, BigInt(at), BigInt(fpstate + fpStateBytes(linux.context.model)));

  const frame = FRAME;
  frame.bytes.fill(0);
  frame.u64(0, action.restorer);
  frame.u64(8, UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS | (hasExtendedState(linux.context.model) ? UC_FP_XSTATE : 0));
  frame.u64(24, stack.address);
  frame.u32(32, altStackState(task, rsp));
  frame.u64(40, stack.size);
  fillContext(linux, frame, info, oldMask, fpstate);
  frame.u64(MASK, oldMask);
  putSignalInfo(frame, INFO, info);
  if (!copyOut(linux, task.process, at, frame.bytes) || !storeFpState(linux, task.process, fpstate)) return false;
  if (stack.flags & S.SS_AUTODISARM) task.altStack = { address: 0, size: 0, flags: S.SS_DISABLE };

  cpu.setGpr(7, BigInt(info.signal));
  cpu.setGpr(6, BigInt(at + INFO));
  cpu.setGpr(2, BigInt(at + 8));
  cpu.setGpr(0, 0n);
  cpu.rsp = BigInt(at);
  cpu.rip = BigInt(action.handler);
  writeRflags(linux.context, readRflags(linux.context) & ~(Flag.DF | Flag.RF | Flag.TF));
  return true;
}

function copyRegisters(to: Uint32Array, into: readonly number[], from: Uint32Array, at: readonly number[]): void {
  for (let register = 0; register < into.length; register++) {
    to[into[register]!] = from[at[register]!]!;
    to[into[register]! + 1] = from[at[register]! + 1]!;
  }
}

function fillContext(linux: Linux, frame: Packer, info: SignalInfo, oldMask: bigint, fpstate: number): void {
  const { cpu } = linux;
  copyRegisters(FRAME_WORDS, CONTEXT_WORDS, linux.mem.u32, GPR_WORDS);
  frame.u64(CONTEXT + SC_RIP, cpu.rip);
  frame.u64(CONTEXT + SC_FLAGS, readRflags(linux.context));
  frame.u16(CONTEXT + SC_SELECTORS, USER_CS);
  frame.u16(CONTEXT + SC_SELECTORS + 6, USER_SS);
  frame.u64(CONTEXT + SC_ERROR, info.error ?? 0);
  frame.u64(CONTEXT + SC_TRAP, info.trap ?? 0);
  frame.u64(CONTEXT + SC_OLDMASK, oldMask);
  frame.u64(CONTEXT + SC_CR2, info.trap === 14 ? (info.address ?? 0) : 0);
  frame.u64(CONTEXT + SC_FPSTATE, fpstate);
}

/** struct siginfo, 128 bytes. */
export function packSignalInfo(info: SignalInfo): Uint8Array {
  return putSignalInfo(new Packer(INFO_BYTES), 0, info).bytes;
}

/** The same at an offset of something larger that is 0 there. */
function putSignalInfo(packed: Packer, at: number, info: SignalInfo): Packer {
  packed.u32(at, info.signal).u32(at + 8, info.code >>> 0);
  if (info.address !== undefined) return packed.u64(at + 16, info.address);
  if (info.timerId !== undefined) return packed.u32(at + 16, info.timerId).u64(at + 24, info.value ?? 0n);
  packed.u32(at + 16, info.pid ?? 0).u32(at + 20, info.pid === undefined ? 0 : 1000);
  if (info.status !== undefined) return packed.u32(at + 24, info.status);
  return packed.u64(at + 24, info.value ?? 0n);
}

export function isOnAltStack(task: Task, rsp: number): boolean {
  const { address, size, flags } = task.altStack;
  return !(flags & S.SS_AUTODISARM) && size > 0 && rsp > address && rsp - address <= size;
}
/** ss_flags as sigaltstack(2) reports them. */
export function altStackState(task: Task, rsp: number): number {
  if (task.altStack.size === 0) return S.SS_DISABLE;
  return ((task.altStack.flags & S.SS_AUTODISARM) | (isOnAltStack(task, rsp) ? S.SS_ONSTACK : 0)) >>> 0;
}

/** rt_sigreturn: restores all that the frame holds. False if it cannot be read. */
export function popSignalFrame(linux: Linux, task: Task): boolean {
  const { cpu, mem } = linux;
  const view = FRAME_VIEW;
  if (!copyInto(linux, task.process, Number(cpu.rsp) - 8, FRAME.bytes, 0, FRAME_BYTES)) return false;
  const fpstate = Number(view.getBigUint64(CONTEXT + SC_FPSTATE, true));
  const rip = view.getBigUint64(CONTEXT + SC_RIP, true);
  if (rip >= 0x800000000000n || !loadFpState(linux, task.process, fpstate)) return false;
  copyRegisters(linux.mem.u32, GPR_WORDS, FRAME_WORDS, CONTEXT_WORDS);
  cpu.rip = rip;
  const flags = view.getUint32(CONTEXT + SC_FLAGS, true);
  writeRflags(linux.context, (readRflags(linux.context) & ~USER_FLAGS) | (flags & USER_FLAGS));
  task.blockedSignals = view.getBigUint64(MASK, true) & ~S.UNBLOCKABLE;
  const size = Number(view.getBigUint64(40, true));
  const stackFlags = view.getUint32(32, true);
  const address = Number(view.getBigUint64(24, true));
  if (!isOnAltStack(task, Number(cpu.rsp)))
    task.altStack =
      stackFlags & S.SS_DISABLE
        ? { address: 0, size: 0, flags: S.SS_DISABLE }
        : { address, size, flags: (stackFlags & S.SS_AUTODISARM) >>> 0 };
  mem.set32(L.INTERRUPTIBILITY, 0);
  return true;
}
