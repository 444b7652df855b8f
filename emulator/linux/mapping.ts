/** mmap, munmap, mprotect, mremap and brk on an address space (mm/mmap.c, mm/mremap.c). Results are addresses or -errno. */
import * as errno from './errno.ts';
import { PAGE, HUGE_PAGE, freeHugePages } from './frames.ts';
import { dropPages } from './fs/inode.ts';
import { clearLeaf, eachLeaf, hideLeaf, lookup, mapPage, PTE_W } from './pagetables.ts';
import { fault, protectPages, tables, unmapPages } from './mm.ts';
import type { Inode, Linux, MemoryMap, Process } from './state.ts';
import { invalidate } from './tlb.ts';
import {
  PROT_WRITE,
  TASK_SIZE,
  covered,
  findHole,
  findVma,
  insertVma,
  mergeAround,
  overlapping,
  removeRange,
  splitAt,
} from './vma.ts';
import type { Vma } from './vma.ts';

/** vm.mmap_min_addr */
export const MMAP_MIN = 0x10000;

export interface MapRequest {
  /** Hint, or the place when `fixed`. */
  readonly address: number;
  readonly length: number;
  readonly prot: number;
  readonly shared: boolean;
  readonly fixed: boolean;
  /** MAP_FIXED_NOREPLACE */
  readonly noReplace?: boolean;
  readonly huge?: boolean;
  readonly growsDown?: boolean;
  /** MAP_POPULATE */
  readonly populate?: boolean;
  readonly inode?: Inode;
  readonly offset?: number;
  readonly name?: string;
}

export function pageUp(value: number, page = PAGE): number {
  return value + ((page - (value % page)) % page);
}

export function map(linux: Linux, process: Process, request: MapRequest): bigint {
  const { mm } = process;
  const page = request.huge ? HUGE_PAGE : PAGE;
  const length = pageUp(request.length, page);
  if (length === 0) return errno.EINVAL;
  if (length > TASK_SIZE) return errno.ENOMEM;
  if (request.huge && freeHugePages(linux.state.frames) * HUGE_PAGE < length) return errno.ENOMEM;
  const start = place(mm, request, length, page);
  if (start < 0) return BigInt(start);
  if (request.fixed) {
    if (request.noReplace && overlapping(mm.vmas, start, start + length).length > 0) return errno.EEXIST;
    const failed = unmap(linux, process, start, length);
    if (failed !== 0n) return failed;
  }
  insertVma(mm.vmas, {
    start,
    end: start + length,
    prot: request.prot,
    shared: request.shared,
    inode: request.inode,
    offset: request.offset ?? 0,
    growsDown: request.growsDown ?? false,
    huge: request.huge ?? false,
    name: request.name ?? '',
  });
  if (request.populate && request.prot !== 0)
    populate(linux, process, start, length, request.prot & PROT_WRITE ? 'write' : 'read');
  return BigInt(start);
}

/** Faults pages in ahead, until RAM or the range ends. */
export function populate(
  linux: Linux,
  process: Process,
  start: number,
  length: number,
  access: 'read' | 'write',
): boolean {
  const end = start + Math.min(length, linux.memory.size);
  for (let va = start; va < end; va += PAGE) if (fault(linux, process, va, access)) return false;
  return true;
}

/** Where the mapping goes, or -errno. */
function place(mm: MemoryMap, request: MapRequest, length: number, page: number): number {
  if (request.fixed) {
    if (request.address % page !== 0) return Number(errno.EINVAL);
    if (request.address + length > TASK_SIZE) return Number(errno.ENOMEM);
    return request.address < MMAP_MIN ? Number(errno.EPERM) : request.address;
  }
  const hint = pageUp(request.address, page);
  if (
    request.address >= MMAP_MIN &&
    hint + length <= TASK_SIZE &&
    overlapping(mm.vmas, hint, hint + length).length === 0
  )
    return hint;
  const below = findHole(mm.vmas, length, mm.mmapBase, MMAP_MIN, page);
  return below >= 0 ? below : Number(errno.ENOMEM);
}

export function unmap(linux: Linux, process: Process, start: number, length: number): bigint {
  const { mm } = process;
  if (start % PAGE !== 0 || length === 0 || start + length > TASK_SIZE) return errno.EINVAL;
  const end = pageUp(start + length);
  if (overlapping(mm.vmas, start, end).some((vma) => vma.huge && cutsHuge(vma, start, end))) return errno.EINVAL;
  const removed = removeRange(mm.vmas, start, end);
  for (const vma of removed) unmapPages(linux, mm, vma.start, vma.end);
  for (const vma of removed) if (vma.inode) dropIfUnused(linux, vma.inode);
  return 0n;
}
function cutsHuge(vma: Vma, start: number, end: number): boolean {
  return (start > vma.start && start % HUGE_PAGE !== 0) || (end < vma.end && end % HUGE_PAGE !== 0);
}

/** Shared anonymous memory lives as long as someone maps it; files keep their cache with the file tree. */
export function dropIfUnused(linux: Linux, inode: Inode): void {
  if (inode.path !== SHARED_ANONYMOUS) return;
  for (const process of linux.state.processes.values()) if (process.mm.vmas.some((vma) => vma.inode === inode)) return;
  dropPages(linux, inode);
}
export const SHARED_ANONYMOUS = '/dev/zero (deleted)';

export function protect(linux: Linux, process: Process, start: number, length: number, prot: number): bigint {
  const { vmas } = process.mm;
  if (start % PAGE !== 0) return errno.EINVAL;
  if (length === 0) return 0n;
  const end = pageUp(start + length);
  if (end > TASK_SIZE) return errno.ENOMEM;
  if (overlapping(vmas, start, end).some((vma) => vma.huge && cutsHuge(vma, start, end))) return errno.EINVAL;
  const whole = covered(vmas, start, end);
  splitAt(vmas, start);
  splitAt(vmas, end);
  for (const vma of overlapping(vmas, start, end)) {
    if (vma.prot === prot) continue;
    vma.prot = prot;
    protectPages(linux, process.mm, vma);
  }
  mergeAround(vmas, start, end);
  return whole ? 0n : errno.ENOMEM;
}

const MREMAP_MAYMOVE = 1;
const MREMAP_FIXED = 2;

export function remap(
  linux: Linux,
  process: Process,
  from: number,
  oldLength: number,
  newLength: number,
  flags: number,
  to: number,
): bigint {
  const { mm } = process;
  const oldSize = pageUp(oldLength);
  const newSize = pageUp(newLength);
  if (from % PAGE !== 0 || newSize === 0) return errno.EINVAL;
  if (flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED) || (flags & MREMAP_FIXED && !(flags & MREMAP_MAYMOVE)))
    return errno.EINVAL;
  const vma = findVma(mm.vmas, from);
  if (!vma || (oldSize > 0 && from + oldSize > vma.end)) return errno.EFAULT;
  if (vma.huge || oldSize === 0) return errno.EINVAL;
  if (!(flags & MREMAP_FIXED)) {
    if (newSize <= oldSize) {
      if (newSize < oldSize) unmap(linux, process, from + newSize, oldSize - newSize);
      return BigInt(from);
    }
    if (grows(mm, vma, from + oldSize, newSize - oldSize)) {
      vma.end = from + newSize;
      mergeAround(mm.vmas, vma.start, vma.end);
      return BigInt(from);
    }
    if (!(flags & MREMAP_MAYMOVE)) return errno.ENOMEM;
  }
  return move(linux, process, vma, from, oldSize, newSize, flags & MREMAP_FIXED ? to : undefined);
}

function grows(mm: MemoryMap, vma: Vma, end: number, more: number): boolean {
  return vma.end === end && end + more <= TASK_SIZE && overlapping(mm.vmas, end, end + more).length === 0;
}

function move(
  linux: Linux,
  process: Process,
  vma: Vma,
  from: number,
  oldSize: number,
  newSize: number,
  fixed: number | undefined,
): bigint {
  const { mm } = process;
  if (fixed !== undefined) {
    if (fixed % PAGE !== 0 || fixed + newSize > TASK_SIZE || (fixed < from + oldSize && from < fixed + newSize))
      return errno.EINVAL;
    const failed = unmap(linux, process, fixed, newSize);
    if (failed !== 0n) return failed;
  }
  const to = fixed ?? findHole(mm.vmas, newSize, mm.mmapBase, MMAP_MIN, PAGE);
  if (to < 0) return errno.ENOMEM;
  const moved = { ...vma, start: to, end: to + newSize, offset: vma.offset + (from - vma.start) };
  const kept = Math.min(oldSize, newSize);
  eachLeaf(linux.memory, mm.root, from, from + kept, (va, leaf) => {
    const target = to + (va - from);
    mapPage(tables(linux), mm.root, target, leaf.hpa, PAGE, {
      writable: (leaf.low & PTE_W) !== 0,
      executable: !leaf.nx,
    });
    if (vma.prot === 0) hideLeaf(linux.memory, lookup(linux.memory, mm.root, target)!);
    clearLeaf(linux.memory, leaf);
  });
  unmapPages(linux, mm, from + kept, from + oldSize);
  removeRange(mm.vmas, from, from + oldSize);
  insertVma(mm.vmas, moved);
  invalidate(linux, mm, from, from + oldSize);
  return BigInt(to);
}

/** brk(2): returns the break in force afterwards. */
export function setBreak(linux: Linux, process: Process, wanted: number): bigint {
  const { mm } = process;
  if (wanted < mm.brkStart || wanted > TASK_SIZE) return BigInt(mm.brk);
  const oldEnd = pageUp(mm.brk);
  const newEnd = pageUp(wanted);
  if (newEnd < oldEnd) unmap(linux, process, newEnd, oldEnd - newEnd);
  if (newEnd > oldEnd) {
    if (overlapping(mm.vmas, oldEnd, newEnd + PAGE).length > 0) return BigInt(mm.brk);
    insertVma(mm.vmas, {
      start: oldEnd,
      end: newEnd,
      prot: 3,
      shared: false,
      inode: undefined,
      offset: 0,
      growsDown: false,
      huge: false,
      name: '[heap]',
    });
  }
  mm.brk = wanted;
  return BigInt(wanted);
}
