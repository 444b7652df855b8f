/**
 * Virtual memory areas: a sorted list of disjoint [start, end) with equal attributes, as mm/vma.c keeps them.
 * User addresses are below 2^47, so plain numbers hold them exactly.
 */
import type { Inode } from './state.ts';

export const PROT_READ = 1;
export const PROT_WRITE = 2;
export const PROT_EXEC = 4;
/** Above the highest user address: TASK_SIZE. */
export const TASK_SIZE = 0x7ffffffff000;

export interface Vma {
  start: number;
  end: number;
  /** PROT_* */
  prot: number;
  /** MAP_SHARED: writes reach the file, or the other processes. */
  shared: boolean;
  /** What backs it; undefined for private anonymous memory. */
  inode: Inode | undefined;
  /** Byte offset in `inode` of `start`. */
  offset: number;
  growsDown: boolean;
  /** 2 MB pages. */
  huge: boolean;
  /** "[heap]", "[stack]", or "". Files are named by their inode. */
  name: string;
}

/** Index of the first area whose end is above the address. */
export function findIndex(vmas: readonly Vma[], address: number): number {
  let low = 0;
  let high = vmas.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (vmas[middle]!.end > address) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** The area that holds the address. */
export function findVma(vmas: readonly Vma[], address: number): Vma | undefined {
  const vma = vmas[findIndex(vmas, address)];
  return vma && vma.start <= address ? vma : undefined;
}

/** Areas that overlap [start, end), in order. */
export function overlapping(vmas: readonly Vma[], start: number, end: number): Vma[] {
  const found: Vma[] = [];
  for (let at = findIndex(vmas, start); at < vmas.length && vmas[at]!.start < end; at++) found.push(vmas[at]!);
  return found;
}

/** True if areas cover all of [start, end). */
export function covered(vmas: readonly Vma[], start: number, end: number): boolean {
  let at = start;
  for (const vma of overlapping(vmas, start, end)) {
    if (vma.start > at) return false;
    at = vma.end;
  }
  return at >= end;
}

/** Adds an area into a hole, joining it with neighbours of equal attributes. */
export function insertVma(vmas: Vma[], vma: Vma): void {
  const at = findIndex(vmas, vma.start);
  const next = vmas[at];
  if (next && next.start < vma.end) throw new Error('areas overlap');
  vmas.splice(at, 0, vma);
  mergeAround(vmas, vma.start, vma.end);
}

/** Makes `address` a border between areas. */
export function splitAt(vmas: Vma[], address: number): void {
  const at = findIndex(vmas, address);
  const vma = vmas[at];
  if (!vma || vma.start >= address) return;
  const upper: Vma = { ...vma, start: address, offset: vma.offset + (address - vma.start) };
  vma.end = address;
  vmas.splice(at + 1, 0, upper);
}

/** Cuts [start, end) out and returns what was there. */
export function removeRange(vmas: Vma[], start: number, end: number): Vma[] {
  splitAt(vmas, start);
  splitAt(vmas, end);
  const first = findIndex(vmas, start);
  let last = first;
  while (last < vmas.length && vmas[last]!.start < end) last++;
  return vmas.splice(first, last - first);
}

/** Joins equal neighbours that touch [start, end]. */
export function mergeAround(vmas: Vma[], start: number, end: number): void {
  let at = Math.max(0, findIndex(vmas, start) - 1);
  while (at + 1 < vmas.length && vmas[at]!.start <= end) {
    const left = vmas[at]!;
    const right = vmas[at + 1]!;
    if (left.end === right.start && joinable(left, right)) {
      left.end = right.end;
      vmas.splice(at + 1, 1);
    } else at++;
  }
}

function joinable(left: Vma, right: Vma): boolean {
  return (
    left.prot === right.prot &&
    left.shared === right.shared &&
    left.inode === right.inode &&
    left.growsDown === right.growsDown &&
    left.huge === right.huge &&
    left.name === right.name &&
    (left.inode === undefined || left.offset + (left.end - left.start) === right.offset)
  );
}

/** Highest start of a hole of `bytes` ending at or below `top` (top-down search, as mmap does), or -1. */
export function findHole(vmas: readonly Vma[], bytes: number, top: number, bottom: number, align: number): number {
  let limit = top;
  for (let at = findIndex(vmas, top - 1); at >= 0; at--) {
    const vma = vmas[at];
    if (vma && vma.start < limit) {
      const start = fit(Math.min(vma.end, limit), limit, bytes, align);
      if (start >= 0) return start;
      limit = vma.start;
    }
  }
  return fit(bottom, limit, bytes, align);
}
function fit(low: number, high: number, bytes: number, align: number): number {
  const start = high - bytes - ((high - bytes) % align);
  return start >= low && start >= 0 ? start : -1;
}

/** "rw-p" */
export function permissions(vma: Vma): string {
  return (
    (vma.prot & PROT_READ ? 'r' : '-') +
    (vma.prot & PROT_WRITE ? 'w' : '-') +
    (vma.prot & PROT_EXEC ? 'x' : '-') +
    (vma.shared ? 's' : 'p')
  );
}
