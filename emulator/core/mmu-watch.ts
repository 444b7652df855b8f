/**
 * Watched ranges of linear addresses (AssemblyScript): data breakpoints of the debug registers in slots 0 to 3, the debugger's in those above. A page
 * with one gets no TLB tag for what is watched, so every such access comes by here; one that meets a range is given up and redone alone (careful
 * mode), and then only noted. Nothing is asked while WATCHES is 0.
 */
import { WATCHES, WATCH_FIRST, WATCH_HITS, WATCH_KIND, WATCH_LAST, WATCH_LIST, WATCH_READS, WATCH_SHIFT, WATCH_WRITES } from '../cpu/layout';
import { ACCESS_KIND, ACCESS_WRITE } from '../cpu/codes';

@inline function rangeOf(slot: u32): usize {
  return <usize>WATCH_LIST + ((<usize>slot) << WATCH_SHIFT);
}

/** Kinds (WATCH_*) of access that are watched anywhere from `first` to `last`. */
export function watchedKinds(first: u64, last: u64): u32 {
  let kinds: u32 = 0;
  for (let left = load<u32>(WATCHES); left != 0; left &= left - 1) {
    const range = rangeOf(ctz(left));
    if (load<u64>(range, WATCH_FIRST) <= last && load<u64>(range, WATCH_LAST) >= first) kinds |= load<u32>(range, WATCH_KIND);
  }
  return kinds;
}

/** Notes in WATCH_HITS, bit n for slot n, which ranges an access of `bytes` at `gva` meets. Returns 1 if any. */
export function noteAccess(gva: u64, bytes: i32, access: i32): i32 {
  const kind = (access & ACCESS_KIND) == ACCESS_WRITE ? WATCH_WRITES : WATCH_READS;
  const last = gva + <u64>(bytes - 1);
  let hits: u32 = 0;
  for (let left = load<u32>(WATCHES); left != 0; left &= left - 1) {
    const slot = ctz(left);
    const range = rangeOf(slot);
    if ((load<u32>(range, WATCH_KIND) & kind) == 0) continue;
    if (load<u64>(range, WATCH_FIRST) <= last && load<u64>(range, WATCH_LAST) >= gva) hits |= <u32>1 << slot;
  }
  if (hits == 0) return 0;
  store<u32>(WATCH_HITS, load<u32>(WATCH_HITS) | hits);
  return 1;
}
