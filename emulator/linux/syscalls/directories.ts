/** Names: directories, links, renames, permissions. */
import * as errno from '../errno.ts';
import { fileOf } from '../fs/descriptors.ts';
import { join, parentOf, within } from '../fs/paths.ts';
import { create, flush, inodeAt, link, listDirectory, rename, unlink } from '../fs/tree.ts';
import { truncateInode } from '../fs/inode.ts';
import type { Inode, Linux, Task } from '../state.ts';
import { realTime } from '../time.ts';
import { copyOut } from '../usermem.ts';
import { int, size, uint } from './handler.ts';
import type { Handler } from './handler.ts';
import { AT_REMOVEDIR, AT_SYMLINK_FOLLOW, CWD, existingAt, pathArgument, resolveAt } from './paths.ts';

const DT = { file: 8, directory: 4, symlink: 10, device: 2 } as const;

export const getdents64: Handler = (linux, task, args) => {
  const file = fileOf(task, int(args[0]));
  if (!file) return errno.EBADF;
  if (file.kind !== 'directory') return errno.ENOTDIR;
  const { path } = file.inode;
  const names = ['.', '..', ...listDirectory(linux, task.process, path)];
  const room = Math.min(size(args[2]), 0x100000);
  const records: Uint8Array[] = [];
  let used = 0;
  let index = file.offset;
  for (; index < names.length; index++) {
    const record = packEntry(linux, task, file.inode, path, names[index]!, index + 1);
    if (used + record.length > room) break;
    records.push(record);
    used += record.length;
  }
  if (used === 0 && index < names.length) return errno.EINVAL;
  let at = size(args[1]);
  for (const record of records) {
    if (!copyOut(linux, task.process, at, record)) return errno.EFAULT;
    at += record.length;
  }
  file.offset = index;
  return BigInt(used);
};
/** struct linux_dirent64 */
function packEntry(linux: Linux, task: Task, self: Inode, path: string, name: string, next: number): Uint8Array {
  const inode = name === '.' ? self : inodeAt(linux, task.process, name === '..' ? parentOf(path) : join(path, name));
  const text = new TextEncoder().encode(name);
  const record = new Uint8Array((19 + text.length + 1 + 7) & ~7);
  const view = new DataView(record.buffer);
  view.setBigUint64(0, BigInt(inode?.id ?? 1), true);
  view.setBigUint64(8, BigInt(next), true);
  view.setUint16(16, record.length, true);
  record[18] = DT[inode?.type ?? 'file'];
  record.set(text, 19);
  return record;
}

function readlinkAt(
  linux: Linux,
  task: Task,
  directory: bigint,
  path: bigint | undefined,
  buffer: number,
  room: number,
): bigint {
  const found = existingAt(linux, task, directory, path, false);
  if (typeof found === 'bigint') return found;
  if (found.inode.type !== 'symlink' || room <= 0) return errno.EINVAL;
  const target = new TextEncoder().encode(found.inode.target).subarray(0, room);
  return copyOut(linux, task.process, buffer, target) ? BigInt(target.length) : errno.EFAULT;
}
export const readlink: Handler = (linux, task, args) =>
  readlinkAt(linux, task, CWD, args[0], size(args[1]), int(args[2]));
export const readlinkat: Handler = (linux, task, args) =>
  readlinkAt(linux, task, args[0]!, args[1], size(args[2]), int(args[3]));

export const getcwd: Handler = (linux, task, args) => {
  const text = new TextEncoder().encode(`${task.process.fs.cwd}\0`);
  if (text.length > size(args[1])) return errno.ERANGE;
  return copyOut(linux, task.process, size(args[0]), text) ? BigInt(text.length) : errno.EFAULT;
};
export const chdir: Handler = (linux, task, args) => {
  const found = existingAt(linux, task, CWD, args[0], true);
  if (typeof found === 'bigint') return found;
  if (found.inode.type !== 'directory') return errno.ENOTDIR;
  task.process.fs.cwd = found.path;
  return 0n;
};
export const fchdir: Handler = (_linux, task, args) => {
  const file = fileOf(task, int(args[0]));
  if (!file) return errno.EBADF;
  if (file.kind !== 'directory') return errno.ENOTDIR;
  task.process.fs.cwd = file.inode.path;
  return 0n;
};

function makeDirectory(linux: Linux, task: Task, directory: bigint, path: bigint | undefined, mode: number): bigint {
  const found = resolveAt(linux, task, directory, path, false);
  if (typeof found === 'bigint') return found;
  if (found.inode) return errno.EEXIST;
  const made = create(linux, task.process, found.path, 'directory', mode);
  return typeof made === 'bigint' ? made : 0n;
}
export const mkdir: Handler = (linux, task, args) => makeDirectory(linux, task, CWD, args[0], uint(args[1]));
export const mkdirat: Handler = (linux, task, args) => makeDirectory(linux, task, args[0]!, args[1], uint(args[2]));

function remove(
  linux: Linux,
  task: Task,
  directory: bigint,
  path: bigint | undefined,
  wantsDirectory: boolean,
): bigint {
  const found = existingAt(linux, task, directory, path, false);
  if (typeof found === 'bigint') return found;
  const isDirectory = found.inode.type === 'directory';
  if (wantsDirectory && !isDirectory) return errno.ENOTDIR;
  if (!wantsDirectory && isDirectory) return errno.EISDIR;
  if (within(found.path, '/proc') || within(found.path, '/sys') || found.path === '/') return errno.EPERM;
  if (isDirectory && listDirectory(linux, task.process, found.path).length > 0) return errno.ENOTEMPTY;
  unlink(linux, found.path);
  return 0n;
}
export const unlinkHandler: Handler = (linux, task, args) => remove(linux, task, CWD, args[0], false);
export const rmdir: Handler = (linux, task, args) => remove(linux, task, CWD, args[0], true);
export const unlinkat: Handler = (linux, task, args) =>
  remove(linux, task, args[0]!, args[1], (uint(args[2]) & AT_REMOVEDIR) !== 0);

const RENAME_NOREPLACE = 1;
function renameAt(linux: Linux, task: Task, args: readonly (bigint | undefined)[], flags: number): bigint {
  const [fromDirectory, fromPath, toDirectory, toPath] = args;
  const from = existingAt(linux, task, fromDirectory!, fromPath, false);
  if (typeof from === 'bigint') return from;
  const to = resolveAt(linux, task, toDirectory!, toPath, false);
  if (typeof to === 'bigint') return to;
  if (flags & ~RENAME_NOREPLACE) return errno.EINVAL;
  if (to.inode && flags & RENAME_NOREPLACE) return errno.EEXIST;
  if (from.path === to.path || from.inode === to.inode) return 0n;
  if (from.inode.type === 'directory' && within(to.path, from.path)) return errno.EINVAL;
  if (to.inode?.type === 'directory') {
    if (from.inode.type !== 'directory') return errno.EISDIR;
    if (listDirectory(linux, task.process, to.path).length > 0) return errno.ENOTEMPTY;
  } else if (to.inode && from.inode.type === 'directory') return errno.ENOTDIR;
  if (to.inode) unlink(linux, to.path);
  rename(linux, task.process, from.path, to.path);
  return 0n;
}
export const renameHandler: Handler = (linux, task, args) => renameAt(linux, task, [CWD, args[0], CWD, args[1]], 0);
export const renameat: Handler = (linux, task, args) => renameAt(linux, task, args, 0);
export const renameat2: Handler = (linux, task, args) => renameAt(linux, task, args, uint(args[4]));

function linkAt(linux: Linux, task: Task, args: readonly (bigint | undefined)[], follow: boolean): bigint {
  const from = existingAt(linux, task, args[0]!, args[1], follow);
  if (typeof from === 'bigint') return from;
  const to = resolveAt(linux, task, args[2]!, args[3], false);
  if (typeof to === 'bigint') return to;
  if (to.inode) return errno.EEXIST;
  if (from.inode.type === 'directory') return errno.EPERM;
  from.inode.links++;
  link(linux, to.path, from.inode);
  return 0n;
}
export const linkHandler: Handler = (linux, task, args) => linkAt(linux, task, [CWD, args[0], CWD, args[1]], false);
export const linkat: Handler = (linux, task, args) =>
  linkAt(linux, task, args, (uint(args[4]) & AT_SYMLINK_FOLLOW) !== 0);

function symlinkAt(
  linux: Linux,
  task: Task,
  target: bigint | undefined,
  directory: bigint,
  path: bigint | undefined,
): bigint {
  const text = pathArgument(linux, task, target);
  if (typeof text === 'bigint') return text;
  const to = resolveAt(linux, task, directory, path, false);
  if (typeof to === 'bigint') return to;
  if (to.inode) return errno.EEXIST;
  const made = create(linux, task.process, to.path, 'symlink', 0o777);
  if (typeof made === 'bigint') return made;
  made.target = text;
  return 0n;
}
export const symlink: Handler = (linux, task, args) => symlinkAt(linux, task, args[0], CWD, args[1]);
export const symlinkat: Handler = (linux, task, args) => symlinkAt(linux, task, args[0], args[1]!, args[2]);

function setMode(linux: Linux, inode: Inode, mode: number): void {
  inode.mode = mode & 0o7777;
  inode.changed = realTime(linux);
}
function changeMode(linux: Linux, task: Task, directory: bigint, path: bigint | undefined, mode: number): bigint {
  const found = existingAt(linux, task, directory, path, true);
  if (typeof found === 'bigint') return found;
  setMode(linux, found.inode, mode);
  return 0n;
}
export const chmod: Handler = (linux, task, args) => changeMode(linux, task, CWD, args[0], uint(args[1]));
export const fchmodat: Handler = (linux, task, args) => changeMode(linux, task, args[0]!, args[1], uint(args[2]));
export const fchmod: Handler = (linux, task, args) => {
  const file = fileOf(task, int(args[0]));
  if (!file) return errno.EBADF;
  if (file.kind === 'file' || file.kind === 'directory') setMode(linux, file.inode, uint(args[1]));
  return 0n;
};
/** There is one user; changing owners to oneself is all that can succeed. */
export const chown: Handler = (linux, task, args) => {
  const found = existingAt(linux, task, CWD, args[0], true);
  return typeof found === 'bigint' ? found : ownerChange(int(args[1]), int(args[2]));
};
export const fchown: Handler = (_linux, task, args) =>
  fileOf(task, int(args[0])) ? ownerChange(int(args[1]), int(args[2])) : errno.EBADF;
export const fchownat: Handler = (linux, task, args) => {
  const found = existingAt(linux, task, args[0]!, args[1], true);
  return typeof found === 'bigint' ? found : ownerChange(int(args[2]), int(args[3]));
};
function ownerChange(user: number, group: number): bigint {
  return (user === 1000 || user === -1) && (group === 1000 || group === -1) ? 0n : errno.EPERM;
}

export const umask: Handler = (_linux, task, args) => {
  const old = task.process.fs.umask;
  task.process.fs.umask = uint(args[0]) & 0o777;
  return BigInt(old);
};
export const truncate: Handler = (linux, task, args) => {
  const found = existingAt(linux, task, CWD, args[0], true);
  if (typeof found === 'bigint') return found;
  if (found.inode.type !== 'file') return errno.EISDIR;
  if (size(args[1]) > 0x40000000) return errno.EFBIG;
  if (!truncateInode(linux, found.inode, size(args[1]))) return errno.ENOSPC;
  flush(linux, found.inode);
  return 0n;
};
export const fsync: Handler = (linux, task, args) => {
  const file = fileOf(task, int(args[0]));
  if (!file) return errno.EBADF;
  if (file.kind === 'file') flush(linux, file.inode);
  return file.kind === 'file' || file.kind === 'directory' ? 0n : errno.EINVAL;
};
