/** Masked moves: elements of 4 or 8 bytes, each touched only if its bit in `mask` is 1. Their alignment is never checked. Both return 0, or 1 with FAULT_* filled. */
import { BOUNCE, FP_RESULT } from '../cpu/layout';
import { probeWrite, setAnyAlignment, slowLoad, slowStore } from './mmu';

/** The elements at `gva` to FP_RESULT (32 bytes), zeros in place of the others. */
export function loadMasked(gva: u64, size: i32, mask: i32): i32 {
  setAnyAlignment(true);
  const faulted = loadElements(gva, size, mask);
  setAnyAlignment(false);
  return faulted;
}
function loadElements(gva: u64, size: i32, mask: i32): i32 {
  memory.fill(FP_RESULT, 0, 32);
  for (let bits = <u32>mask; bits != 0; bits &= bits - 1) {
    const offset = i32(ctz(bits)) * size;
    const host = slowLoad(gva + <u64>offset, size, 0);
    if (host == -1) return 1;
    memory.copy(FP_RESULT + <usize>offset, <usize>host, size);
  }
  return 0;
}

const values = memory.data(32);

/** The elements at BOUNCE (32 bytes) to `gva`; all or none. */
export function storeMasked(gva: u64, size: i32, mask: i32): i32 {
  setAnyAlignment(true);
  const faulted = storeElements(gva, size, mask);
  setAnyAlignment(false);
  return faulted;
}
function storeElements(gva: u64, size: i32, mask: i32): i32 {
  for (let bits = <u32>mask; bits != 0; bits &= bits - 1) {
    if (probeWrite(gva + <u64>(i32(ctz(bits)) * size), size)) return 1;
  }
  // A store across pages uses BOUNCE itself.
  memory.copy(values, BOUNCE, 32);
  for (let bits = <u32>mask; bits != 0; bits &= bits - 1) {
    const offset = i32(ctz(bits)) * size;
    const value = size == 8 ? load<u64>(values + <usize>offset) : <u64>load<u32>(values + <usize>offset);
    if (slowStore(gva + <u64>offset, size, 0, value)) return 1;
  }
  return 0;
}
