/** TLB and EPT invalidation after Linux page tables changed: what flush_tlb_range and the mmu notifiers do. */
import { PAGE } from './frames.ts';
import type { Linux, MemoryMap } from './state.ts';

/** Ranges longer than this many pages are flushed whole (tlb_single_page_flush_ceiling). */
const SINGLE_PAGE_CEILING = 33;

/** Rights of pages in [start, end) were taken away, or other frames now stand there. */
export function invalidate(linux: Linux, mm: MemoryMap, start: number, end: number): void {
  const { mmu, cpu, state } = linux;
  const pages = (end - start) / PAGE;
  const current = state.tasks.get(state.currentTid);
  const local =
    !cpu.nonRoot && current?.process.mm === mm && Number(cpu.cr3) === mm.root + mm.pcid && onOneCpu(linux, mm);
  if (local && pages <= SINGLE_PAGE_CEILING) for (let va = start; va < end; va += PAGE) mmu.invalidatePage(BigInt(va));
  else mmu.flushAll();
  notify(linux, mm, start, end);
}

/** Tells the Dune module alone: every process that uses this memory map. */
export function notify(linux: Linux, mm: MemoryMap, start: number, end: number): void {
  if (!linux.dune) return;
  for (const process of linux.state.processes.values())
    if (process.mm === mm && !process.zombie) linux.dune.invalidateRange(process.pid, BigInt(start), BigInt(end));
}

function onOneCpu(linux: Linux, mm: MemoryMap): boolean {
  if (linux.options.cpus === 1) return true;
  let cpu = -1;
  for (const task of linux.state.tasks.values()) {
    if (task.process.mm !== mm || task.exited) continue;
    if (cpu >= 0 && task.cpu !== cpu) return false;
    cpu = task.cpu;
  }
  return true;
}
