/** The PDPTE registers of PAE paging: loaded and checked whenever CR3 or what selects the paging mode is written (SDM 3A 4.4.1). */
import * as C from '../codes.ts';
import type { CpuContext } from '../context.ts';
import type { Fault } from '../engine-api.ts';
import * as L from '../layout.ts';
import type { LinearMemory } from '../state.ts';
import { takeCoreFault } from './fault.ts';
import * as bits from '../control-bits.ts';
import { BITS_64 } from '../control-bits-64.ts';

const { CR0_PG, CR4_PAE, EFER_LMA } = BITS_64;
const PRESENT = 1n;
const RESERVED = 0x1e6n;
const PDPTES = 4;

/** Whether paging with these registers is PAE paging. */
export function isPae(cr0: bigint, cr4: bigint, efer: bigint): boolean {
  return (cr0 & CR0_PG) !== 0n && (cr4 & CR4_PAE) !== 0n && (efer & EFER_LMA) === 0n;
}

/** `isPae` of the state as it is, in words. */
export function inPae(mem: LinearMemory): boolean {
  if (mem.get32(L.MSR_EFER) & bits.EFER_LMA) return false;
  return (mem.get32(L.CR0) & bits.CR0_PG) !== 0 && (mem.get32(L.CR4) & bits.CR4_PAE) !== 0;
}

/**
 * Reads the four entries that a CR3 value names. Undefined: they are good, and `commitPdptes` makes them the registers. Otherwise why not: the
 * reason of a #GP(0), or a fault of the EPT.
 */
export function readPdptes({ core, mem }: CpuContext, cr3: bigint): string | 'ept' | undefined {
  const kind = core.readPdptes(cr3);
  if (kind === C.FAULT_NONE) return undefined;
  if (kind !== C.FAULT_EXCEPTION) return 'ept';
  mem.set32(L.FAULT_KIND, C.FAULT_NONE);
  return `a PDPTE at 0x${(cr3 & 0xffff_ffe0n).toString(16)} has reserved bits set`;
}

/** The fault after `readPdptes` answered 'ept'. */
export function pdpteFault(context: CpuContext): Fault {
  return takeCoreFault(context);
}

export function commitPdptes({ mem }: CpuContext): void {
  for (let index = 0; index < PDPTES; index++) mem.set64(L.PDPTE + index * 8, mem.get64(L.EXCHANGE + index * 8));
}

/** Whether a PDPTE may be loaded: not present, or nothing reserved set. */
export function isPdpte(entry: bigint, physBits: number): boolean {
  return (entry & PRESENT) === 0n || ((entry & RESERVED) === 0n && entry >> BigInt(physBits) === 0n);
}
