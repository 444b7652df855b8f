/** Copies between the kernel and user memory: copy_from_user, copy_to_user, through the process's own page tables. */
import { PAGE } from './frames.ts';
import { fault } from './mm.ts';
import { PTE_P, PTE_W, lookup } from './pagetables.ts';
import type { Linux, Process } from './state.ts';
import { TASK_SIZE } from './vma.ts';

/** HPA behind a user address after faulting its page in, or -1 (EFAULT). */
export function userByte(linux: Linux, process: Process, address: number, write: boolean): number {
  if (!(address >= 0 && address < TASK_SIZE)) return -1;
  for (let attempt = 0; attempt < 3; attempt++) {
    const leaf = lookup(linux.memory, process.mm.root, address);
    if (leaf && (leaf.low & PTE_P) !== 0 && (!write || (leaf.low & PTE_W) !== 0))
      return leaf.hpa + (address % leaf.size);
    if (fault(linux, process, address, write ? 'write' : 'read')) return -1;
  }
  return -1;
}

/** Undefined = EFAULT. */
export function copyIn(linux: Linux, process: Process, address: number, bytes: number): Uint8Array | undefined {
  const into = new Uint8Array(bytes);
  return copyInto(linux, process, address, into, 0, bytes) ? into : undefined;
}

/** To `into[at]` and up. False = EFAULT. */
export function copyInto(
  linux: Linux,
  process: Process,
  address: number,
  into: Uint8Array,
  at: number,
  bytes: number,
): boolean {
  for (let done = 0; done < bytes;) {
    const hpa = userByte(linux, process, address + done, false);
    if (hpa < 0) return false;
    const chunk = Math.min(bytes - done, PAGE - (hpa % PAGE));
    into.set(linux.memory.slice(hpa, chunk), at + done);
    done += chunk;
  }
  return true;
}

/** False = EFAULT; bytes before the bad page are written, as the kernel does. */
export function copyOut(linux: Linux, process: Process, address: number, data: Uint8Array): boolean {
  for (let done = 0; done < data.length;) {
    const hpa = userByte(linux, process, address + done, true);
    if (hpa < 0) return false;
    const chunk = Math.min(data.length - done, PAGE - (hpa % PAGE));
    linux.memory.write(hpa, data.subarray(done, done + chunk));
    done += chunk;
  }
  return true;
}

/** True if every page of [address, address + bytes) can be accessed. */
export function accessible(linux: Linux, process: Process, address: number, bytes: number, write: boolean): boolean {
  for (let at = address - (address % PAGE); at < address + bytes; at += PAGE)
    if (userByte(linux, process, Math.max(at, address), write) < 0) return false;
  return true;
}

export function read32(linux: Linux, process: Process, address: number): number | undefined {
  if (address % PAGE <= PAGE - 4 && address % 4 === 0) {
    const hpa = userByte(linux, process, address, false);
    return hpa < 0 ? undefined : linux.memory.read32(hpa);
  }
  const bytes = copyIn(linux, process, address, 4);
  return bytes && new DataView(bytes.buffer).getUint32(0, true);
}
export function read64(linux: Linux, process: Process, address: number): bigint | undefined {
  const bytes = copyIn(linux, process, address, 8);
  return bytes && new DataView(bytes.buffer).getBigUint64(0, true);
}
export function write32(linux: Linux, process: Process, address: number, value: number): boolean {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return copyOut(linux, process, address, bytes);
}
export function write64(linux: Linux, process: Process, address: number, value: bigint): boolean {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, value & 0xffffffffffffffffn, true);
  return copyOut(linux, process, address, bytes);
}

/** A NUL-terminated string of at most `limit` bytes, as Latin-1-safe UTF-8; undefined = EFAULT, null = too long. */
export function readString(linux: Linux, process: Process, address: number, limit = 4096): string | undefined | null {
  const parts: number[] = [];
  for (let at = address; parts.length < limit;) {
    const hpa = userByte(linux, process, at, false);
    if (hpa < 0) return undefined;
    const chunk = linux.memory.slice(hpa, PAGE - (hpa % PAGE));
    const end = chunk.indexOf(0);
    parts.push(...chunk.subarray(0, end < 0 ? chunk.length : end));
    if (end >= 0) return parts.length >= limit ? null : new TextDecoder().decode(new Uint8Array(parts));
    at += chunk.length;
  }
  return null;
}

/** A NULL-terminated array of string pointers (argv, envp). Undefined = EFAULT. */
export function readStrings(linux: Linux, process: Process, address: number): string[] | undefined {
  const strings: string[] = [];
  for (let at = address; address !== 0 && strings.length < 65536; at += 8) {
    const pointer = read64(linux, process, at);
    if (pointer === undefined) return undefined;
    if (pointer === 0n) break;
    const text = readString(linux, process, Number(pointer), 131072);
    if (text === undefined || text === null) return undefined;
    strings.push(text);
  }
  return strings;
}

/** Sequential writer of little-endian structures. */
export class Packer {
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  constructor(size: number) {
    this.bytes = new Uint8Array(size);
    this.#view = new DataView(this.bytes.buffer);
  }
  u8(offset: number, value: number): this {
    this.#view.setUint8(offset, value);
    return this;
  }
  u16(offset: number, value: number): this {
    this.#view.setUint16(offset, value, true);
    return this;
  }
  u32(offset: number, value: number): this {
    this.#view.setUint32(offset, value, true);
    return this;
  }
  u64(offset: number, value: bigint | number): this {
    this.#view.setBigUint64(offset, BigInt.asUintN(64, BigInt(value)), true);
    return this;
  }
  text(offset: number, value: string): this {
    this.bytes.set(new TextEncoder().encode(value), offset);
    return this;
  }
}
