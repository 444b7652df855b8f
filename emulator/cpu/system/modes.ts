/** Modes of operation outside 64-bit mode (SDM 3A 2.2), and segment registers as real-address and virtual-8086 mode load them (SDM 3B 21.1). */
import type { CpuContext } from '../context.ts';
import * as L from '../layout.ts';
import type { Segment, SegmentRegister } from '../state.ts';
import { Rights } from './descriptors.ts';
import { generalProtection, undefinedOpcode } from './fault.ts';
import { Flag, systemFlags } from './rflags.ts';
import { CR0_PE, EFER_LMA } from '../control-bits.ts';

/** Writable data, accessed, present: what every segment register of these modes holds, CS too (SDM 3A table 10-1). */
const REAL_RIGHTS = 0x93;
const VIRTUAL_RIGHTS = 0xf3;
const REAL_LIMIT = 0xffff;

export function isRealMode({ mem }: CpuContext): boolean {
  return (mem.get32(L.CR0) & CR0_PE) === 0;
}

export function isVirtual8086(context: CpuContext): boolean {
  return (systemFlags(context) & Flag.VM) !== 0 && !isRealMode(context);
}

/** IA-32e mode: 64-bit or compatibility mode. */
export function isLongMode({ mem }: CpuContext): boolean {
  return (mem.get32(L.MSR_EFER) & EFER_LMA) !== 0;
}

/** A selector is a segment's base divided by 16, not an index. */
export function hasRealSegments(context: CpuContext): boolean {
  return isRealMode(context) || isVirtual8086(context);
}

export function requireProtectedMode(context: CpuContext, op: string): void {
  if (hasRealSegments(context)) undefinedOpcode(`${op.toUpperCase()} in real or virtual-8086 mode`);
}

/** IOPL below 3 leaves these instructions of virtual-8086 mode to its monitor (SDM 3B 21.2.7). */
export function refuseVirtual8086(context: CpuContext, op: string): void {
  if (isVirtual8086(context) && (systemFlags(context) & Flag.IOPL) !== Flag.IOPL)
    generalProtection(`${op} in virtual-8086 mode with IOPL below 3`);
}

/**
 * A segment register after a load in real mode, where limit and width stay as they are, or in virtual-8086 mode.
 * @param virtual virtual-8086 mode
 */
export function realSegment(old: SegmentRegister, selector: number, virtual: boolean): SegmentRegister {
  const base = BigInt(selector) << 4n;
  if (virtual) return { selector, base, limit: REAL_LIMIT, rights: VIRTUAL_RIGHTS };
  if (old.rights & Rights.UNUSABLE) return { selector, base, limit: REAL_LIMIT, rights: REAL_RIGHTS };
  return { selector, base, limit: old.limit, rights: REAL_RIGHTS | (old.rights & (Rights.DB | Rights.G)) };
}

export function loadRealSegment(context: CpuContext, segment: Segment, selector: number): void {
  const { cpu } = context;
  cpu.setSegment(segment, realSegment(cpu.segment(segment), selector, isVirtual8086(context)));
}
