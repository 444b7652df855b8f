/**
 * EPT violations that are served without TypeScript (AssemblyScript), one after the other, while a lease holds (LEASE_*, dune/supply.ts): what cpu/engine.ts does before
 * and after the delivery of such a fault. TypeScript takes the lease back whenever it does anything that a lease depends on.
 */
import {
  ACTIVITY, BUDGET, CODE_MODE, CR2, FAULT_GPA, FAULT_KIND, FAULT_QUALIFICATION, GPR, INTERRUPTIBILITY, LEASE, LEASE_EPT_READ,
  LEASE_EPT_WRITE, LEASE_FRAME, LEASE_FRAME_END, LEASE_GPA, LEASE_GPA_END, LEASE_HVA, LEASE_INSTALLED, LEASE_LAST, LEASE_LEAF_HIGH, LEASE_REGISTERS, LEASE_SERVED,
  LEASE_TAKEN, LEASE_WRITABLE, LEASE_ZERO, MSR_KERNEL_GS_BASE, OP, PENDING_EVENTS, RECORD_LENGTHS, RECORD_UNIT, RECORDS, RIP, SUPPLY_EPT_LEAF, SUPPLY_FRAME, SUPPLY_HVA,
  SUPPLY_INSTALLED, SUPPLY_LEAF, SUPPLY_LEAF_HIGH, SUPPLY_NEEDED, SUPPLY_RECYCLED, SYSTEM_FLAGS, WATCHES,
} from '../cpu/layout';
import { BLOCK_GVA, BLOCK_RECORD } from '../cpu/code-layout';
import { FAULT_EPT_VIOLATION, SUPPLY_RETURNED } from '../cpu/codes';
import { blockHolding, codeRecord } from './code-blocks';
import { supplyPage } from './page-supply';
import { mayInterrupt } from './vm-transitions';

const PAGE: u32 = 4096;
const MODE_64: u32 = 2;
const FLAGS_STEPPING: u32 = 0x1_0100;
const SHADOW: u32 = 3;
/** As records.ts: below it `enter` comes back after a block. */
const BUDGET_MARGIN: i32 = 64;

const QUALIFICATION_WRITE: u32 = 2;
const QUALIFICATION_WIDTH: u32 = 0x40;
const QUALIFICATION_GVA: u32 = 0x80;
const PTE_PRESENT: u32 = 1;
const PTE_WRITABLE: u32 = 2;
const PTE_USER: u32 = 4;

/** Nothing that makes instructions more than themselves: no stepping, shadows, events, watched ranges. */
@inline function isPlain(): bool {
  return (
    load<u32>(FAULT_KIND) == FAULT_EPT_VIOLATION && load<u32>(CODE_MODE) == MODE_64 && !(load<u32>(SYSTEM_FLAGS) & FLAGS_STEPPING) &&
    !(load<u32>(PENDING_EVENTS) | load<u32>(ACTIVITY) | load<u32>(WATCHES) | (load<u32>(INTERRUPTIBILITY) & SHADOW))
  );
}

/** Asks for the page of the violation in FAULT_*; false if the lease has none for it. */
function ask(): bool {
  const qualification = load<u32>(FAULT_QUALIFICATION);
  const write = (qualification & QUALIFICATION_WRITE) != 0;
  const gpa = load<u64>(FAULT_GPA);
  if (qualification & QUALIFICATION_WIDTH || !(qualification & QUALIFICATION_GVA)) return false;
  if (gpa < load<u64>(LEASE_GPA) || gpa >= load<u64>(LEASE_GPA_END) || (write && !load<u32>(LEASE_WRITABLE))) return false;
  const needed = write ? PTE_PRESENT | PTE_WRITABLE : PTE_PRESENT;
  const next = load<u32>(LEASE_FRAME);
  store<u64>(SUPPLY_HVA, gpa - load<u64>(LEASE_GPA) + load<u64>(LEASE_HVA));
  store<u32>(SUPPLY_NEEDED, needed);
  store<u32>(SUPPLY_LEAF, needed | PTE_USER);
  store<u32>(SUPPLY_LEAF_HIGH, load<u32>(LEASE_LEAF_HIGH));
  store<u32>(SUPPLY_FRAME, !write ? load<u32>(LEASE_ZERO) : next < load<u32>(LEASE_FRAME_END) ? next : 0);
  store<u32>(SUPPLY_RECYCLED, 0);
  store<u32>(SUPPLY_EPT_LEAF, write ? load<u32>(LEASE_EPT_WRITE) : load<u32>(LEASE_EPT_READ));
  return true;
}

function saveRegisters(): void {
  memory.copy(LEASE_REGISTERS, GPR, 128);
  store<u64>(LEASE_REGISTERS + 128, load<u64>(MSR_KERNEL_GS_BASE));
  store<u64>(LEASE_REGISTERS + 136, load<u64>(CR2));
}

/**
 * The interpreter has left with a fault. The record to go on with; 0 if the fault is still there, with nothing changed; - SUPPLY_* if it was served, but that is not
 * all there is to do (- SUPPLY_RETURNED: find the record, look at interrupts).
 */
export function serveLeased(): i32 {
  const region = <usize>load<u32>(LEASE);
  if (!region || !isPlain()) return 0;
  const op = load<u32>(OP);
  const block = blockHolding(op);
  let offset: u64 = 0;
  let budget = load<i32>(BUDGET);
  for (let record = load<u32>(block, BLOCK_RECORD); record < op; record += RECORD_UNIT) {
    for (let lengths: u32 = load<u8>(<usize>RECORD_LENGTHS + <usize>((record - RECORDS) / RECORD_UNIT)); lengths > 0; lengths >>= 4) {
      offset += lengths & 15;
      budget--;
    }
  }
  // Two at the same place: the driver counts these.
  if (budget == load<i32>(LEASE_LAST) || !ask()) return 0;
  const rip = load<u64>(block, BLOCK_GVA) + offset;
  store<u64>(RIP, rip);
  saveRegisters();
  const served = supplyPage(region);
  if (!served) return 0;
  store<i32>(BUDGET, budget);
  store<i32>(LEASE_LAST, budget);
  if (load<u32>(SUPPLY_INSTALLED)) {
    store<u32>(LEASE_INSTALLED, load<u32>(LEASE_INSTALLED) + 1);
    if (load<u32>(SUPPLY_FRAME) == load<u32>(LEASE_FRAME)) {
      store<u32>(LEASE_FRAME, load<u32>(LEASE_FRAME) + PAGE);
      store<u32>(LEASE_TAKEN, load<u32>(LEASE_TAKEN) + 1);
    }
  }
  if (served != SUPPLY_RETURNED) return -served;
  store<u32>(LEASE_SERVED, load<u32>(LEASE_SERVED) + 1);
  if (budget < BUDGET_MARGIN || mayInterrupt(region)) return -SUPPLY_RETURNED;
  const record = <i32>codeRecord(rip, 0);
  return record > 0 ? record : -SUPPLY_RETURNED;
}
