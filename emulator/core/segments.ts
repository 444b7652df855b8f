/** Segments outside 64-bit mode (AssemblyScript): base, limit and type of an access (SDM 3A 5.3, 5.5). */
import {
  FAULT_ERROR, FAULT_GVA, FAULT_KIND, SEG, SEG_BASE, SEG_LIMIT, SEG_RIGHTS, SEG_STRIDE,
} from '../cpu/layout';
import { FAULT_SEGMENT } from '../cpu/codes';
import {
  RIGHTS_CODE as CODE, RIGHTS_DB as DB, RIGHTS_EXPAND_DOWN as EXPAND_DOWN, RIGHTS_READABLE as READABLE, RIGHTS_UNUSABLE as UNUSABLE,
  RIGHTS_WRITABLE as WRITABLE,
} from '../cpu/segment-rights';

const WRITE: i32 = 0x10000;
const BYTES: i32 = 0xffff;

/** Whether a segment with these rights lets the access be, wherever it is. */
@inline function permitted(rights: u32, write: bool): bool {
  if (rights & UNUSABLE) return false;
  if (rights & CODE) return !write && (rights & READABLE) != 0;
  return !write || (rights & WRITABLE) != 0;
}

/** Whether the bytes from `offset` to `last` lie in the segment. `last` does not wrap. */
@inline function within(rights: u32, limit: u64, offset: u64, last: u64): bool {
  if ((rights & (CODE | EXPAND_DOWN)) != EXPAND_DOWN) return last <= limit;
  return offset > limit && last <= (rights & DB ? <u64>0xffff_ffff : <u64>0xffff);
}

/**
 * Linear address of an access.
 * @param segment address of the segment register in the state page
 * @param access bytes, plus WRITE
 * @returns all ones with FAULT_* filled if the segment does not allow it
 */
export function segmentAddress(segment: i32, offset: u64, access: i32): u64 {
  const rights = load<u32>(segment, SEG_RIGHTS);
  const last = offset + <u64>((access & BYTES) - 1);
  if (permitted(rights, (access & WRITE) != 0) && within(rights, load<u32>(segment, SEG_LIMIT), offset, last)) {
    return (load<u64>(segment, SEG_BASE) + offset) & 0xffff_ffff;
  }
  store<u32>(FAULT_KIND, FAULT_SEGMENT);
  store<u32>(FAULT_ERROR, <u32>((segment - SEG) / SEG_STRIDE));
  store<u64>(FAULT_GVA, offset);
  return 0xffff_ffff_ffff_ffff;
}
