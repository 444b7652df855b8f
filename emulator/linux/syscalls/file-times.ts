/** Times of files: utimensat and the calls that it replaced. */
import * as errno from '../errno.ts';
import { fileOf } from '../fs/descriptors.ts';
import type { Inode, Linux, Task } from '../state.ts';
import { realTime } from '../time.ts';
import { copyIn } from '../usermem.ts';
import { int, size, uint } from './handler.ts';
import type { Handler } from './handler.ts';
import { AT_SYMLINK_NOFOLLOW, CWD, existingAt } from './paths.ts';

const NS = 1_000_000_000n;
const UTIME_NOW = 0x3fffffffn;
const UTIME_OMIT = 0x3ffffffen;
/** Accessed, modified; undefined: as it is. */
type Times = readonly [accessed: bigint | undefined, modified: bigint | undefined];

/** Two pairs of seconds and a fraction, of which there are so many in a second. An error number if they cannot be had. */
function readTimes(linux: Linux, task: Task, address: number, fractions: bigint): Times | bigint {
  const now = realTime(linux);
  if (address === 0) return [now, now];
  const bytes = copyIn(linux, task.process, address, 32);
  if (!bytes) return errno.EFAULT;
  const view = new DataView(bytes.buffer);
  const times: (bigint | undefined)[] = [];
  for (const at of [0, 16]) {
    const fraction = view.getBigInt64(at + 8, true);
    const special = fractions === NS && (fraction === UTIME_NOW || fraction === UTIME_OMIT);
    if (!special && (fraction < 0n || fraction >= fractions)) return errno.EINVAL;
    if (special) times.push(fraction === UTIME_NOW ? now : undefined);
    else times.push(view.getBigInt64(at, true) * NS + fraction * (NS / fractions));
  }
  return [times[0], times[1]];
}

function setTimes(linux: Linux, inode: Inode | undefined, [accessed, modified]: Times): bigint {
  if (!inode || (accessed === undefined && modified === undefined)) return 0n;
  if (accessed !== undefined) inode.accessed = accessed;
  if (modified !== undefined) inode.modified = modified;
  inode.changed = realTime(linux);
  return 0n;
}

function setAt(
  linux: Linux,
  task: Task,
  directory: bigint,
  path: bigint | undefined,
  times: Times | bigint,
  flags = 0,
): bigint {
  if (typeof times === 'bigint') return times;
  const found = existingAt(linux, task, directory, path, !(flags & AT_SYMLINK_NOFOLLOW));
  return typeof found === 'bigint' ? found : setTimes(linux, found.inode, times);
}

export const utimensat: Handler = (linux, task, args) => {
  const times = readTimes(linux, task, size(args[2]), NS);
  if (size(args[1]) !== 0) return setAt(linux, task, args[0]!, args[1], times, uint(args[3]));
  if (typeof times === 'bigint') return times;
  const file = fileOf(task, int(args[0]));
  return file ? setTimes(linux, 'inode' in file ? file.inode : undefined, times) : errno.EBADF;
};
const MICROSECONDS = 1_000_000n;
export const utimes: Handler = (linux, task, args) =>
  setAt(linux, task, CWD, args[0], readTimes(linux, task, size(args[1]), MICROSECONDS));
export const futimesat: Handler = (linux, task, args) =>
  setAt(linux, task, args[0]!, args[1], readTimes(linux, task, size(args[2]), MICROSECONDS));
/** struct utimbuf: two numbers of seconds. */
export const utime: Handler = (linux, task, args) => {
  const now = realTime(linux);
  const bytes = size(args[1]) === 0 ? undefined : copyIn(linux, task.process, size(args[1]), 16);
  if (size(args[1]) !== 0 && !bytes) return errno.EFAULT;
  const view = bytes && new DataView(bytes.buffer);
  const at = (offset: number): bigint => (view ? view.getBigInt64(offset, true) * NS : now);
  return setAt(linux, task, CWD, args[0], [at(0), at(8)]);
};
