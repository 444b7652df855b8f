/** General registers with their parts, RIP and RFLAGS. */
import * as L from '../cpu/layout.ts';
import { isCanonical } from '../cpu/system/memory.ts';
import { linearBits } from '../mmu/modes.ts';
import { Flag, readRflags, writeRflags } from '../cpu/system/rflags.ts';
import { BITS } from '../describe/bits.ts';
import { decoded, hex, slice, stored } from './register-row.ts';
import type { RegisterRow } from './register-row.ts';

const LEGACY = ['ax', 'cx', 'dx', 'bx', 'sp', 'bp', 'si', 'di'];
/** The order people read them in; the numbers are the encoding's. */
const DISPLAY = [0, 3, 1, 2, 6, 7, 5, 4, 8, 9, 10, 11, 12, 13, 14, 15];

function general(number: number): RegisterRow[] {
  const legacy = LEGACY[number];
  const name = legacy ? `r${legacy}` : `r${number}`;
  const whole = stored(name, 'general', 64, L.GPR + number * 8);
  if (!legacy) {
    return [
      whole,
      slice(`${name}d`, whole, 32, 0, true),
      slice(`${name}w`, whole, 16, 0),
      slice(`${name}b`, whole, 8, 0),
    ];
  }
  const rows = [whole, slice(`e${legacy}`, whole, 32, 0, true), slice(legacy, whole, 16, 0)];
  if (number < 4) {
    return [...rows, slice(`${legacy[0]}l`, whole, 8, 0), slice(`${legacy[0]}h`, whole, 8, 8)];
  }
  return [...rows, slice(`${legacy}l`, whole, 8, 0)];
}

const rip = stored('rip', 'general', 64, L.RIP, {
  write: (context, value) => {
    if (!isCanonical(context, value))
      throw new Error(`rip cannot be ${hex(value)}: bits 63 to ${linearBits(context.mem) - 1} must be equal.`);
    context.cpu.rip = value;
  },
});

const KNOWN_FLAGS = BITS.rflags.reduce(
  (mask, f) => mask | (((1n << BigInt(f.hi - f.lo + 1)) - 1n) << BigInt(f.lo)),
  2n,
);

const rflags: RegisterRow = {
  name: 'rflags',
  group: 'general',
  bits: 64,
  read: (context) => BigInt(readRflags(context)),
  write: (context, value) => {
    const reserved = value & ~KNOWN_FLAGS;
    if (reserved) throw new Error(`rflags bits ${hex(reserved)} are reserved.`);
    if (value & BigInt(Flag.VM)) throw new Error('rflags.VM cannot be set in IA-32e mode.');
    writeRflags(context, Number(value));
  },
  ...decoded(BITS.rflags),
};

export const generalRows: readonly RegisterRow[] = [
  ...DISPLAY.flatMap(general),
  rip,
  slice('eip', rip, 32, 0, true),
  rflags,
  slice('eflags', rflags, 32, 0),
];
