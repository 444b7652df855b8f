/** Signal system calls. */
import type { SyscallResult } from '../api.ts';
import * as errno from '../errno.ts';
import { altStackState, isOnAltStack, packSignalInfo, popSignalFrame } from '../signal-frame.ts';
import * as S from '../signal-numbers.ts';
import { dequeue, forceSignal, postToProcess, postToTask } from '../post.ts';
import { returnToUser } from '../signals.ts';
import type { Linux, Process, SignalInfo, Task } from '../state.ts';
import { now } from '../time.ts';
import { Packer, copyIn, copyOut, read64, write64 } from '../usermem.ts';
import { block, expired, kept } from '../wait.ts';
import { int, size } from './handler.ts';
import type { Handler } from './handler.ts';
import { readTimespec } from './time.ts';

const SIGSET_BYTES = 8;

export const rtSigaction: Handler = (linux, task, args) => {
  const signal = int(args[0]);
  if (size(args[3]) !== SIGSET_BYTES || signal < 1 || signal > 64) return errno.EINVAL;
  const action = task.process.actions.list[signal]!;
  const wanted = size(args[1]) === 0 ? undefined : copyIn(linux, task.process, size(args[1]), 32);
  if (size(args[1]) !== 0) {
    if (!wanted) return errno.EFAULT;
    if (signal === S.SIGKILL || signal === S.SIGSTOP) return errno.EINVAL;
  }
  if (size(args[2]) !== 0) {
    const old = new Packer(32)
      .u64(0, action.handler)
      .u64(8, action.flags >>> 0)
      .u64(16, action.restorer)
      .u64(24, action.mask);
    if (!copyOut(linux, task.process, size(args[2]), old.bytes)) return errno.EFAULT;
  }
  if (wanted) {
    const view = new DataView(wanted.buffer);
    action.handler = Number(view.getBigUint64(0, true));
    action.flags = view.getUint32(8, true);
    action.restorer = Number(view.getBigUint64(16, true));
    action.mask = view.getBigUint64(24, true) & ~S.UNBLOCKABLE;
    if (action.handler === S.SIG_IGN || (action.handler === S.SIG_DFL && S.defaultAction(signal) === 'ignore'))
      discard(task.process, signal);
  }
  return 0n;
};
function discard(process: Process, signal: number): void {
  process.pending = process.pending.filter((info) => info.signal !== signal);
  process.pendingMask &= ~S.bit(signal);
  for (const task of process.tasks) {
    task.queue = task.queue.filter((info) => info.signal !== signal);
    task.pendingSignals &= ~S.bit(signal);
  }
}

export const rtSigprocmask: Handler = (linux, task, args) => {
  if (size(args[3]) !== SIGSET_BYTES) return errno.EINVAL;
  const old = task.blockedSignals;
  if (size(args[1]) !== 0) {
    const set = read64(linux, task.process, size(args[1]));
    if (set === undefined) return errno.EFAULT;
    const results = [old | set, old & ~set, set];
    const mask = results[int(args[0])];
    if (mask === undefined) return errno.EINVAL;
    task.blockedSignals = mask & ~S.UNBLOCKABLE;
  }
  return size(args[2]) === 0 || write64(linux, task.process, size(args[2]), old) ? 0n : errno.EFAULT;
};

export const rtSigpending: Handler = (linux, task, args) => {
  const pending = (task.pendingSignals | task.process.pendingMask) & task.blockedSignals;
  return write64(linux, task.process, size(args[0]), pending) ? 0n : errno.EFAULT;
};

export const rtSigreturn: Handler = (linux, task) => {
  if (!popSignalFrame(linux, task)) forceSignal(task, { signal: S.SIGSEGV, code: S.SI_KERNEL, address: 0 });
  returnToUser(linux, task);
  return 'no-return';
};

export const rtSigsuspend: Handler = (linux, task, args) => {
  const mask = read64(linux, task.process, size(args[0]));
  if (mask === undefined) return errno.EFAULT;
  if (task.savedMask === undefined) {
    task.savedMask = task.blockedSignals;
    task.blockedSignals = mask & ~S.UNBLOCKABLE;
  }
  return block(task, { channels: [], text: 'rt_sigsuspend', interrupted: errno.ERESTARTNOHAND });
};

export const pause: Handler = (_linux, task) =>
  block(task, { channels: [], text: 'pause', interrupted: errno.ERESTARTNOHAND });

interface TimedWait {
  readonly deadline: number;
}
export const rtSigtimedwait: Handler = (linux, task, args) => {
  const set = read64(linux, task.process, size(args[0]));
  if (set === undefined) return errno.EFAULT;
  const info = dequeue(task, set & ~S.UNBLOCKABLE);
  if (info) {
    if (size(args[1]) !== 0 && !copyOut(linux, task.process, size(args[1]), packSignalInfo(info))) return errno.EFAULT;
    return BigInt(info.signal);
  }
  const deadline = kept<TimedWait>(task)?.deadline ?? timeout(linux, task, size(args[2]));
  if (typeof deadline === 'bigint') return deadline;
  if (expired(linux, deadline)) return errno.EAGAIN;
  const data: TimedWait = { deadline };
  return block(task, { channels: ['signal'], deadline, data, text: 'rt_sigtimedwait', interrupted: errno.EINTR });
};
function timeout(linux: Linux, task: Task, address: number): number | bigint {
  if (address === 0) return -1;
  const wanted = readTimespec(linux, task, address);
  if (wanted === undefined) return errno.EFAULT;
  return wanted === null ? errno.EINVAL : now(linux) + Number(wanted);
}

const MINSIGSTKSZ = 2048;
export const sigaltstack: Handler = (linux, task, args) => {
  const rsp = Number(linux.cpu.rsp);
  const { altStack } = task;
  const old = new Packer(24).u64(0, altStack.address).u32(8, altStackState(task, rsp)).u64(16, altStack.size);
  if (size(args[0]) !== 0) {
    const wanted = copyIn(linux, task.process, size(args[0]), 24);
    if (!wanted) return errno.EFAULT;
    if (isOnAltStack(task, rsp)) return errno.EPERM;
    const view = new DataView(wanted.buffer);
    const flags = view.getUint32(8, true);
    const mode = flags & ~S.SS_AUTODISARM;
    if (mode !== 0 && mode !== S.SS_ONSTACK && mode !== S.SS_DISABLE) return errno.EINVAL;
    const stackSize = Number(view.getBigUint64(16, true));
    if (mode === S.SS_DISABLE) task.altStack = { address: 0, size: 0, flags: S.SS_DISABLE };
    else if (stackSize < MINSIGSTKSZ) return errno.ENOMEM;
    else
      task.altStack = {
        address: Number(view.getBigUint64(0, true)),
        size: stackSize,
        flags: (flags & S.SS_AUTODISARM) >>> 0,
      };
  }
  return size(args[1]) === 0 || copyOut(linux, task.process, size(args[1]), old.bytes) ? 0n : errno.EFAULT;
};

export const kill: Handler = (linux, task, args) => {
  const pid = int(args[0]);
  const signal = int(args[1]);
  if (signal < 0 || signal > 64) return errno.EINVAL;
  const group = pid === 0 ? task.process.pgid : -pid;
  const targets = [...linux.state.processes.values()].filter((process) =>
    pid > 0 ? process.pid === pid : pid === -1 ? process !== task.process : process.pgid === group,
  );
  if (targets.length === 0) return errno.ESRCH;
  if (signal !== 0) for (const target of targets) postToProcess(target, { signal, code: S.SI_USER, pid: task.pid });
  return 0n;
};

function toThread(linux: Linux, tgid: number, tid: number, info: SignalInfo): bigint {
  if (info.signal < 0 || info.signal > 64 || tid <= 0) return errno.EINVAL;
  const target = linux.state.tasks.get(tid);
  if (!target || target.exited || (tgid > 0 && target.pid !== tgid)) return errno.ESRCH;
  if (info.signal !== 0) postToTask(target, info);
  return 0n;
}
export const tkill: Handler = (linux, task, args) =>
  toThread(linux, 0, int(args[0]), { signal: int(args[1]), code: S.SI_TKILL, pid: task.pid });
export const tgkill: Handler = (linux, task, args) =>
  int(args[0]) <= 0
    ? errno.EINVAL
    : toThread(linux, int(args[0]), int(args[1]), { signal: int(args[2]), code: S.SI_TKILL, pid: task.pid });

/** siginfo as the caller filled it: code at 8, value at 24. */
function queuedInfo(linux: Linux, task: Task, signal: number, address: bigint | undefined): SignalInfo | undefined {
  const bytes = copyIn(linux, task.process, size(address), 32);
  if (!bytes) return undefined;
  const view = new DataView(bytes.buffer);
  return { signal, code: view.getInt32(8, true), pid: view.getInt32(16, true), value: view.getBigUint64(24, true) };
}
export const rtSigqueueinfo: Handler = (linux, task, args): SyscallResult => {
  const info = queuedInfo(linux, task, int(args[1]), args[2]);
  const target = linux.state.processes.get(int(args[0]));
  if (!info) return errno.EFAULT;
  if (!target) return errno.ESRCH;
  if (info.signal < 0 || info.signal > 64) return errno.EINVAL;
  if (info.signal !== 0) postToProcess(target, info);
  return 0n;
};
export const rtTgsigqueueinfo: Handler = (linux, task, args) => {
  const info = queuedInfo(linux, task, int(args[2]), args[3]);
  return info ? toThread(linux, int(args[0]), int(args[1]), info) : errno.EFAULT;
};
