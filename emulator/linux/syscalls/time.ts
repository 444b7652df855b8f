/** Clocks, sleeping and timers, all on virtual time. */
import type { SyscallResult } from '../api.ts';
import * as errno from '../errno.ts';
import { SIGALRM } from '../signal-numbers.ts';
import { newId, CYCLES_PER_NS } from '../state.ts';
import type { IntervalTimer, Linux, Task } from '../state.ts';
import * as L from '../../cpu/layout.ts';
import { EPOCH_NS, now, realTime } from '../time.ts';
import { Packer, copyIn, copyOut, write32 } from '../usermem.ts';
import { block, expired, kept } from '../wait.ts';
import { int, size, uint } from './handler.ts';
import type { Handler } from './handler.ts';

const NS = 1_000_000_000n;
const TIMER_ABSTIME = 1;

/** struct timespec as ns; undefined = EFAULT, null = out of range. */
export function readTimespec(linux: Linux, task: Task, address: number): bigint | undefined | null {
  const bytes = copyIn(linux, task.process, address, 16);
  if (!bytes) return undefined;
  const view = new DataView(bytes.buffer);
  const seconds = view.getBigInt64(0, true);
  const nanoseconds = view.getBigInt64(8, true);
  return seconds < 0n || nanoseconds < 0n || nanoseconds >= NS ? null : seconds * NS + nanoseconds;
}
function packTimespec(time: bigint): Uint8Array {
  return new Packer(16).u64(0, time / NS).u64(8, time % NS).bytes;
}
function packTimeval(time: bigint): Uint8Array {
  return new Packer(16).u64(0, time / NS).u64(8, (time % NS) / 1000n).bytes;
}

/** ns of a clock id, or undefined. */
function clock(linux: Linux, task: Task, id: number): bigint | undefined {
  switch (id) {
    case 0: // CLOCK_REALTIME
    case 5: // CLOCK_REALTIME_COARSE
    case 11: // CLOCK_TAI
      return realTime(linux);
    case 1: // CLOCK_MONOTONIC
    case 4: // CLOCK_MONOTONIC_RAW
    case 6: // CLOCK_MONOTONIC_COARSE
    case 7: // CLOCK_BOOTTIME
      return BigInt(now(linux));
    case 2: // CLOCK_PROCESS_CPUTIME_ID
      return BigInt(processorTime(linux, task));
    case 3: // CLOCK_THREAD_CPUTIME_ID
      return BigInt(processorTime(linux, task));
    default:
      // Dynamic ids of other processes and threads (MAKE_PROCESS_CPUCLOCK).
      return id < 0 ? BigInt(processorTime(linux, task)) : undefined;
  }
}
/** ns the process has run. */
export function processorTime(linux: Linux, task: Task): number {
  const running = Number(linux.mem.get64(L.CYCLES)) - task.startedAt;
  return Math.floor((task.process.cycles + running) / CYCLES_PER_NS);
}

export const clockGettime: Handler = (linux, task, args) => {
  const time = clock(linux, task, int(args[0]));
  if (time === undefined) return errno.EINVAL;
  return copyOut(linux, task.process, size(args[1]), packTimespec(time)) ? 0n : errno.EFAULT;
};
export const clockGetres: Handler = (linux, task, args) => {
  if (clock(linux, task, int(args[0])) === undefined) return errno.EINVAL;
  if (size(args[1]) === 0) return 0n;
  const coarse = int(args[0]) === 5 || int(args[0]) === 6;
  return copyOut(linux, task.process, size(args[1]), packTimespec(coarse ? 4_000_000n : 1n)) ? 0n : errno.EFAULT;
};
export const clockSettime: Handler = () => errno.EPERM;
export const gettimeofday: Handler = (linux, task, args) => {
  if (size(args[0]) !== 0 && !copyOut(linux, task.process, size(args[0]), packTimeval(realTime(linux))))
    return errno.EFAULT;
  if (size(args[1]) !== 0 && !copyOut(linux, task.process, size(args[1]), new Uint8Array(8))) return errno.EFAULT;
  return 0n;
};
export const time: Handler = (linux, task, args) => {
  const seconds = realTime(linux) / NS;
  if (size(args[0]) !== 0 && !copyOut(linux, task.process, size(args[0]), new Packer(8).u64(0, seconds).bytes))
    return errno.EFAULT;
  return seconds;
};

interface Sleep {
  readonly deadline: number;
}
function sleep(
  linux: Linux,
  task: Task,
  start: () => number | bigint,
  remaining: number,
  text: string,
  absolute: boolean,
): SyscallResult {
  const before = kept<Sleep>(task);
  const deadline = before ? before.deadline : start();
  if (typeof deadline === 'bigint') return deadline;
  if (expired(linux, deadline)) return 0n;
  const interrupted = absolute ? errno.ERESTARTNOHAND : errno.ERESTART_RESTARTBLOCK;
  const data: Sleep = { deadline };
  const result = block(task, { channels: [], deadline, data, text, interrupted });
  if (result === 'blocked') return result;
  if (!absolute) {
    task.restart = { ...task.call!, data };
    if (remaining !== 0)
      copyOut(linux, task.process, remaining, packTimespec(BigInt(Math.max(0, deadline - now(linux)))));
  }
  return result;
}

export const nanosleep: Handler = (linux, task, args) =>
  sleep(
    linux,
    task,
    () => {
      const wanted = readTimespec(linux, task, size(args[0]));
      return wanted === undefined ? errno.EFAULT : wanted === null ? errno.EINVAL : now(linux) + Number(wanted);
    },
    size(args[1]),
    'nanosleep',
    false,
  );

export const clockNanosleep: Handler = (linux, task, args) => {
  const id = int(args[0]);
  const absolute = (uint(args[1]) & TIMER_ABSTIME) !== 0;
  if (clock(linux, task, id) === undefined) return errno.EINVAL;
  const start = (): number | bigint => {
    const wanted = readTimespec(linux, task, size(args[2]));
    if (wanted === undefined) return errno.EFAULT;
    if (wanted === null) return errno.EINVAL;
    if (!absolute) return now(linux) + Number(wanted);
    return Math.max(0, Number(id === 0 || id === 11 ? wanted - EPOCH_NS : wanted));
  };
  return sleep(linux, task, start, absolute ? 0 : size(args[3]), 'clock_nanosleep', absolute);
};

export const restartSyscall: Handler = (linux, task) => {
  const { restart } = task;
  if (!restart) return errno.EINTR;
  const before = restart.data as Sleep;
  return sleep(linux, task, () => before.deadline, size(restart.args[1]), 'nanosleep', false);
};

// ---------------------------------------------------------------- interval timers

/** struct itimerval and itimerspec: interval, value. */
function packTimer(linux: Linux, timer: IntervalTimer, unit: (time: bigint) => Uint8Array): Uint8Array {
  const bytes = new Uint8Array(32);
  bytes.set(unit(BigInt(timer.interval)), 0);
  bytes.set(unit(BigInt(timer.deadline < 0 ? 0 : Math.max(1, timer.deadline - now(linux)))), 16);
  return bytes;
}
function arm(linux: Linux, timer: IntervalTimer, value: number, interval: number, absolute = false): void {
  timer.deadline = value === 0 ? -1 : absolute ? value : now(linux) + value;
  timer.interval = interval;
}
function readPair(linux: Linux, task: Task, address: number, scale: number): [number, number] | undefined {
  const bytes = copyIn(linux, task.process, address, 32);
  if (!bytes) return undefined;
  const view = new DataView(bytes.buffer);
  const read = (at: number): number =>
    Number(view.getBigInt64(at, true)) * 1e9 + Number(view.getBigInt64(at + 8, true)) * scale;
  return [read(0), read(16)];
}

export const setitimer: Handler = (linux, task, args) => {
  if (int(args[0]) !== 0) return int(args[0]) < 3 && int(args[0]) > 0 ? errno.ENOTSUP : errno.EINVAL;
  const timer = task.process.realTimer;
  const old = packTimer(linux, timer, packTimeval);
  const pair = readPair(linux, task, size(args[1]), 1000);
  if (!pair) return errno.EFAULT;
  arm(linux, timer, pair[1], pair[0]);
  return size(args[2]) === 0 || copyOut(linux, task.process, size(args[2]), old) ? 0n : errno.EFAULT;
};
export const getitimer: Handler = (linux, task, args) => {
  if (int(args[0]) !== 0) return errno.EINVAL;
  return copyOut(linux, task.process, size(args[1]), packTimer(linux, task.process.realTimer, packTimeval))
    ? 0n
    : errno.EFAULT;
};
export const alarm: Handler = (linux, task, args) => {
  const timer = task.process.realTimer;
  const left = timer.deadline < 0 ? 0 : Math.max(1, Math.ceil((timer.deadline - now(linux)) / 1e9));
  arm(linux, timer, uint(args[0]) * 1e9, 0);
  return BigInt(left);
};

const SIGEV_SIGNAL = 0;
const SIGEV_NONE = 1;
const SIGEV_THREAD_ID = 4;
export const timerCreate: Handler = (linux, task, args) => {
  if (clock(linux, task, int(args[0])) === undefined) return errno.EINVAL;
  let signal = SIGALRM;
  let value = 0n;
  let tid = 0;
  const id = newId(linux);
  if (size(args[1]) !== 0) {
    const event = copyIn(linux, task.process, size(args[1]), 64);
    if (!event) return errno.EFAULT;
    const view = new DataView(event.buffer);
    const notify = view.getInt32(12, true);
    if (notify !== SIGEV_SIGNAL && notify !== SIGEV_NONE && notify !== SIGEV_THREAD_ID) return errno.EINVAL;
    value = view.getBigUint64(0, true);
    signal = notify === SIGEV_NONE ? 0 : view.getInt32(8, true);
    tid = notify === SIGEV_THREAD_ID ? view.getInt32(16, true) : 0;
  }
  if (!write32(linux, task.process, size(args[2]), id)) return errno.EFAULT;
  linux.state.timers.push({ id, process: task.process, signal, tid, value, deadline: -1, interval: 0, overruns: 0 });
  return 0n;
};
function timerOf(linux: Linux, task: Task, id: bigint | undefined) {
  return linux.state.timers.find((timer) => timer.id === int(id) && timer.process === task.process);
}
export const timerSettime: Handler = (linux, task, args) => {
  const timer = timerOf(linux, task, args[0]);
  if (!timer) return errno.EINVAL;
  const old = packTimer(linux, timer, packTimespec);
  const pair = readPair(linux, task, size(args[2]), 1);
  if (!pair) return errno.EFAULT;
  arm(linux, timer, pair[1], pair[0], (uint(args[1]) & TIMER_ABSTIME) !== 0);
  return size(args[3]) === 0 || copyOut(linux, task.process, size(args[3]), old) ? 0n : errno.EFAULT;
};
export const timerGettime: Handler = (linux, task, args) => {
  const timer = timerOf(linux, task, args[0]);
  if (!timer) return errno.EINVAL;
  return copyOut(linux, task.process, size(args[1]), packTimer(linux, timer, packTimespec)) ? 0n : errno.EFAULT;
};
export const timerGetoverrun: Handler = (linux, task, args) => {
  const timer = timerOf(linux, task, args[0]);
  return timer ? BigInt(timer.overruns) : errno.EINVAL;
};
export const timerDelete: Handler = (linux, task, args) => {
  const timer = timerOf(linux, task, args[0]);
  if (!timer) return errno.EINVAL;
  linux.state.timers = linux.state.timers.filter((other) => other !== timer);
  return 0n;
};
