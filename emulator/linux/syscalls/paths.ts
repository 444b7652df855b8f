/** Reading path arguments. */
import * as errno from '../errno.ts';
import { fileOf } from '../fs/descriptors.ts';
import { resolve } from '../fs/tree.ts';
import type { Found } from '../fs/tree.ts';
import type { Inode, Linux, Task } from '../state.ts';
import { readString } from '../usermem.ts';
import { int, size } from './handler.ts';

export const AT_FDCWD = -100;
export const AT_SYMLINK_NOFOLLOW = 0x100;
export const AT_REMOVEDIR = 0x200;
export const AT_SYMLINK_FOLLOW = 0x400;
export const AT_EMPTY_PATH = 0x1000;

export function pathArgument(linux: Linux, task: Task, argument: bigint | undefined): string | bigint {
  const text = readString(linux, task.process, size(argument));
  if (text === undefined) return errno.EFAULT;
  return text === null ? errno.ENAMETOOLONG : text;
}

/** Where a relative path of an *at call begins. */
function base(task: Task, directory: bigint, path: string): string | bigint {
  const fd = int(directory);
  if (path.startsWith('/') || fd === AT_FDCWD) return task.process.fs.cwd;
  const file = fileOf(task, fd);
  if (!file) return errno.EBADF;
  return file.kind === 'directory' ? file.inode.path : errno.ENOTDIR;
}

/** Resolves the path an *at call names. */
export function resolveAt(
  linux: Linux,
  task: Task,
  directory: bigint,
  argument: bigint | undefined,
  follow: boolean,
): Found | bigint {
  const path = pathArgument(linux, task, argument);
  if (typeof path === 'bigint') return path;
  const from = base(task, directory, path);
  return typeof from === 'bigint' ? from : resolve(linux, task.process, from, path, follow);
}

/** As resolveAt, but the file must exist. */
export function existingAt(
  linux: Linux,
  task: Task,
  directory: bigint,
  argument: bigint | undefined,
  follow: boolean,
): (Found & { inode: Inode }) | bigint {
  const found = resolveAt(linux, task, directory, argument, follow);
  if (typeof found === 'bigint') return found;
  return found.inode ? { path: found.path, inode: found.inode } : errno.ENOENT;
}

export const CWD = BigInt(AT_FDCWD);
