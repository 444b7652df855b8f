/** How a register is described to the debugger: one row each, in the tables beside this file. */
import type { CpuContext } from '../cpu/context.ts';
import { bitsInWords, describeBits } from '../describe/bits.ts';
import type { BitField } from '../describe/bits.ts';
import type { RegisterInfo, RegisterPart } from './api.ts';

export interface RegisterRow {
  readonly name: string;
  readonly group: RegisterInfo['group'];
  readonly bits: number;
  readonly read: (context: CpuContext) => bigint;
  /** Throws an Error of one sentence if the value is not acceptable. Absent: read-only. */
  readonly write?: (context: CpuContext, value: bigint) => void;
  readonly parts?: (value: bigint, context: CpuContext) => readonly RegisterPart[];
  readonly text?: (value: bigint, context: CpuContext) => string;
  /** The register exists only on processors with this feature. */
  readonly feature?: string;
  /** Reachable by name but not listed: a part of a listed register. */
  readonly hidden?: boolean;
}

/** A register in the state page at an address of layout.ts. */
export function stored(
  name: string,
  group: RegisterInfo['group'],
  bits: 16 | 32 | 64,
  at: number,
  rest: Partial<RegisterRow> = {},
): RegisterRow {
  return {
    name,
    group,
    bits,
    read: ({ mem }) => (bits === 64 ? mem.get64(at) : BigInt(bits === 32 ? mem.get32(at) : mem.get16(at))),
    write: ({ mem }, value) => {
      if (bits === 64) mem.set64(at, value);
      else if (bits === 32) mem.set32(at, Number(value));
      else mem.set16(at, Number(value));
    },
    ...rest,
  };
}

/** Parts and text from a table of bits. */
export function decoded(fields: readonly BitField[]): Pick<RegisterRow, 'parts' | 'text'> {
  return { parts: (value) => describeBits(fields, value), text: (value) => bitsInWords(fields, value) };
}

/** Bits `hi..lo` of another row, as a register of its own. Writing 32 bits of a 64-bit general register clears the upper half. */
export function slice(name: string, of: RegisterRow, bits: number, lo: number, clearsUpper = false): RegisterRow {
  const mask = ((1n << BigInt(bits)) - 1n) << BigInt(lo);
  const row: RegisterRow = {
    name,
    group: of.group,
    bits,
    hidden: true,
    read: (context) => (of.read(context) & mask) >> BigInt(lo),
  };
  const write = of.write;
  if (!write) return row;
  return {
    ...row,
    write: (context, value) => write(context, (clearsUpper ? 0n : of.read(context) & ~mask) | (value << BigInt(lo))),
  };
}

export function hex(value: bigint): string {
  return `0x${value.toString(16)}`;
}
