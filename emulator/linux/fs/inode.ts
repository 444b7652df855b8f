/** File content and its page cache. */
import { PAGE, allocateFrame, release } from '../frames.ts';
import { newId } from '../state.ts';
import type { Inode, Linux } from '../state.ts';
import { realTime } from '../time.ts';

/** Largest file: keeps a runaway guest from exhausting the host. */
export const MAX_FILE = 0x40000000;

export function createInode(linux: Linux, type: Inode['type'], path: string, mode: number): Inode {
  const now = realTime(linux);
  return {
    id: newId(linux),
    type,
    mode,
    path,
    blob: 0,
    data: undefined,
    size: 0,
    accessed: now,
    modified: now,
    changed: now,
    links: 1,
    pages: new Map(),
    dirty: false,
    target: '',
    device: undefined,
  };
}

/** A file whose content never changes unless written: shared by all snapshots. */
export function createBlobInode(linux: Linux, path: string, mode: number, content: Uint8Array): Inode {
  const inode = createInode(linux, 'file', path, mode);
  inode.blob = inode.id;
  inode.size = content.length;
  linux.blobs.set(inode.blob, content);
  return inode;
}

export function content(linux: Linux, inode: Inode): Uint8Array {
  return inode.data ?? linux.blobs.get(inode.blob) ?? new Uint8Array(0);
}

/** Its content changes now. */
export function touch(linux: Linux, inode: Inode): void {
  inode.modified = realTime(linux);
  inode.changed = inode.modified;
}

/** Bytes from `offset`, at most `count`, fewer at the end of the file. */
export function readInode(linux: Linux, inode: Inode, offset: number, count: number): Uint8Array {
  const length = Math.max(0, Math.min(count, inode.size - offset));
  if (inode.pages.size > 0) collectPages(linux, inode, offset, length);
  const bytes = new Uint8Array(length);
  bytes.set(content(linux, inode).subarray(offset, Math.min(offset + length, inode.size)));
  return bytes;
}

/** Writes at `offset`, growing the file. False when there is no room left for changed files. */
export function writeInode(linux: Linux, inode: Inode, offset: number, bytes: Uint8Array): boolean {
  const data = own(linux, inode, offset + bytes.length);
  if (!data) return false;
  data.set(bytes, offset);
  inode.size = Math.max(inode.size, offset + bytes.length);
  inode.dirty = true;
  touch(linux, inode);
  for (const [index, hpa] of inode.pages) {
    const from = Math.max(offset, index * PAGE);
    const to = Math.min(offset + bytes.length, (index + 1) * PAGE);
    if (from < to) linux.memory.write(hpa + (from - index * PAGE), bytes.subarray(from - offset, to - offset));
  }
  return true;
}

/** Cuts or grows a file. False when there is no room left for changed files. */
export function truncateInode(linux: Linux, inode: Inode, size: number): boolean {
  const data = own(linux, inode, size);
  if (!data) return false;
  if (size < inode.size) {
    data.fill(0, size, inode.size);
    for (const [index, hpa] of inode.pages) {
      const keep = Math.max(0, size - index * PAGE);
      if (keep < PAGE) linux.memory.fill(hpa + keep, PAGE - keep);
    }
  }
  inode.size = size;
  inode.dirty = true;
  touch(linux, inode);
  return true;
}

/** Makes the content changeable, with room for `bytes`; undefined when that is more than half of RAM for all files, as on a tmpfs. */
function own(linux: Linux, inode: Inode, bytes: number): Uint8Array | undefined {
  if (inode.data && inode.data.length >= bytes) return inode.data;
  const old = content(linux, inode);
  const room = Math.max(bytes, inode.data ? Math.min(inode.data.length * 2, MAX_FILE) : inode.size);
  const others = changedBytes(linux) - (inode.data?.length ?? 0);
  if (others + room > linux.memory.size / 2) return undefined;
  const grown = new Uint8Array(room);
  grown.set(old.subarray(0, inode.size));
  inode.data = grown;
  inode.blob = 0;
  return grown;
}

/** Bytes the emulator holds for changed files that something still names. */
function changedBytes(linux: Linux): number {
  const live = new Set<Inode>();
  for (const inode of linux.state.tree.values()) if (inode?.data) live.add(inode);
  for (const { fds, mm } of linux.state.processes.values()) {
    for (const entry of fds.entries) if (entry?.file.kind === 'file') live.add(entry.file.inode);
    for (const vma of mm.vmas) if (vma.inode) live.add(vma.inode);
  }
  let sum = 0;
  for (const inode of live) sum += inode.data?.length ?? 0;
  return sum;
}

/** The page-cache frame of a page (its reference stays with the cache), or -1 when RAM is exhausted. */
export function cachePage(linux: Linux, inode: Inode, index: number): number {
  const cached = inode.pages.get(index);
  if (cached !== undefined) return cached;
  const hpa = allocateFrame(linux.state.frames, linux.memory);
  if (hpa < 0) return -1;
  const end = Math.min((index + 1) * PAGE, inode.size);
  if (end > index * PAGE) linux.memory.write(hpa, content(linux, inode).subarray(index * PAGE, end));
  inode.pages.set(index, hpa);
  return hpa;
}

/** Brings stores through shared mappings into `data`. Only pages that differ are copied. */
export function collectPages(linux: Linux, inode: Inode, offset = 0, length = inode.size): void {
  for (const [index, hpa] of inode.pages) {
    const from = index * PAGE;
    const to = Math.min(from + PAGE, inode.size);
    if (to <= offset || from >= offset + length || to <= from) continue;
    const page = linux.memory.slice(hpa, to - from);
    const stored = content(linux, inode).subarray(from, to);
    if (stored.length === page.length && page.every((byte, at) => byte === stored[at])) continue;
    own(linux, inode, inode.size)?.set(page, from);
    inode.dirty = true;
  }
}

/** The last reference is gone: gives the page cache back. */
export function dropPages(linux: Linux, inode: Inode): void {
  for (const hpa of inode.pages.values()) release(linux.state.frames, hpa);
  inode.pages.clear();
}
