/** open, close, dup, fcntl, ioctl: descriptors and descriptions. */
import * as errno from '../errno.ts';
import { MAX_PIPES, closeFd, createPipe, fileOf, installFile, livePipes, openBase } from '../fs/descriptors.ts';
import { O_ACCMODE, O_APPEND, O_NONBLOCK, writable } from '../fs/io.ts';
import { truncateInode } from '../fs/inode.ts';
import { create, resolve } from '../fs/tree.ts';
import type { Found } from '../fs/tree.ts';
import type { Inode, Linux, OpenFile, Task } from '../state.ts';
import { Packer, copyOut, write32 } from '../usermem.ts';
import { int, size, uint } from './handler.ts';
import type { Handler } from './handler.ts';
import { CWD, resolveAt } from './paths.ts';

const O_CREAT = 0o100;
const O_EXCL = 0o200;
const O_TRUNC = 0o1000;
const O_DIRECTORY = 0o200000;
const O_NOFOLLOW = 0o400000;
const O_CLOEXEC = 0o2000000;
const O_PATH = 0o10000000;
const O_TMPFILE = 0o20000000 | O_DIRECTORY;

function openFound(linux: Linux, task: Task, found: Found, flags: number, mode: number): bigint {
  let { inode } = found;
  if (!inode) {
    if (!(flags & O_CREAT)) return errno.ENOENT;
    const made = create(linux, task.process, found.path, 'file', mode);
    if (typeof made === 'bigint') return made;
    inode = made;
  } else if ((flags & O_CREAT) !== 0 && (flags & O_EXCL) !== 0) return errno.EEXIST;
  if (inode.type === 'symlink' && !(flags & O_PATH)) return errno.ELOOP;
  if (flags & O_DIRECTORY && inode.type !== 'directory') return errno.ENOTDIR;
  const writes = (flags & O_ACCMODE) !== 0;
  if (inode.type === 'directory' && (writes || flags & O_CREAT)) return errno.EISDIR;
  if (writes && inode.type === 'file' && !(inode.mode & 0o222)) return errno.EACCES;
  if (writes && flags & O_TRUNC && inode.type === 'file' && !truncateInode(linux, inode, 0)) return errno.ENOSPC;
  const file = describe(linux, inode, found.path, flags & ~(O_CREAT | O_EXCL | O_TRUNC | O_CLOEXEC));
  if (typeof file === 'bigint') return file;
  return installFile(task.process, file, (flags & O_CLOEXEC) !== 0);
}

function describe(linux: Linux, inode: Inode, path: string, flags: number): OpenFile | bigint {
  const base = openBase(linux, flags, path);
  if (inode.type === 'directory') return { ...base, kind: 'directory', inode, offset: 0 };
  if (inode.type !== 'device') return { ...base, kind: 'file', inode, offset: 0 };
  if (inode.device === 'dune' && !linux.dune) return errno.ENXIO;
  return { ...base, kind: 'device', device: inode.device!, inode };
}

/** /proc/self/fd/N of something that has no path: the description itself is shared. */
function openThroughFd(task: Task, path: string, flags: number): bigint | undefined {
  const match = /^(?:\/proc\/self\/fd|\/dev\/fd)\/(\d+)$|^\/dev\/(stdin|stdout|stderr)$/.exec(path);
  if (!match) return undefined;
  const fd = match[1] ? Number(match[1]) : ['stdin', 'stdout', 'stderr'].indexOf(match[2]!);
  const file = fileOf(task, fd);
  if (!file || file.kind === 'file' || file.kind === 'directory') return undefined;
  file.references++;
  return installFile(task.process, file, (flags & O_CLOEXEC) !== 0);
}

function openAt(
  linux: Linux,
  task: Task,
  directory: bigint,
  argument: bigint | undefined,
  flags: number,
  mode: number,
): bigint {
  if ((flags & O_TMPFILE) === O_TMPFILE) return errno.ENOTSUP;
  const nofollow = (flags & O_NOFOLLOW) !== 0 || (flags & (O_CREAT | O_EXCL)) === (O_CREAT | O_EXCL);
  const direct = resolveAt(linux, task, directory, argument, false);
  if (typeof direct === 'bigint') return direct;
  const shared = openThroughFd(task, direct.path, flags);
  if (shared !== undefined) return shared;
  const found = nofollow || direct.inode?.type !== 'symlink' ? direct : resolve(linux, task.process, '/', direct.path);
  return typeof found === 'bigint' ? found : openFound(linux, task, found, flags, mode);
}

export const open: Handler = (linux, task, args) => openAt(linux, task, CWD, args[0], uint(args[1]), uint(args[2]));
export const openat: Handler = (linux, task, args) =>
  openAt(linux, task, args[0]!, args[1], uint(args[2]), uint(args[3]));
export const creat: Handler = (linux, task, args) =>
  openAt(linux, task, CWD, args[0], O_CREAT | O_TRUNC | 1, uint(args[1]));

export const close: Handler = (linux, task, args) => closeFd(linux, task.process.fds, int(args[0]));
export const closeRange: Handler = (linux, task, args) => {
  const CLOSE_RANGE_CLOEXEC = 4;
  const { fds } = task.process;
  const last = Math.min(uint(args[1]), fds.entries.length - 1);
  if (uint(args[0]) > uint(args[1])) return errno.EINVAL;
  for (let fd = uint(args[0]); fd <= last; fd++) {
    if (!fds.entries[fd]) continue;
    if (uint(args[2]) & CLOSE_RANGE_CLOEXEC) fds.entries[fd]!.closeOnExec = true;
    else closeFd(linux, fds, fd);
  }
  return 0n;
};

export const dup: Handler = (_linux, task, args) => duplicate(task, int(args[0]), 0, false);
function duplicate(task: Task, fd: number, lowest: number, closeOnExec: boolean): bigint {
  const file = fileOf(task, fd);
  if (!file) return errno.EBADF;
  const copy = installFile(task.process, file, closeOnExec, lowest);
  if (copy >= 0n) file.references++;
  return copy;
}

function duplicateTo(linux: Linux, task: Task, from: number, to: number, closeOnExec: boolean): bigint {
  const file = fileOf(task, from);
  if (!file || to < 0 || to >= Number(task.process.limits[7]![0])) return errno.EBADF;
  const { fds } = task.process;
  file.references++;
  closeFd(linux, fds, to);
  while (fds.entries.length <= to) fds.entries.push(undefined);
  fds.entries[to] = { file, closeOnExec };
  return BigInt(to);
}
export const dup2: Handler = (linux, task, args) => {
  const from = int(args[0]);
  const to = int(args[1]);
  if (from === to) return fileOf(task, from) ? BigInt(to) : errno.EBADF;
  return duplicateTo(linux, task, from, to, false);
};
export const dup3: Handler = (linux, task, args) => {
  if (int(args[0]) === int(args[1])) return errno.EINVAL;
  return duplicateTo(linux, task, int(args[0]), int(args[1]), (uint(args[2]) & O_CLOEXEC) !== 0);
};

export const fcntl: Handler = (linux, task, args) => {
  const fd = int(args[0]);
  const entry = task.process.fds.entries[fd];
  if (!entry) return errno.EBADF;
  const value = uint(args[2]);
  switch (int(args[1])) {
    case 0: // F_DUPFD
      return duplicate(task, fd, value, false);
    case 1: // F_GETFD
      return entry.closeOnExec ? 1n : 0n;
    case 2: // F_SETFD
      entry.closeOnExec = (value & 1) !== 0;
      return 0n;
    case 3: // F_GETFL
      return BigInt(entry.file.flags | (entry.file.kind === 'file' ? 0o100000 : 0));
    case 4: // F_SETFL
      entry.file.flags = (entry.file.flags & ~(O_APPEND | O_NONBLOCK)) | (value & (O_APPEND | O_NONBLOCK));
      return 0n;
    case 5: // F_GETLK: nobody else holds a lock
      return copyOut(linux, task.process, size(args[2]), new Uint8Array([2, 0])) ? 0n : errno.EFAULT;
    case 6: // F_SETLK
    case 7: // F_SETLKW
      return 0n;
    case 1030: // F_DUPFD_CLOEXEC
      return duplicate(task, fd, value, true);
    case 1031: // F_SETPIPE_SZ
    case 1032: // F_GETPIPE_SZ
      return entry.file.kind === 'pipe' ? BigInt(entry.file.pipe.data.length) : errno.EBADF;
    default:
      return errno.EINVAL;
  }
};

const FIONREAD = 0x541b;
const FIONBIO = 0x5421;
const FIOCLEX = 0x5451;
export const ioctl: Handler = (linux, task, args) => {
  const fd = int(args[0]);
  const request = uint(args[1]);
  const entry = task.process.fds.entries[fd];
  if (!entry) return errno.EBADF;
  const { file } = entry;
  if (file.kind === 'device' && file.device === 'dune')
    return linux.dune ? linux.dune.ioctl(task, file.id, request, args[2]!) : errno.ENOTTY;
  if (request === FIOCLEX) {
    entry.closeOnExec = true;
    return 0n;
  }
  if (request === FIONBIO) {
    file.flags |= O_NONBLOCK;
    return 0n;
  }
  // No terminal is modelled: TCGETS and the like say so, which makes the C library buffer fully.
  if (request !== FIONREAD) return errno.ENOTTY;
  const waiting = waitingBytes(linux, file);
  if (waiting === undefined) return errno.ENOTTY;
  return write32(linux, task.process, size(args[2]), waiting) ? 0n : errno.EFAULT;
};
function waitingBytes(linux: Linux, file: OpenFile): number | undefined {
  switch (file.kind) {
    case 'file':
      return Math.max(0, file.inode.size - file.offset);
    case 'pipe':
      return file.pipe.length;
    case 'socket':
      return file.receive.length;
    case 'stdin':
      return linux.state.stdin.chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    default:
      return undefined;
  }
}

export const lseek: Handler = (_linux, task, args) => {
  const file = fileOf(task, int(args[0]));
  if (!file) return errno.EBADF;
  if (file.kind !== 'file' && file.kind !== 'directory') return file.kind === 'device' ? 0n : errno.ESPIPE;
  const offset = Number(BigInt.asIntN(64, args[1]!));
  const { size: end } = file.inode;
  const origins = [0, file.offset, end];
  const whence = int(args[2]);
  let target = (origins[whence] ?? 0) + offset;
  if (whence === 3 || whence === 4) {
    // SEEK_DATA and SEEK_HOLE: files have no holes but the end.
    if (offset < 0 || offset >= end) return errno.ENXIO;
    target = whence === 3 ? offset : end;
  } else if (whence < 0 || whence > 4) return errno.EINVAL;
  if (target < 0) return errno.EINVAL;
  file.offset = target;
  return BigInt(target);
};

export const pipe2: Handler = (linux, task, args) => makePipe(linux, task, size(args[0]), uint(args[1]));
export const pipe: Handler = (linux, task, args) => makePipe(linux, task, size(args[0]), 0);
function makePipe(linux: Linux, task: Task, address: number, flags: number): bigint {
  if (livePipes(linux) >= MAX_PIPES) return errno.ENFILE;
  const made = createPipe(linux);
  const name = `pipe:[${made.id}]`;
  const status = flags & O_NONBLOCK;
  const ends: OpenFile[] = [
    { ...openBase(linux, status, name), kind: 'pipe', pipe: made, end: 'read' },
    { ...openBase(linux, status | 1, name), kind: 'pipe', pipe: made, end: 'write' },
  ];
  return installPair(linux, task, address, ends, (flags & O_CLOEXEC) !== 0);
}

export const socketpair: Handler = (linux, task, args) => {
  const AF_UNIX = 1;
  if (int(args[0]) !== AF_UNIX) return errno.EAFNOSUPPORT;
  if (livePipes(linux) >= MAX_PIPES) return errno.ENFILE;
  const flags = uint(args[1]);
  const [there, back] = [createPipe(linux), createPipe(linux)];
  const status = (flags & O_NONBLOCK) | 2;
  const ends: OpenFile[] = [
    { ...openBase(linux, status, `socket:[${there.id}]`), kind: 'socket', receive: there, send: back },
    { ...openBase(linux, status, `socket:[${back.id}]`), kind: 'socket', receive: back, send: there },
  ];
  return installPair(linux, task, size(args[3]), ends, (flags & O_CLOEXEC) !== 0);
};

function installPair(linux: Linux, task: Task, address: number, ends: OpenFile[], closeOnExec: boolean): bigint {
  const fds = ends.map((end) => installFile(task.process, end, closeOnExec));
  const failed = fds.find((fd) => fd < 0n);
  const stored = new Packer(8).u32(0, Number(fds[0]) >>> 0).u32(4, Number(fds[1]) >>> 0);
  if (failed === undefined && copyOut(linux, task.process, address, stored.bytes)) return 0n;
  for (const fd of fds) if (fd >= 0n) closeFd(linux, task.process.fds, Number(fd));
  return failed ?? errno.EFAULT;
}

export const eventfd2: Handler = (linux, task, args) => {
  const EFD_SEMAPHORE = 1;
  const flags = uint(args[1]);
  const file: OpenFile = {
    ...openBase(linux, (flags & O_NONBLOCK) | 2, 'anon_inode:[eventfd]'),
    kind: 'event',
    counter: BigInt(uint(args[0])),
    semaphore: (flags & EFD_SEMAPHORE) !== 0,
  };
  return installFile(task.process, file, (flags & O_CLOEXEC) !== 0);
};

export const ftruncate: Handler = (linux, task, args) => {
  const file = fileOf(task, int(args[0]));
  if (!file) return errno.EBADF;
  if (file.kind !== 'file' || !writable(file) || size(args[1]) > 0x40000000) return errno.EINVAL;
  return truncateInode(linux, file.inode, size(args[1])) ? 0n : errno.ENOSPC;
};
export const fallocate: Handler = (linux, task, args) => {
  const file = fileOf(task, int(args[0]));
  if (!file) return errno.EBADF;
  const end = size(args[2]) + size(args[3]);
  if (file.kind !== 'file' || int(args[1]) !== 0 || end > 0x40000000) return errno.ENOTSUP;
  return end <= file.inode.size || truncateInode(linux, file.inode, end) ? 0n : errno.ENOSPC;
};
export const memfdCreate: Handler = (linux, task, args) => {
  const made = create(linux, task.process, `/dev/shm/memfd:${linux.state.nextId}`, 'file', 0o600);
  if (typeof made === 'bigint') return made;
  const file: OpenFile = { ...openBase(linux, 2, `/memfd:${made.id} (deleted)`), kind: 'file', inode: made, offset: 0 };
  return installFile(task.process, file, (uint(args[1]) & 1) !== 0);
};
export const eventfd: Handler = (linux, task, args) => eventfd2(linux, task, [args[0]!, 0n]);
