/** futex(2), and the robust list. */
import type { SyscallResult } from '../api.ts';
import * as errno from '../errno.ts';
import { futexKey, requeue, wakeKey } from '../futex.ts';
import type { Linux, Task } from '../state.ts';
import { realTime, now } from '../time.ts';
import { copyIn, read32, write32, write64 } from '../usermem.ts';
import { block, expired, kept } from '../wait.ts';
import { int, size, uint } from './handler.ts';
import type { Handler } from './handler.ts';

const FUTEX_WAIT = 0;
const FUTEX_WAKE = 1;
const FUTEX_REQUEUE = 3;
const FUTEX_CMP_REQUEUE = 4;
const FUTEX_WAKE_OP = 5;
const FUTEX_WAIT_BITSET = 9;
const FUTEX_WAKE_BITSET = 10;
const FUTEX_CLOCK_REALTIME = 256;
const COMMAND = 0x7f;
const ANY = 0xffffffff;

interface Waiting {
  readonly deadline: number;
}

export const futex: Handler = (linux, task, args) => {
  const address = size(args[0]);
  const operation = uint(args[1]);
  if (address % 4 !== 0) return errno.EINVAL;
  const key = futexKey(linux, task.process, address);
  if (key === undefined) return errno.EFAULT;
  switch (operation & COMMAND) {
    case FUTEX_WAIT:
      return wait(linux, task, key, args, ANY);
    case FUTEX_WAIT_BITSET:
      return wait(linux, task, key, args, uint(args[5]));
    case FUTEX_WAKE:
      return BigInt(wakeKey(linux, key, Math.max(1, int(args[2])), ANY));
    case FUTEX_WAKE_BITSET:
      return uint(args[5]) === 0 ? errno.EINVAL : BigInt(wakeKey(linux, key, Math.max(1, int(args[2])), uint(args[5])));
    case FUTEX_REQUEUE:
    case FUTEX_CMP_REQUEUE:
      return wakeAndRequeue(linux, task, key, args, (operation & COMMAND) === FUTEX_CMP_REQUEUE);
    case FUTEX_WAKE_OP:
      return wakeOperation(linux, task, key, args);
    default:
      return errno.ENOSYS;
  }
};

function wait(linux: Linux, task: Task, key: string, args: readonly bigint[], bitset: number): SyscallResult {
  if (bitset === 0) return errno.EINVAL;
  const { state } = linux;
  const waiting = kept<Waiting>(task);
  const mine = state.futexes.find((waiter) => waiter.tid === task.tid);
  if (waiting) {
    if (mine?.woken) return leave(linux, task, 0n);
    if (expired(linux, waiting.deadline)) return leave(linux, task, errno.ETIMEDOUT);
    const again = block(task, request(args, waiting.deadline));
    return again === 'blocked' ? again : leave(linux, task, again as bigint);
  }
  const value = read32(linux, task.process, size(args[0]));
  if (value === undefined) return errno.EFAULT;
  if (value !== uint(args[2])) return errno.EAGAIN;
  const deadline = deadlineOf(linux, task, args);
  if (typeof deadline === 'bigint') return deadline;
  if (expired(linux, deadline)) return errno.ETIMEDOUT;
  const result = block(task, request(args, deadline));
  if (result === 'blocked') state.futexes.push({ tid: task.tid, key, bitset, woken: false });
  return result;
}
function request(args: readonly bigint[], deadline: number) {
  const text = `futex(0x${args[0]!.toString(16)}, FUTEX_WAIT, ${uint(args[2])})`;
  const data: Waiting = { deadline };
  // A timed wait is not restarted with its full time (ERESTART_RESTARTBLOCK): the caller sees EINTR.
  return { channels: [], deadline, data, text, interrupted: deadline < 0 ? errno.ERESTARTSYS : errno.EINTR };
}
function leave(linux: Linux, task: Task, result: bigint): bigint {
  linux.state.futexes = linux.state.futexes.filter((waiter) => waiter.tid !== task.tid);
  return result;
}

/** Virtual ns, -1 without timeout. WAIT's is relative, WAIT_BITSET's absolute. */
function deadlineOf(linux: Linux, task: Task, args: readonly bigint[]): number | bigint {
  if (size(args[3]) === 0) return -1;
  const bytes = copyIn(linux, task.process, size(args[3]), 16);
  if (!bytes) return errno.EFAULT;
  const view = new DataView(bytes.buffer);
  const seconds = view.getBigInt64(0, true);
  const nanoseconds = view.getBigInt64(8, true);
  if (seconds < 0n || nanoseconds < 0n || nanoseconds >= 1_000_000_000n) return errno.EINVAL;
  const time = seconds * 1_000_000_000n + nanoseconds;
  if ((uint(args[1]) & COMMAND) === FUTEX_WAIT) return now(linux) + Number(time);
  if (uint(args[1]) & FUTEX_CLOCK_REALTIME) return Math.max(0, now(linux) + Number(time - realTime(linux)));
  return Number(time);
}

function wakeAndRequeue(linux: Linux, task: Task, key: string, args: readonly bigint[], compare: boolean): bigint {
  const target = futexKey(linux, task.process, size(args[4]));
  if (target === undefined) return errno.EFAULT;
  if (compare && read32(linux, task.process, size(args[0])) !== uint(args[5])) return errno.EAGAIN;
  const woken = wakeKey(linux, key, int(args[2]), ANY);
  return BigInt(woken + requeue(linux, key, target, int(args[3])));
}

function wakeOperation(linux: Linux, task: Task, key: string, args: readonly bigint[]): bigint {
  const second = size(args[4]);
  const secondKey = futexKey(linux, task.process, second);
  const old = read32(linux, task.process, second);
  if (secondKey === undefined || old === undefined) return errno.EFAULT;
  const code = uint(args[5]);
  const signExtend = (value: number): number => (value << 20) >> 20;
  const shifted = (code >>> 28) & 8 ? 1 << signExtend((code >>> 12) & 0xfff) : signExtend((code >>> 12) & 0xfff);
  const operations = [shifted, old + shifted, old | shifted, old & ~shifted, old ^ shifted];
  const stored = operations[(code >>> 28) & 7];
  if (stored === undefined) return errno.ENOSYS;
  if (!write32(linux, task.process, second, stored >>> 0)) return errno.EFAULT;
  const against = signExtend(code & 0xfff);
  const signed = old | 0;
  const comparisons = [
    signed === against,
    signed !== against,
    signed < against,
    signed <= against,
    signed > against,
    signed >= against,
  ];
  const also = comparisons[(code >>> 24) & 0xf];
  let woken = wakeKey(linux, key, int(args[2]), ANY);
  if (also) woken += wakeKey(linux, secondKey, int(args[3]), ANY);
  return BigInt(woken);
}

export const setRobustList: Handler = (_linux, task, args) => {
  if (size(args[1]) !== 24) return errno.EINVAL;
  task.robustList = size(args[0]);
  return 0n;
};
export const getRobustList: Handler = (linux, task, args) => {
  const subject = int(args[0]) === 0 ? task : linux.state.tasks.get(int(args[0]));
  if (!subject) return errno.ESRCH;
  const stored = write64(linux, task.process, size(args[1]), BigInt(subject.robustList));
  return stored && write64(linux, task.process, size(args[2]), 24n) ? 0n : errno.EFAULT;
};
