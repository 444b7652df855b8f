/** Flags of guest frames (AssemblyScript). */
import { FRAME_DIRTY, FRAME_FLAGS } from '../cpu/layout';

const DIRTY_IN_WORD: u64 = <u64>FRAME_DIRTY * 0x0101_0101_0101_0101;

/** The first frame of `pfn` to `end` - 1 that has been written since the last snapshot; -1 for none. */
export function nextDirty(pfn: i32, end: i32): i32 {
  while (pfn < end) {
    if ((pfn & 7) == 0 && pfn + 8 <= end && !(load<u64>(<usize>FRAME_FLAGS + <usize>pfn) & DIRTY_IN_WORD)) pfn += 8;
    else if (<u32>load<u8>(<usize>FRAME_FLAGS + <usize>pfn) & FRAME_DIRTY) return pfn;
    else pfn++;
  }
  return -1;
}
