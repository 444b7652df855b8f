/** XMM and YMM registers in their typed formats, MXCSR, and the x87 unit with its stack in ST order. */
import type { CpuContext } from '../cpu/context.ts';
import * as L from '../cpu/layout.ts';
import { BITS } from '../describe/bits.ts';
import type { RegisterPart } from './api.ts';
import { decoded, hex, stored } from './register-row.ts';
import type { RegisterRow } from './register-row.ts';

const LOW64 = 0xffff_ffff_ffff_ffffn;
const EMPTY = 3;
const TAGS = ['valid', 'zero', 'special', 'empty'];

const scratch = new DataView(new ArrayBuffer(8));

export function asFloat64(bits: bigint): number {
  scratch.setBigUint64(0, bits);
  return scratch.getFloat64(0);
}
export function asFloat32(bits: bigint): number {
  scratch.setUint32(0, Number(bits));
  return scratch.getFloat32(0);
}

/** An 80-bit extended value in decimal, to double precision. */
export function extendedInWords(value: bigint): string {
  const significand = value & LOW64;
  const exponent = Number((value >> 64n) & 0x7fffn);
  const sign = (value >> 79n) & 1n ? '-' : '';
  if (exponent === 0x7fff) return (significand << 1n) & LOW64 ? 'NaN' : `${sign}Infinity`;
  if (significand === 0n) return `${sign}0`;
  const scaled = Number(significand) * 2 ** -63;
  const power = Math.max(exponent, 1) - 16383;
  if (power > 1023 || power < -1022) return `${sign}${scaled} × 2^${power}`;
  return `${sign}${scaled * 2 ** power}`;
}

function lanes(
  value: bigint,
  whole: number,
  name: string,
  bits: number,
  format: (lane: bigint) => string,
): RegisterPart[] {
  return Array.from({ length: whole / bits }, (_, index) => {
    const lo = index * bits;
    const lane = (value >> BigInt(lo)) & ((1n << BigInt(bits)) - 1n);
    return { name: `${name}[${index}]`, value: lane, meaning: format(lane), hi: lo + bits - 1, lo };
  });
}

/** XMMn, or YMMn with the upper half. */
function vector(name: string, group: 'sse' | 'avx', number: number, bits: 128 | 256): RegisterRow {
  const words = Array.from({ length: bits / 64 }, (_, index) => index);
  const at = (word: number): number => L.XMM + number * L.XMM_STRIDE + word * 8;
  const wordOf = (value: bigint, word: number): bigint => (value >> BigInt(word * 64)) & LOW64;
  return {
    name: `${name}${number}`,
    group,
    bits,
    read: ({ mem }) => words.reduce((value, word) => value | (mem.get64(at(word)) << BigInt(word * 64)), 0n),
    write: ({ mem }, value) => words.forEach((word) => mem.set64(at(word), wordOf(value, word))),
    parts: (value) => [
      ...lanes(value, bits, 'f64', 64, (lane) => `${asFloat64(lane)}`),
      ...lanes(value, bits, 'f32', 32, (lane) => `${asFloat32(lane)}`),
      ...lanes(value, bits, 'i64', 64, (lane) => `${BigInt.asIntN(64, lane)}`),
      ...lanes(value, bits, 'i32', 32, (lane) => `${BigInt.asIntN(32, lane)}`),
    ],
    text: (value) => `f64 {${words.map((word) => asFloat64(wordOf(value, word))).join(', ')}}`,
  };
}

function tagOf(context: CpuContext, physical: number): number {
  return (context.mem.get32(L.X87_TAG) >> (physical * 2)) & 3;
}

/** What FXSAVE would derive from the contents, for a register that now holds something. */
function tagFor(value: bigint): number {
  const exponent = (value >> 64n) & 0x7fffn;
  if ((value & LOW64) === 0n && exponent === 0n) return 1;
  return exponent === 0n || exponent === 0x7fffn || !((value >> 63n) & 1n) ? 2 : 0;
}

function st(index: number): RegisterRow {
  const physical = (context: CpuContext): number => (context.mem.get32(L.X87_TOP) + index) & 7;
  return {
    name: `st${index}`,
    group: 'x87',
    bits: 80,
    read: (context) => {
      const at = L.X87 + physical(context) * 16;
      return context.mem.get64(at) | (BigInt(context.mem.get16(at + 8)) << 64n);
    },
    write: (context, value) => {
      const { mem } = context;
      const register = physical(context);
      mem.set64(L.X87 + register * 16, value & LOW64);
      mem.set16(L.X87 + register * 16 + 8, Number(value >> 64n));
      const cleared = mem.get32(L.X87_TAG) & ~(3 << (register * 2));
      mem.set32(L.X87_TAG, cleared | (tagFor(value) << (register * 2)));
    },
    text: (value, context) => (tagOf(context, physical(context)) === EMPTY ? 'empty' : extendedInWords(value)),
  };
}

const fsw: RegisterRow = {
  name: 'fsw',
  group: 'x87',
  bits: 16,
  read: ({ mem }) => BigInt((mem.get32(L.X87_SW) & ~0x3800) | ((mem.get32(L.X87_TOP) & 7) << 11)),
  write: ({ mem }, value) => {
    mem.set32(L.X87_SW, Number(value) & ~0x3800);
    mem.set32(L.X87_TOP, (Number(value) >> 11) & 7);
  },
  ...decoded(BITS.x87Status),
};

const SIXTEEN = Array.from({ length: 16 }, (_, number) => number);
const EIGHT = [0, 1, 2, 3, 4, 5, 6, 7];

export const floatRows: readonly RegisterRow[] = [
  ...SIXTEEN.map((number) => vector('xmm', 'sse', number, 128)),
  ...SIXTEEN.map((number) => ({ ...vector('ymm', 'avx', number, 256), feature: 'avx' })),
  stored('mxcsr', 'sse', 32, L.MXCSR, {
    ...decoded(BITS.mxcsr),
    write: ({ mem }, value) => {
      if (value >> 16n) throw new Error(`mxcsr cannot be ${hex(value)}: bits 31 to 16 are reserved.`);
      mem.set32(L.MXCSR, Number(value));
    },
  }),
  ...EIGHT.map(st),
  stored('fcw', 'x87', 16, L.X87_CW, decoded(BITS.x87Control)),
  fsw,
  stored('ftw', 'x87', 16, L.X87_TAG, {
    text: (value) => EIGHT.map((n) => `R${n} ${TAGS[(Number(value) >> (n * 2)) & 3]}`).join(', '),
  }),
  stored('fip', 'x87', 64, L.X87_LAST_IP),
  stored('fdp', 'x87', 64, L.X87_LAST_DP),
  stored('fop', 'x87', 16, L.X87_LAST_OPCODE),
];
