/**
 * Decoded blocks (AssemblyScript): where they are found by linear address, frame and context, and how links and jump caches come to them. A large program has
 * half a million and goes through them in no order, so a search touches one line of one table: four words a slot, linear probing.
 *
 *   0 bits 31:0 of the address | 1 its bits 56:32, context, single step | 2 frame | 3 first record of the block, CROSSES
 */
import {
  BLOCK_COUNT, BLOCK_INDEX, BLOCK_INDEX_BYTES, BLOCK_SIZE, BLOCKS, CODE_BITMAP, CODE_MODE, CODE_NEXT, CODE_STUBS, CR0, CR4, FRAME_BLOCKS, JC_BASE, JC, JC_CHUNK_SHIFT, JC_ENTRIES,
  JC_HIGH, JC_LOW, JC_SHIFT, JC_USED, MOST_BLOCKS, RAM_BASE, RECORDS, RECORDS_END, XCR0,
} from '../cpu/layout';
import {
  BLOCK_BYTES, BLOCK_CONTEXT, BLOCK_CROSSES, BLOCK_FLAGS, BLOCK_GVA, BLOCK_INSTRUCTIONS, BLOCK_LIVE, BLOCK_PFN, BLOCK_RECORD, BLOCK_SECOND_PFN, BLOCK_SIBLING, CACHE_LINE, HANDLER_FAR,
  STUB_CELL, STUB_PFN, TOUCHED_BYTES,
} from '../cpu/code-layout';
import { buildBlock } from './code-build';
import { codeAt } from './mmu-tlb';
import { CR4_OSFXSR, CR4_OSXSAVE, XCR0_AVX } from '../cpu/control-bits';

const GRANULE_SHIFT: u64 = 6;
/** In place of the record of a block. */
const EMPTY: u32 = 0;
const REMOVED: u32 = 2;
const NONE: i32 = -1;
const SLOT_SHIFT: usize = 4;
const FEWEST_SLOTS: u32 = 4096;
const MOST_SLOTS: u32 = BLOCK_INDEX_BYTES >> 4;

// What decides the code context (cpu/fpu-traps.ts).
const MODE_64: u32 = 2;
const CR0_EM_TS: u32 = 12;
const AVX_ENABLED: u32 = 32;
/** Linear addresses below this and not below its negative are the driver's numbers (cpu/code-address.ts). */
const PLAIN: u64 = 1 << 52;

let slots: usize = 0;
let mask: u32 = 0;
/** Slots that are not empty. */
let used: u32 = 0;

@inline function firstSlot(low: u32, pfn: u32): u32 {
  // The blocks of a page are near to each other: 256 slots, one page of the host.
  return (((low >> 4) & 255) + ((pfn * 0x9e3779b1) >> 9)) & mask;
}
@inline function slotAt(number: u32): usize {
  return slots + (<usize>number << SLOT_SHIFT);
}
function setSize(count: u32): void {
  const bytes = <usize>count << SLOT_SHIFT;
  slots = <usize>BLOCK_INDEX + bytes;
  mask = count - 1;
  used = 0;
  memory.fill(slots, 0, bytes);
}

/** Forgets all blocks. */
export function clearBlocks(): void {
  setSize(FEWEST_SLOTS);
  store<u32>(BLOCK_COUNT, 0);
  store<u32>(CODE_NEXT, <u32>RECORDS);
  store<u32>(CODE_STUBS, <u32>RECORDS_END);
}
/** Whether another block has room. */
export function blockRoom(): bool {
  return load<u32>(BLOCK_COUNT) < <u32>MOST_BLOCKS && used < MOST_SLOTS - (MOST_SLOTS >> 2);
}

/** The slot of a block, or 0. `second` is the second word of the slot. */
function search(low: u32, second: u32, pfn: u32): usize {
  let number = firstSlot(low, pfn);
  let slot = slotAt(number);
  let block = load<u32>(slot, 12);
  while (block != EMPTY) {
    if (load<u32>(slot) == low && load<u32>(slot, 4) == second && load<u32>(slot, 8) == pfn && block != REMOVED) return slot;
    number = (number + 1) & mask;
    slot = slotAt(number);
    block = load<u32>(slot, 12);
  }
  return 0;
}
/** First record of a block and BLOCK_CROSSES, or 0. */
export function findBlock(low: u32, second: u32, pfn: u32): u32 {
  const slot = search(low, second, pfn);
  return slot == 0 ? 0 : load<u32>(slot, 12);
}
/** Enters a block that is not there yet, by its first record and BLOCK_CROSSES. */
export function addBlock(low: u32, second: u32, pfn: u32, block: u32): void {
  if ((++used) * 2 > mask && mask + 1 < MOST_SLOTS) grow();
  enter(low, second, pfn, block);
}
function enter(low: u32, second: u32, pfn: u32, block: u32): void {
  let number = firstSlot(low, pfn);
  while (load<u32>(slotAt(number), 12) != EMPTY) number = (number + 1) & mask;
  const slot = slotAt(number);
  store<u32>(slot, low);
  store<u32>(slot, second, 4);
  store<u32>(slot, pfn, 8);
  store<u32>(slot, block, 12);
}
/** Twice as large, without what was removed. */
function grow(): void {
  let old = slots;
  const end = old + (<usize>(mask + 1) << SLOT_SHIFT);
  setSize((mask + 1) * 2);
  used = 1;
  for (; old < end; old += 1 << SLOT_SHIFT) {
    const block = load<u32>(old, 12);
    if (block == EMPTY || block == REMOVED) continue;
    used++;
    enter(load<u32>(old), load<u32>(old, 4), load<u32>(old, 8), block);
  }
}
export function removeBlock(low: u32, second: u32, pfn: u32): void {
  const slot = search(low, second, pfn);
  if (slot) store<u32>(slot, REMOVED, 12);
}

@inline function blockAt(number: i32): usize {
  return <usize>BLOCKS + <usize>number * BLOCK_SIZE;
}
@inline function secondWord(gva: u64, context: u32): u32 {
  return (<u32>(gva >> 32) << 7) | (context << 1);
}
/** Notes a block of one page that has just been built; answers its number. */
export function keepBlock(gva: u64, record: u32, pfn: u32, instructions: u32, bytes: u32, context: u32): i32 {
  const number = load<i32>(BLOCK_COUNT);
  store<i32>(BLOCK_COUNT, number + 1);
  const block = blockAt(number);
  store<u64>(block, gva, BLOCK_GVA);
  store<u32>(block, record, BLOCK_RECORD);
  store<u32>(block, pfn, BLOCK_PFN);
  store<i32>(block, NONE, BLOCK_SECOND_PFN);
  store<u8>(block, <u8>instructions, BLOCK_INSTRUCTIONS);
  store<u8>(block, BLOCK_LIVE, BLOCK_FLAGS);
  store<u16>(block, <u16>bytes, BLOCK_BYTES);
  store<u32>(block, context, BLOCK_CONTEXT);
  linkFrame(number);
  addBlock(<u32>gva, secondWord(gva, context), pfn, record);
  const granules = <usize>CODE_BITMAP + (<usize>pfn << 3);
  const first = (gva >> GRANULE_SHIFT) & 63;
  const last = ((gva + bytes - 1) >> GRANULE_SHIFT) & 63;
  store<u64>(granules, load<u64>(granules) | (((<u64>2 << (last - first)) - 1) << first));
  return number;
}
/** Puts a block before the others of its frame. */
export function linkFrame(number: i32): void {
  const block = blockAt(number);
  const head = <usize>FRAME_BLOCKS + (<usize>load<u32>(block, BLOCK_PFN) << 2);
  store<u32>(block, load<u32>(head), BLOCK_SIBLING);
  store<u32>(head, <u32>number + 1);
}

/** The link goes to the block directly if both are on one page, else through the jump cache. */
function connect(stub: usize, pfn: u32, record: u32): void {
  const cell = load<u32>(stub, STUB_CELL);
  if (cell == 0) return;
  if (load<u32>(stub, STUB_PFN) == pfn) store<u32>(<usize>cell, record);
  else store<u16>(stub, HANDLER_FAR);
}
function cacheJump(gva: u64, record: u32): void {
  const low = <u32>gva;
  const entry = <usize>(load<u32>(JC_BASE) + ((((low >> JC_LOW) ^ (low >> JC_HIGH)) & (JC_ENTRIES - 1)) << JC_SHIFT));
  store<u64>(entry, gva);
  store<u32>(entry, record, 8);
  const chunk = (entry - JC) >> (JC_CHUNK_SHIFT + JC_SHIFT);
  // 64 chunks a bank.
  const word = <usize>JC_USED + ((chunk >> 5) << 2);
  store<u32>(word, load<u32>(word) | (1 << (<u32>chunk & 31)));
}

/** The block whose records hold an address: they stand in the order of blocks. */
export function blockHolding(record: u32): usize {
  let low: u32 = 0;
  let high = load<u32>(BLOCK_COUNT) - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (load<u32>(<usize>BLOCKS + <usize>middle * BLOCK_SIZE, BLOCK_RECORD) <= record) low = middle;
    else high = middle - 1;
  }
  return <usize>BLOCKS + <usize>low * BLOCK_SIZE;
}
/** As `codeRecord` for a block whose last instruction goes on on the next page, if that is the frame it was decoded from. Links do not lead to such directly. */
function crossing(gva: u64, record: u32, stub: usize): u32 {
  const host = codeAt((gva | 0xfff) + 1);
  if (host == 0 || (host - <u32>RAM_BASE) >> 12 != load<u32>(blockHolding(record), BLOCK_SECOND_PFN)) return 0;
  if (stub && load<u32>(stub, STUB_CELL)) store<u16>(stub, HANDLER_FAR);
  cacheJump(gva, record);
  return record;
}

/**
 * The record to go on with at an address in 64-bit mode, entered in the link of the stub that led there (0: none did) and in the jump cache. 0 if the driver
 * must do it: the translation is not at hand, the block lies on two pages or cannot be built here.
 */
export function codeRecord(gva: u64, stub: usize): u32 {
  if (load<u32>(CODE_MODE) != MODE_64 || gva + PLAIN >= PLAIN * 2) return 0;
  const cr4 = load<u32>(CR4);
  if (load<u32>(CR0) & CR0_EM_TS || !(cr4 & CR4_OSFXSR)) return 0;
  const avx = cr4 & CR4_OSXSAVE && (load<u32>(XCR0) & XCR0_AVX) == XCR0_AVX;
  const context = avx ? MODE_64 | AVX_ENABLED : MODE_64;
  const host = codeAt(gva);
  if (host == 0) return 0;
  const pfn = (host - <u32>RAM_BASE) >> 12;
  let record = findBlock(<u32>gva, secondWord(gva, context), pfn);
  if (record == 0) {
    if (load<u64>(<usize>CODE_BITMAP + (<usize>pfn << 3)) == 0) return 0;
    const number = buildBlock(gva, <usize>host, pfn, context);
    if (number < 0) return 0;
    record = load<u32>(blockAt(number), BLOCK_RECORD);
  }
  for (let line: usize = 0; line < <usize>TOUCHED_BYTES; line += CACHE_LINE) load<u8>(<usize>record + line);
  if (record & BLOCK_CROSSES) return crossing(gva, record & ~<u32>BLOCK_CROSSES, stub);
  if (stub) connect(stub, pfn, record);
  cacheJump(gva, record);
  return record;
}
