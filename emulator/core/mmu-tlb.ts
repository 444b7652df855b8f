/** TLB banks and their jump caches (AssemblyScript). Which bank serves which context is decided by mmu/banks.ts. */
import {
  CODE_ADDEND, CODE_BANK_BYTES, CODE_BITMAP, CODE_CHUNK, CODE_ENTRIES, CODE_PAGES, CODE_PAGES_A_BANK, CODE_SHIFT, CODE_SIZE, CODE_TLB, CODE_USED, CODE_USED_BYTES, CODE_VALID, FRAME_DIRTY, FRAME_FLAGS, FRAME_WATCHED, JC, JC_BANK_BYTES, JC_CHUNK_SHIFT, JC_EMPTY, JC_SHIFT, JC_USED,
  MARKS_A_BANK, RAM_BASE, TLB,
  TLB_ADDEND, TLB_BANK_BYTES, TLB_BANKS, TLB_BASE, TLB_ENTRIES, TLB_EXEC, TLB_FLAGS, TLB_GPA_SHIFT, TLB_MARKS, TLB_PARKED, TLB_READ, TLB_SHIFT,
  TLB_SIBLINGS, TLB_UNCACHED, TLB_WRITE,
  WATCHES, WATCH_READS,
} from '../cpu/layout';
import {
  walkBacked, walkExecutable, walkGlobal, walkGpa, walkHpa, walkPageShift, walkReadable, walkWritable,
} from './mmu-walk';
import { watchedKinds } from './mmu-watch';

export const NO_TAG: u64 = 0xffff_ffff_ffff_ffff;
const PAGE_MASK: u64 = 0xffff_ffff_ffff_f000;

// TLB_FLAGS
export const FLAG_GLOBAL: u32 = 1;
const FLAG_2M: u32 = 2;
const FLAG_1G: u32 = 4;
/** The walk allowed writing and the dirty flags are set: a write tag may be handed out without another walk. */
export const FLAG_WRITABLE: u32 = 8;
const FLAG_4M: u32 = 16;
const FLAG_LARGE: u32 = FLAG_2M | FLAG_4M | FLAG_1G;

/** Bit n: bank n holds, or held since its last flush, anything; a part of a large page. */
let used: u32 = 0;
let large: u32 = 0;
/**
 * Which large pages a bank may hold parts of, LARGE_SLOTS quadwords a bank: 0 none, the page's address with its FLAG_* bit, or MANY for several that share the slot.
 * INVLPG looks through the bank only for a page that is named here.
 */
const LARGE_SLOTS: i32 = 128;
const MANY: u64 = 0xffff_ffff_ffff_ffff;
const largePages: usize = memory.data(TLB_BANKS * 128 * 8, 8);

@inline function codePageByte(bank: i32, gva: u64): usize {
  return <usize>CODE_PAGES + <usize>bank * CODE_PAGES_A_BANK + <usize>(((gva >> 15) ^ (gva >> 23)) & 511);
}
@inline function largeSlot(bank: i32, gva: u64, shift: u64): usize {
  return largePages + (<usize>(bank * LARGE_SLOTS + (<i32>(gva >> shift) & (LARGE_SLOTS - 1))) << 3);
}
@inline function shiftOf(size: u32): u64 {
  return size == FLAG_2M ? 21 : size == FLAG_4M ? 22 : 30;
}

/** Size of the page that the last walk ended at: one of FLAG_LARGE, 0 for 4 KB. */
@inline function walkedSize(): u32 {
  return walkPageShift == 12 ? 0 : walkPageShift == 21 ? FLAG_2M : walkPageShift == 22 ? FLAG_4M : FLAG_1G;
}
/** A part of a large page enters the bank. */
function noteLarge(bank: i32, gva: u64, size: u32): void {
  const shift = shiftOf(size);
  const slot = largeSlot(bank, gva, shift);
  const page = ((gva >> shift) << shift) | <u64>size;
  const known = load<u64>(slot);
  large |= <u32>1 << bank;
  if (known != page) store<u64>(slot, known == 0 ? page : MANY);
}

@inline function currentBank(): i32 {
  return <i32>((load<u32>(TLB_BASE) - TLB) / TLB_BANK_BYTES);
}
/** To be called when code at `gva` is looked up in the bank in force. */
export function noteCodePage(gva: u64): void {
  const bank = currentBank();
  const at = codePageByte(bank, gva);
  store<u8>(at, <u8>(<u32>load<u8>(at) | (<u32>1 << (<u32>(gva >> 12) & 7))));
  used |= <u32>1 << bank;
}

@inline function codeEntry(bank: i32, gva: u64): usize {
  return <usize>CODE_TLB + <usize>bank * CODE_BANK_BYTES + ((<usize>(gva >> 12) & (CODE_ENTRIES - 1)) << CODE_SHIFT);
}
/** Entry of the bank in force that code at `gva` falls in. */
export function currentCode(gva: u64): usize {
  return codeEntry(currentBank(), gva);
}
/** Host offset of code at `gva` if the bank in force has its translation, not parked, else 0. */
export function codeAt(gva: u64): u32 {
  const page = gva & PAGE_MASK;
  const code = currentCode(gva);
  if ((load<u64>(code) | TLB_PARKED) == (page | CODE_VALID | TLB_PARKED))
    return load<u64>(code) & TLB_PARKED ? 0 : <u32>gva + load<u32>(code, CODE_ADDEND);
  const entry = currentEntry(gva);
  if (load<u64>(entry, TLB_EXEC) != page) return 0;
  noteCode(gva, load<u32>(entry, TLB_ADDEND), load<u32>(entry, TLB_FLAGS) & FLAG_LARGE);
  return <u32>gva + load<u32>(entry, TLB_ADDEND);
}
/** As `noteCode`, of what has just been found for a fetch: by the entry for data, or by a walk where there is none (TLB_UNCACHED). */
export function noteFetched(gva: u64, addend: u32): void {
  const entry = currentEntry(gva);
  const cached = load<u64>(entry, TLB_EXEC) == (gva & PAGE_MASK);
  noteCode(gva, addend, cached ? load<u32>(entry, TLB_FLAGS) & FLAG_LARGE : walkedSize());
}
/**
 * Code at `gva` has been looked up. What the jump cache answers, a look into the TLB would: a page leaves both at once, and neither on account of data. Links within a
 * page ask neither; the page they are on is there. So it cannot be seen which blocks are decoded, linked and cached, nor where slices end.
 */
function noteCode(gva: u64, addend: u32, size: u32): void {
  const bank = currentBank();
  const code = codeEntry(bank, gva);
  const displaced = load<u64>(code);
  if (displaced != 0) dropJumps(bank, displaced & PAGE_MASK, PAGE_MASK);
  store<u64>(code, (gva & PAGE_MASK) | CODE_VALID);
  store<u32>(code, addend, CODE_ADDEND);
  store<u32>(code, size, CODE_SIZE);
  if (size) noteLarge(bank, gva, size);
  const chunk = (<u32>(gva >> 12) & (CODE_ENTRIES - 1)) / CODE_CHUNK;
  const byte = <usize>CODE_USED + <usize>bank * CODE_USED_BYTES + (chunk >> 3);
  store<u8>(byte, <u8>(<u32>load<u8>(byte) | (<u32>1 << (chunk & 7))));
  noteCodePage(gva);
}
const CODE_CHUNK_BYTES: usize = CODE_CHUNK << CODE_SHIFT;
/** Where bits of CODE_USED stand. */
@inline function usedWord(bank: i32, word: usize): usize {
  return <usize>CODE_USED + <usize>bank * CODE_USED_BYTES + word;
}
/** The entries that the lowest bit of such a word stands for. */
@inline function codeChunk(bank: i32, word: usize, bits: u64): usize {
  return <usize>CODE_TLB + <usize>bank * CODE_BANK_BYTES + ((word << 3) + <usize>ctz<u64>(bits)) * CODE_CHUNK_BYTES;
}
/** Drops what code in the parts of a large page is fetched by; whether there was any. */
function dropCode(bank: i32, page: u64, mask: u64, size: u32): bool {
  let found = false;
  for (let word: usize = 0; word < <usize>CODE_USED_BYTES; word += 8) {
    for (let left = load<u64>(usedWord(bank, word)); left != 0; left &= left - 1) {
      let at = codeChunk(bank, word, left);
      for (const end = at + CODE_CHUNK_BYTES; at < end; at += 1 << CODE_SHIFT) {
        if ((load<u64>(at) & mask) != page || load<u32>(at, CODE_SIZE) != size || load<u64>(at) == 0) continue;
        store<u64>(at, 0);
        found = true;
      }
    }
  }
  return found;
}
/** Forgets where code is fetched, and the jump cache with it. */
function forgetCode(bank: i32): void {
  for (let word: usize = 0; word < <usize>CODE_USED_BYTES; word += 8) {
    for (let left = load<u64>(usedWord(bank, word)); left != 0; left &= left - 1) memory.fill(codeChunk(bank, word, left), 0, CODE_CHUNK_BYTES);
    store<u64>(usedWord(bank, word), 0);
  }
  flushJumps(bank);
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
  giveWriteTag(entry, page, page);
  return true;
}

/** Gives the entry of `page` this write tag if nobody wants to see its writes. */
export function giveWriteTag(entry: usize, page: u64, tag: u64): void {
  const frame = <usize>((<u32>page + load<u32>(entry, TLB_ADDEND) - <u32>RAM_BASE) >> 12);
  if (!unobserved(frame)) return;
  store<u8>(<usize>FRAME_FLAGS + frame, <u8>(<u32>load<u8>(<usize>FRAME_FLAGS + frame) | FRAME_DIRTY));
  store<u64>(entry, tag, TLB_WRITE);
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
  store<u8>(<usize>TLB_MARKS + ((entry - TLB) >> 9), 1);
  store<u64>(entry, walkReadable && !(watched & WATCH_READS) ? page : NO_TAG, TLB_READ);
  store<u64>(entry, writeTag, TLB_WRITE);
  store<u64>(entry, walkExecutable ? page : NO_TAG, TLB_EXEC);
  store<u32>(entry, <u32>RAM_BASE + (<u32>walkHpa & 0xffff_f000) - <u32>page, TLB_ADDEND);
  const size = walkedSize();
  const gpa = <u32>(walkGpa >> 12) << TLB_GPA_SHIFT;
  store<u32>(entry, gpa | (walkGlobal ? FLAG_GLOBAL : 0) | (writable ? FLAG_WRITABLE : 0) | size, TLB_FLAGS);
  const bank = <i32>((<u32>base - TLB) / TLB_BANK_BYTES);
  used |= <u32>1 << bank;
  if (size) noteLarge(bank, gva, size);
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
  // Indexes of a page's addresses have the bits above the page offset in common (JC_LOW, JC_HIGH): four chunks.
  let left = load<u64>(<usize>JC_USED + <usize>bank * 8);
  if (mask == PAGE_MASK) left &= <u64>0xf << ((((page >> 12) ^ (page >> 24)) & 15) << 2);
  const base = <usize>JC + <usize>bank * JC_BANK_BYTES;
  for (; left != 0; left &= left - 1) {
    let at = base + (<usize>ctz<u64>(left) << (JC_CHUNK_SHIFT + JC_SHIFT));
    for (const end = at + (<usize>1 << (JC_CHUNK_SHIFT + JC_SHIFT)); at < end; at += <usize>1 << JC_SHIFT) {
      if ((load<u64>(at) & mask) == page) memory.fill(at, <u8>JC_EMPTY, 8);
    }
  }
}

/** Empties the jump cache of a bank. */
export function flushJumps(bank: i32): void {
  const chunks = <usize>JC_USED + <usize>bank * 8;
  const base = <usize>JC + <usize>bank * JC_BANK_BYTES;
  for (let left = load<u64>(chunks); left != 0; left &= left - 1) {
    const chunk = <usize>ctz<u64>(left);
    memory.fill(base + (chunk << (JC_CHUNK_SHIFT + JC_SHIFT)), <u8>JC_EMPTY, <usize>1 << (JC_CHUNK_SHIFT + JC_SHIFT));
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
  forgetCode(bank);
  memory.fill(<usize>CODE_PAGES + <usize>bank * CODE_PAGES_A_BANK, 0, CODE_PAGES_A_BANK);
  let kept = false;
  for (let chunk = bank * MARKS_A_BANK; chunk < (bank + 1) * MARKS_A_BANK; chunk++) {
    const mark = <usize>TLB_MARKS + <usize>chunk;
    if (!load<u8>(mark)) continue;
    if (keepGlobal && keepGlobals(chunk)) kept = true;
    else {
      memory.fill(<usize>TLB + (<usize>chunk << 9), 0xff, 512);
      store<u8>(mark, 0);
    }
  }
  if (kept) return;
  memory.fill(largePages + <usize>bank * 1024, 0, 1024);
  used &= ~bit;
  large &= ~bit;
}

/** Drops what is not global in 512 bytes of a bank; whether anything is left. */
function keepGlobals(chunk: i32): bool {
  let kept = false;
  const first = <usize>TLB + (<usize>chunk << 9);
  for (let entry = first; entry < first + 512; entry += <usize>1 << TLB_SHIFT) {
    if (load<u32>(entry, TLB_FLAGS) & FLAG_GLOBAL && held(entry)) kept = true;
    else clear(entry);
  }
  return kept;
}

@inline function held(entry: usize): bool {
  return (load<u64>(entry, TLB_READ) & load<u64>(entry, TLB_WRITE) & load<u64>(entry, TLB_EXEC)) != NO_TAG;
}

/** Drops the global pages of a bank. */
export function flushGlobal(bank: i32): void {
  if (!(used & (<u32>1 << bank))) return;
  for (let chunk = bank * MARKS_A_BANK; chunk < (bank + 1) * MARKS_A_BANK; chunk++) {
    if (!load<u8>(<usize>TLB_MARKS + <usize>chunk)) continue;
    const first = <usize>TLB + (<usize>chunk << 9);
    for (let entry = first; entry < first + 512; entry += <usize>1 << TLB_SHIFT) {
      if (load<u32>(entry, TLB_FLAGS) & FLAG_GLOBAL) clear(entry);
    }
  }
  forgetCode(bank);
}

/**
 * Drops the translation of one page from a bank; of the whole large page if it is part of one (SDM 3A 5.10.4.1).
 * @param which 0 all, 1 global ones only, 2 all but global ones
 */
export function flushPage(bank: i32, gva: u64, which: i32): void {
  const bit = <u32>1 << bank;
  if (!(used & bit)) return;
  flushSmall(bank, gva, which);
  if (!(large & bit)) return;
  flushLarge(bank, gva, which, FLAG_2M);
  flushLarge(bank, gva, which, FLAG_4M);
  flushLarge(bank, gva, which, FLAG_1G);
}

/** Drops the entry for 4 KB. */
function flushSmall(bank: i32, gva: u64, which: i32): void {
  const page = gva & PAGE_MASK;
  const entry = entryOf(bankBase(bank), gva);
  if (holds(entry, page, PAGE_MASK) && concerns(entry, which)) clear(entry);
  const code = codeEntry(bank, gva);
  if ((load<u64>(code) & PAGE_MASK) == page) store<u64>(code, 0);
  dropJumps(bank, page, PAGE_MASK);
}

/** Drops what a bank holds of the large page of a size that `gva` would lie in. */
@inline function flushLarge(bank: i32, gva: u64, which: i32, size: u32): void {
  const shift = shiftOf(size);
  const slot = largeSlot(bank, gva, shift);
  const page = (gva >> shift) << shift;
  const known = load<u64>(slot);
  if (known != (page | <u64>size) && known != MANY) return;
  flushParts(bank, page, which, shift, size);
  if (known != MANY && which == 0) store<u64>(slot, 0);
}

function flushParts(bank: i32, page: u64, which: i32, shift: u64, size: u32): void {
  const mask = ~(((<u64>1) << shift) - 1);
  const base = bankBase(bank);
  // The parts of a 2 MB page fall into one half of the bank.
  const first = size == FLAG_2M ? entryOf(base, page) : base;
  const count = size == FLAG_2M ? TLB_ENTRIES / 2 : TLB_ENTRIES;
  let found = false;
  for (let at = first; at < first + (<usize>count << TLB_SHIFT); at += <usize>1 << TLB_SHIFT) {
    if (!(load<u32>(at, TLB_FLAGS) & size) || !holds(at, page, mask) || !concerns(at, which)) continue;
    clear(at);
    found = true;
  }
  // Code may be fetched by what data has displaced here.
  if (dropCode(bank, page, mask, size) || found) dropJumps(bank, page, mask);
}

@inline function concerns(entry: usize, which: i32): bool {
  if (which == 0) return true;
  const global = (load<u32>(entry, TLB_FLAGS) & FLAG_GLOBAL) != 0;
  return which == 1 ? global : !global;
}

/**
 * What a #PF or an EPT violation invalidates: the page in every bank of the address space in force (SDM 3A 5.10.4.1, 3C 29.4.3.1).
 * @param small the EPT maps the address in 4 KB, and so do combined mappings, whatever the guest's page size
 */
export function flushFaulting(gva: u64, small: bool): void {
  for (let left = load<u32>(TLB_SIBLINGS) & used; left != 0; left &= left - 1) {
    if (small) flushSmall(<i32>ctz<u32>(left), gva, 0);
    else flushPage(<i32>ctz<u32>(left), gva, 0);
  }
}

/** Drops the write tags of a frame in every bank, or of all frames when `pfn` is -1. */
export function dropWriteTags(pfn: i32): void {
  const host = <u32>RAM_BASE + (<u32>pfn << 12);
  for (let chunk = 0; chunk < TLB_BANKS * MARKS_A_BANK; chunk++) {
    if (!load<u8>(<usize>TLB_MARKS + <usize>chunk)) continue;
    const first = <usize>TLB + (<usize>chunk << 9);
    for (let entry = first; entry < first + 512; entry += <usize>1 << TLB_SHIFT) {
      const tag = load<u64>(entry, TLB_WRITE);
      if (tag == NO_TAG) continue;
      if (pfn == -1 || (<u32>tag & ~<u32>TLB_PARKED) + load<u32>(entry, TLB_ADDEND) == host) store<u64>(entry, NO_TAG, TLB_WRITE);
    }
  }
}

/** To be called after the TLB area has been replaced as a whole: forgets what is known of the banks' contents. */
export function banksReplaced(): void {
  used = (<u32>1 << TLB_BANKS) - 1;
  large = used;
  memory.fill(largePages, 0xff, TLB_BANKS * 1024);
  memory.fill(TLB_MARKS, 1, TLB_BANKS * MARKS_A_BANK);
  memory.fill(CODE_PAGES, 0xff, TLB_BANKS * CODE_PAGES_A_BANK);
}

/** Every entry with its tags marked or unmarked (core/mmu-stale.ts), and no jump cache that would answer in place of the TLB. */
export function markEntries(parked: bool): void {
  for (let chunk = 0; chunk < TLB_BANKS * MARKS_A_BANK; chunk++) {
    if (!load<u8>(<usize>TLB_MARKS + <usize>chunk)) continue;
    const first = <usize>TLB + (<usize>chunk << 9);
    for (let entry = first; entry < first + 512; entry += <usize>1 << TLB_SHIFT) {
      for (let tag: usize = TLB_READ; tag <= <usize>TLB_EXEC; tag += 8) {
        const page = load<u64>(entry + tag);
        if (page != NO_TAG) store<u64>(entry + tag, parked ? page | TLB_PARKED : page & ~<u64>TLB_PARKED);
      }
    }
  }
  for (let bank = 0; bank < TLB_BANKS; bank++) {
    if (!((used >> bank) & 1)) continue;
    flushJumps(bank);
    markCode(bank, parked);
  }
}
function markCode(bank: i32, parked: bool): void {
  for (let word: usize = 0; word < <usize>CODE_USED_BYTES; word += 8) {
    for (let left = load<u64>(usedWord(bank, word)); left != 0; left &= left - 1) {
      let at = codeChunk(bank, word, left);
      for (const end = at + CODE_CHUNK_BYTES; at < end; at += 1 << CODE_SHIFT) {
        const page = load<u64>(at);
        if (page != 0) store<u64>(at, parked ? page | TLB_PARKED : page & ~<u64>TLB_PARKED);
      }
    }
  }
}
