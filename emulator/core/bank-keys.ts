/** Which TLB bank has the key of the context in force (AssemblyScript); mmu/banks.ts says what keys are for. */
import {
  BANK_KEYS, BANK_ROOTS, CPL, CR0, CR3, CR4, EPTP, MSR_EFER, PKRU, SYSTEM_FLAGS, TLB_BANKS, VMX_MODE, VPID,
} from '../cpu/layout';
import {
  KEY_LA57, KEY_LONG, KEY_NO_EXECUTE, KEY_PAE, KEY_PAGE_4M, KEY_PAGING, KEY_PROTECTION, KEY_SMAP, KEY_SMEP, KEY_UNCACHED, KEY_USER, KEY_WORDS,
  KEY_WRITE_PROTECT, ROOT_WORDS,
} from '../cpu/bank-keys';
import { CR0_WP, CR0_AM, CR0_PG, CR4_PSE, CR4_PAE, CR4_LA57, CR4_PCIDE, CR4_SMEP, CR4_SMAP, CR4_PKE, EFER_LMA, EFER_NXE, RFLAGS_AC } from '../cpu/control-bits';


const KEY_BYTES: usize = KEY_WORDS * 4;
const ROOT_BYTES: usize = ROOT_WORDS * 4;
/** The key of the context in force stands behind those of the banks. */
const WANTED: usize = BANK_KEYS + TLB_BANKS * KEY_BYTES;
/** The bank was last in force with another CR3. */
const OTHER_ROOT: i32 = 0x100;

function rights(cr0: u32, cr4: u32): u32 {
  const efer = load<u32>(MSR_EFER);
  const alignment = (load<u32>(SYSTEM_FLAGS) & RFLAGS_AC) != 0;
  let mode: u32 = 0;
  if (load<u32>(CPL) == 3) {
    mode |= KEY_USER;
    if (alignment && cr0 & CR0_AM) mode |= KEY_UNCACHED;
  } else {
    if (cr0 & CR0_WP) mode |= KEY_WRITE_PROTECT;
    if (cr4 & CR4_SMAP && !alignment) mode |= KEY_SMAP;
    if (cr4 & CR4_SMEP) mode |= KEY_SMEP;
  }
  if (cr0 & CR0_PG) mode |= KEY_PAGING;
  if (cr4 & CR4_PSE) mode |= KEY_PAGE_4M;
  if (cr4 & CR4_PAE) mode |= KEY_PAE;
  if (cr4 & CR4_LA57) mode |= KEY_LA57;
  if (cr4 & CR4_PKE) mode |= KEY_PROTECTION;
  if (efer & EFER_NXE) mode |= KEY_NO_EXECUTE;
  return efer & EFER_LMA ? mode | KEY_LONG : mode;
}

/** Writes the key of the context in force behind those of the banks. */
export function readKey(cpu: i32): void {
  const cr4 = load<u32>(CR4);
  const cr3 = load<u32>(CR3);
  const pcids = (cr4 & CR4_PCIDE) != 0;
  store<u32>(WANTED, rights(load<u32>(CR0), cr4) | (<u32>cpu << 16));
  store<u32>(WANTED, load<u32>(VPID) | ((pcids ? cr3 & 0xfff : 0) << 16), 4);
  store<u32>(WANTED, load<u32>(EPTP), 8);
  store<u32>(WANTED, load<u32>(EPTP + 4), 12);
  // With PCIDs the base may change under entries that stay (MOV CR3 with bit 63 set).
  store<u32>(WANTED, pcids ? 0 : cr3, 16);
  store<u32>(WANTED, pcids ? 0 : load<u32>(CR3 + 4), 20);
  store<u32>(WANTED, cr4 & CR4_PKE ? load<u32>(PKRU) : 0, 24);
}

function serves(bank: i32): bool {
  const key = <usize>BANK_KEYS + <usize>bank * KEY_BYTES;
  for (let word: usize = 0; word < KEY_BYTES; word += 4) {
    if (load<u32>(key + word) != load<u32>(WANTED + word)) return false;
  }
  return true;
}

/** A bank is in force: notes the tables. OTHER_ROOT if they are others than when it was so last. */
export function noteRoot(bank: i32): i32 {
  const root = <usize>BANK_ROOTS + <usize>bank * ROOT_BYTES;
  const other = load<u32>(root) != load<u32>(CR3) || load<u32>(root, 4) != load<u32>(CR3 + 4);
  store<u32>(root, load<u32>(CR3));
  store<u32>(root, load<u32>(CR3 + 4), 4);
  store<u32>(root, load<u32>(VMX_MODE), 8);
  return other ? OTHER_ROOT : 0;
}

/**
 * The bank with the key of the context that the state describes; -1 if there is none.
 * @param current, previous banks to look at first; -1 for none
 */
export function findBank(cpu: i32, current: i32, previous: i32): i32 {
  readKey(cpu);
  if (current >= 0 && serves(current)) return current;
  // An exit and the entry after it go to and fro between two.
  if (previous >= 0 && serves(previous)) return previous;
  for (let bank = 0; bank < TLB_BANKS; bank++) {
    if (serves(bank)) return bank;
  }
  return -1;
}

/** As `findBank`, of a bank that comes into force: with OTHER_ROOT, as `noteRoot` answers. */
export function selectBank(cpu: i32, current: i32, previous: i32): i32 {
  const bank = findBank(cpu, current, previous);
  return bank < 0 ? bank : bank | noteRoot(bank);
}
