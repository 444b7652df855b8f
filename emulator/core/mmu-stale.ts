/**
 * Entries of the TLB that no longer agree with the tables (AssemblyScript). While somebody wants to know when one serves an access (`setChecking`), a change of a
 * table that a walk has gone through parks all entries: their tags match nothing, so their next use comes here, is compared with a walk, and is told if
 * that would not lead to the same. The entry serves all the same. While nobody wants to know, nothing is parked and none of this runs.
 */
import {
  CODE_ADDEND, CODE_VALID, FAULT_KIND, FRAME_FLAGS, FRAME_WATCHED, RAM_BASE, TLB_ADDEND, TLB_EXEC, TLB_FLAGS, TLB_PARKED, TLB_READ, TLB_WRITE, WALK,
} from '../cpu/layout';
import { ACCESS_EXEC, ACCESS_KIND, ACCESS_READ, ACCESS_WRITE, FAULT_LOG_FULL, FAULT_NONE, FAULT_SUB_PAGE } from '../cpu/codes';
import { backed, steps, wouldUpdate } from './mmu-entries';
import { FLAG_GLOBAL, FLAG_WRITABLE, NO_TAG, giveWriteTag, markEntries } from './mmu-tlb';
import { walkBacked, walkGlobal, walkHpa, walkTrace } from './mmu-walk';

const PAGE_MASK: u64 = 0xffff_ffff_ffff_f000;
/** FAULT_KIND to FAULT_QUALIFICATION. */
const FAULT_BYTES: usize = 40;
/** A step of a trace for a register, not for an entry in memory. */
const REGISTER: u8 = 2;

/** Told of an entry of a table that a walk has read, if its frame is not watched yet. */
@external('env', 'tableFound')
declare function tableFound(hpa: i32, ept: i32): void;

// What `compareEntry` answers (mmu/tlb-listing.ts).
const OTHER_PAGE: i32 = 1;
const NO_READ: i32 = 2;
const NO_WRITE: i32 = 4;
const NO_EXECUTE: i32 = 8;
const FLAGS_CLEAR: i32 = 16;
const NOT_GLOBAL: i32 = 32;

export let checking: bool = false;
/** The access in progress is served by an entry that disagrees; its tag is at `staleTag`, 0 if it had none for this kind of access. */
export let staleMet: bool = false;
let staleTag: usize = 0;

const waiting = memory.data(40, 8);

export function setChecking(on: i32): void {
  checking = on != 0;
  staleMet = false;
  markEntries(checking);
}

/** A table has changed. */
export function parkEntries(): void {
  markEntries(true);
}

/** The quiet walk of a page; FAULT_* stay as they were. */
function lookAt(gva: u64, access: i32): i32 {
  memory.copy(waiting, FAULT_KIND, FAULT_BYTES);
  const fault = walkTrace(gva, access);
  memory.copy(FAULT_KIND, waiting, FAULT_BYTES);
  return fault;
}

/** After a walk that was traced: the tables it went through are to be watched. */
function noteTables(): void {
  for (let step: u32 = 0; step < steps; step++) {
    const at = <usize>WALK + 64 + <usize>step * 32;
    const ept = load<u8>(at);
    const hpa = load<u64>(at, 16);
    if (ept == REGISTER || !backed(hpa)) continue;
    if (!(load<u8>(<usize>FRAME_FLAGS + <usize>(hpa >> 12)) & FRAME_WATCHED)) tableFound(<i32>hpa, ept);
  }
}

/** An entry has been filled for `gva`. */
export function noteFill(gva: u64, access: i32): void {
  lookAt(gva, access);
  noteTables();
}

@inline function frameOf(entry: usize, page: u64): u32 {
  return (<u32>page + load<u32>(entry, TLB_ADDEND) - <u32>RAM_BASE) >> 12;
}

function agrees(frame: u32, gva: u64, access: i32): bool {
  const fault = lookAt(gva, access);
  noteTables();
  if (fault == FAULT_NONE) return walkBacked && <u32>(walkHpa >> 12) == frame;
  return fault == FAULT_SUB_PAGE || fault == FAULT_LOG_FULL;
}

/** Whether the entry serves the access although its tag is parked. Sets `staleMet` if the tables say something else by now. */
export function serves(entry: usize, gva: u64, access: i32): bool {
  const page = gva & PAGE_MASK;
  const kind = access & ACCESS_KIND;
  const tag = entry + (kind == ACCESS_EXEC ? TLB_EXEC : kind == ACCESS_WRITE ? TLB_WRITE : TLB_READ);
  const parked = load<u64>(tag) == (page | TLB_PARKED);
  if (!parked) {
    // As `allowsWrite`.
    if (kind != ACCESS_WRITE || (load<u64>(entry, TLB_READ) | TLB_PARKED) != (page | TLB_PARKED)) return false;
    if (!(load<u32>(entry, TLB_FLAGS) & FLAG_WRITABLE)) return false;
  }
  const agreed = agrees(frameOf(entry, page), gva, access);
  if (!parked) giveWriteTag(entry, page, agreed ? page : page | TLB_PARKED);
  else if (agreed) store<u64>(tag, page);
  if (!agreed) {
    staleMet = true;
    staleTag = tag;
  }
  return true;
}

/** As `serves`, of the translation of code at `code`. */
export function servesCode(code: usize, gva: u64): bool {
  const page = gva & PAGE_MASK;
  if (load<u64>(code) != (page | CODE_VALID | TLB_PARKED)) return false;
  if (agrees((<u32>page + load<u32>(code, CODE_ADDEND) - <u32>RAM_BASE) >> 12, gva, ACCESS_EXEC)) store<u64>(code, page | CODE_VALID);
  else {
    staleMet = true;
    staleTag = code;
  }
  return true;
}

/** The stale use is told, or will be once the instruction is executed with care. */
export function forgetStale(): void {
  staleMet = false;
}
/** The stale use has been told of: until a table changes again the entry serves without a word. */
export function passStale(): void {
  staleMet = false;
  const page = load<u64>(staleTag);
  if (page != NO_TAG) store<u64>(staleTag, page & ~<u64>TLB_PARKED);
}

/** How an entry, parked or not, disagrees with what the tables in force say: bits as above; 0 if it does not, or is empty. FAULT_* stay as they were. */
export function compareEntry(entry: i32): i32 {
  let found = compareTag(entry, TLB_READ, ACCESS_READ, NO_READ) | compareTag(entry, TLB_EXEC, ACCESS_EXEC, NO_EXECUTE);
  if (load<u32>(entry, TLB_FLAGS) & FLAG_WRITABLE) {
    const tag = load<u64>(entry, TLB_READ) == NO_TAG ? TLB_WRITE : TLB_READ;
    found |= compareTag(entry, tag, ACCESS_WRITE, NO_WRITE);
  }
  return found;
}

function compareTag(entry: usize, tag: usize, access: i32, refused: i32): i32 {
  const gva = load<u64>(entry + tag);
  if (gva == NO_TAG) return 0;
  const page = gva & PAGE_MASK;
  const fault = lookAt(page, access);
  if (fault == FAULT_SUB_PAGE || fault == FAULT_LOG_FULL) return 0;
  if (fault) return refused;
  if (<u32>(walkHpa >> 12) != frameOf(entry, page)) return OTHER_PAGE;
  let found = wouldUpdate ? FLAGS_CLEAR : 0;
  if (load<u32>(entry, TLB_FLAGS) & FLAG_GLOBAL && !walkGlobal) found |= NOT_GLOBAL;
  return found;
}
