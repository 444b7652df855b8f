/** What Linux says to the core of a page that the Dune module may want (core/page-supply.ts): as `userPage` finds it, and `fault` (mm.ts) puts it there. */
import * as L from '../cpu/layout.ts';
import { PAGE, firstFree, freshRun, isDirtied, takeFirst } from './frames.ts';
import { PTE_NX_HIGH, PTE_P, PTE_U, PTE_W } from './pagetables.ts';
import type { Linux, Process } from './state.ts';
import type { Vma } from './vma.ts';
import { PROT_EXEC, PROT_READ, PROT_WRITE, TASK_SIZE, findVma } from './vma.ts';

const TWO_32 = 2 ** 32;
/** Index of SUPPLY_HVA in 32-bit words. */
const FIRST = L.SUPPLY_HVA >>> 2;
const FRAME = L.SUPPLY_FRAME >>> 2;

/** Writes SUPPLY_HVA to SUPPLY_RECYCLED; false if Linux has to look at it. The frame of an anonymous page is offered, not taken yet. */
export function offerPage(linux: Linux, process: Process, hva: number, write: boolean): boolean {
  if (hva >= TASK_SIZE) return false;
  const { mm } = process;
  const vma = findVma(mm.vmas, hva);
  const wanted = write ? PROT_WRITE : PROT_READ | PROT_WRITE | PROT_EXEC;
  if (!vma || vma.huge || (vma.prot & wanted) === 0) return false;
  const { u32 } = linux.mem;
  u32[FIRST] = hva;
  u32[FIRST + 1] = hva / TWO_32;
  u32[FIRST + 2] = mm.root;
  u32[FIRST + 3] = write ? PTE_P | PTE_W : PTE_P;
  u32[FIRST + 4] = write ? PTE_P | PTE_U | PTE_W : PTE_P | PTE_U;
  u32[FIRST + 5] = vma.prot & PROT_EXEC ? 0 : PTE_NX_HIGH;
  u32[FRAME] = vma.inode ? 0 : write ? firstFree(linux.state.frames) * PAGE : linux.state.zeroFrame;
  u32[FRAME + 1] = write && isDirtied(linux.state.frames, u32[FRAME]! / PAGE) ? 1 : 0;
  return true;
}

/** After the core has mapped it. */
export function pageSupplied(linux: Linux, process: Process): void {
  const { mem, state } = linux;
  if (mem.get32(L.SUPPLY_INSTALLED) === 0) return;
  const frame = mem.get32(L.SUPPLY_FRAME);
  if (frame !== state.zeroFrame) takeFirst(state.frames, frame / PAGE);
  process.mm.resident++;
}

/** LEASE_WRITABLE to LEASE_FRAME_END. */
export function leasePages(linux: Linux, process: Process, hva: number, frames: number): Vma {
  const { mem, state } = linux;
  const vma = findVma(process.mm.vmas, hva)!;
  const first = vma.inode ? 0 : firstFree(state.frames);
  mem.set32(L.LEASE_WRITABLE, vma.prot & PROT_WRITE ? 1 : 0);
  mem.set32(L.LEASE_LEAF_HIGH, vma.prot & PROT_EXEC ? 0 : PTE_NX_HIGH);
  mem.set32(L.LEASE_ZERO, vma.inode ? 0 : state.zeroFrame);
  mem.set32(L.LEASE_FRAME, first * PAGE);
  mem.set32(L.LEASE_FRAME_END, (first === 0 ? 0 : first + freshRun(state.frames, first, frames)) * PAGE);
  return vma;
}

export function settleLease(linux: Linux, process: Process, installed: number, taken: number): void {
  const { frames } = linux.state;
  for (let count = taken; count > 0; count--) takeFirst(frames, firstFree(frames));
  process.mm.resident += installed;
}
