/** System calls in the manner of strace. */
import { errnoName } from './errno.ts';
import { SIGNAL_NAMES } from './signal-numbers.ts';
import type { Linux } from './state.ts';
import { SYSCALLS } from './syscalls/table.ts';
import type { ArgumentKind } from './syscalls/table.ts';
import { PTE_P, lookup } from './pagetables.ts';
import { TASK_SIZE } from './vma.ts';

const LONGEST = 32;

export function formatCall(linux: Linux, number: number, args: readonly bigint[]): string {
  const row = SYSCALLS.get(number);
  if (!row) return `syscall_${number}(${args.map(hex).join(', ')})`;
  return `${row.name}(${row.args.map((kind, index) => formatArgument(linux, kind, args[index] ?? 0n, args[index + 1])).join(', ')})`;
}

export function formatResult(number: number, result: bigint): string {
  const name = errnoName(result);
  if (name) return `-1 ${name}`;
  return ADDRESS_RESULTS.has(SYSCALLS.get(number)?.name ?? '') ? hex(result) : String(result);
}
const ADDRESS_RESULTS = new Set(['brk', 'mmap', 'mremap']);

function hex(value: bigint): string {
  return value === 0n ? 'NULL' : `0x${BigInt.asUintN(64, value).toString(16)}`;
}

function formatArgument(linux: Linux, kind: ArgumentKind, value: bigint, next: bigint | undefined): string {
  switch (kind) {
    case 'int':
      return String(BigInt.asIntN(32, value));
    case 'size':
      return String(value);
    case 'offset':
      return String(BigInt.asIntN(64, value));
    case 'fd':
      return BigInt.asIntN(32, value) === -100n ? 'AT_FDCWD' : String(BigInt.asIntN(32, value));
    case 'flags':
      return `0x${BigInt.asUintN(32, value).toString(16)}`;
    case 'mode':
      return `0${(value & 0o7777n).toString(8)}`;
    case 'signal':
      return SIGNAL_NAMES[Number(BigInt.asIntN(32, value))] || String(BigInt.asIntN(32, value));
    case 'path':
      return quote(peekString(linux, value)) ?? hex(value);
    case 'data':
      return quote(peek(linux, value, Number(next ?? 0n))) ?? hex(value);
    case 'pointer':
      return hex(value);
  }
}

/** Bytes already mapped: formatting never faults a page in. */
function peek(linux: Linux, address: bigint, count: number): { text: Uint8Array; more: boolean } | undefined {
  const task = linux.state.tasks.get(linux.state.currentTid);
  const at = Number(address);
  if (!task || at >= TASK_SIZE || task.process.mm.root === 0) return undefined;
  const leaf = lookup(linux.memory, task.process.mm.root, at);
  if (!leaf || !(leaf.low & PTE_P)) return undefined;
  const room = Math.min(count, LONGEST, leaf.size - (at % leaf.size));
  return { text: linux.memory.slice(leaf.hpa + (at % leaf.size), room), more: count > room };
}
function peekString(linux: Linux, address: bigint): { text: Uint8Array; more: boolean } | undefined {
  const found = peek(linux, address, LONGEST);
  const end = found?.text.indexOf(0) ?? -1;
  return found && (end >= 0 ? { text: found.text.subarray(0, end), more: false } : { text: found.text, more: true });
}
function quote(found: { text: Uint8Array; more: boolean } | undefined): string | undefined {
  return found && `${JSON.stringify(new TextDecoder().decode(found.text))}${found.more ? '...' : ''}`;
}
