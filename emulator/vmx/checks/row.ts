/** One VM-entry check: a row that says what must hold. The rows stand in SDM order. */
import { BITS_64 } from '../../cpu/control-bits-64.ts';
import * as L from '../../cpu/layout.ts';
import type { CpuContext } from '../../cpu/context.ts';
import { secondaryControls, tertiaryControls } from '../queries.ts';
import { Field, type FieldName } from '../fields.ts';
import type { CurrentVmcs } from '../vmcs.ts';

export interface CheckRow {
  /** Stable, e.g. 'guest.cs.rights.type'. */
  readonly id: string;
  /** Of SDM volume 3C. */
  readonly section: string;
  readonly wants: string;
  readonly fields: readonly FieldName[];
  readonly holds: (s: CheckState) => boolean;
  /** Of a row that does not hold: what is wrong in particular. */
  readonly because?: (s: CheckState) => string;
  /** It also depends on memory behind a pointer. */
  readonly memory?: true;
  /** Exit qualification of an entry that fails for it (SDM 3C 27.8); 0 by default. */
  readonly qualification?: number;
}

/** What rows ask of the VMCS and the processor. */
export class CheckState {
  constructor(
    readonly context: CpuContext,
    readonly vmcs: CurrentVmcs,
  ) {}

  /** Low 32 bits, unsigned. */
  n(field: FieldName): number {
    return this.vmcs.read32(Field[field]);
  }
  /** Bits 63:32. */
  high(field: FieldName): number {
    return this.vmcs.high32(Field[field]);
  }
  b(field: FieldName): bigint {
    return this.vmcs.read(Field[field]);
  }
  pin(bit: number): boolean {
    return (this.n('pinBasedControls') & bit) !== 0;
  }
  primary(bit: number): boolean {
    return (this.n('primaryControls') & bit) !== 0;
  }
  secondary(bit: number): boolean {
    return (secondaryControls(this.vmcs) & bit) !== 0;
  }
  tertiary(bit: number): boolean {
    return (tertiaryControls(this.vmcs) & bit) !== 0;
  }
  exit(bit: number): boolean {
    return (this.n('exitControls') & bit) !== 0;
  }
  entry(bit: number): boolean {
    return (this.n('entryControls') & bit) !== 0;
  }
  capability(msr: number): bigint {
    return this.context.vmx.capability(msr) ?? 0n;
  }
  get physBits(): number {
    return this.context.mem.get32(L.PHYS_BITS);
  }
  /** No bits above the physical-address width. */
  inWidth(address: bigint): boolean {
    return address >> BigInt(this.physBits) === 0n;
  }
  /** A physical address that is a multiple of `bytes`. */
  aligned(field: FieldName, bytes: number): boolean {
    const address = this.b(field);
    return (address & BigInt(bytes - 1)) === 0n && this.inWidth(address);
  }
  /** Of the processor's widest linear addresses. */
  get #linearBits(): number {
    return this.context.model.features.has('la57') ? 57 : 48;
  }
  /** Bits 63:N-1 are equal, of N linear-address bits. */
  canonical(field: FieldName): boolean {
    const top = (this.high(field) | 0) >> (this.#linearBits - 33);
    return top === 0 || top === -1;
  }
  /** Bits 63:N are equal, of N linear-address bits: all that an entry asks of RIP. */
  reachable(field: FieldName): boolean {
    const top = (this.high(field) | 0) >> (this.#linearBits - 32);
    return top === 0 || top === -1;
  }
}

/** Memory types of IA32_PAT: 0 1 4 5 6 7 (SDM 3A 12.12.2). */
export function isPat(value: bigint): boolean {
  for (let byte = 0n; byte < 64n; byte += 8n) {
    const type = (value >> byte) & 0xffn;
    if (type > 7n || type === 2n || type === 3n) return false;
  }
  return true;
}

const { EFER_SCE, EFER_LME, EFER_LMA, EFER_NXE } = BITS_64;
const EFER_BITS = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;

/** EFER fit for a mode: no reserved bits, LMA as the mode says, LME too with paging. */
export function isEfer(value: bigint, long: boolean, paging = true): boolean {
  const lme = (value & EFER_LME) !== 0n;
  const lma = (value & EFER_LMA) !== 0n;
  return (value & ~EFER_BITS) === 0n && lma === long && (!paging || lme === long);
}

/**
 * A row about a control register.
 * @param ones, allowed MSRs of the bits that must be 1 and of those that may be (SDM 3D A.7, A.8)
 */
export function fixedBits(id: string, section: string, field: FieldName, ones: number, allowed: number): CheckRow {
  return {
    id,
    section,
    wants: 'the bits that VMX operation holds fixed',
    fields: [field],
    holds: (s) => (s.capability(ones) & ~s.b(field)) === 0n && (s.b(field) & ~s.capability(allowed)) === 0n,
  };
}
export function canonical(id: string, section: string, field: FieldName): CheckRow {
  return { id, section, wants: 'a canonical address', fields: [field], holds: (s) => s.canonical(field) };
}
