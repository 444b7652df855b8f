/** Entries of paging structures in memory, read and updated, and the trace of a walk's steps (AssemblyScript). */
import { FRAME_DIRTY, FRAME_FLAGS, PHYS_BITS, RAM_BASE, RAM_SIZE, WALK } from '../cpu/layout';

/** Bits 51:12. */
export const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

// What a traced step decided; mmu/walk.ts has the words.
export const OUTCOME_TABLE: u8 = 0;
export const OUTCOME_LEAF: u8 = 1;
export const OUTCOME_NOT_PRESENT: u8 = 2;
export const OUTCOME_RESERVED: u8 = 3;
export const OUTCOME_MISCONFIGURED: u8 = 4;
export const OUTCOME_NO_MEMORY: u8 = 5;

/** Memory references made. */
export let walkReferences: u32 = 0;
export function resetReferences(): void {
  walkReferences = 0;
}

/** A walk without side effects whose steps are recorded at WALK. */
export let quiet: bool = false;
/** Steps recorded. */
export let steps: u32 = 0;
export function setQuiet(on: bool): void {
  quiet = on;
  if (!on) return;
  steps = 0;
  wouldUpdate = false;
}
/** The quiet walk met an entry whose accessed or dirty flag an access would have set. */
export let wouldUpdate: bool = false;

@inline export function reservedAddressBits(): u64 {
  return ADDRESS & ~((<u64>1 << load<u32>(PHYS_BITS)) - 1);
}

@inline export function backed(hpa: u64): bool {
  return hpa < <u64>load<u32>(RAM_SIZE);
}

/** Memory that does not exist reads all ones. */
@inline export function readEntry(hpa: u64): u64 {
  walkReferences++;
  return backed(hpa) ? load<u64>(<usize>RAM_BASE + <usize>hpa) : ~(<u64>0);
}

@inline export function readEntry32(hpa: u64): u64 {
  walkReferences++;
  return backed(hpa) ? <u64>load<u32>(<usize>RAM_BASE + <usize>hpa) : 0xffff_ffff;
}

export function updateEntry(hpa: u64, entry: u64): void {
  if (quiet) wouldUpdate = true;
  if (quiet || !backed(hpa)) return;
  store<u64>(<usize>RAM_BASE + <usize>hpa, entry);
  markDirty(hpa);
}

export function updateEntry32(hpa: u64, entry: u32): void {
  if (quiet) wouldUpdate = true;
  if (quiet || !backed(hpa)) return;
  store<u32>(<usize>RAM_BASE + <usize>hpa, entry);
  markDirty(hpa);
}

@inline export function markDirty(hpa: u64): void {
  const flags = <usize>FRAME_FLAGS + <usize>(hpa >> 12);
  store<u8>(flags, load<u8>(flags) | <u8>FRAME_DIRTY);
}

/** Appends a step to the trace; without `quiet` nobody reads it and it is not written. */
export function trace(ept: u8, level: u32, forGuestLevel: u32, outcome: u8, gpa: u64, hpa: u64, entry: u64): void {
  const at = <usize>WALK + 64 + <usize>steps * 32;
  store<u8>(at, ept);
  store<u8>(at, <u8>level, 1);
  store<u8>(at, <u8>forGuestLevel, 2);
  store<u8>(at, backed(hpa) ? outcome : OUTCOME_NO_MEMORY, 3);
  store<u64>(at, gpa, 8);
  store<u64>(at, hpa, 16);
  store<u64>(at, entry, 24);
  steps++;
}

/** A step for a PDPTE register: nothing is read from memory. */
export function traceRegister(outcome: u8, gpa: u64, entry: u64): void {
  trace(2, 3, 0, outcome, gpa, gpa, entry);
  store<u8>(<usize>WALK + 64 + <usize>(steps - 1) * 32, outcome, 3);
}
