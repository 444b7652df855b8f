/** Futexes: queues keyed by what the word lies in (kernel/futex). */
import type { Linux, Process, Task } from './state.ts';
import { SHARED_ANONYMOUS } from './mapping.ts';
import { read32, read64, userByte, write32 } from './usermem.ts';
import { findVma } from './vma.ts';

const FUTEX_WAITERS = 0x80000000;
const FUTEX_OWNER_DIED = 0x40000000;
const FUTEX_TID_MASK = 0x3fffffff;
const ROBUST_LIMIT = 2048;

/** Shared mappings are named by the object and offset, private ones by the address space. Undefined = EFAULT. */
export function futexKey(linux: Linux, process: Process, address: number): string | undefined {
  if (userByte(linux, process, address, false) < 0) return undefined;
  const vma = findVma(process.mm.vmas, address);
  if (vma?.shared && vma.inode)
    return `${vma.inode.path === SHARED_ANONYMOUS ? 'shm' : 'file'}:${vma.inode.id}:${vma.offset + address - vma.start}`;
  return `mm:${process.mm.root}:${address}`;
}

/** Wakes at most `count` waiters whose bitset meets `bitset`, oldest first. */
export function futexWake(linux: Linux, process: Process, address: number, count: number, bitset: number): number {
  const key = futexKey(linux, process, address);
  return key === undefined ? 0 : wakeKey(linux, key, count, bitset);
}

export function wakeKey(linux: Linux, key: string, count: number, bitset: number): number {
  let woken = 0;
  for (const waiter of linux.state.futexes) {
    if (woken >= count) break;
    if (waiter.key !== key || waiter.woken || !(waiter.bitset & bitset)) continue;
    waiter.woken = true;
    woken++;
    const task = linux.state.tasks.get(waiter.tid);
    if (task) task.ready = true;
  }
  return woken;
}

/** Moves waiters to another queue without waking them. */
export function requeue(linux: Linux, from: string, to: string, count: number): number {
  let moved = 0;
  for (const waiter of linux.state.futexes) {
    if (moved >= count) break;
    if (waiter.key !== from || waiter.woken) continue;
    waiter.key = to;
    moved++;
  }
  return moved;
}

/** Marks the locks a dying thread holds, so that waiters learn of it (robust list). */
export function releaseRobustList(linux: Linux, task: Task): void {
  const { process, robustList: head } = task;
  if (head === 0 || process.mm.users === 0) return;
  const offset = read64(linux, process, head + 8);
  const pending = read64(linux, process, head + 16);
  let entry = read64(linux, process, head);
  if (offset === undefined || pending === undefined) return;
  const displacement = Number(BigInt.asIntN(64, offset));
  for (let count = 0; entry !== undefined && Number(entry & ~1n) !== head && count < ROBUST_LIMIT; count++) {
    const node = Number(entry & ~1n);
    const next = read64(linux, process, node);
    if (entry !== pending) markDead(linux, task, node + displacement);
    entry = next;
  }
  if (pending !== 0n) markDead(linux, task, Number(pending & ~1n) + displacement);
}

function markDead(linux: Linux, task: Task, address: number): void {
  const word = read32(linux, task.process, address);
  if (word === undefined || (word & FUTEX_TID_MASK) !== task.tid) return;
  write32(linux, task.process, address, ((word & FUTEX_WAITERS) | FUTEX_OWNER_DIED) >>> 0);
  if (word & FUTEX_WAITERS) futexWake(linux, task.process, address, 1, 0xffffffff);
}
