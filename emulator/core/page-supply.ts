/**
 * An EPT violation of the common kind, served whole (AssemblyScript): a hypervisor whose guest-physical memory is that of a process maps the page behind the address,
 * and enters the guest again. The page is there, or an anonymous one is put there; all tables on the way exist. What is to be done stands at SUPPLY_*; linux/mm.ts,
 * dune/ept.ts, vmx/exit.ts and vmx/entry.ts do every case. What is not common is left to them, with nothing changed. test/dune/violations.spec.ts holds both to the same.
 */
import {
  BANK_CURRENT, BANK_KEYS, BANK_PREVIOUS, BANK_ROOTS, CODE_BITMAP, CR3, DR7, FAULT_GPA, FRAME_FLAGS, FRAME_WATCHED, RAM_BASE, SUPPLY_EPT_LEAF,
  SUPPLY_EPT_ROOT, SUPPLY_FRAME, SUPPLY_HVA, SUPPLY_INSTALLED, SUPPLY_LEAF, SUPPLY_LEAF_HIGH, SUPPLY_NEEDED, SUPPLY_RECYCLED, SUPPLY_ROOT,
} from '../cpu/layout';
import { KEY_WORDS, ROOT_WORDS } from '../cpu/bank-keys';
import { SUPPLY_ENTERED, SUPPLY_EXITED, SUPPLY_NONE, SUPPLY_RETURNED } from '../cpu/codes';
import { findBank, noteRoot } from './bank-keys';
import { backed, markDirty } from './mmu-entries';
import { enterGuest, exitByViolation } from './vm-transitions';

const PAGE: usize = 4096;
const LARGE: u32 = 0x80;
const ADDRESS: u32 = 0xffff_f000;
/** Of entries of the process's tables: present. */
const PRESENT: u32 = 1;
/** Of leaves: the page is there, though hidden (linux/pagetables.ts). */
const HELD: u32 = 0x101;
const EPT_RIGHTS: u32 = 7;
const DR7_ENABLES: u32 = 0xff;

/**
 * Host offset of the entry for an address in the last of four levels of tables, all of which lie below 4 GB; 0 if one is missing, or a larger page is there.
 * @param rights one of these bits says that an entry is there
 */
function lastEntry(root: u32, address: u64, rights: u32): usize {
  let table = root;
  for (let level = 4; level > 1; level--) {
    const at = entryIn(table, address, level);
    const low = backed(at) ? load<u32>(<usize>RAM_BASE + <usize>at) : 0;
    if (!(low & rights) || low & LARGE) return 0;
    table = low & ADDRESS;
  }
  return backed(table) ? <usize>RAM_BASE + <usize>entryIn(table, address, 1) : 0;
}

@inline function entryIn(table: u32, address: u64, level: i32): u32 {
  return table + ((<u32>(address >> (9 * level + 3)) & 511) << 3);
}

/** Whether nobody has to hear of writes to the frame of an entry or page: neither code nor a watched frame. */
@inline function isPlain(host: usize): bool {
  const pfn = (host - <usize>RAM_BASE) >> 12;
  return load<u64>(<usize>CODE_BITMAP + (pfn << 3)) == 0 && !(load<u8>(<usize>FRAME_FLAGS + pfn) & <u8>FRAME_WATCHED);
}

@inline function write(entry: usize, low: u32, high: u32): void {
  store<u32>(entry, low);
  store<u32>(entry, high, 4);
  markDirty(entry - <usize>RAM_BASE);
}

/** A frame that has been used is emptied, as linux/frames.ts does. */
function install(leaf: usize): u32 {
  const frame = load<u32>(SUPPLY_FRAME);
  const host = <usize>RAM_BASE + <usize>frame;
  if (load<u32>(SUPPLY_RECYCLED)) {
    memory.fill(host, 0, PAGE);
    markDirty(frame);
  }
  write(leaf, frame | load<u32>(SUPPLY_LEAF), load<u32>(SUPPLY_LEAF_HIGH));
  store<u32>(SUPPLY_INSTALLED, 1);
  return frame;
}

/** Whether the frame that is offered may be put behind an entry. */
function offered(): bool {
  const frame = load<u32>(SUPPLY_FRAME);
  return frame != 0 && (!load<u32>(SUPPLY_RECYCLED) || isPlain(<usize>RAM_BASE + <usize>frame));
}

/** Brings the bank `wanted` into force, if it is the one for the context, with the tables it was last in force with. */
function takesBank(wanted: i32, other: i32): bool {
  if (wanted < 0 || other < 0) return false;
  const cpu = load<u16>(<usize>BANK_KEYS + <usize>wanted * (KEY_WORDS * 4), 2);
  if (findBank(<i32>cpu, other, wanted) != wanted) return false;
  if (load<u64>(<usize>BANK_ROOTS + <usize>wanted * (ROOT_WORDS * 4)) != load<u64>(CR3)) return false;
  noteRoot(wanted);
  return true;
}

/** The EPT violation in FAULT_*, which no event delivery met, of the guest whose VMCS is at `region`: SUPPLY_* (cpu/codes.ts). */
export function supplyPage(region: usize): i32 {
  store<u32>(SUPPLY_INSTALLED, 0);
  const leaf = lastEntry(load<u32>(SUPPLY_ROOT), load<u64>(SUPPLY_HVA), PRESENT);
  const entry = lastEntry(load<u32>(SUPPLY_EPT_ROOT), load<u64>(FAULT_GPA), EPT_RIGHTS);
  if (!leaf || !entry || !isPlain(leaf) || !isPlain(entry) || load<u32>(DR7) & DR7_ENABLES) return SUPPLY_NONE;
  const present = load<u32>(leaf);
  const needed = load<u32>(SUPPLY_NEEDED);
  const there = (present & HELD) != 0;
  if (there ? (present & needed) != needed : !offered()) return SUPPLY_NONE;
  const mapped = load<u32>(entry);
  const before = there ? present & ADDRESS : load<u32>(SUPPLY_FRAME);
  // Another page in place of one that was mapped is for all to hear of.
  if (mapped & EPT_RIGHTS && (mapped & ADDRESS) != before) return SUPPLY_NONE;
  if (!exitByViolation(region)) return SUPPLY_NONE;
  const frame = there ? before : install(leaf);
  write(entry, frame | load<u32>(SUPPLY_EPT_LEAF), 0);

  const guest = load<i32>(BANK_CURRENT);
  const host = load<i32>(BANK_PREVIOUS);
  if (!takesBank(host, guest) || !enterGuest(region)) return SUPPLY_EXITED;
  if (load<u32>(DR7) & DR7_ENABLES) return SUPPLY_ENTERED;
  return takesBank(guest, host) ? SUPPLY_RETURNED : SUPPLY_ENTERED;
}
