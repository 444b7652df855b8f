/**
 * The one page walker (AssemblyScript): guest 32-bit, PAE, 4- and 5-level paging (SDM 3A 4.3 to 4.5), and under it the EPT (SDM 3C 29.3).
 * The slow paths of loads, stores and fetches use it with side effects (accessed and dirty flags); the debugger uses the
 * same code with `quiet` set and every step written to the buffer at WALK (mmu/walk.ts reads it).
 */
import {
  APIC_ACCESS, APIC_REDIRECTED, CPL, CR0, CR3, CR4, EPTP, EXCHANGE, FAULT_ERROR, FAULT_GVA, FAULT_KIND, FAULT_QUALIFICATION, FAULT_VECTOR,
  MSR_EFER, NO_PAGE_1GB, NO_PSE36, PAGING_ABSENT, PDPTE, PENDING_EVENTS, PHYS_BITS, PKRU, SYSTEM_FLAGS, VIRTUAL_APIC, VMX_APIC_ACCESSES,
  VMX_MODE, WALK,
} from '../cpu/layout';
import {
  ACCESS_EXEC, ACCESS_IMPLICIT, ACCESS_KIND, ACCESS_READ, ACCESS_UNCHECKED, ACCESS_USER, ACCESS_WRITE, FAULT_APIC_ACCESS, FAULT_EPT_VIOLATION,
  FAULT_EXCEPTION, FAULT_NONE,
} from '../cpu/codes';
import {
  ADDRESS, OUTCOME_LEAF, OUTCOME_NOT_PRESENT, OUTCOME_RESERVED, OUTCOME_TABLE, backed, quiet, readEntry, readEntry32, reservedAddressBits,
  resetReferences, setQuiet, steps, trace, traceRegister, updateEntry, updateEntry32,
} from './mmu-entries';
import {
  EPT_EXECUTE, EPT_EXECUTE_USER, EPT_READ, EPT_SUPPRESS_VE, EPT_WRITE, QUALIFICATION_FINAL, QUALIFICATION_GVA, QUALIFICATION_NO_EXECUTE,
  QUALIFICATION_USER, QUALIFICATION_WRITABLE, accessBytes, eptDirty, eptHpa, eptRights, eptShift, eptViolation, fillFault, modeBased,
  pageRights, setPageRights, walkEpt,
} from './mmu-ept';
import { CR0_WP, CR0_PG, CR4_PSE, CR4_PAE, CR4_PGE, CR4_LA57, CR4_SMEP, CR4_SMAP, CR4_PKE, EFER_LMA, EFER_NXE, RFLAGS_AC } from '../cpu/control-bits';



const PRESENT: u64 = 1;
const WRITABLE: u64 = 2;
const USER: u64 = 4;
const ACCESSED: u64 = 0x20;
const DIRTY: u64 = 0x40;
const LARGE: u64 = 0x80;
const GLOBAL: u64 = 0x100;
const NO_EXECUTE: u64 = 1 << 63;
/** Bits 62:52 of PDEs and PTEs, which PAE paging reserves (SDM 3A 4.4.2). */
const PAE_RESERVED: u64 = 0x7ff0_0000_0000_0000;
/** Bits 8:5 and 2:1 of a PDPTE register (SDM 3A 4.4.1). */
const PDPTE_RESERVED: u64 = 0x1e6;
/** Address of a 4 MB page: PDE bits 31:22, and bits 39:32 at bits 20:13 (SDM 3A 4.3). */
const ADDRESS_4M: u64 = 0xffc0_0000;
const PSE36_LOWEST: u32 = 13;
const PSE36_BITS: u32 = 8;

// #PF error code (SDM 3A 4.7)
const PF_PRESENT: u32 = 1;
const PF_WRITE: u32 = 2;
const PF_USER: u32 = 4;
const PF_RESERVED: u32 = 8;
const PF_FETCH: u32 = 16;
const PF_KEY: u32 = 32;

// ---- answer of the last walk that returned FAULT_NONE
/** Guest-physical and host-physical address of the byte asked for. */
export let walkGpa: u64 = 0;
export let walkHpa: u64 = 0;
/** Whether there is RAM behind `walkHpa`. */
export let walkBacked: bool = false;
/** What the TLB may grant from now on. `walkWritable` implies that no dirty flag remains to be set. */
export let walkReadable: bool = false;
export let walkWritable: bool = false;
export let walkExecutable: bool = false;
export let walkGlobal: bool = false;
/** log2 of the guest page's size: 12, 21, 22 or 30. */
export let walkPageShift: u32 = 12;
// ---- state within a walk
/** Where the guest entry in question is, and what the EPT allows there. */
let entryHpa: u64 = 0;
let entryRights: u64 = 0;
/** What `startPae` found. */
let firstTable: u64 = 0;

@inline function isUser(access: i32): bool {
  if (access & ACCESS_USER) return true;
  return !(access & ACCESS_IMPLICIT) && load<u32>(CPL) == 3;
}

function pageFault(gva: u64, access: i32, cause: u32): i32 {
  const kind = access & ACCESS_KIND;
  let code = cause | (isUser(access) ? PF_USER : 0);
  if (kind == ACCESS_WRITE) code |= PF_WRITE;
  // Bit 4 exists only when execute can be refused at all (SDM 3A 4.7): there is no NX in 32-bit paging.
  const cr4 = load<u64>(CR4);
  const noExecute = (load<u64>(MSR_EFER) & EFER_NXE) != 0 && (cr4 & CR4_PAE) != 0;
  if (kind == ACCESS_EXEC && (noExecute || (cr4 & CR4_SMEP) != 0)) code |= PF_FETCH;
  store<u32>(FAULT_KIND, FAULT_EXCEPTION);
  store<u32>(FAULT_VECTOR, 14);
  store<u32>(FAULT_ERROR, code);
  store<u64>(FAULT_GVA, gva);
  return FAULT_EXCEPTION;
}

/** The last step: GPA of the byte to HPA, with the guest's rights already settled. */
function finish(gpa: u64, gva: u64, access: i32, writable: bool): i32 {
  walkGpa = gpa;
  walkHpa = gpa;
  walkWritable = writable;
  if (load<u64>(EPTP)) {
    const kind = access & ACCESS_KIND;
    const execute = modeBased() && pageRights & QUALIFICATION_USER ? EPT_EXECUTE_USER : EPT_EXECUTE;
    let want = kind == ACCESS_EXEC ? execute : kind == ACCESS_WRITE ? EPT_WRITE : EPT_READ;
    if (access & ACCESS_UNCHECKED) want = 0;
    const fault = walkEpt(gpa, gva, want, 0);
    if (fault) return fault;
    walkHpa = eptHpa;
    walkReadable = walkReadable && (eptRights & EPT_READ) != 0;
    walkWritable = writable && (eptRights & EPT_WRITE) != 0 && eptDirty;
    walkExecutable = walkExecutable && (eptRights & execute) != 0;
  }
  if (load<u32>(VMX_MODE) & VMX_APIC_ACCESSES && (walkHpa & ~(<u64>0xfff)) == load<u64>(APIC_ACCESS) && !quiet) return apicAccess(gva, access);
  walkBacked = backed(walkHpa);
  return FAULT_NONE;
}

/** The APIC-access page is nobody's memory: its accesses go to VT-x, or to the virtual-APIC page if that has decided so. Nothing is cached. */
function apicAccess(gva: u64, access: i32): i32 {
  const offset = walkHpa & 0xfff;
  if (load<u32>(PENDING_EVENTS) & APIC_REDIRECTED) {
    walkHpa = load<u64>(VIRTUAL_APIC) | offset;
    walkBacked = backed(walkHpa);
    walkReadable = walkWritable = walkExecutable = false;
    return FAULT_NONE;
  }
  fillFault(FAULT_APIC_ACCESS, offset, gva);
  store<u32>(FAULT_VECTOR, access);
  store<u32>(FAULT_ERROR, accessBytes);
  return FAULT_APIC_ACCESS;
}

/** Where the guest entry at `gpa` is: sets `entryHpa` and `entryRights`, or returns a fault. */
@inline function locateEntry(gpa: u64, gva: u64, access: i32, level: u32): i32 {
  if (!load<u64>(EPTP)) {
    entryHpa = gpa;
    return FAULT_NONE;
  }
  const fault = walkEpt(gpa, gva, access & ACCESS_UNCHECKED ? 0 : EPT_READ, level);
  entryHpa = eptHpa;
  entryRights = eptRights;
  return fault;
}

/** Whether accessed and dirty flags may be set in the entry last located; if not, the EPT violation is filled in. */
@inline function maySetFlags(gpa: u64, gva: u64, level: u32): bool {
  if (!load<u64>(EPTP) || (entryRights & EPT_WRITE) != 0) return true;
  // The update reads and writes.
  eptViolation(gpa, gva, EPT_READ | EPT_WRITE, entryRights, level, EPT_SUPPRESS_VE);
  return false;
}

/**
 * Rights of a page whose entries are known (SDM 3A 4.6): sets `walkReadable`, `walkWritable` (without regard to the dirty flag) and
 * `walkExecutable`. Returns FAULT_NONE, or FAULT_EXCEPTION if they refuse the access.
 * @param allowed WRITABLE and USER where all entries have them
 * @param forbidden NO_EXECUTE if any entry has it
 * @param key protection key of the page in 4- and 5-level paging, else -1
 */
function settleRights(gva: u64, access: i32, allowed: u64, forbidden: u64, key: i32): i32 {
  const cr4 = load<u64>(CR4);
  const kind = access & ACCESS_KIND;
  const user = isUser(access);
  const userPage = (allowed & USER) != 0;
  setPageRights(
    (userPage ? QUALIFICATION_USER : 0) |
      ((allowed & WRITABLE) != 0 ? QUALIFICATION_WRITABLE : 0) |
      (forbidden ? QUALIFICATION_NO_EXECUTE : 0),
  );
  const protect = user || (load<u64>(CR0) & CR0_WP) != 0;
  const smap = (cr4 & CR4_SMAP) != 0 && ((access & ACCESS_IMPLICIT) != 0 || !(load<u32>(SYSTEM_FLAGS) & RFLAGS_AC));
  walkReadable = user ? userPage : !(userPage && smap);
  walkWritable = walkReadable && ((allowed & WRITABLE) != 0 || !protect);
  walkExecutable = (user ? userPage : !(userPage && (cr4 & CR4_SMEP) != 0)) && !forbidden;
  let refusedByKey = false;
  if (userPage && key >= 0 && (cr4 & CR4_PKE) != 0) {
    const denied = load<u32>(PKRU) >> (<u32>key << 1);
    const noAccess = (denied & 1) != 0;
    const noWrite = noAccess || ((denied & 2) != 0 && protect);
    if (noAccess) walkReadable = false;
    if (noWrite) walkWritable = false;
    refusedByKey = kind == ACCESS_WRITE ? noWrite : kind == ACCESS_READ && noAccess;
  }
  const permitted = kind == ACCESS_EXEC ? walkExecutable : kind == ACCESS_WRITE ? walkWritable : walkReadable;
  if (permitted || (access & ACCESS_UNCHECKED) != 0) return FAULT_NONE;
  return pageFault(gva, access, PF_PRESENT | (refusedByKey ? PF_KEY : 0));
}

/** Bits that must be 0 in a present entry of 8 bytes. `always`: those of every level. */
@inline function reservedBits(entry: u64, level: u32, leaf: bool, always: u64): u64 {
  let bits = always;
  if (level >= 4) bits |= LARGE;
  else if (leaf && level > 1) {
    bits |= ((<u64>1 << (9 * level + 3)) - 1) & ~(<u64>0x1fff);
    if (level == 3 && (load<u32>(PAGING_ABSENT) & NO_PAGE_1GB) != 0) bits |= LARGE;
  }
  return entry & bits;
}

/** The PDPTE register of an address as the table of PDEs it names (PAE paging, SDM 3A 4.4.1), or FAULT_EXCEPTION. */
function startPae(gva: u64, access: i32): i32 {
  const index = <usize>((gva >> 30) & 3);
  const entry = load<u64>(<usize>PDPTE + (index << 3));
  const present = (entry & PRESENT) != 0;
  if (quiet) {
    const gpa = (load<u64>(CR3) & 0xffff_ffe0) + (<u64>index << 3);
    traceRegister(present ? OUTCOME_TABLE : OUTCOME_NOT_PRESENT, gpa, entry);
  }
  if (!present) return pageFault(gva, access, 0);
  firstTable = entry & ADDRESS;
  return FAULT_NONE;
}

/** Paging with entries of 4 bytes (SDM 3A 4.3). */
function walk32(linear: u64, access: i32): i32 {
  const gva = linear & 0xffff_ffff;
  const cr4 = load<u64>(CR4);
  const unchecked = (access & ACCESS_UNCHECKED) != 0;
  let table = load<u64>(CR3) & 0xffff_f000;
  let allowed = WRITABLE | USER;
  for (let level: u32 = 2; ; level--) {
    const entryGpa = table | (((gva >> (10 * level + 2)) & 1023) << 2);
    const fault = locateEntry(entryGpa, linear, access, level);
    if (fault) return fault;
    const entry = readEntry32(entryHpa);
    const leaf = level == 1 || ((entry & LARGE) != 0 && (cr4 & CR4_PSE) != 0);
    const outcome = !(entry & PRESENT)
      ? OUTCOME_NOT_PRESENT
      : level == 2 && leaf && (entry & reserved4M()) != 0
        ? OUTCOME_RESERVED
        : leaf
          ? OUTCOME_LEAF
          : OUTCOME_TABLE;
    if (quiet) trace(0, level, 0, outcome, entryGpa, entryHpa, entry);
    if (outcome == OUTCOME_NOT_PRESENT) return pageFault(linear, access, 0);
    if (outcome == OUTCOME_RESERVED) return pageFault(linear, access, PF_PRESENT | PF_RESERVED);
    allowed &= entry;
    let set = ACCESSED;
    if (leaf) {
      if (settleRights(linear, access, allowed, 0, -1)) return FAULT_EXCEPTION;
      if ((access & ACCESS_KIND) == ACCESS_WRITE) set |= DIRTY;
    }
    if ((entry & set) != set && !unchecked) {
      if (!maySetFlags(entryGpa, linear, level)) return FAULT_EPT_VIOLATION;
      updateEntry32(entryHpa, <u32>(entry | set));
    }
    if (!leaf) {
      table = entry & 0xffff_f000;
      continue;
    }
    const shift: u32 = level == 2 ? 22 : 12;
    const offset = (<u64>1 << shift) - 1;
    const page = level == 2 ? (entry & ADDRESS_4M) | (((entry >> PSE36_LOWEST) & 0xff) << 32) : entry & 0xffff_f000;
    walkGlobal = (entry & GLOBAL) != 0 && (cr4 & CR4_PGE) != 0;
    walkPageShift = shift;
    return finish(page | (gva & offset), linear, access, walkWritable && ((entry | set) & DIRTY) != 0);
  }
}

/** Bits that must be 0 in a PDE that maps 4 MB: bit 21, and bits 20:13 as far as the physical addresses do not reach there. */
function reserved4M(): u64 {
  const width = load<u32>(PHYS_BITS);
  const high: u32 = load<u32>(PAGING_ABSENT) & NO_PSE36 ? 0 : width >= 32 + PSE36_BITS ? PSE36_BITS : width > 32 ? width - 32 : 0;
  return 0x3f_e000 & ~(((<u64>1 << high) - 1) << PSE36_LOWEST);
}

/**
 * Translates `gva` for an access (ACCESS_*), in the current context. Returns FAULT_NONE with the answer in `walk*`, or the
 * kind of fault with FAULT_* filled. The caller has checked that the address is canonical.
 */
export function walk(gva: u64, access: i32): i32 {
  resetReferences();
  walkReadable = true;
  walkExecutable = true;
  walkGlobal = false;
  walkPageShift = 12;
  setPageRights(QUALIFICATION_USER | QUALIFICATION_WRITABLE);
  if (!(load<u64>(CR0) & CR0_PG)) return finish(gva & 0xffff_ffff, gva, access, true);

  const cr4 = load<u64>(CR4);
  if (!(cr4 & CR4_PAE)) return walk32(gva, access);
  const efer = load<u64>(MSR_EFER);
  const long = (efer & EFER_LMA) != 0;
  const unchecked = (access & ACCESS_UNCHECKED) != 0;
  let reserved = reservedAddressBits();
  if (!(efer & EFER_NXE)) reserved |= NO_EXECUTE;
  let table = load<u64>(CR3) & ADDRESS;
  let level: u32 = cr4 & CR4_LA57 ? 5 : 4;
  if (!long) {
    reserved |= PAE_RESERVED;
    if (startPae(gva, access)) return FAULT_EXCEPTION;
    table = firstTable;
    level = 2;
  }
  let allowed = WRITABLE | USER;
  let forbidden: u64 = 0;

  for (; ; level--) {
    const shift = 9 * level + 3;
    const entryGpa = table | (((gva >> shift) & 511) << 3);
    const fault = locateEntry(entryGpa, gva, access, level);
    if (fault) return fault;
    const hpa = entryHpa;
    let entry = readEntry(hpa);
    if (!(entry & PRESENT)) {
      if (quiet) trace(0, level, 0, OUTCOME_NOT_PRESENT, entryGpa, hpa, entry);
      return pageFault(gva, access, 0);
    }
    const leaf = level == 1 || ((entry & LARGE) != 0 && level < 4);
    if (reservedBits(entry, level, leaf, reserved)) {
      if (quiet) trace(0, level, 0, OUTCOME_RESERVED, entryGpa, hpa, entry);
      return pageFault(gva, access, PF_PRESENT | PF_RESERVED);
    }
    if (quiet) trace(0, level, 0, leaf ? OUTCOME_LEAF : OUTCOME_TABLE, entryGpa, hpa, entry);
    allowed &= entry;
    forbidden |= entry & NO_EXECUTE;

    let set = ACCESSED;
    if (leaf) {
      if (settleRights(gva, access, allowed, forbidden, long ? <i32>((entry >> 59) & 15) : -1)) return FAULT_EXCEPTION;
      if ((access & ACCESS_KIND) == ACCESS_WRITE) set |= DIRTY;
    }
    if ((entry & set) != set && !unchecked) {
      if (!maySetFlags(entryGpa, gva, level)) return FAULT_EPT_VIOLATION;
      entry |= set;
      updateEntry(hpa, entry);
    }
    if (!leaf) {
      table = entry & ADDRESS;
      continue;
    }
    const offset = (<u64>1 << shift) - 1;
    walkGlobal = (entry & GLOBAL) != 0 && (cr4 & CR4_PGE) != 0;
    walkPageShift = shift;
    return finish((entry & ADDRESS & ~offset) | (gva & offset), gva, access, walkWritable && (entry & DIRTY) != 0);
  }
}

/**
 * Reads and checks the four PDPTEs at CR3 value `cr3` (SDM 3A 4.4.1) and leaves them at EXCHANGE. Returns FAULT_NONE; FAULT_EXCEPTION
 * (#GP) if a present one has reserved bits set; or a fault of the EPT, with FAULT_* filled.
 */
export function readPdptes(cr3: u64): i32 {
  for (let index: u32 = 0; index < 4; index++) {
    const gpa = (cr3 & 0xffff_ffe0) + <u64>(index << 3);
    let hpa = gpa;
    if (load<u64>(EPTP)) {
      const fault = walkEpt(gpa, 0, EPT_READ, 0);
      // No linear address is translated (SDM 3C table 28-7, bit 7).
      store<u64>(FAULT_QUALIFICATION, load<u64>(FAULT_QUALIFICATION) & ~(QUALIFICATION_GVA | QUALIFICATION_FINAL | pageRights));
      if (fault) return fault;
      hpa = eptHpa;
    }
    const entry = readEntry(hpa);
    if (pdpteRefused(entry)) return FAULT_EXCEPTION;
    store<u64>(<usize>EXCHANGE + <usize>(index << 3), entry);
  }
  return FAULT_NONE;
}

function pdpteRefused(entry: u64): bool {
  return (entry & PRESENT) != 0 && (entry & (PDPTE_RESERVED | ~ADDRESS & ~(<u64>0xfff) | reservedAddressBits())) != 0;
}

/**
 * The walk of an address without side effects, every step recorded at WALK: steps u32, FAULT_* kind u32, log2 of the
 * smallest page u32, backed u32, GPA u64, HPA u64; steps of 32 bytes from +64. FAULT_* tells of a fault; a right that would
 * be refused is refused.
 */
export function walkTrace(gva: u64, access: i32): i32 {
  setQuiet(true);
  const fault = walk(gva, access);
  setQuiet(false);
  const nested = load<u64>(EPTP) != 0;
  store<u32>(WALK, steps);
  store<u32>(WALK, fault, 4);
  store<u32>(WALK, nested && eptShift < walkPageShift ? eptShift : walkPageShift, 8);
  store<u32>(WALK, walkBacked ? 1 : 0, 12);
  store<u64>(WALK, walkGpa, 16);
  store<u64>(WALK, walkHpa, 24);
  return fault;
}

/** GPA to HPA through the EPT in force, whatever rights it gives, without side effects; all ones if not mapped. */
export function translateGpa(gpa: u64): u64 {
  if (!load<u64>(EPTP)) return gpa;
  setQuiet(true);
  const fault = walkEpt(gpa, 0, 0, 0);
  setQuiet(false);
  return fault ? ~(<u64>0) : eptHpa;
}
