/** What a debugger sees and writes of a process, rights aside, as ptrace(2) does; looking never changes anything. */
import { PAGE } from './frames.ts';
import { content } from './fs/inode.ts';
import { fault } from './mm.ts';
import { PTE_W, lookup } from './pagetables.ts';
import type { Linux, Process } from './state.ts';
import { PROT_WRITE, TASK_SIZE, findVma } from './vma.ts';

/** Bytes up to the first address that no mapping covers; pages that have not been touched yet read as they would be. */
export function peek(linux: Linux, process: Process, address: number, bytes: number): Uint8Array {
  const into = new Uint8Array(bytes);
  let done = 0;
  while (done < bytes) {
    const at = address + done;
    const chunk = Math.min(bytes - done, PAGE - (at % PAGE));
    if (!peekPage(linux, process, at, into.subarray(done, done + chunk))) break;
    done += chunk;
  }
  return into.subarray(0, done);
}

function peekPage(linux: Linux, process: Process, address: number, into: Uint8Array): boolean {
  if (!(address >= 0 && address < TASK_SIZE)) return false;
  const { vmas, root } = process.mm;
  const leaf = lookup(linux.memory, root, address);
  if (leaf) {
    into.set(linux.memory.slice(leaf.hpa + (address % leaf.size), into.length));
    return true;
  }
  const vma = findVma(vmas, address);
  if (!vma) return false;
  if (!vma.inode) return true;
  const offset = vma.offset + (address - vma.start);
  const cached = vma.inode.pages.get(Math.floor(offset / PAGE));
  if (cached === undefined) into.set(content(linux, vma.inode).subarray(offset, offset + into.length));
  else into.set(linux.memory.slice(cached + (offset % PAGE), into.length));
  return offset < vma.inode.size;
}

/** Returns bytes written. Pages come in and sharing is broken as by the program's own write; code may be written, too. */
export function poke(linux: Linux, process: Process, address: number, data: Uint8Array): number {
  let done = 0;
  while (done < data.length) {
    const at = address + done;
    const chunk = Math.min(data.length - done, PAGE - (at % PAGE));
    const hpa = writablePage(linux, process, at);
    if (hpa < 0) break;
    linux.memory.write(hpa, data.subarray(done, done + chunk));
    done += chunk;
  }
  return done;
}

function writablePage(linux: Linux, process: Process, address: number): number {
  const vma = address >= 0 && address < TASK_SIZE ? findVma(process.mm.vmas, address) : undefined;
  // A shared file the process may not write is not the debugger's to write either.
  if (!vma || (vma.shared && (vma.prot & PROT_WRITE) === 0)) return -1;
  const { prot } = vma;
  vma.prot |= PROT_WRITE;
  const refusal = fault(linux, process, address, 'write');
  const leaf = refusal ? undefined : lookup(linux.memory, process.mm.root, address);
  vma.prot = prot;
  if (!leaf) return -1;
  if ((prot & PROT_WRITE) === 0) linux.memory.write32(leaf.entryHpa, leaf.low & ~PTE_W);
  return leaf.hpa + (address % leaf.size);
}
