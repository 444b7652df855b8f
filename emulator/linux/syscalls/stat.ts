/** stat and its variants, access, and the numbers of files. */
import * as errno from '../errno.ts';
import { fileOf } from '../fs/descriptors.ts';
import type { Inode, Linux, OpenFile, Task } from '../state.ts';
import { EPOCH_NS } from '../time.ts';
import { Packer, copyIn, copyOut } from '../usermem.ts';
import { int, size, uint } from './handler.ts';
import type { Handler } from './handler.ts';
import { AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW, CWD, existingAt } from './paths.ts';

const S_IFMT = { file: 0o100000, directory: 0o040000, symlink: 0o120000, device: 0o020000 } as const;
const S_IFIFO = 0o010000;
const S_IFSOCK = 0o140000;
const S_IFCHR = 0o020000;

interface Attributes {
  readonly inode: number;
  readonly mode: number;
  readonly links: number;
  readonly size: number;
  readonly device: number;
  /** ns since 1970: accessed, modified, changed. */
  readonly times: readonly [bigint, bigint, bigint];
}

function ofInode(inode: Inode): Attributes {
  return {
    inode: inode.id,
    mode: S_IFMT[inode.type] | inode.mode,
    links: inode.type === 'directory' ? 2 : Math.max(0, inode.links),
    size: inode.type === 'symlink' ? inode.target.length : inode.size,
    device: inode.type === 'device' ? deviceNumber(inode) : 0,
    times: [inode.accessed, inode.modified, inode.changed],
  };
}
/** major << 8 | minor */
function deviceNumber(inode: Inode): number {
  const minors = { null: 0x103, zero: 0x105, full: 0x107, random: 0x109, tty: 0x500, dune: 0xae9 } as const;
  return minors[inode.device ?? 'null'];
}
function ofFile(file: OpenFile): Attributes {
  if (file.kind === 'file' || file.kind === 'directory' || file.kind === 'device') return ofInode(file.inode);
  const mode =
    file.kind === 'pipe'
      ? S_IFIFO | 0o600
      : file.kind === 'socket'
        ? S_IFSOCK | 0o777
        : file.kind === 'stdin' || file.kind === 'output'
          ? S_IFIFO | 0o600
          : S_IFCHR | 0o600;
  return { inode: file.id, mode, links: 1, size: 0, device: 0, times: [EPOCH_NS, EPOCH_NS, EPOCH_NS] };
}

function putTimes(packed: Packer, { times }: Attributes, offsets: readonly number[]): void {
  offsets.forEach((offset, index) => {
    const time = times[index]!;
    const second = 1_000_000_000n;
    const fraction = ((time % second) + second) % second;
    packed.u64(offset, BigInt.asUintN(64, (time - fraction) / second)).u32(offset + 8, Number(fraction));
  });
}

/** struct stat, 144 bytes. */
function packStat(at: Attributes): Uint8Array {
  const packed = new Packer(144)
    .u64(0, 0x801)
    .u64(8, at.inode)
    .u64(16, at.links)
    .u32(24, at.mode)
    .u32(28, 1000)
    .u32(32, 1000);
  packed
    .u64(40, at.device)
    .u64(48, at.size)
    .u64(56, 4096)
    .u64(64, Math.ceil(at.size / 512));
  putTimes(packed, at, [72, 88, 104]);
  return packed.bytes;
}
/** struct statx, 256 bytes; STATX_BASIC_STATS. */
function packStatx(at: Attributes): Uint8Array {
  const packed = new Packer(256)
    .u32(0, 0x7ff)
    .u32(4, 4096)
    .u32(16, at.links)
    .u32(20, 1000)
    .u32(24, 1000)
    .u16(28, at.mode);
  packed
    .u64(32, at.inode)
    .u64(40, at.size)
    .u64(48, Math.ceil(at.size / 512));
  putTimes(packed, at, [64, 112, 96]);
  return packed
    .u32(128, at.device >> 8)
    .u32(132, at.device & 0xff)
    .u32(136, 8)
    .u32(140, 1).bytes;
}

function attributesAt(
  linux: Linux,
  task: Task,
  directory: bigint,
  path: bigint | undefined,
  flags: number,
): Attributes | bigint {
  if (flags & AT_EMPTY_PATH) {
    const first = copyIn(linux, task.process, size(path), 1);
    if (first?.[0] === 0) {
      const file = fileOf(task, int(directory));
      return file ? ofFile(file) : errno.EBADF;
    }
  }
  const found = existingAt(linux, task, directory, path, !(flags & AT_SYMLINK_NOFOLLOW));
  return typeof found === 'bigint' ? found : ofInode(found.inode);
}
function store(linux: Linux, task: Task, address: bigint | undefined, attributes: Attributes | bigint): bigint {
  if (typeof attributes === 'bigint') return attributes;
  return copyOut(linux, task.process, size(address), packStat(attributes)) ? 0n : errno.EFAULT;
}

export const stat: Handler = (linux, task, args) =>
  store(linux, task, args[1], attributesAt(linux, task, CWD, args[0], 0));
export const lstat: Handler = (linux, task, args) =>
  store(linux, task, args[1], attributesAt(linux, task, CWD, args[0], AT_SYMLINK_NOFOLLOW));
export const fstat: Handler = (linux, task, args) => {
  const file = fileOf(task, int(args[0]));
  return store(linux, task, args[1], file ? ofFile(file) : errno.EBADF);
};
export const newfstatat: Handler = (linux, task, args) =>
  store(linux, task, args[2], attributesAt(linux, task, args[0]!, args[1], uint(args[3])));
export const statx: Handler = (linux, task, args) => {
  const attributes = attributesAt(linux, task, args[0]!, args[1], uint(args[2]));
  if (typeof attributes === 'bigint') return attributes;
  return copyOut(linux, task.process, size(args[4]), packStatx(attributes)) ? 0n : errno.EFAULT;
};

function check(
  linux: Linux,
  task: Task,
  directory: bigint,
  path: bigint | undefined,
  mode: number,
  flags: number,
): bigint {
  const found = existingAt(linux, task, directory, path, !(flags & AT_SYMLINK_NOFOLLOW));
  if (typeof found === 'bigint') return found;
  const { inode } = found;
  const needs = (mode & 4 ? 0o444 : 0) | (mode & 2 ? 0o222 : 0) | (mode & 1 ? 0o111 : 0);
  const missing = [0o444, 0o222, 0o111].some((bits) => needs & bits && !(inode.mode & bits));
  return missing ? errno.EACCES : 0n;
}
export const access: Handler = (linux, task, args) => check(linux, task, CWD, args[0], int(args[1]), 0);
export const faccessat: Handler = (linux, task, args) => check(linux, task, args[0]!, args[1], int(args[2]), 0);
export const faccessat2: Handler = (linux, task, args) =>
  check(linux, task, args[0]!, args[1], int(args[2]), uint(args[3]));

/** struct statfs of a tmpfs, 120 bytes. */
function packFilesystem(linux: Linux): Uint8Array {
  const { frames } = linux.state;
  return new Packer(120)
    .u64(0, 0x01021994)
    .u64(8, 4096)
    .u64(16, frames.references.length)
    .u64(24, frames.free)
    .u64(32, frames.free)
    .u64(40, 1 << 20)
    .u64(48, 1 << 20)
    .u64(64, 255)
    .u64(72, 4096).bytes;
}
export const statfs: Handler = (linux, task, args) => {
  const found = existingAt(linux, task, CWD, args[0], true);
  if (typeof found === 'bigint') return found;
  return copyOut(linux, task.process, size(args[1]), packFilesystem(linux)) ? 0n : errno.EFAULT;
};
export const fstatfs: Handler = (linux, task, args) => {
  if (!fileOf(task, int(args[0]))) return errno.EBADF;
  return copyOut(linux, task.process, size(args[1]), packFilesystem(linux)) ? 0n : errno.EFAULT;
};
