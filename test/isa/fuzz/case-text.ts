/**
 * Cases as lines of text: `hex bytes | part=value ... mem@address=bytes ... | comment`. Parts that are not named are 0, or what FNINIT and a fresh
 * MXCSR give; all memory that is not named is 0.
 */
import { decode } from '../../../emulator/cpu/decode.ts';
import { DECODE_TABLE } from './forms.ts';
import { PARTS, valueOf } from './compare.ts';
import * as F from './layout.ts';
import type { Patch } from './layout.ts';
import type { Placed, Program } from './program.ts';
import { unknownsOf } from './program.ts';

export const hexOf = (bytes: readonly number[] | Uint8Array): string =>
  [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
const bytesOf = (text: string): number[] =>
  text
    .trim()
    .split(/\s+/)
    .map((byte) => parseInt(byte, 16));

/** What a line need not say. */
export function plainState(): Uint8Array {
  const state = new Uint8Array(F.STATE_BYTES);
  const view = new DataView(state.buffer);
  view.setUint32(F.AT_RFLAGS, 0x202, true);
  view.setUint16(F.X_FCW, 0x37f, true);
  view.setUint32(F.X_MXCSR, 0x1f80, true);
  view.setUint32(F.X_HEADER, F.COMPONENTS, true);
  return state;
}

/** Parts that go in. */
export const INPUT_PARTS = PARTS.filter(({ name }) => !['vector', 'error', 'address', 'rip'].includes(name));

export function formatCase(code: readonly number[], state: Uint8Array, patches: readonly Patch[]): string {
  const plain = plainState();
  const parts = INPUT_PARTS.flatMap((part) => {
    const value = valueOf(state, part);
    return value === valueOf(plain, part) ? [] : [`${part.name}=${value}`];
  });
  const memory = patches.flatMap(({ address, bytes }) => {
    const end = bytes.findLastIndex((byte) => byte !== 0) + 1;
    const start = bytes.findIndex((byte) => byte !== 0);
    if (end === 0) return [];
    return [`mem@${(address + start).toString(16)}=${hexOf(bytes.subarray(start, end)).replaceAll(' ', '')}`];
  });
  return `${hexOf(code)} | ${[...parts, ...memory].join(' ')}`;
}

export interface CaseText {
  readonly code: readonly number[];
  readonly state: Uint8Array;
  readonly patches: readonly Patch[];
  readonly comment: string;
}

export function parseCase(line: string): CaseText {
  const [code, inputs = '', comment = ''] = line.split('|');
  const state = plainState();
  const patches: Patch[] = [];
  for (const input of inputs.trim().split(/\s+/).filter(Boolean)) {
    const [name, value] = input.split('=') as [string, string];
    if (name.startsWith('mem@')) {
      const bytes = new Uint8Array(F.PATCH_BYTES);
      bytes.set(value.match(/../g)!.map((byte) => parseInt(byte, 16)));
      patches.push({ address: parseInt(name.slice(4), 16), bytes });
      continue;
    }
    const part = INPUT_PARTS.find((candidate) => candidate.name === name);
    if (!part) throw new Error(`${name} is no part of a state: ${line}`);
    const padded = value.padStart(part.bytes * 2, '0');
    for (let i = 0; i < part.bytes; i++)
      state[part.at + part.bytes - 1 - i] = parseInt(padded.slice(i * 2, i * 2 + 2), 16);
  }
  return { code: bytesOf(code!), state, patches, comment: comment.trim() };
}

/** The program of code at an address; a tail that cannot be decoded is one instruction that does not exist. */
export function programOf(code: readonly number[], address: number): Program {
  const bytes = Uint8Array.from([...code, ...new Array<number>(16).fill(0)]);
  const instructions: Placed[] = [];
  for (let offset = 0; offset < code.length;) {
    const insn = decode(bytes, offset, BigInt(address + offset), 2, DECODE_TABLE);
    const length = insn?.length ?? code.length - offset;
    instructions.push({ offset, length, insn, unknown: 0 });
    offset += length;
  }
  return unknownsOf({ address, code, instructions, pointers: [], unknown: 0, form: undefined });
}
