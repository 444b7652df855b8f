/** An address space: its areas and page tables, page faults (mm/memory.c), and copies to and from user memory. */
import { PAGE, HUGE_PAGE, allocateFrame, allocateHuge, reference, references, release, releaseHuge } from './frames.ts';
import { cachePage } from './fs/inode.ts';
import { PTE_W, clearLeaf, eachLeaf, freeTables, hideLeaf, lookup, mapPage, setRights } from './pagetables.ts';
import type { Leaf } from './pagetables.ts';
import { RLIMIT_STACK } from './state.ts';
import type { Linux, MemoryMap, Process } from './state.ts';
import { invalidate } from './tlb.ts';
import { PROT_EXEC, PROT_READ, PROT_WRITE, TASK_SIZE, findIndex, findVma } from './vma.ts';
import type { Vma } from './vma.ts';

export type Access = 'read' | 'write' | 'execute';

/** Why a fault could not be repaired, as the signal says it (SEGV_*, BUS_*). */
export interface Refusal {
  readonly signal: 'SIGSEGV' | 'SIGBUS' | 'SIGKILL';
  readonly code: number;
  readonly why: string;
}
const SEGV_MAPERR = 1;
const SEGV_ACCERR = 2;
const BUS_ADRERR = 2;
/** Gap kept below a stack that grows (stack_guard_gap). */
const STACK_GUARD = 256 * PAGE;

export function tables(linux: Linux) {
  return { memory: linux.memory, frames: linux.state.frames };
}

const PCIDS = 4096;
/** One after the other; when they begin anew, what the TLB still holds of earlier owners goes. PCID 0 is left out. */
function allocatePcid(linux: Linux): number {
  const pcid = linux.state.nextPcid++;
  if (linux.state.nextPcid === PCIDS) linux.state.nextPcid = 1;
  if (pcid === 1) linux.mmu.flushAll();
  return pcid;
}

/** CR3 of an address space. */
export function cr3Of(mm: MemoryMap): bigint {
  return BigInt(mm.root + mm.pcid);
}

export function createMemoryMap(linux: Linux): MemoryMap | undefined {
  const root = allocateFrame(linux.state.frames, linux.memory);
  if (root < 0) return undefined;
  return {
    users: 1,
    root,
    pcid: allocatePcid(linux),
    vmas: [],
    brkStart: 0,
    brk: 0,
    mmapBase: 0,
    startStack: 0,
    argStart: 0,
    argEnd: 0,
    envStart: 0,
    envEnd: 0,
    auxv: new Uint8Array(0),
    executable: '',
    bias: 0n,
    resident: 0,
  };
}

/** Drops one user; the last one frees everything. */
export function releaseMemoryMap(linux: Linux, mm: MemoryMap): void {
  if (--mm.users > 0) return;
  unmapPages(linux, mm, 0, TASK_SIZE);
  mm.vmas = [];
  freeTables(tables(linux), mm.root);
  mm.root = 0;
}

/** Makes an access to one page possible, as the page-fault handler does. */
export function fault(linux: Linux, process: Process, address: number, access: Access): Refusal | undefined {
  const mm = process.mm;
  const va = address - (address % PAGE);
  const vma = findVma(mm.vmas, va) ?? growStack(process, va);
  if (!vma) return { signal: 'SIGSEGV', code: SEGV_MAPERR, why: 'no mapping covers this address' };
  const wanted =
    access === 'write' ? PROT_WRITE : access === 'execute' ? PROT_EXEC : PROT_READ | PROT_WRITE | PROT_EXEC;
  if ((vma.prot & wanted) === 0)
    return { signal: 'SIGSEGV', code: SEGV_ACCERR, why: `the mapping does not allow ${access}` };
  const leaf = lookup(linux.memory, mm.root, va);
  if (!leaf) return vma.huge ? populateHuge(linux, mm, vma, va) : populate(linux, mm, vma, va, access === 'write');
  if (access === 'write' && (leaf.low & PTE_W) === 0) return breakSharing(linux, mm, vma, va, leaf);
  if (access === 'execute' && leaf.nx)
    setRights(linux.memory, leaf, { writable: (leaf.low & PTE_W) !== 0, executable: true });
  return undefined;
}

const EXHAUSTED: Refusal = { signal: 'SIGKILL', code: 0, why: 'the machine is out of memory' };

function populate(linux: Linux, mm: MemoryMap, vma: Vma, va: number, write: boolean): Refusal | undefined {
  const { frames } = linux.state;
  const executable = (vma.prot & PROT_EXEC) !== 0;
  const writable = (vma.prot & PROT_WRITE) !== 0;
  if (!vma.inode) {
    const hpa = write ? allocateFrame(frames, linux.memory) : linux.state.zeroFrame;
    if (hpa < 0) return EXHAUSTED;
    return install(linux, mm, va, hpa, write, executable);
  }
  const offset = vma.offset + (va - vma.start);
  if (offset >= vma.inode.size)
    return { signal: 'SIGBUS', code: BUS_ADRERR, why: 'the access is beyond the end of the mapped file' };
  const cached = cachePage(linux, vma.inode, offset / PAGE);
  if (cached < 0) return EXHAUSTED;
  if (vma.shared || !write) {
    reference(frames, cached);
    return install(linux, mm, va, cached, vma.shared && writable, executable);
  }
  const copy = copyFrame(linux, cached);
  return copy < 0 ? EXHAUSTED : install(linux, mm, va, copy, true, executable);
}

function install(linux: Linux, mm: MemoryMap, va: number, hpa: number, writable: boolean, executable: boolean) {
  if (!mapPage(tables(linux), mm.root, va, hpa, PAGE, { writable, executable })) return EXHAUSTED;
  mm.resident++;
  return undefined;
}

function populateHuge(linux: Linux, mm: MemoryMap, vma: Vma, va: number): Refusal | undefined {
  const start = va - (va % HUGE_PAGE);
  const hpa = allocateHuge(linux.state.frames, linux.memory);
  if (hpa < 0) return { signal: 'SIGBUS', code: BUS_ADRERR, why: 'no free 2 MB page is left' };
  const rights = { writable: (vma.prot & PROT_WRITE) !== 0, executable: (vma.prot & PROT_EXEC) !== 0 };
  if (!mapPage(tables(linux), mm.root, start, hpa, HUGE_PAGE, rights)) return EXHAUSTED;
  mm.resident += HUGE_PAGE / PAGE;
  return undefined;
}

/** A write to a page that is mapped read-only although the area allows writing: copy-on-write, or the zero page. */
function breakSharing(linux: Linux, mm: MemoryMap, vma: Vma, va: number, leaf: Leaf): Refusal | undefined {
  const { frames, zeroFrame } = linux.state;
  const executable = (vma.prot & PROT_EXEC) !== 0;
  const alone = leaf.hpa !== zeroFrame && references(frames, leaf.hpa) === 1;
  const start = va - (va % leaf.size);
  if (vma.shared || alone) {
    setRights(linux.memory, leaf, { writable: true, executable });
    return undefined;
  }
  const copy = leaf.size === HUGE_PAGE ? copyHuge(linux, leaf.hpa) : copyFrame(linux, leaf.hpa);
  if (copy < 0) return EXHAUSTED;
  releaseLeaf(linux, leaf);
  clearLeaf(linux.memory, leaf);
  mapPage(tables(linux), mm.root, start, copy, leaf.size, { writable: true, executable });
  invalidate(linux, mm, start, start + leaf.size);
  return undefined;
}

function copyFrame(linux: Linux, from: number): number {
  const to = allocateFrame(linux.state.frames, linux.memory);
  if (to >= 0 && from !== linux.state.zeroFrame) linux.memory.write(to, linux.memory.slice(from, PAGE));
  return to;
}
function copyHuge(linux: Linux, from: number): number {
  const to = allocateHuge(linux.state.frames, linux.memory);
  if (to >= 0) linux.memory.write(to, linux.memory.slice(from, HUGE_PAGE));
  return to;
}

function releaseLeaf(linux: Linux, leaf: Leaf): void {
  if (leaf.hpa === linux.state.zeroFrame) return;
  if (leaf.size === HUGE_PAGE) releaseHuge(linux.state.frames, leaf.hpa);
  else release(linux.state.frames, leaf.hpa);
}

/** Takes the pages of [start, end) away. */
export function unmapPages(linux: Linux, mm: MemoryMap, start: number, end: number): void {
  let any = false;
  eachLeaf(linux.memory, mm.root, start, end, (_va, leaf) => {
    releaseLeaf(linux, leaf);
    clearLeaf(linux.memory, leaf);
    mm.resident -= leaf.size / PAGE;
    any = true;
  });
  if (any) invalidate(linux, mm, start, end);
}

/** Brings present leaves of [start, end) in line with an area's new protection. */
export function protectPages(linux: Linux, mm: MemoryMap, vma: Vma): void {
  let any = false;
  eachLeaf(linux.memory, mm.root, vma.start, vma.end, (_va, leaf) => {
    any = true;
    if (vma.prot === 0) {
      hideLeaf(linux.memory, leaf);
      return;
    }
    // Private pages stay read-only until a write fault decides about copying.
    const writable = (vma.prot & PROT_WRITE) !== 0 && (vma.shared || (leaf.low & PTE_W) !== 0);
    setRights(linux.memory, leaf, { writable, executable: (vma.prot & PROT_EXEC) !== 0 });
  });
  if (any) invalidate(linux, mm, vma.start, vma.end);
}

/** The stack area grows to take in an address below it, within RLIMIT_STACK and clear of its neighbour. */
function growStack(process: Process, va: number): Vma | undefined {
  const { vmas } = process.mm;
  const at = findIndex(vmas, va);
  const vma = vmas[at];
  if (!vma?.growsDown || vma.prot === 0) return undefined;
  if (BigInt(vma.end - va) > process.limits[RLIMIT_STACK]![0]) return undefined;
  const below = vmas[at - 1];
  if (below && below.prot !== 0 && !below.growsDown && va - below.end < STACK_GUARD) return undefined;
  vma.start = va;
  return vma;
}

/** A copy for fork: areas are copied, private pages shared read-only until written. Undefined when RAM is exhausted. */
export function copyMemoryMap(linux: Linux, from: MemoryMap): MemoryMap | undefined {
  const root = allocateFrame(linux.state.frames, linux.memory);
  if (root < 0) return undefined;
  const to: MemoryMap = {
    ...from,
    users: 1,
    root,
    pcid: allocatePcid(linux),
    vmas: from.vmas.map((vma) => ({ ...vma })),
  };
  let complete = true;
  for (const vma of from.vmas) {
    eachLeaf(linux.memory, from.root, vma.start, vma.end, (va, leaf) => {
      if (!complete) return;
      const writable = (leaf.low & PTE_W) !== 0 && vma.shared;
      if (leaf.hpa !== linux.state.zeroFrame) reference(linux.state.frames, leaf.hpa);
      const rights = { writable, executable: !leaf.nx };
      if (!mapPage(tables(linux), root, va, leaf.hpa, leaf.size, rights)) {
        if (leaf.hpa !== linux.state.zeroFrame) release(linux.state.frames, leaf.hpa);
        complete = false;
        return;
      }
      if (vma.prot === 0) {
        hideLeaf(linux.memory, lookup(linux.memory, root, va)!);
        return;
      }
      if (!vma.shared && (leaf.low & PTE_W) !== 0) setRights(linux.memory, leaf, rights);
    });
  }
  invalidate(linux, from, 0, TASK_SIZE);
  if (complete) return to;
  releaseMemoryMap(linux, to);
  return undefined;
}
