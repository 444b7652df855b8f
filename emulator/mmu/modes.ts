/** Which kind of paging is in force (SDM 3A 4.1.1), and what follows from it. */
import * as L from '../cpu/layout.ts';
import type { LinearMemory } from '../cpu/state.ts';
import { CR0_PG, CR4_PAE, CR4_LA57, EFER_LMA } from '../cpu/control-bits.ts';

export type PagingMode = 'none' | '32-bit' | 'PAE' | '4-level' | '5-level';

/** Of the page-walk length less 1 in bits 5:3. */
const EPTP_5_LEVELS = 0x20n;

export function pagingMode(mem: LinearMemory): PagingMode {
  if (!(mem.get32(L.CR0) & CR0_PG)) return 'none';
  const cr4 = mem.get32(L.CR4);
  if (!(cr4 & CR4_PAE)) return '32-bit';
  if (!(mem.get32(L.MSR_EFER) & EFER_LMA)) return 'PAE';
  return cr4 & CR4_LA57 ? '5-level' : '4-level';
}

/** Levels of the tables, the register-held PDPTEs of PAE paging included. */
export const PAGING_LEVELS: Readonly<Record<PagingMode, number>> = {
  none: 0,
  '32-bit': 2,
  PAE: 3,
  '4-level': 4,
  '5-level': 5,
};

/** Levels of the EPT in force; 0 without EPT (SDM 3C 25.6.11). */
export function eptLevels(mem: LinearMemory): 0 | 4 | 5 {
  const eptp = mem.get64(L.EPTP);
  return eptp === 0n ? 0 : eptp & EPTP_5_LEVELS ? 5 : 4;
}

/** Whether the EPT in force has too few levels for a guest-physical address: such an access is an EPT violation, whatever the tables hold (SDM 3C 29.3.2). */
export function isBeyondEpt(mem: LinearMemory, gpa: bigint): boolean {
  const levels = eptLevels(mem);
  return levels !== 0 && gpa >> BigInt(9 * levels + 12) !== 0n;
}

/** Bits of a linear address that the tables translate in 64-bit mode: 57 with CR4.LA57, else 48. The rest repeats the top one. */
export function linearBits(mem: LinearMemory): 48 | 57 {
  return mem.get32(L.CR4) & CR4_LA57 ? 57 : 48;
}

/** Whether all bits above the lowest `bits` equal the highest of these (SDM 1 3.3.7.1). */
export function isCanonicalIn(bits: number, address: bigint): boolean {
  return BigInt.asUintN(64, BigInt.asIntN(bits, address)) === address;
}

/** Bytes covered by one entry of a level. */
export function entrySpan(level: number, mode: PagingMode = '4-level'): number {
  return mode === '32-bit' ? 2 ** (10 * level + 2) : 2 ** (9 * level + 3);
}
