/** The EPT (AssemblyScript; SDM 3C 29.3), and what its entries and the controls over it refuse. */
import {
  EPTP, FAULT_ERROR, FAULT_GPA, FAULT_GVA, FAULT_KIND, FAULT_QUALIFICATION, PML_ADDRESS, PML_INDEX, SPP_TABLE, VMX_MODE, VMX_MODE_BASED_EXECUTE,
  VMX_PML, VMX_SUB_PAGES,
} from '../cpu/layout';
import { FAULT_EPT_MISCONFIG, FAULT_EPT_VIOLATION, FAULT_LOG_FULL, FAULT_NONE, FAULT_SUB_PAGE } from '../cpu/codes';
import {
  ADDRESS, OUTCOME_LEAF, OUTCOME_MISCONFIGURED, OUTCOME_NOT_PRESENT, OUTCOME_TABLE, quiet, readEntry, reservedAddressBits, trace, updateEntry,
} from './mmu-entries';

const PRESENT: u64 = 1;
const LARGE: u64 = 0x80;

export const EPT_READ: u64 = 1;
export const EPT_WRITE: u64 = 2;
export const EPT_EXECUTE: u64 = 4;
export const EPT_RIGHTS: u64 = 7;
/** Of user-mode linear addresses, with mode-based execute control. */
export const EPT_EXECUTE_USER: u64 = 0x400;
/** Bit 61: the sub-page-permission table decides about writes. */
export const EPT_SUB_PAGES: u64 = 1 << 61;
export const EPT_SUPPRESS_VE: u64 = 1 << 63;
export const EPT_ACCESSED: u64 = 0x100;
export const EPT_DIRTY: u64 = 0x200;
export const EPTP_AD: u64 = 0x40;
/** Of the page-walk length less 1 in bits 5:3, which is 3 or 4: set, a walk goes through 5 levels. */
export const EPTP_5_LEVELS: u64 = 0x20;
/** Bit 7: a linear address is valid; bit 8: it was the final translation. */
export const QUALIFICATION_GVA: u64 = 0x80;
export const QUALIFICATION_FINAL: u64 = 0x100;
/** Bit 2 fetch; bit 6 user-mode execute right; bits 11:9 of the linear address: user-mode, read/write, execute-disable. */
export const QUALIFICATION_FETCH: u64 = 4;
export const QUALIFICATION_EXECUTE_USER: u64 = 0x40;
export const QUALIFICATION_USER: u64 = 0x200;
export const QUALIFICATION_WRITABLE: u64 = 0x400;
export const QUALIFICATION_NO_EXECUTE: u64 = 0x800;
/** Of a sub-page-permission event: a miss. */
export const QUALIFICATION_MISS: u64 = 0x800;
export const PML_ENTRIES: u32 = 512;

/** Bytes of the access in progress. */
export let accessBytes: i32 = 1;
export function setAccessBytes(bytes: i32): void {
  accessBytes = bytes;
}

/** The guest's rights of the page, as bits of a qualification. */
export let pageRights: u64 = 0;
export function setPageRights(rights: u64): void {
  pageRights = rights;
}

// ---- answer of the last EPT walk that returned FAULT_NONE
export let eptHpa: u64 = 0;
export let eptRights: u64 = 0;
export let eptDirty: bool = false;
export let eptShift: u32 = 12;
/** Of the last EPT violation: it was of the translation of the linear address itself, by an entry for 4 KB. */
export let violatesSmallPage: bool = false;

/** @param entry the EPT entry that refuses: its bit 63 decides whether the violation may become #VE */
export function eptViolation(gpa: u64, gva: u64, want: u64, rights: u64, guestLevel: u32, entry: u64): i32 {
  const access = (want & EPT_RIGHTS) | (want & EPT_EXECUTE_USER ? QUALIFICATION_FETCH : 0);
  const given = ((rights & EPT_RIGHTS) << 3) | (rights & EPT_EXECUTE_USER && modeBased() ? QUALIFICATION_EXECUTE_USER : 0);
  fillFault(FAULT_EPT_VIOLATION, gpa, gva);
  violatesSmallPage = false;
  store<u32>(FAULT_ERROR, entry & EPT_SUPPRESS_VE ? 0 : 1);
  store<u64>(FAULT_QUALIFICATION, access | given | QUALIFICATION_GVA | (guestLevel == 0 ? QUALIFICATION_FINAL | pageRights : 0));
  return FAULT_EPT_VIOLATION;
}

export function fillFault(kind: i32, gpa: u64, gva: u64): void {
  store<u32>(FAULT_KIND, kind);
  store<u64>(FAULT_GPA, gpa);
  store<u64>(FAULT_GVA, gva);
}

@inline export function modeBased(): bool {
  return (load<u32>(VMX_MODE) & VMX_MODE_BASED_EXECUTE) != 0;
}

/** An EPT dirty flag is about to be set: the page goes to the page-modification log (SDM 3C 29.3.6). */
function logModification(gpa: u64, gva: u64): i32 {
  const index = load<u32>(PML_INDEX);
  if (index >= PML_ENTRIES) {
    fillFault(FAULT_LOG_FULL, gpa, gva);
    store<u64>(FAULT_QUALIFICATION, 0);
    return FAULT_LOG_FULL;
  }
  updateEntry(load<u64>(PML_ADDRESS) + (<u64>index << 3), gpa & ADDRESS);
  store<u32>(PML_INDEX, (index - 1) & 0xffff);
  return FAULT_NONE;
}

/** Write permission of the 128 bytes at `gpa` (SDM 3C 29.3.4): FAULT_NONE; FAULT_EPT_VIOLATION, with nothing filled in, if there is none; FAULT_SUB_PAGE. */
function subPageFault(gpa: u64, gva: u64): i32 {
  let table = load<u64>(SPP_TABLE) & ADDRESS;
  let last: u64 = 0;
  for (let level: u32 = 4; level >= 1; level--) {
    last = readEntry(table | (((gpa >> (9 * level + 3)) & 511) << 3));
    if (level == 1) break;
    const reserved = (last & 0xffe) | (last & ~ADDRESS & ~(<u64>0xfff)) | (last & reservedAddressBits());
    if (!(last & PRESENT) || reserved) return subPageEvent(gpa, gva, last & PRESENT ? 0 : QUALIFICATION_MISS);
    table = last & ADDRESS;
  }
  if (last & 0xaaaa_aaaa_aaaa_aaaa) return subPageEvent(gpa, gva, 0);
  const first = (gpa >> 7) & 31;
  const end = ((gpa + accessBytes - 1) >> 7) & 31;
  if (end != first || !((last >> (first << 1)) & 1)) return FAULT_EPT_VIOLATION;
  return FAULT_NONE;
}

function subPageEvent(gpa: u64, gva: u64, kind: u64): i32 {
  fillFault(FAULT_SUB_PAGE, gpa, gva);
  store<u64>(FAULT_QUALIFICATION, kind | QUALIFICATION_GVA | QUALIFICATION_FINAL);
  return FAULT_SUB_PAGE;
}

/** Whether an EPT entry can never be right (SDM 3C 29.3.3.1). Execute-only is supported. */
function eptMisconfigured(entry: u64, level: u32, leaf: bool): bool {
  if ((entry & (EPT_READ | EPT_WRITE)) == EPT_WRITE) return true;
  if (entry & reservedAddressBits()) return true;
  if (!leaf) return (entry & (level >= 4 ? 0xf8 : 0x78)) != 0;
  const memoryType = (entry >> 3) & 7;
  if (memoryType == 2 || memoryType == 3 || memoryType == 7) return true;
  return level > 1 && (entry & ((<u64>1 << (9 * level + 3)) - 1) & ADDRESS) != 0;
}

/**
 * GPA to HPA through the EPT in force: `eptHpa`, `eptRights`, `eptDirty`.
 * @param want EPT_* rights of the access; 0 checks none
 * @param guestLevel level of the guest entry at `gpa`, 0 for the translation of the linear address itself
 */
export function walkEpt(gpa: u64, gva: u64, want: u64, guestLevel: u32): i32 {
  const eptp = load<u64>(EPTP);
  const ad = (eptp & EPTP_AD) != 0;
  // With accessed and dirty flags on, references to guest paging structures count as writes (SDM 3C 29.3.3.2).
  if (ad && guestLevel != 0 && want != 0) want |= EPT_WRITE;
  let table = eptp & ADDRESS;
  const mode = load<u32>(VMX_MODE);
  const every = mode & VMX_MODE_BASED_EXECUTE ? EPT_RIGHTS | EPT_EXECUTE_USER : EPT_RIGHTS;
  let rights = every;
  let level: u32 = eptp & EPTP_5_LEVELS ? 5 : 4;
  // Beyond what the levels translate: 48 bits, or 57, which no guest-physical address exceeds.
  if (gpa >> (9 * level + 12)) return eptViolation(gpa, gva, want, 0, guestLevel, EPT_SUPPRESS_VE);
  for (; ; level--) {
    const shift = 9 * level + 3;
    const hpa = table | (((gpa >> shift) & 511) << 3);
    const entry = readEntry(hpa);
    rights &= entry;
    if (!(entry & every)) {
      if (quiet) trace(1, level, guestLevel, OUTCOME_NOT_PRESENT, gpa, hpa, entry);
      eptViolation(gpa, gva, want, 0, guestLevel, entry);
      violatesSmallPage = level == 1 && guestLevel == 0;
      return FAULT_EPT_VIOLATION;
    }
    const leaf = level == 1 || ((entry & LARGE) != 0 && level < 4);
    if (eptMisconfigured(entry, level, leaf)) {
      if (quiet) trace(1, level, guestLevel, OUTCOME_MISCONFIGURED, gpa, hpa, entry);
      store<u32>(FAULT_KIND, FAULT_EPT_MISCONFIG);
      store<u64>(FAULT_GPA, gpa);
      store<u64>(FAULT_GVA, gva);
      store<u64>(FAULT_QUALIFICATION, QUALIFICATION_GVA);
      return FAULT_EPT_MISCONFIG;
    }
    if (quiet) trace(1, level, guestLevel, leaf ? OUTCOME_LEAF : OUTCOME_TABLE, gpa, hpa, entry);
    if (!leaf) {
      if (ad && !(entry & EPT_ACCESSED)) updateEntry(hpa, entry | EPT_ACCESSED);
      table = entry & ADDRESS;
      continue;
    }
    if (want & ~rights) {
      const parts = mode & VMX_SUB_PAGES && level == 1 && guestLevel == 0 && (want & ~rights) == EPT_WRITE && (entry & EPT_SUB_PAGES) != 0;
      const fault = parts ? subPageFault(gpa, gva) : FAULT_EPT_VIOLATION;
      if (fault == FAULT_EPT_VIOLATION) {
        eptViolation(gpa, gva, want, rights, guestLevel, entry);
        violatesSmallPage = level == 1 && guestLevel == 0;
      }
      if (fault) return fault;
    }
    const dirty = (want & EPT_WRITE) != 0;
    const set = EPT_ACCESSED | (dirty ? EPT_DIRTY : 0);
    if (mode & VMX_PML && ad && dirty && !quiet && !(entry & EPT_DIRTY) && logModification(gpa, gva)) return FAULT_LOG_FULL;
    if (ad && (entry & set) != set) updateEntry(hpa, entry | set);
    const offset = (<u64>1 << shift) - 1;
    eptHpa = (entry & ADDRESS & ~offset) | (gpa & offset);
    eptRights = rights;
    eptDirty = !ad || dirty || (entry & EPT_DIRTY) != 0;
    eptShift = shift;
    return FAULT_NONE;
  }
}
