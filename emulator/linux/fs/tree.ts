/**
 * The file tree a program sees: an overlay of inodes over the granted host paths, over generated files (/proc, /sys, /dev).
 * What is read from the host is kept as it was read; writes stay in the overlay unless the path was granted for writing.
 */
import type { MachineOptions } from '../../machine/api.ts';
import * as errno from '../errno.ts';
import type { Linux, Inode, Process } from '../state.ts';
import { DEVICES, generate, generatedNames } from './generated.ts';
import { realTime } from '../time.ts';
import { collectPages, createBlobInode, createInode, touch } from './inode.ts';
import { baseName, join, parentOf, tidy, within } from './paths.ts';

const MAX_SYMLINKS = 40;
const MAX_PATH = 4096;
/** Directories every program finds. /tmp and /dev/shm take files, in memory. */
const STANDARD = ['/', '/tmp', '/dev', '/dev/shm', '/proc', '/sys', '/etc'];

export interface Found {
  /** Canonical path. */
  readonly path: string;
  /** Absent: the last component does not exist, but its directory does. */
  readonly inode: Inode | undefined;
}

/** Walks a path. Returns -errno if a directory on the way is missing. */
export function resolve(linux: Linux, process: Process, from: string, path: string, follow = true): Found | bigint {
  if (path === '') return errno.ENOENT;
  if (path.length >= MAX_PATH) return errno.ENAMETOOLONG;
  return walk(linux, process, path.startsWith('/') ? '/' : from, path, follow, { links: 0 });
}

function walk(
  linux: Linux,
  process: Process,
  from: string,
  path: string,
  follow: boolean,
  budget: { links: number },
): Found | bigint {
  let at = from;
  const parts = path.split('/').filter((part) => part !== '' && part !== '.');
  const slash = path.endsWith('/') || path.endsWith('/.');
  for (const [index, part] of parts.entries()) {
    if (part === '..') {
      at = parentOf(at);
      continue;
    }
    if (part.length > 255) return errno.ENAMETOOLONG;
    const last = index === parts.length - 1;
    const next = join(at, part);
    const inode = inodeAt(linux, process, next);
    if (!inode) return last ? { path: next, inode: undefined } : errno.ENOENT;
    if (inode.type === 'symlink' && (!last || follow || slash)) {
      if (++budget.links > MAX_SYMLINKS) return errno.ELOOP;
      const base = inode.target.startsWith('/') ? '/' : at;
      const target = walk(linux, process, base, inode.target, true, budget);
      if (typeof target === 'bigint') return target;
      if (!target.inode) return last ? target : errno.ENOENT;
      if (!last && target.inode.type !== 'directory') return errno.ENOTDIR;
      at = target.path;
      continue;
    }
    if ((!last || slash) && inode.type !== 'directory') return errno.ENOTDIR;
    at = next;
  }
  const inode = inodeAt(linux, process, at);
  return inode ? { path: at, inode } : errno.ENOENT;
}

/** The inode at a canonical path; what comes from the host is entered into the tree. */
export function inodeAt(linux: Linux, process: Process, path: string): Inode | undefined {
  const known = linux.state.tree.get(path);
  if (known !== undefined) return known ?? undefined;
  const generated = generate(linux, process, path);
  if (generated) return generated;
  const found = fromHost(linux, path);
  if (found) linux.state.tree.set(path, found);
  return found;
}

function fromHost(linux: Linux, path: string): Inode | undefined {
  const { options } = linux;
  if (path === programPath(options)) return createBlobInode(linux, path, 0o755, options.program.image);
  if (DEVICES[path]) {
    const inode = createInode(linux, 'device', path, 0o666);
    inode.device = DEVICES[path];
    return inode;
  }
  if (isGranted(linux, path)) {
    const host = readHost(linux, path);
    if (host) return host;
  }
  return leadsToSomething(linux, path) ? createInode(linux, 'directory', path, 0o755) : undefined;
}

function readHost(linux: Linux, path: string): Inode | undefined {
  const { files } = linux.options;
  const stat = files.stat(path);
  if (!stat || stat.type === 'other') return undefined;
  const inode =
    stat.type === 'file'
      ? hostFile(linux, path, stat.mode & 0o7777)
      : createInode(linux, stat.type, path, stat.mode & 0o7777);
  if (!inode) return undefined;
  inode.modified = BigInt(Math.floor(stat.mtime)) * 1_000_000_000n;
  inode.accessed = inode.modified;
  inode.changed = inode.modified;
  if (stat.type === 'symlink') inode.target = files.readLink?.(path) ?? '';
  return inode;
}
function hostFile(linux: Linux, path: string, mode: number): Inode | undefined {
  const content = linux.options.files.readFile(path);
  return content && createBlobInode(linux, path, mode, content);
}

/** Absolute path of the first program. */
export function programPath(options: MachineOptions): string {
  const { path } = options.program;
  return tidy(path.startsWith('/') ? path : join(tidy(options.cwd), path));
}

function isGranted(linux: Linux, path: string): boolean {
  return linux.options.grants.some((grant) => within(path, tidy(grant.path)));
}
function isWriteThrough(linux: Linux, path: string): boolean {
  return linux.options.grants.some((grant) => grant.write && within(path, tidy(grant.path)));
}

/** Directories that exist because something below them does. */
function leadsToSomething(linux: Linux, path: string): boolean {
  const { options } = linux;
  const tops = [...options.grants.map((grant) => grant.path), options.cwd, programPath(options), ...STANDARD].map(tidy);
  return tops.some((top) => within(top, path) && (top !== path || top !== programPath(options)));
}

/** Names in a directory, sorted, without "." and "..". */
export function listDirectory(linux: Linux, process: Process, path: string): string[] {
  const names = new Set<string>(generatedNames(linux, process, path));
  if (isGranted(linux, path)) for (const name of linux.options.files.readDirectory(path) ?? []) names.add(name);
  const { options } = linux;
  for (const top of [...options.grants.map((grant) => grant.path), options.cwd, programPath(options), ...STANDARD]) {
    const tidied = tidy(top);
    if (within(tidied, path) && tidied !== path)
      names.add(tidied.slice(path === '/' ? 1 : path.length + 1).split('/')[0]!);
  }
  for (const device of Object.keys(DEVICES)) if (parentOf(device) === path) names.add(baseName(device));
  for (const [other, inode] of linux.state.tree) {
    if (parentOf(other) !== path || other === path) continue;
    if (inode) names.add(baseName(other));
    else names.delete(baseName(other));
  }
  names.delete('');
  return [...names].sort();
}

/** A directory has another name in it, or one less. One that was never looked at has no times yet. */
function touchParent(linux: Linux, path: string): void {
  const parent = linux.state.tree.get(parentOf(path));
  if (parent) touch(linux, parent);
}

/** Enters a new inode into the tree. */
export function link(linux: Linux, path: string, inode: Inode): void {
  linux.state.tree.set(path, inode);
  inode.changed = realTime(linux);
  touchParent(linux, path);
  if (isWriteThrough(linux, path)) {
    if (inode.type === 'directory') linux.options.files.makeDirectory?.(path);
    else if (inode.type === 'file') inode.dirty = true;
  }
}

/** Takes a name away; open files and mappings keep the inode. */
export function unlink(linux: Linux, path: string): void {
  const inode = linux.state.tree.get(path);
  if (inode) {
    inode.links--;
    inode.changed = realTime(linux);
  }
  linux.state.tree.set(path, null);
  touchParent(linux, path);
  if (isWriteThrough(linux, path)) linux.options.files.remove?.(path);
}

/** Moves a name, and all below it. */
export function rename(linux: Linux, process: Process, from: string, to: string): void {
  const inode = inodeAt(linux, process, from)!;
  if (inode.type === 'directory')
    for (const name of listDirectory(linux, process, from)) rename(linux, process, join(from, name), join(to, name));
  inode.path = to;
  link(linux, to, inode);
  flush(linux, inode);
  inode.links++;
  unlink(linux, from);
}

/** Writes changed content through to the host where that was granted. */
export function flush(linux: Linux, inode: Inode): void {
  if (inode.type !== 'file' || !isWriteThrough(linux, inode.path)) return;
  collectPages(linux, inode);
  if (!inode.dirty || linux.state.tree.get(inode.path) !== inode) return;
  inode.dirty = false;
  linux.options.files.writeFile?.(
    inode.path,
    (inode.data ?? linux.blobs.get(inode.blob) ?? new Uint8Array(0)).slice(0, inode.size),
  );
}

/** A new file, directory or symlink at a resolved path. */
export function create(
  linux: Linux,
  process: Process,
  path: string,
  type: Inode['type'],
  mode: number,
): Inode | bigint {
  const parent = inodeAt(linux, process, parentOf(path));
  if (!parent || parent.type !== 'directory') return errno.ENOENT;
  if (within(path, '/proc') || within(path, '/sys')) return errno.EROFS;
  const inode = createInode(linux, type, path, mode & ~process.fs.umask & 0o7777);
  link(linux, path, inode);
  return inode;
}
