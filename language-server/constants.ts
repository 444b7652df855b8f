/** Numbers with a meaning of their own: MSRs, VMCS fields, exit reasons; names for them, and their meaning in words. */
import { msrName, MSRS, VMX_CAPABILITY_MSRS } from '../emulator/cpu/system/msrs.ts';
import { BITS, bitsInWords, describeBits } from '../emulator/describe/bits.ts';
import { describePageTableEntry } from '../emulator/mmu/entries.ts';
import { ENTRY_FAILURE, EXIT_REASONS, exitReason } from '../emulator/vmx/exit-reasons.ts';
import { VMCS_FIELDS, vmcsField } from '../emulator/vmx/fields.ts';

export interface NamedConstant {
  readonly name: string;
  readonly value: number;
  readonly group: 'MSR' | 'VMCS field' | 'VM-exit reason';
  readonly text: string;
}

const upper = (name: string): string => name.replace(/([a-z0-9])([A-Z])/g, '$1_$2').toUpperCase();

export const CONSTANTS: readonly NamedConstant[] = [
  ...[...MSRS, ...VMX_CAPABILITY_MSRS].map(({ name, number }) => ({
    name: `MSR_${name}`,
    value: number,
    group: 'MSR' as const,
    text: `model-specific register ${hex(number)}`,
  })),
  ...VMCS_FIELDS.map(({ name, encoding, title, bits, section, implemented, writable }) => ({
    name: `VMCS_${upper(name)}`,
    value: encoding,
    group: 'VMCS field' as const,
    text: `${title}, ${bits} bits${writable ? '' : ', read-only'} (SDM 3C ${section})${implemented ? '' : '; this processor does not have it'}`,
  })),
  ...EXIT_REASONS.map(({ name, number, description }) => ({
    name: `EXIT_REASON_${name}`,
    value: number,
    group: 'VM-exit reason' as const,
    text: description,
  })),
];

/** What a number is used as. */
export type Use = 'msr' | 'vmcs field' | 'exit reason' | 'selector' | 'page-table entry' | 'cr0' | 'cr4' | 'efer';

export function hex(value: number | bigint): string {
  return value < 0 ? `-0x${(-value).toString(16)}` : `0x${value.toString(16)}`;
}

/** The number as what it is used as, in words; undefined if it means nothing there. */
export function meaningOf(value: bigint, use: Use): string | undefined {
  const number = Number(value);
  switch (use) {
    case 'msr': {
      const name = msrName(number);
      return name ? `MSR ${name}` : undefined;
    }
    case 'vmcs field': {
      const field = vmcsField(number);
      if (!field) return undefined;
      const absent = field.implemented ? '' : '; this processor does not have it';
      return `VMCS field: ${field.title}${number & 1 ? ' (high half)' : ''}, ${field.bits} bits (SDM 3C ${field.section})${absent}`;
    }
    case 'exit reason': {
      const row = exitReason(number & 0xffff);
      return row && `VM-exit reason ${row.name}: ${row.description}${number & ENTRY_FAILURE ? ' (entry failure)' : ''}`;
    }
    case 'selector': {
      const [rpl, table, index] = describeBits(BITS.selector, value).map((part) => part.value);
      return `selector: descriptor ${index} of the ${table ? 'LDT' : 'GDT'}, RPL ${rpl}`;
    }
    case 'page-table entry':
      return describePageTableEntry(value, value & 0x80n ? 2 : 1).text;
    default:
      return `${use.toUpperCase()}: ${bitsInWords(BITS[use], value) || 'no bits'}`;
  }
}

/** One number in the ways people read it. */
export function numberInWords(value: bigint): string {
  const unsigned = BigInt.asUintN(64, value);
  const parts = [hex(unsigned), String(value)];
  const signed = BigInt.asIntN(64, unsigned);
  if (signed !== value) parts.push(String(signed));
  if (unsigned > 0n && unsigned < 0x10000n) parts.push(`0b${unsigned.toString(2)}`);
  if (unsigned >= 32n && unsigned < 127n) parts.push(`'${String.fromCharCode(Number(unsigned))}'`);
  return [...new Set(parts)].join(' = ');
}
