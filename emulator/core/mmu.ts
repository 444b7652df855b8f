/** Slow paths of memory access (AssemblyScript): what the interpreter and translated code call when a TLB tag does not match. */
import {
  BOARD, BOUNCE, CODE_ADDEND, CODE_BITMAP, CODE_MODE, CPL, CR0, CR4, FAULT_ERROR, FAULT_GVA, FAULT_KIND, FAULT_VECTOR, FRAME_DIRTY, FRAME_FLAGS,
  FRAME_WATCHED, MSR_EFER, NOWHERE_HPA, RAM_BASE, SYSTEM_FLAGS, TLB_ADDEND, TLB_EXEC, TLB_READ, TLB_WRITE, WATCHES,
} from '../cpu/layout';
import {
  ACCESS_EXEC, ACCESS_IMPLICIT, ACCESS_KIND, ACCESS_READ, ACCESS_USER, ACCESS_WRITE, FAULT_BAIL, FAULT_EPT_MISCONFIG, FAULT_EPT_VIOLATION,
  FAULT_EXCEPTION, FAULT_HELD, FAULT_NOT_CANONICAL,
} from '../cpu/codes';
import { allowsWrite, codeAt, currentCode, currentEntry, fill, flushFaulting, noteCodePage, noteFetched } from './mmu-tlb';
import { setAccessBytes, violatesSmallPage } from './mmu-ept';
import { checking, forgetStale, noteFill, passStale, serves, servesCode, staleMet } from './mmu-stale';
import { walk, walkBacked, walkHpa } from './mmu-walk';
import { noteAccess } from './mmu-watch';
import { CR0_AM, CR4_LA57, EFER_LMA, RFLAGS_AC } from '../cpu/control-bits';

export { noteAccess } from './mmu-watch';
export { compareEntry, parkEntries, setChecking } from './mmu-stale';
export { readPdptes, translateGpa, walkTrace } from './mmu-walk';
export { banksReplaced, dropWriteTags, flushBank, flushGlobal, flushJumps, flushPage } from './mmu-tlb';

/** Told of a store into decoded code or a watched frame after the bytes are written; they lie in one frame. Careful mode only. */
@external('env', 'observedWrite')
declare function observedWrite(hpa: i32, bytes: i32): void;

/**
 * Reads of a board's devices, to `to` in linear memory, and writes from `from`; what stands where is the board's to say. Careful mode only: outside it an access to
 * where there is no RAM bails out, so that time and interrupts are exact.
 */
@external('env', 'deviceRead')
declare function deviceRead(hpa: f64, to: i32, bytes: i32): void;
@external('env', 'deviceWrite')
declare function deviceWrite(hpa: f64, from: i32, bytes: i32): void;

/**
 * Told of an access that a stale entry serves (core/mmu-stale.ts), before it happens. Not 0: whoever listens wants the instruction given up, as far as that can
 * still be done.
 */
@external('env', 'staleUse')
declare function staleUse(gva: u64, access: i32): i32;

/** `host` answers of `locate`. */
export const FAULTED: i32 = -1;
/** The address is good but there is no memory behind it: reads all ones, writes go nowhere. */
export const NOWHERE: i32 = -2;

const PAGE_MASK: u64 = 0xffff_ffff_ffff_f000;

let careful: bool = false;
/** A stale entry has served the careful instruction already, and that was told. */
let staleTold: bool = false;

/** While 1, stores into code and watched frames happen and call `observedWrite`; while 0 they end with FAULT_BAIL. So it is with uses of stale entries. */
export function setCareful(on: i32): void {
  careful = on != 0;
  staleTold = false;
}

function raise(vector: u32, error: u32, gva: u64): i32 {
  store<u32>(FAULT_KIND, FAULT_EXCEPTION);
  store<u32>(FAULT_VECTOR, vector);
  store<u32>(FAULT_ERROR, error);
  store<u64>(FAULT_GVA, gva);
  return FAULTED;
}

@inline function canonical(gva: u64): bool {
  const unused: u64 = load<u64>(CR4) & CR4_LA57 ? 7 : 16;
  return <u64>(<i64>(gva << unused) >> <i64>unused) == gva;
}

/** Returns 0, or 1 with #GP(0) in FAULT_* if a branch may not lead there. */
export function checkBranch(target: u64): i32 {
  if (canonical(target)) return 0;
  raise(13, 0, target);
  return 1;
}

@inline function tagOffset(kind: i32): usize {
  return kind == ACCESS_EXEC ? TLB_EXEC : kind == ACCESS_WRITE ? TLB_WRITE : TLB_READ;
}

/** Host offset of the byte at `gva`, FAULTED or NOWHERE. */
export function locate(gva: u64, access: i32): i32 {
  if (access != ACCESS_EXEC) return locateData(gva, access);
  const known = codeAt(gva);
  if (known) return <i32>known;
  noteCodePage(gva);
  if (checking && servesCode(currentCode(gva), gva)) return <i32>gva + load<i32>(currentCode(gva), CODE_ADDEND);
  const host = locateData(gva, access);
  if (host != FAULTED && host != NOWHERE) noteFetched(gva, <u32>host - <u32>gva);
  return host;
}
function locateData(gva: u64, access: i32): i32 {
  // The bank in force is that of the current ring: an access with other rights neither uses nor fills it.
  const ordinary = !(access & (ACCESS_IMPLICIT | ACCESS_USER));
  const entry = currentEntry(gva);
  if (ordinary && load<u64>(entry + tagOffset(access & ACCESS_KIND)) == (gva & PAGE_MASK)) {
    return <i32>gva + load<i32>(entry, TLB_ADDEND);
  }
  if (ordinary && checking) {
    if (serves(entry, gva, access)) return <i32>gva + load<i32>(entry, TLB_ADDEND);
  } else if (ordinary && (access & ACCESS_KIND) == ACCESS_WRITE && allowsWrite(entry, gva & PAGE_MASK)) {
    return <i32>gva + load<i32>(entry, TLB_ADDEND);
  }
  if (!canonical(gva)) {
    store<u32>(FAULT_KIND, FAULT_NOT_CANONICAL);
    store<u64>(FAULT_GVA, gva);
    return FAULTED;
  }
  const fault = walk(gva, access);
  if (fault) {
    if (fault == FAULT_EPT_MISCONFIG) store<u32>(FAULT_ERROR, access);
    flushFaulting(gva, fault == FAULT_EPT_VIOLATION && violatesSmallPage);
    return FAULTED;
  }
  if (ordinary) fill(gva, (access & ACCESS_KIND) == ACCESS_WRITE);
  if (walkBacked) {
    const host = <i32>(<u32>RAM_BASE + <u32>walkHpa);
    if (ordinary && checking) noteFill(gva, access);
    return host;
  }
  store<u64>(NOWHERE_HPA, walkHpa);
  return NOWHERE;
}

/** A stale entry serves an instruction's access: true if that is not to happen now, with FAULT_* filled. */
function stopsAtStale(gva: u64, access: i32): bool {
  if (careful && staleTold) {
    passStale();
    return false;
  }
  if (careful) {
    staleTold = true;
    if (!staleUse(gva, access)) {
      passStale();
      return false;
    }
  }
  forgetStale();
  store<u32>(FAULT_KIND, careful ? FAULT_HELD : FAULT_BAIL);
  store<u64>(FAULT_GVA, gva);
  return true;
}

/** What `locate` answers where there is no RAM, unless a board has to be asked and the instruction is not executed with care: then FAULT_BAIL. */
@inline function nowhere(gva: u64): i32 {
  if (careful || !load<u32>(BOARD)) return NOWHERE;
  store<u32>(FAULT_KIND, FAULT_BAIL);
  store<u64>(FAULT_GVA, gva);
  return FAULTED;
}

/** Reads what stands where the last access found no RAM. */
function loadNowhere(to: usize, bytes: i32): void {
  if (load<u32>(BOARD)) deviceRead(<f64>load<u64>(NOWHERE_HPA), <i32>to, bytes);
  else memory.fill(to, 0xff, bytes);
}

/** Whether the access meets a watched range and has to be redone with care. */
@inline function stopsAtWatch(gva: u64, bytes: i32, access: i32): bool {
  if (!load<u32>(WATCHES) || !noteAccess(gva, bytes, access) || careful) return false;
  store<u32>(FAULT_KIND, FAULT_BAIL);
  store<u64>(FAULT_GVA, gva);
  return true;
}

/** As `locate` for a write, which also bails out at frames that want to see their writes. Both bytes lie in one page. */
function locateForWrite(gva: u64, bytes: i32): i32 {
  setAccessBytes(bytes);
  if (stopsAtWatch(gva, bytes, ACCESS_WRITE)) return FAULTED;
  const host = locate(gva, ACCESS_WRITE);
  if (staleMet && stopsAtStale(gva, ACCESS_WRITE)) return FAULTED;
  if (host == NOWHERE) return nowhere(gva);
  if (host == FAULTED || careful) return host;
  if (!observed(<u32>host - <u32>RAM_BASE, bytes)) return host;
  store<u32>(FAULT_KIND, FAULT_BAIL);
  store<u64>(FAULT_GVA, gva);
  return FAULTED;
}

/** Whether the bytes belong to decoded code or a watched frame. */
@inline function observed(hpa: u32, bytes: i32): bool {
  const frame = <usize>(hpa >> 12);
  if (load<u8>(<usize>FRAME_FLAGS + frame) & FRAME_WATCHED) return true;
  const granules = load<u64>(<usize>CODE_BITMAP + (frame << 3));
  if (!granules) return false;
  const first = <u64>((hpa >> 6) & 63);
  const last = <u64>(((hpa + bytes - 1) >> 6) & 63);
  return ((granules >> first) & ((<u64>2 << (last - first)) - 1)) != 0;
}

/** To be called after a store at `host`, which lies in one frame. */
function written(host: i32, bytes: i32): void {
  const hpa = <u32>host - <u32>RAM_BASE;
  const flags = <usize>FRAME_FLAGS + <usize>(hpa >> 12);
  store<u8>(flags, load<u8>(flags) | <u8>FRAME_DIRTY);
  if (observed(hpa, bytes)) observedWrite(hpa, bytes);
}

@inline function crosses(gva: u64, bytes: i32): bool {
  return <i32>(gva & 0xfff) + bytes > 4096;
}

/** First byte on the page after `gva`'s; wraps at the top of the address space as the CPU does: that of 32 bits outside 64-bit mode. */
@inline function nextPage(gva: u64): u64 {
  const next = (gva & PAGE_MASK) + 4096;
  const wide = load<u64>(MSR_EFER) & EFER_LMA && (load<u32>(CODE_MODE) == 2 || gva > 0xffff_ffff);
  return wide ? next : next & 0xffff_ffff;
}

/**
 * Bits of an address that are 0 where an access of so many bytes is aligned (SDM 3A table 7-7): those of x87 values and images are smaller than they. For
 * 32 bytes the manual has none; AMD processors want 16.
 */
@inline function alignmentMask(size: i32): u64 {
  if (size == 32) return 15;
  if (size <= 16 && !(size & (size - 1))) return <u64>(size - 1);
  if (size == 10) return 7;
  return size == 28 || size == 108 ? 3 : size == 14 || size == 94 ? 1 : 0;
}

/** Masked moves and gathers check no alignment (SDM 2 VMASKMOV, VPGATHERDD). */
let anyAlignment: bool = false;
export function setAnyAlignment(any: bool): void {
  anyAlignment = any;
}

/** #AC at CPL 3 with CR0.AM and RFLAGS.AC set; such contexts run with the TLB empty (TLB_UNCACHED). */
@inline export function misaligned(gva: u64, size: i32): bool {
  if (!(gva & alignmentMask(size)) || anyAlignment) return false;
  return load<u32>(CPL) == 3 && (load<u32>(SYSTEM_FLAGS) & RFLAGS_AC) != 0 && (load<u64>(CR0) & CR0_AM) != 0;
}

/** What is refused before paging is looked at: addresses that are not canonical, the last byte's too, then misaligned ones. FAULT_* is filled. */
function refused(gva: u64, size: i32): bool {
  if (!canonical(gva) || (crosses(gva, size) && !canonical(nextPage(gva)))) {
    store<u32>(FAULT_KIND, FAULT_NOT_CANONICAL);
    store<u64>(FAULT_GVA, gva);
    return true;
  }
  if (!misaligned(gva, size)) return false;
  raise(17, 0, gva);
  return true;
}

/** For accesses made by TypeScript with the rights of the CPL: returns 0, or 1 with #AC in FAULT_*. */
export function checkAlignment(gva: u64, size: i32): i32 {
  if (!misaligned(gva, size)) return 0;
  raise(17, 0, gva);
  return 1;
}

function loadFrom(gva: u64, size: i32, access: i32): i32 {
  if (refused(gva, size)) return FAULTED;
  if (!crosses(gva, size)) {
    const host = part(gva, size, access);
    if (host != NOWHERE) return host;
    loadNowhere(BOUNCE, size);
    return BOUNCE;
  }
  const first = <i32>(4096 - (gva & 0xfff));
  const low = part(gva, first, access);
  if (low == FAULTED) return FAULTED;
  const lowNowhere = load<u64>(NOWHERE_HPA);
  const high = part(nextPage(gva), size - first, access);
  if (high == FAULTED) return FAULTED;
  gather(BOUNCE + first, high, size - first);
  store<u64>(NOWHERE_HPA, lowNowhere);
  gather(BOUNCE, low, first);
  return BOUNCE;
}

@inline function part(gva: u64, bytes: i32, access: i32): i32 {
  setAccessBytes(bytes);
  if (access == ACCESS_WRITE) return locateForWrite(gva, bytes);
  if (stopsAtWatch(gva, bytes, access)) return FAULTED;
  const host = locate(gva, access);
  if (staleMet && stopsAtStale(gva, access)) return FAULTED;
  return host == NOWHERE ? nowhere(gva) : host;
}

@inline function gather(to: usize, host: i32, bytes: i32): void {
  if (host == NOWHERE) loadNowhere(to, bytes);
  else memory.copy(to, <usize>host, bytes);
}

/** Writes to what stands where the last access found no RAM. */
function storeNowhere(source: usize, bytes: i32): void {
  if (load<u32>(BOARD)) deviceWrite(<f64>load<u64>(NOWHERE_HPA), <i32>source, bytes);
}

/** Writes `bytes` from `source`; the places were found by `locateForWrite`. */
@inline function scatter(host: i32, source: usize, bytes: i32): void {
  if (host == NOWHERE) return storeNowhere(source, bytes);
  memory.copy(<usize>host, source, bytes);
  written(host, bytes);
}

/**
 * Where `size` (1..32) bytes at `gva` can be read: their host offset, or BOUNCE where they were assembled if they cross a
 * page; -1 with FAULT_* filled.
 */
export function slowLoad(gva: u64, size: i32, _site: u32): i32 {
  return loadFrom(gva, size, ACCESS_READ);
}

/** As `slowLoad`, and a store to the same bytes cannot fault any more. The store itself must go through the TLB or `slowStore`. */
export function slowLoadForWrite(gva: u64, size: i32, _site: u32): i32 {
  return loadFrom(gva, size, ACCESS_WRITE);
}

export function slowLoad128(gva: u64, _site: u32): i32 {
  return loadFrom(gva, 16, ACCESS_READ);
}

/** Stores the low `size` (1, 2, 4, 8) bytes of `value`. Returns 0, or 1 with FAULT_* filled and nothing written. */
export function slowStore(gva: u64, size: i32, _site: u32, value: u64): i32 {
  if (!crosses(gva, size) && !misaligned(gva, size)) {
    const host = locateForWrite(gva, size);
    if (host == FAULTED) return 1;
    if (host == NOWHERE) {
      store<u64>(BOUNCE, value, 32);
      storeNowhere(BOUNCE + 32, size);
      return 0;
    }
    if (size == 8) store<u64>(<usize>host, value);
    else if (size == 4) store<u32>(<usize>host, <u32>value);
    else if (size == 2) store<u16>(<usize>host, <u16>value);
    else store<u8>(<usize>host, <u8>value);
    written(host, size);
    return 0;
  }
  store<u64>(BOUNCE, value, 32);
  return storeFrom(BOUNCE + 32, gva, size);
}

/** Stores 16 bytes from BOUNCE. Returns as `slowStore`. */
export function slowStore128(gva: u64, _site: u32): i32 {
  return storeFrom(BOUNCE, gva, 16);
}

/** Stores 32 bytes from BOUNCE. Returns as `slowStore`. */
export function slowStore256(gva: u64, _site: u32): i32 {
  return storeFrom(BOUNCE, gva, 32);
}

/** As `slowStore` for any `size` up to 32, from linear memory at `source`. */
function storeFrom(source: usize, gva: u64, size: i32): i32 {
  if (refused(gva, size)) return 1;
  if (!crosses(gva, size)) {
    const host = locateForWrite(gva, size);
    if (host == FAULTED) return 1;
    scatter(host, source, size);
    return 0;
  }
  const first = <i32>(4096 - (gva & 0xfff));
  const low = locateForWrite(gva, first);
  if (low == FAULTED) return 1;
  const lowNowhere = load<u64>(NOWHERE_HPA);
  const high = locateForWrite(nextPage(gva), size - first);
  if (high == FAULTED) return 1;
  const highNowhere = load<u64>(NOWHERE_HPA);
  store<u64>(NOWHERE_HPA, lowNowhere);
  scatter(low, source, first);
  store<u64>(NOWHERE_HPA, highNowhere);
  scatter(high, source + first, size - first);
  return 0;
}

/** Checks that `bytes` (1..4096) at `gva` can be written. Returns 0, or 1 with FAULT_* filled. */
export function probeWrite(gva: u64, bytes: i32): i32 {
  if (refused(gva, bytes)) return 1;
  const first = crosses(gva, bytes) ? <i32>(4096 - (gva & 0xfff)) : bytes;
  if (locateForWrite(gva, first) == FAULTED) return 1;
  if (first < bytes && locateForWrite(nextPage(gva), bytes - first) == FAULTED) return 1;
  return 0;
}

/**
 * Host offset of the byte at `gva` for an access (ACCESS_*, with ACCESS_IMPLICIT or ACCESS_USER when the rights are not those of
 * CPL); -1 with FAULT_* filled; -2 if the address is good but has no memory behind it (reads all ones, writes go nowhere). A
 * writer tells of what it wrote (PhysicalMemory.touched).
 */
export function translate(gva: u64, access: i32): i32 {
  const host = locate(gva, access);
  if (staleMet) {
    staleUse(gva, access);
    passStale();
  }
  return host;
}
