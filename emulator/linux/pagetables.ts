/**
 * Real 4-level host page tables in RAM frames (SDM 3A 4.5). All entries are read as two 32-bit halves: RAM is below
 * 4 GB, so the frame address is in the low half and only NX (bit 31) lives in the high one.
 */
import type { PhysicalMemory } from '../mmu/physical.ts';
import { PAGE, HUGE_PAGE, allocateFrame, release } from './frames.ts';
import type { FrameState } from './frames.ts';

export const PTE_P = 1;
export const PTE_W = 2;
export const PTE_U = 4;
export const PTE_A = 0x20;
export const PTE_D = 0x40;
export const PTE_PS = 0x80;
/** With P clear: the page is there but PROT_NONE hides it (the bit Linux uses, _PAGE_PROTNONE). */
export const PTE_PROTNONE = 0x100;
const PTE_HELD = PTE_P | PTE_PROTNONE;
/** In the high half. */
export const PTE_NX_HIGH = 0x80000000;

/** Levels as the SDM counts: 4 PML4, 3 PDPT, 2 PD, 1 PT. */
const SPAN = [0, PAGE, HUGE_PAGE, 0x40000000, 0x8000000000];
/** Address bits of the low half of entries: of tables and 4 KB pages, of 2 MB pages. */
export const PAGE_ADDRESS = 0xffff_f000;
export const HUGE_ADDRESS = 0xffe0_0000;
const TWO_32 = 2 ** 32;

export interface Tables {
  readonly memory: PhysicalMemory;
  readonly frames: FrameState;
}

export interface Leaf {
  /** HPA of the entry. */
  readonly entryHpa: number;
  readonly low: number;
  readonly nx: boolean;
  /** HPA of the page. */
  readonly hpa: number;
  /** 4096 or 2 MB. */
  readonly size: number;
}

/** HPA of the entry for an address, given in halves, in the table of a level. */
function slot(table: number, low: number, high: number, level: number): number {
  if (level === 1) return table + ((low >>> 9) & 0xff8);
  if (level === 2) return table + ((low >>> 18) & 0xff8);
  return level === 3 ? table + ((low >>> 30) | ((high & 127) << 2)) * 8 : table + ((high >>> 7) & 511) * 8;
}

/** HPA of the entry of the leaf that maps an address, 4 KB or 2 MB (PTE_PS); 0 if there is none. The leaf may be hidden (PROT_NONE). */
export function leafEntry(memory: PhysicalMemory, root: number, va: number): number {
  const high = Math.floor(va / TWO_32);
  let table = root;
  for (let level = 4; level > 1; level--) {
    const at = slot(table, va | 0, high, level);
    const low = memory.read32(at);
    if ((low & PTE_HELD) === 0) return 0;
    if (level === 2 && (low & PTE_PS) !== 0) return at;
    table = (low & PAGE_ADDRESS) >>> 0;
  }
  const at = slot(table, va | 0, high, 1);
  return (memory.read32(at) & PTE_HELD) === 0 ? 0 : at;
}

/** The leaf that maps an address; it may be hidden (PROT_NONE). */
export function lookup(memory: PhysicalMemory, root: number, va: number): Leaf | undefined {
  const entryHpa = leafEntry(memory, root, va);
  if (entryHpa === 0) return undefined;
  const low = memory.read32(entryHpa);
  const nx = (memory.read32(entryHpa + 4) & PTE_NX_HIGH) !== 0;
  const huge = (low & PTE_PS) !== 0;
  return { entryHpa, low, nx, hpa: (low & (huge ? HUGE_ADDRESS : PAGE_ADDRESS)) >>> 0, size: huge ? HUGE_PAGE : PAGE };
}

export interface LeafRights {
  readonly writable: boolean;
  readonly executable: boolean;
}

/** Maps one page (4 KB or 2 MB), creating tables. False when RAM is exhausted. Tables grant everything; leaves decide. */
export function mapPage(
  { memory, frames }: Tables,
  root: number,
  va: number,
  hpa: number,
  size: number,
  rights: LeafRights,
): boolean {
  const high = Math.floor(va / TWO_32);
  let table = root;
  const leafLevel = size === HUGE_PAGE ? 2 : 1;
  for (let level = 4; level > leafLevel; level--) {
    const at = slot(table, va | 0, high, level);
    const low = memory.read32(at);
    if (low & PTE_P) {
      table = (low & 0xfffff000) >>> 0;
      continue;
    }
    const fresh = allocateFrame(frames, memory);
    if (fresh < 0) return false;
    memory.write32(at, (fresh | PTE_P | PTE_W | PTE_U) >>> 0);
    table = fresh;
  }
  const at = slot(table, va | 0, high, leafLevel);
  if (leafLevel === 2) dropEmptyTable(memory, frames, at);
  memory.write32(at + 4, rights.executable ? 0 : PTE_NX_HIGH);
  memory.write32(at, (hpa | PTE_P | PTE_U | (rights.writable ? PTE_W : 0) | (leafLevel === 2 ? PTE_PS : 0)) >>> 0);
  return true;
}

/** A 2 MB leaf takes the slot of a page table whose pages are all gone. */
function dropEmptyTable(memory: PhysicalMemory, frames: FrameState, at: number): void {
  const low = memory.read32(at);
  if ((low & PTE_P) !== 0 && (low & PTE_PS) === 0) release(frames, (low & 0xfffff000) >>> 0);
}

export function setRights(memory: PhysicalMemory, leaf: Leaf, rights: LeafRights): void {
  memory.write32(leaf.entryHpa + 4, rights.executable ? 0 : PTE_NX_HIGH);
  const low = (leaf.low & ~(PTE_W | PTE_PROTNONE)) | PTE_P | (rights.writable ? PTE_W : 0);
  memory.write32(leaf.entryHpa, low >>> 0);
}
/** PROT_NONE: keeps the page but takes it from the user. */
export function hideLeaf(memory: PhysicalMemory, leaf: Leaf): void {
  memory.write32(leaf.entryHpa, ((leaf.low & ~(PTE_P | PTE_W)) | PTE_PROTNONE) >>> 0);
}
export function clearLeaf(memory: PhysicalMemory, leaf: Leaf): void {
  memory.write64(leaf.entryHpa, 0n);
}

/** Calls for each leaf (hidden ones too) in [start, end), in order. Skips absent tables whole. */
export function eachLeaf(
  memory: PhysicalMemory,
  root: number,
  start: number,
  end: number,
  visit: (va: number, leaf: Leaf) => void,
): void {
  walkTable(memory, root, 4, start, end, 0, visit);
}

function walkTable(
  memory: PhysicalMemory,
  table: number,
  level: number,
  start: number,
  end: number,
  base: number,
  visit: (va: number, leaf: Leaf) => void,
): void {
  const span = SPAN[level]!;
  const first = Math.max(0, Math.floor((start - base) / span));
  const last = Math.min(511, Math.ceil((end - base) / span) - 1);
  for (let index = first; index <= last; index++) {
    const entryHpa = table + index * 8;
    const low = memory.read32(entryHpa);
    if ((low & PTE_HELD) === 0) continue;
    const va = base + index * span;
    const target = (low & 0xfffff000) >>> 0;
    if (level === 1 || (level === 2 && (low & PTE_PS) !== 0)) {
      const nx = (memory.read32(entryHpa + 4) & PTE_NX_HIGH) !== 0;
      visit(va, { entryHpa, low, nx, hpa: target - (target % span), size: span });
    } else walkTable(memory, target, level - 1, start, end, va, visit);
  }
}

/** Frees all tables of an address space; its leaves must have been released before. */
export function freeTables({ memory, frames }: Tables, root: number): void {
  freeLevel(memory, frames, root, 4);
}
function freeLevel(memory: PhysicalMemory, frames: FrameState, table: number, level: number): void {
  if (level > 1)
    for (let index = 0; index < 512; index++) {
      const low = memory.read32(table + index * 8);
      if ((low & PTE_P) !== 0 && (low & PTE_PS) === 0) freeLevel(memory, frames, (low & 0xfffff000) >>> 0, level - 1);
    }
  release(frames, table);
}
