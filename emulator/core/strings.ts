/**
 * Repeated string instructions (AssemblyScript): each call handles the elements up to the end of a page (or one element that
 * crosses it) and says how many. The instruction's semantics move RCX, RSI and RDI on by that much, so that a fault finds
 * them exactly where the CPU would have them. `step` is +size or -size. Ranges without a usable TLB tag (decoded code,
 * watched frames) go element by element, and so does everything while addresses are watched.
 */
import { FAULT_PART } from '../cpu/codes';
import { FAULT_ERROR, FAULT_KIND, INTEGER_RESULT, RAM_BASE, TLB_ADDEND, TLB_READ, TLB_WRITE, WATCHES } from '../cpu/layout';
import { probeWrite, slowLoad, slowStore } from './mmu';
import { currentEntry } from './mmu-tlb';

/** The end of a part (REPEAT_PART): with elements left, FAULT_PART is filled. */
export function goesOn(left: u64, cycles: i32): bool {
  if (left == 0) return false;
  store<u32>(FAULT_KIND, FAULT_PART);
  store<u32>(FAULT_ERROR, cycles);
  return true;
}

const PAGE_MASK: u64 = 0xffff_ffff_ffff_f000;

/** Elements of `|step|` bytes from `gva` in the direction of `step` that lie on its page; 0 if the first one crosses. */
function onPage(gva: u64, step: i32): u64 {
  const offset = <i32>(gva & 0xfff);
  if (step > 0) return (4096 - offset) / step;
  return offset - step > 4096 ? 0 : offset / -step + 1;
}

/** Host offset of `gva` if the TLB allows the access at `tag`, else 0. */
@inline function host(gva: u64, tag: usize): usize {
  const entry = currentEntry(gva);
  if (load<u64>(entry + tag) != (gva & PAGE_MASK)) return 0;
  return <usize>(<i32>gva + load<i32>(entry, TLB_ADDEND));
}

/** Where the element at `gva` can be read: in memory, or assembled by slowLoad if it crosses a page; 0 with FAULT_* filled. */
function readable(gva: u64, size: i32): usize {
  const found = <i32>(gva & 0xfff) + size > 4096 ? 0 : host(gva, TLB_READ);
  if (found) return found;
  const slow = slowLoad(gva, size, 0);
  return slow == -1 ? 0 : <usize>slow;
}

/** Whether slowLoad put one element together rather than find it in memory. */
@inline function assembled(at: usize): bool {
  return at < <usize>RAM_BASE;
}

@inline function element(at: usize, size: i32): u64 {
  if (size == 8) return load<u64>(at);
  if (size == 4) return load<u32>(at);
  if (size == 2) return load<u16>(at);
  return load<u8>(at);
}

@inline function put(at: usize, size: i32, value: u64): void {
  if (size == 8) store<u64>(at, value);
  else if (size == 4) store<u32>(at, <u32>value);
  else if (size == 2) store<u16>(at, <u16>value);
  else store<u8>(at, <u8>value);
}

/** Host offset for writing a run of elements; 0 if they have to go one by one, -1 with FAULT_* filled. */
function writable(gva: u64, size: i32): usize {
  const found = host(gva, TLB_WRITE);
  if (found) return found;
  if (probeWrite(gva, size)) return -1;
  return host(gva, TLB_WRITE);
}

/**
 * MOVS: copies up to `count` (not 0) elements from `source` to `destination`.
 * @returns how many, 0 with FAULT_* filled
 */
export function repMovs(destination: u64, source: u64, count: u64, step: i32): u64 {
  const size = step < 0 ? -step : step;
  const from = readable(source, size);
  if (!from) return 0;
  let run = min(count, min(onPage(source, step), onPage(destination, step)));
  if (load<u32>(WATCHES)) run = min(run, 1);
  const to = run > 0 ? writable(destination, size) : 0;
  if (to == -1) return 0;
  if (!to || assembled(from)) return slowStore(destination, size, 0, element(from, size)) ? 0 : 1;
  const bytes = <i32>run * size;
  // Forwards, a destination inside the source repeats what was just written; memory.copy would not.
  if (step > 0 && (to <= from || to >= from + bytes)) memory.copy(to, from, bytes);
  else for (let i = 0; i < <i32>run; i++) put(to + i * step, size, element(from + i * step, size));
  return run;
}

/** STOS: stores `value` to up to `count` (not 0) elements. Returns as `repMovs`. */
export function repStos(destination: u64, value: u64, count: u64, step: i32): u64 {
  const size = step < 0 ? -step : step;
  const run = load<u32>(WATCHES) ? min(1, onPage(destination, step)) : min(count, onPage(destination, step));
  const to = run > 0 ? writable(destination, size) : 0;
  if (to == -1) return 0;
  if (!to) return slowStore(destination, size, 0, value) ? 0 : 1;
  if (size == 1 && step > 0) memory.fill(to, <u8>value, <usize>run);
  else for (let i = 0; i < <i32>run; i++) put(to + i * step, size, value);
  return run;
}

/**
 * SCAS: compares `value` with up to `count` (not 0) elements, stopping after one that is equal (`until` 1) or unequal (0).
 * @returns how many were compared, 0 with FAULT_* filled; the last one is left in INTEGER_RESULT
 */
export function repScas(destination: u64, value: u64, count: u64, step: i32, until: i32): u64 {
  const size = step < 0 ? -step : step;
  const at = readable(destination, size);
  if (!at) return 0;
  const run = assembled(at) || load<u32>(WATCHES) != 0 ? 1 : min(count, onPage(destination, step));
  let last: u64 = 0;
  let done: u64 = 0;
  while (done < run) {
    last = element(at + <i32>done * step, size);
    done++;
    if (i32(last == value) == until) break;
  }
  store<u64>(INTEGER_RESULT, last);
  return done;
}
