/** Why a paging-structure entry that is present cannot be used at all: reserved bits (SDM 3A 4.3 to 4.5), EPT misconfigurations (SDM 3C 29.3.3.1). */
import * as L from '../cpu/layout.ts';
import type { LinearMemory } from '../cpu/state.ts';
import type { WalkStep } from './api.ts';
import { EPT_ENTRY, PAGE_ENTRY } from './entries.ts';
import { MEMORY_TYPES } from './memory-types.ts';
import { entrySpan } from './modes.ts';
import { EFER_NXE } from '../cpu/control-bits.ts';

const TOP_ADDRESS_BIT = 51;
const NO_EXECUTE_BIT = 63;
const MEMORY_TYPE_BITS = 3n;

/** Bits high..low that are set, as "51, 14:13". */
function bitsSet(value: bigint, high: number, low: number): string {
  const runs: string[] = [];
  for (let bit = high; bit >= low; bit--) {
    if (!((value >> BigInt(bit)) & 1n)) continue;
    let last = bit;
    while (last > low && (value >> BigInt(last - 1)) & 1n) last--;
    runs.push(last === bit ? `${bit}` : `${bit}:${last}`);
    bit = last;
  }
  return runs.join(', ');
}

const bits = (set: string): string => (/[,:]/.test(set) ? `bits ${set}` : `bit ${set}`);
const isLarge = ({ entry, level }: WalkStep): boolean => level > 1 && level < 4 && (entry & PAGE_ENTRY.large) !== 0n;

function aboveWidth(mem: LinearMemory, entry: bigint): string[] {
  const width = mem.get32(L.PHYS_BITS);
  const set = bitsSet(entry, TOP_ADDRESS_BIT, width);
  return set ? [`${bits(set)} (physical addresses have ${width} bits)`] : [];
}

/** Which reserved bits of a guest entry are set, and why they are reserved. */
export function reservedBitsOf(mem: LinearMemory, step: WalkStep): string[] {
  const { entry, level, paging } = step;
  if (paging === '32-bit') return [`${bits(bitsSet(entry, 21, 13))} of an entry that maps 4 MB`];
  const found = aboveWidth(mem, entry);
  if (!(mem.get32(L.MSR_EFER) & EFER_NXE) && (entry & PAGE_ENTRY.noExecute) !== 0n)
    found.push(`bit ${NO_EXECUTE_BIT} (EFER.NXE is 0)`);
  const pae = paging === 'PAE' ? bitsSet(entry, 62, 52) : '';
  if (pae) found.push(`${bits(pae)} (PAE paging)`);
  if (level >= 4 && (entry & PAGE_ENTRY.large) !== 0n) found.push('bit 7 (a page of this size does not exist)');
  if (isLarge(step)) {
    if (level === 3 && mem.get32(L.PAGING_ABSENT) & L.NO_PAGE_1GB)
      found.push('bit 7 (this processor has no 1 GB pages)');
    const low = bitsSet(entry, Math.log2(entrySpan(level)) - 1, 13);
    if (low) found.push(`${bits(low)} of an entry that maps a large page`);
  }
  return found;
}

/** What makes an EPT entry a misconfiguration. */
export function misconfigurationOf(mem: LinearMemory, step: WalkStep): string[] {
  const { entry, level } = step;
  const found: string[] = [];
  if ((entry & (EPT_ENTRY.read | EPT_ENTRY.write)) === EPT_ENTRY.write) found.push('it gives W without R');
  found.push(...aboveWidth(mem, entry).map((which) => `reserved ${which} set`));
  if (level > 1 && !isLarge(step)) {
    const set = bitsSet(entry, level >= 4 ? 7 : 6, 3);
    if (set) found.push(`reserved ${bits(set)} set in an entry that points to a table`);
    return found;
  }
  const type = Number((entry >> MEMORY_TYPE_BITS) & 7n);
  if (!(type in MEMORY_TYPES)) found.push(`memory type ${type} does not exist`);
  const low = level > 1 ? bitsSet(entry, Math.log2(entrySpan(level)) - 1, 12) : '';
  if (low) found.push(`reserved ${bits(low)} set in an entry that maps a large page`);
  return found;
}
