/** uname, sysinfo, getrandom and other facts about the machine. */
import * as errno from '../errno.ts';
import { randomBytes } from '../random.ts';
import { PAGE } from '../frames.ts';
import { now } from '../time.ts';
import { Packer, copyOut } from '../usermem.ts';
import { size, uint } from './handler.ts';
import type { Handler } from './handler.ts';

const UTSNAME_FIELD = 65;
export const uname: Handler = (linux, task, args) => {
  const packed = new Packer(UTSNAME_FIELD * 6);
  ['Linux', 'dune', '6.1.0-dune', '#1 SMP Dune Debug', 'x86_64', '(none)'].forEach((text, index) =>
    packed.text(index * UTSNAME_FIELD, text),
  );
  return copyOut(linux, task.process, size(args[0]), packed.bytes) ? 0n : errno.EFAULT;
};

/** struct sysinfo, 112 bytes. */
export const sysinfo: Handler = (linux, task, args) => {
  const { frames, tasks } = linux.state;
  const packed = new Packer(112)
    .u64(0, Math.floor(now(linux) / 1e9))
    .u64(32, frames.references.length * PAGE)
    .u64(40, frames.free * PAGE)
    .u16(80, tasks.size)
    .u32(104, 1);
  return copyOut(linux, task.process, size(args[0]), packed.bytes) ? 0n : errno.EFAULT;
};

/** A longer request is cut short, as an interrupted one would be. */
const LARGEST_RANDOM = 0x100000;
export const getrandom: Handler = (linux, task, args) => {
  const GRND_MASK = 7;
  if (uint(args[2]) & ~GRND_MASK) return errno.EINVAL;
  const count = Math.min(size(args[1]), LARGEST_RANDOM);
  return copyOut(linux, task.process, size(args[0]), randomBytes(linux, count)) ? BigInt(count) : errno.EFAULT;
};

export const getpriority: Handler = () => 20n;
export const succeed: Handler = () => 0n;

/** Restartable sequences are not registered: the C library goes on without, and nothing is worth a report. */
export const notSupported: Handler = () => errno.ENOSYS;
