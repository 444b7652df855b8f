/** TLB banks and their jump caches (AssemblyScript). Which bank serves which context is decided by mmu/banks.ts. */
import {
  CODE_BITMAP, FRAME_DIRTY, FRAME_FLAGS, FRAME_WATCHED, JC, JC_BANK_BYTES, JC_CHUNK_SHIFT, JC_ENTRIES, JC_SHIFT, JC_USED,
  RAM_BASE, TLB, TLB_ADDEND,
  TLB_BANK_BYTES, TLB_BANKS, TLB_BASE, TLB_ENTRIES, TLB_EXEC, TLB_FLAGS, TLB_READ, TLB_SHIFT, TLB_SIBLINGS, TLB_UNCACHED,
  TLB_WRITE,
  WATCHES, WATCH_READS,
} from '../cpu/layout';
import {
  walkBacked, walkExecutable, walkGlobal, walkHpa, walkPageShift, walkReadable, walkWritable,
} from './mmu-walk';
import { watchedKinds } from './mmu-watch';

const NO_TAG: u64 = 0xffff_ffff_ffff_ffff;
const PAGE_MASK: u64 = 0xffff_ffff_ffff_f000;

// TLB_FLAGS
const FLAG_GLOBAL: u32 = 1;
const FLAG_2M: u32 = 2;
const FLAG_1G: u32 = 4;
/** The walk allowed writing and the dirty flags are set: a write tag may be handed out without another walk. */
const FLAG_WRITABLE: u32 = 8;
const FLAG_4M: u32 = 16;
const FLAG_LARGE: u32 = FLAG_2M | FLAG_4M | FLAG_1G;

/** Bit n: bank n holds, or held since its last flush, anything; a part of a large page. */
let used: u32 = 0;
let large: u32 = 0;
/** 512 bits a bank: hashes of the pages code was looked up on since the last flush. Only these can be in the jump cache. */
const codePages: usize = memory.data(TLB_BANKS * 64, 8);

@inline function codePageByte(bank: i32, gva: u64): usize {
  return codePages + <usize>bank * 64 + <usize>((gva >> 15) & 63);
}

/** To be called when code at `gva` is looked up in the bank in force. */
export function noteCodePage(gva: u64): void {
  const bank = <i32>((load<u32>(TLB_BASE) - TLB) / TLB_BANK_BYTES);
  const at = codePageByte(bank, gva);
  store<u8>(at, <u8>(<u32>load<u8>(at) | (<u32>1 << (<u32>(gva >> 12) & 7))));
  used |= <u32>1 << bank;
}

@inline function entryOf(bankBase: usize, gva: u64): usize {
  return bankBase + ((<usize>(gva >> 12) & (TLB_ENTRIES - 1)) << TLB_SHIFT);
}

@inline function bankBase(bank: i32): usize {
  return <usize>TLB + <usize>bank * TLB_BANK_BYTES;
}

/** Entry of the bank in force that `gva` falls in; its tags need not match. */
@inline export function currentEntry(gva: u64): usize {
  return entryOf(<usize>load<u32>(TLB_BASE), gva);
}

/** Nobody wants to see writes to the frame one by one. */
@inline function unobserved(frame: usize): bool {
  return !(load<u8>(<usize>FRAME_FLAGS + frame) & FRAME_WATCHED) && !load<u64>(<usize>CODE_BITMAP + (frame << 3));
}

/**
 * Whether the entry allows a write to `page` although it has no write tag (taken back by a snapshot, withheld from a code
 * page). What the entry holds counts, not what the tables say by now: a stale entry stays one.
 */
export function allowsWrite(entry: usize, page: u64): bool {
  if (load<u64>(entry, TLB_READ) != page || !(load<u32>(entry, TLB_FLAGS) & FLAG_WRITABLE)) return false;
  const frame = <usize>((<u32>page + load<u32>(entry, TLB_ADDEND) - <u32>RAM_BASE) >> 12);
  if (unobserved(frame)) {
    store<u8>(<usize>FRAME_FLAGS + frame, <u8>(<u32>load<u8>(<usize>FRAME_FLAGS + frame) | FRAME_DIRTY));
    store<u64>(entry, page, TLB_WRITE);
  }
  return true;
}

/**
 * Caches the translation the last walk found. A write tag is handed out when nothing needs to see the write: the page's
 * dirty flags are set, the frame holds no code and is not watched, and it is marked dirty for snapshots.
 */
export function fill(gva: u64, write: bool): void {
  if (!walkBacked || load<u32>(TLB_UNCACHED)) return;
  const base = <usize>load<u32>(TLB_BASE);
  const page = gva & PAGE_MASK;
  const entry = entryOf(base, gva);
  const frame = <usize>(walkHpa >> 12);
  const frameFlags = <usize>FRAME_FLAGS + frame;
  const watched = load<u32>(WATCHES) ? watchedKinds(page, page | 0xfff) : 0;
  const writable = walkWritable && !watched;
  let writeTag = NO_TAG;
  // A read does not make the frame dirty, so it gets the tag only if the frame is dirty anyway.
  if (writable && unobserved(frame) && (write || (load<u8>(frameFlags) & FRAME_DIRTY) != 0)) {
    store<u8>(frameFlags, <u8>(<u32>load<u8>(frameFlags) | FRAME_DIRTY));
    writeTag = page;
  }
  store<u64>(entry, walkReadable && !(watched & WATCH_READS) ? page : NO_TAG, TLB_READ);
  store<u64>(entry, writeTag, TLB_WRITE);
  store<u64>(entry, walkExecutable ? page : NO_TAG, TLB_EXEC);
  store<u32>(entry, <u32>RAM_BASE + (<u32>walkHpa & 0xffff_f000) - <u32>page, TLB_ADDEND);
  const size = walkPageShift == 12 ? 0 : walkPageShift == 21 ? FLAG_2M : walkPageShift == 22 ? FLAG_4M : FLAG_1G;
  store<u32>(entry, (walkGlobal ? FLAG_GLOBAL : 0) | (writable ? FLAG_WRITABLE : 0) | size, TLB_FLAGS);
  const bit = <u32>1 << ((<u32>base - TLB) / TLB_BANK_BYTES);
  used |= bit;
  if (size) large |= bit;
}

@inline function clear(entry: usize): void {
  store<u64>(entry, NO_TAG, TLB_READ);
  store<u64>(entry, NO_TAG, TLB_WRITE);
  store<u64>(entry, NO_TAG, TLB_EXEC);
}

@inline function holds(entry: usize, page: u64, mask: u64): bool {
  return (
    (load<u64>(entry, TLB_READ) & mask) == page ||
    (load<u64>(entry, TLB_EXEC) & mask) == page ||
    (load<u64>(entry, TLB_WRITE) & mask) == page
  );
}

function dropJumps(bank: i32, page: u64, mask: u64): void {
  if (mask == PAGE_MASK && !((<u32>load<u8>(codePageByte(bank, page)) >> (<u32>(page >> 12) & 7)) & 1)) return;
  let at = <usize>JC + <usize>bank * JC_BANK_BYTES;
  let entries: usize = JC_ENTRIES;
  if (mask == PAGE_MASK) {
    // The bits of an index above the page offset are the same all over a page (BlockCache, `#jumpCacheEntry`).
    entries = 4096;
    at += ((<usize>(page ^ (page >> 12)) & (JC_ENTRIES - 1)) & ~(entries - 1)) << JC_SHIFT;
  }
  for (const end = at + (entries << JC_SHIFT); at < end; at += <usize>1 << JC_SHIFT) {
    if ((load<u64>(at) & mask) == page) store<u64>(at, NO_TAG);
  }
}

/** Empties the jump cache of a bank. */
export function flushJumps(bank: i32): void {
  const chunks = <usize>JC_USED + <usize>bank * 8;
  const base = <usize>JC + <usize>bank * JC_BANK_BYTES;
  for (let left = load<u64>(chunks); left != 0; left &= left - 1) {
    const chunk = <usize>ctz<u64>(left);
    memory.fill(base + (chunk << (JC_CHUNK_SHIFT + JC_SHIFT)), 0xff, <usize>1 << (JC_CHUNK_SHIFT + JC_SHIFT));
  }
  store<u64>(chunks, 0);
}

/**
 * Empties a bank and its jump cache.
 * @param keepGlobal 1: global pages stay in the TLB
 */
export function flushBank(bank: i32, keepGlobal: i32): void {
  const bit = <u32>1 << bank;
  if (!(used & bit)) return;
  flushJumps(bank);
  memory.fill(codePages + <usize>bank * 64, 0, 64);
  const base = bankBase(bank);
  if (!keepGlobal) {
    memory.fill(base, 0xff, TLB_BANK_BYTES);
    used &= ~bit;
    large &= ~bit;
    return;
  }
  for (let entry = base; entry < base + TLB_BANK_BYTES; entry += <usize>1 << TLB_SHIFT) {
    if (!(load<u32>(entry, TLB_FLAGS) & FLAG_GLOBAL)) clear(entry);
  }
}

/** Drops the global pages of a bank. */
export function flushGlobal(bank: i32): void {
  if (!(used & (<u32>1 << bank))) return;
  const base = bankBase(bank);
  for (let entry = base; entry < base + TLB_BANK_BYTES; entry += <usize>1 << TLB_SHIFT) {
    if (load<u32>(entry, TLB_FLAGS) & FLAG_GLOBAL) clear(entry);
  }
  flushJumps(bank);
}

/**
 * Drops the translation of one page from a bank; of the whole large page if it is part of one (SDM 3A 5.10.4.1).
 * @param which 0 all, 1 global ones only, 2 all but global ones
 */
export function flushPage(bank: i32, gva: u64, which: i32): void {
  const bit = <u32>1 << bank;
  if (!(used & bit)) return;
  const page = gva & PAGE_MASK;
  const base = bankBase(bank);
  const entry = entryOf(base, gva);
  if (holds(entry, page, NO_TAG) && concerns(entry, which)) clear(entry);
  dropJumps(bank, page, PAGE_MASK);
  if (!(large & bit)) return;
  for (let at = base; at < base + TLB_BANK_BYTES; at += <usize>1 << TLB_SHIFT) {
    const size = load<u32>(at, TLB_FLAGS) & FLAG_LARGE;
    if (!size) continue;
    const mask = ~(size & FLAG_1G ? <u64>0x3fff_ffff : size & FLAG_4M ? <u64>0x3f_ffff : <u64>0x1f_ffff);
    if (!holds(at, gva & mask, mask) || !concerns(at, which)) continue;
    clear(at);
    dropJumps(bank, gva & mask, mask);
  }
}

@inline function concerns(entry: usize, which: i32): bool {
  if (which == 0) return true;
  const global = (load<u32>(entry, TLB_FLAGS) & FLAG_GLOBAL) != 0;
  return which == 1 ? global : !global;
}

/** What a #PF or an EPT violation invalidates: the page in every bank of the address space in force (SDM 3A 5.10.4.1, 3C 29.4.3.1). */
export function flushFaulting(gva: u64): void {
  const siblings = load<u32>(TLB_SIBLINGS);
  for (let bank = 0; bank < TLB_BANKS; bank++) {
    if ((siblings & (<u32>1 << bank)) != 0) flushPage(bank, gva, 0);
  }
}

/** Drops the write tags of a frame in every bank, or of all frames when `pfn` is -1. */
export function dropWriteTags(pfn: i32): void {
  const host = <u32>RAM_BASE + (<u32>pfn << 12);
  for (let bank = 0; bank < TLB_BANKS; bank++) {
    if (!(used & (<u32>1 << bank))) continue;
    const base = bankBase(bank);
    for (let entry = base; entry < base + TLB_BANK_BYTES; entry += <usize>1 << TLB_SHIFT) {
      const tag = load<u64>(entry, TLB_WRITE);
      if (tag == NO_TAG) continue;
      if (pfn == -1 || <u32>tag + load<u32>(entry, TLB_ADDEND) == host) store<u64>(entry, NO_TAG, TLB_WRITE);
    }
  }
}

/** To be called after the TLB area has been replaced as a whole: forgets what is known of the banks' contents. */
export function banksReplaced(): void {
  used = (<u32>1 << TLB_BANKS) - 1;
  large = used;
}
