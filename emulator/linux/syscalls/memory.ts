/** mmap and its kin. */
import * as errno from '../errno.ts';
import { fileOf } from '../fs/descriptors.ts';
import { readable, writable } from '../fs/io.ts';
import { collectPages, createInode } from '../fs/inode.ts';
import { flush } from '../fs/tree.ts';
import { HUGE_PAGE, PAGE } from '../frames.ts';
import { SHARED_ANONYMOUS, map, pageUp, populate, protect, remap, setBreak, unmap } from '../mapping.ts';
import { unmapPages } from '../mm.ts';
import { lookup } from '../pagetables.ts';
import type { Inode } from '../state.ts';
import { copyOut } from '../usermem.ts';
import { TASK_SIZE, covered, overlapping } from '../vma.ts';
import { int, size, uint } from './handler.ts';
import type { Handler } from './handler.ts';

const MAP_SHARED = 1;
const MAP_PRIVATE = 2;
const MAP_TYPE = 0xf;
const MAP_FIXED = 0x10;
const MAP_ANONYMOUS = 0x20;
const MAP_GROWSDOWN = 0x100;
const MAP_POPULATE = 0x8000;
const MAP_HUGETLB = 0x40000;
const MAP_FIXED_NOREPLACE = 0x100000;
const HUGE_SHIFT = 26;
const PROT_WRITE = 2;

export const brk: Handler = (linux, task, args) => setBreak(linux, task.process, size(args[0]));

export const mmap: Handler = (linux, task, args) => {
  const flags = uint(args[3]);
  const prot = uint(args[2]) & 7;
  const length = size(args[1]);
  const offset = size(args[5]);
  const type = flags & MAP_TYPE;
  if (offset % PAGE !== 0 || length === 0 || (type !== MAP_SHARED && type !== MAP_PRIVATE && type !== 3))
    return errno.EINVAL;
  const shared = type !== MAP_PRIVATE;
  const hugeShift = flags >>> HUGE_SHIFT;
  if (flags & MAP_HUGETLB && hugeShift !== 0 && hugeShift !== 21) return errno.EINVAL;
  let inode: Inode | undefined;
  if (!(flags & MAP_ANONYMOUS)) {
    const file = fileOf(task, int(args[4]));
    if (!file) return errno.EBADF;
    if (file.kind === 'device' && file.device === 'zero') inode = undefined;
    else if (file.kind !== 'file') return errno.ENODEV;
    else {
      if (!readable(file) || (shared && prot & PROT_WRITE && !writable(file))) return errno.EACCES;
      inode = file.inode;
    }
  }
  if (!inode && shared && !(flags & MAP_HUGETLB)) {
    inode = createInode(linux, 'file', SHARED_ANONYMOUS, 0o600);
    inode.size = pageUp(length);
  }
  return map(linux, task.process, {
    address: size(args[0]),
    length,
    prot,
    shared: shared && inode !== undefined,
    fixed: (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) !== 0,
    noReplace: (flags & MAP_FIXED_NOREPLACE) !== 0,
    huge: (flags & MAP_HUGETLB) !== 0,
    growsDown: (flags & MAP_GROWSDOWN) !== 0,
    populate: (flags & MAP_POPULATE) !== 0,
    inode,
    offset: flags & MAP_ANONYMOUS ? 0 : offset,
  });
};

export const munmap: Handler = (linux, task, args) => unmap(linux, task.process, size(args[0]), size(args[1]));
export const mprotect: Handler = (linux, task, args) => {
  const PROT_GROWSDOWN = 0x01000000;
  const PROT_GROWSUP = 0x02000000;
  if (uint(args[2]) & ~(7 | PROT_GROWSDOWN | PROT_GROWSUP)) return errno.EINVAL;
  let start = size(args[0]);
  const length = size(args[1]);
  const end = start + pageUp(length);
  if (uint(args[2]) & PROT_GROWSDOWN) {
    const vma = overlapping(task.process.mm.vmas, start, end)[0];
    if (vma?.growsDown) start = vma.start;
  }
  return protect(linux, task.process, start, end - start, uint(args[2]) & 7);
};
export const mremap: Handler = (linux, task, args) =>
  remap(linux, task.process, size(args[0]), size(args[1]), size(args[2]), uint(args[3]), size(args[4]));

const MADV_DONTNEED = 4;
const MADV_FREE = 8;
const MADV_REMOVE = 9;
const MADV_POPULATE_READ = 22;
const MADV_POPULATE_WRITE = 23;
export const madvise: Handler = (linux, task, args) => {
  const start = size(args[0]);
  const advice = int(args[2]);
  if (start % PAGE !== 0) return errno.EINVAL;
  const end = start + pageUp(size(args[1]));
  if (end > TASK_SIZE || advice > 25) return errno.EINVAL;
  const { mm } = task.process;
  const areas = overlapping(mm.vmas, start, end);
  if (advice === MADV_DONTNEED || advice === MADV_FREE) {
    for (const vma of areas) {
      const from = Math.max(start, vma.start);
      const to = Math.min(end, vma.end);
      if (vma.huge && (from % HUGE_PAGE !== 0 || to % HUGE_PAGE !== 0)) return errno.EINVAL;
      unmapPages(linux, mm, from, to);
    }
  } else if (advice === MADV_REMOVE) return errno.EINVAL;
  else if (advice === MADV_POPULATE_READ || advice === MADV_POPULATE_WRITE)
    if (!populate(linux, task.process, start, end - start, advice === MADV_POPULATE_WRITE ? 'write' : 'read'))
      return errno.EFAULT;
  return covered(mm.vmas, start, end) ? 0n : errno.ENOMEM;
};

/** One byte a page: bounds the emulator's own memory. */
const LARGEST_MINCORE = 2 ** 38;
export const mincore: Handler = (linux, task, args) => {
  const start = size(args[0]);
  const end = start + pageUp(size(args[1]));
  const { mm } = task.process;
  if (start % PAGE !== 0) return errno.EINVAL;
  if (end > TASK_SIZE || !covered(mm.vmas, start, end)) return errno.ENOMEM;
  if (end - start > LARGEST_MINCORE) return errno.EINVAL;
  const present = new Uint8Array((end - start) / PAGE);
  present.forEach((_, page) => (present[page] = lookup(linux.memory, mm.root, start + page * PAGE) ? 1 : 0));
  return copyOut(linux, task.process, size(args[2]), present) ? 0n : errno.EFAULT;
};

export const msync: Handler = (linux, task, args) => {
  const start = size(args[0]);
  const end = start + pageUp(size(args[1]));
  if (start % PAGE !== 0) return errno.EINVAL;
  for (const vma of overlapping(task.process.mm.vmas, start, end))
    if (vma.shared && vma.inode) {
      collectPages(linux, vma.inode);
      flush(linux, vma.inode);
    }
  return covered(task.process.mm.vmas, start, end) ? 0n : errno.ENOMEM;
};

/** Nothing is ever swapped out: locking only has to check the range. */
export const mlock: Handler = (_linux, task, args) => {
  const start = size(args[0]) - (size(args[0]) % PAGE);
  const end = pageUp(size(args[0]) + size(args[1]));
  return end <= TASK_SIZE && covered(task.process.mm.vmas, start, end) ? 0n : errno.ENOMEM;
};
