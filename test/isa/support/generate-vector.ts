/** Random encodings of SSE, MMX and x87 rows, with floating-point states made of numbers worth trying. */
import { decode } from '../../../emulator/cpu/decode.ts';
import type { DecodedInstruction } from '../../../emulator/cpu/decode.ts';
import type { OpcodeRow } from '../../../emulator/cpu/table/row.ts';
import { decodeTableOf } from '../../../emulator/cpu/decode-table.ts';
import { caseAddress, FX_BYTES, HIGH_BYTES, WINDOW, WINDOW_BYTES } from './case.ts';
import type { TestCase } from './case.ts';
import { EVERYTHING } from '../../../emulator/cpu/system/model-test-support.ts';
import { Random } from './random.ts';

const INTERRUPTS_ENABLED = 0x202;
const MIDDLE = WINDOW + WINDOW_BYTES / 2;
const RBX = 3;
const RDI = 7;

const SINGLES = [
  0, 1, 0x7fffff, 0x800000, 0x800001, 0x3f800000, 0x3f7fffff, 0x40000000, 0x7f7fffff, 0x7f800000, 0x7f800001, 0x7fc01234,
  0x4f000000, 0x4effffff, 0x5f000000, 0x3eaaaaab, 0x3fc00000, 0x4b7fffff, 0x33800000,
]; // prettier-ignore
const DOUBLES = [
  0n, 1n, 0xfffffffffffffn, 0x10000000000000n, 0x10000000000001n, 0x3ff0000000000000n, 0x3fefffffffffffffn,
  0x7fefffffffffffffn, 0x7ff0000000000000n, 0x7ff0000000000001n, 0x7ff8000000001234n, 0x41dfffffffc00000n,
  0x41e0000000000000n, 0x43e0000000000000n, 0x3fd5555555555555n, 0x3ff8000000000000n, 0x36a0000000000000n,
  0x380fffffffffffffn, 0x47efffffefffffffn,
]; // prettier-ignore
const EXTENDED: readonly (readonly [significand: bigint, exponent: number])[] = [
  [0n, 0], [1n << 63n, 0x3fff], [1n << 63n, 0x7fff], [3n << 62n, 0x7fff], [(3n << 62n) | 5n, 0x7fff], [(1n << 63n) | 5n, 0x7fff],
  [1n, 0], [1n << 63n, 0], [1n << 62n, 0x3fff], [0n, 0x7fff], [1n << 63n, 1], [(1n << 64n) - 1n, 0x7ffe], [(1n << 64n) - 1n, 0x401e],
]; // prettier-ignore

function single(random: Random): number {
  const sign = random.oneIn(2) ? 0x80000000 : 0;
  if (random.oneIn(3)) return (random.pick(SINGLES) | sign) >>> 0;
  const exponent = random.oneIn(8) ? random.below(256) : 117 + random.below(40);
  return ((random.next() & (random.oneIn(2) ? 0x7ff000 : 0x7fffff)) | (exponent << 23) | sign) >>> 0;
}

function double(random: Random): bigint {
  const sign = random.oneIn(2) ? 1n << 63n : 0n;
  if (random.oneIn(3)) return random.pick(DOUBLES) | sign;
  const exponent = BigInt(random.oneIn(8) ? random.below(2048) : 990 + random.below(70));
  const fraction = random.bits64() & (random.oneIn(2) ? 0xffff000000000n : 0xfffffffffffffn);
  return sign | (exponent << 52n) | fraction;
}

/** Sixteen bytes: four singles, two doubles, or integers. */
function putVector(random: Random, view: DataView, at: number): void {
  const kind = random.below(3);
  for (let i = 0; i < 4; i++) if (kind === 0) view.setUint32(at + i * 4, single(random), true);
  for (let i = 0; i < 2; i++) {
    if (kind === 1) view.setBigUint64(at + i * 8, double(random), true);
    if (kind === 2) view.setBigUint64(at + i * 8, random.operand(), true);
  }
}

/**
 * Numbers of few bits, spaced so that the sum of a product and a third cancels, or falls between two representable numbers or just beside the middle:
 * where a fused multiply-add that rounds twice goes wrong.
 */
function putClose(random: Random, view: DataView, at: number, bytes: 4 | 8): void {
  const precision = bytes === 8 ? 52 : 23;
  const middle = precision >> 1;
  for (let i = 0; i < 16; i += bytes) {
    const power = random.pick([0, 0, 1, -1, middle, -middle, precision, -precision, precision + 1, -precision - 1]);
    const fraction =
      BigInt(random.pick([0, 1, 2, 3])) * (1n << BigInt(precision - random.pick([1, middle, middle + 1]))) +
      BigInt(random.pick([0, 0, 1, 2]));
    const exponent = BigInt((bytes === 8 ? 1023 : 127) + power);
    const sign = BigInt(random.below(2)) << BigInt(bytes * 8 - 1);
    const value = sign | (exponent << BigInt(precision)) | (fraction & ((1n << BigInt(precision)) - 1n));
    if (bytes === 8) view.setBigUint64(at + i, value, true);
    else view.setUint32(at + i, Number(value), true);
  }
}

function putExtended(random: Random, view: DataView, at: number): void {
  const sign = random.oneIn(2) ? 0x8000 : 0;
  const [significand, exponent] = random.oneIn(3)
    ? random.pick(EXTENDED)
    : [random.bits64() | (1n << 63n), 0x3fff - 40 + random.below(80)];
  view.setBigUint64(at, significand, true);
  view.setUint16(at + 8, exponent | sign, true);
}

function mxcsr(random: Random): number {
  const usual = random.oneIn(2) ? 0x1fa0 : 0x1f80;
  if (random.oneIn(2)) return usual;
  const masks = random.oneIn(3) ? random.next() & 0x1f80 : 0x1f80;
  // A sticky flag with its exception unmasked is legal but starts nothing; keep PE to where it is masked.
  const sticky = masks & 0x1000 ? random.next() & 0x20 : 0;
  return masks | sticky | ((random.next() & 3) << 13) | (random.oneIn(4) ? 0x40 : 0) | (random.oneIn(4) ? 0x8000 : 0);
}

/** An FXSAVE image. `mmx`: no pending exception and any top, as MMX code may find it. */
function state(random: Random): Uint8Array {
  const fx = new Uint8Array(FX_BYTES);
  const view = new DataView(fx.buffer);
  const masks = random.oneIn(5) ? random.next() & 0x3f : 0x3f;
  view.setUint16(0, 0x40 | masks | (random.pick([3, 3, 3, 0, 2]) << 8) | ((random.next() & 3) << 10), true);
  // C1 starts at 0: FCOMI clears it on Intel processors and leaves it on AMD's.
  view.setUint16(2, (random.below(8) << 11) | (random.next() & 0x4500) | (random.next() & masks), true);
  view.setUint8(4, random.oneIn(3) ? random.next() & 0xff : 0x7f);
  const top = (view.getUint16(2, true) >> 11) & 7;
  // Mostly a stack of seven, with room for one more.
  if (fx[4] === 0x7f) fx[4] = 0xff & ~(1 << ((top + 7) & 7));
  view.setUint32(24, mxcsr(random), true);
  for (let i = 0; i < 8; i++) putExtended(random, view, 32 + i * 16);
  for (let i = 0; i < 16; i++) putVector(random, view, 160 + i * 16);
  return fx;
}

/**
 * Gathers: indexes within the window for elements that are wanted, any for others. Now and then a wanted one leads to no address, so that the instruction
 * ends in the middle.
 */
function putIndexes(
  random: Random,
  { op, operands }: DecodedInstruction,
  index: number,
  scale: number,
  [fx, high]: readonly [Uint8Array, Uint8Array],
): void {
  const wideIndex = /q[dq]$|qp[sd]$/.test(op);
  const [indexBytes, bytes] = [wideIndex ? 8 : 4, /[qd]q$|pd$/.test(op) ? 8 : 4];
  const mask = operands.at(-1)!;
  if (mask.kind !== 'xmm' && mask.kind !== 'ymm') return;
  const at = (register: number, byte: number): [Uint8Array, number] =>
    byte < 16 ? [fx, 160 + register * 16 + byte] : [high, register * 16 + byte - 16];
  for (let i = 0; i * indexBytes < 32; i++) {
    const [area, offset] = at(index, i * indexBytes);
    const view = new DataView(area.buffer);
    const near = BigInt((random.below(800) - 400) >> scale);
    const nowhere = wideIndex && random.oneIn(12) ? (1n << 59n) | near : near;
    const [maskArea, maskOffset] = i * bytes < 32 ? at(mask.register, i * bytes) : at(mask.register, 0);
    const wanted = random.oneIn(3) ? 0 : 0x80;
    maskArea[maskOffset + bytes - 1] = (maskArea[maskOffset + bytes - 1]! & 0x7f) | (i * bytes < 32 ? wanted : 0);
    const value = wanted ? nowhere : random.bits64();
    if (indexBytes === 8) view.setBigUint64(offset, BigInt.asUintN(64, value), true);
    else view.setUint32(offset, Number(BigInt.asUintN(32, value)), true);
  }
}

/** Few different characters, so that strings agree now and then, some of them with an end. */
function putStrings(random: Random, fx: Uint8Array, window: Uint8Array): void {
  const wide = random.oneIn(2);
  for (const bytes of [fx.subarray(160, 416), window])
    for (let at = 0; at < bytes.length; at++)
      bytes[at] =
        wide && at & 1
          ? random.oneIn(10)
            ? 0xff
            : 0
          : random.oneIn(12)
            ? 0
            : random.pick([1, 2, 3, 0x7f, 0x80, 0xff]);
}

/** Prefixes and opcode of a legacy encoding; `rex` has 40 set. */
function legacyPrefix(row: OpcodeRow, size: number, rex: number, opcode: readonly number[]): number[] {
  const prefixes = [...(PREFIX[row.prefix ?? 'NP'] ?? [])];
  if ((row.sizes?.length ?? 0) > 1) {
    if (size === 8) rex |= 8;
    if (size === 2) prefixes.unshift(0x66);
  }
  return [...prefixes, ...(rex === 0x40 ? [] : [rex]), ...opcode];
}

/** VEX prefix and opcode; two bytes where that is possible, half of the time. */
function vexPrefix(random: Random, row: OpcodeRow, size: number, rex: number, opcode: readonly number[]): number[] {
  const map = opcode[1] === 0x38 ? 2 : opcode[1] === 0x3a ? 3 : 1;
  const usesVvvv = (row.operands ?? []).some((code) => /^[BH]/.test(code));
  const vvvv = usesVvvv ? random.below(16) : 0;
  const l = row.vex === 'L1' || (row.vex === 'LIG' && random.oneIn(2)) ? 4 : 0;
  const bySize = (row.sizes?.length ?? 0) > 1;
  const w = row.w ?? (bySize ? (size === 8 ? 1 : 0) : random.below(2));
  const last = ((~vvvv & 15) << 3) | l | ['NP', '66', 'F3', 'F2'].indexOf(row.prefix ?? 'NP');
  if (map === 1 && !w && !(rex & 3) && random.oneIn(2)) return [0xc5, ((~rex & 4) << 5) | last, opcode.at(-1)!];
  return [0xc4, ((~rex & 7) << 5) | map, (w << 7) | last, opcode.at(-1)!];
}

const PREFIX: Record<string, number[]> = { '66': [0x66], F2: [0xf2], F3: [0xf3], NP: [] };

/** A random case of a row in one of its sizes; undefined if chance made one that is of no use. */
export function generateVector(random: Random, row: OpcodeRow, size: number): TestCase | undefined {
  const codes = row.operands ?? [];
  const tokens = row.encoding.split(' ');
  const extension = tokens.at(-1)!;
  const opcode = tokens.filter((token) => !token.startsWith('/')).map((token) => parseInt(token, 16));
  if (row.encoding.endsWith('+i')) opcode[opcode.length - 1]! += random.below(8);
  const gpr = BigUint64Array.from({ length: 16 }, () => random.operand());
  gpr[4] = BigInt(MIDDLE);
  // 16- and 32-byte operands want alignment; now and then they do not get it.
  const aligned = MIDDLE + (size === 32 && !random.oneIn(4) ? 32 : 16) * random.below(4);
  // SHA instructions want it by the SDM, and do without on AMD processors.
  const target = BigInt(random.oneIn(8) && !row.op.startsWith('sha') ? aligned + random.below(16) : aligned);
  gpr[RBX] = target;
  if (codes.includes('Xdi')) gpr[RDI] = target;
  // Lengths of explicit strings.
  if (/^pcmpestr/.test(row.op) && random.oneIn(2))
    for (const register of [0, 2]) gpr[register] = BigInt.asUintN(64, BigInt(random.below(40) - 20));
  let rex = 0x40;
  let index = 0;
  let scale = 0;
  const modrm: number[] = [];
  if (extension.startsWith('/')) {
    const reg = extension === '/r' ? random.below(16) : Number(extension[1]);
    const memoryOnly = codes.some((code) => code.startsWith('M'));
    const registerOnly = codes.some((code) => /^[UNR]/.test(code));
    const memory = memoryOnly || (!registerOnly && random.oneIn(2));
    const rm = memory ? RBX : random.below(16);
    rex |= ((reg & 8) >> 1) | (rm >> 3);
    modrm.push((memory ? 0 : 0xc0) | ((reg & 7) << 3) | (rm & 7));
    if (codes.includes('Mx')) {
      index = random.below(16);
      scale = random.below(4);
      modrm.splice(0, 1, ((reg & 7) << 3) | 4, (scale << 6) | ((index & 7) << 3) | RBX);
      rex |= (index & 8) >> 2;
    }
  }
  const hasImmediate = codes.some((code) => code === 'Ib' || code.startsWith('L'));
  const immediate = hasImmediate ? [random.oneIn(2) ? random.below(8) : random.below(256)] : [];
  const start = row.vex ? vexPrefix(random, row, size, rex, opcode) : legacyPrefix(row, size, rex, opcode);
  const code = Uint8Array.from([...start, ...modrm, ...immediate]);
  const instruction = decode(code, 0, BigInt(caseAddress(0)), 2, decodeTableOf(EVERYTHING));
  if (instruction?.op !== row.op || instruction.length !== code.length) return undefined;
  const window = new Uint8Array(WINDOW_BYTES);
  const view = new DataView(window.buffer);
  for (let at = 0; at < WINDOW_BYTES; at += 16) {
    if (codes.includes('Mt')) putExtended(random, view, at);
    else putVector(random, view, at);
    if (row.op === 'ldmxcsr' && !random.oneIn(4)) view.setUint32(at, mxcsr(random), true);
  }
  const fx = state(random);
  const high = new Uint8Array(HIGH_BYTES);
  for (let i = 0; i < 16; i++) putVector(random, new DataView(high.buffer), i * 16);
  // Whether a trapping conversion has already entered MMX state differs between processors.
  if (/^pcmp.str/.test(row.op)) putStrings(random, fx, window);
  if (/2pi$|^cvtpi2/.test(row.op)) fx.set([fx[24]! | 0x80, fx[25]! | 0x1f], 24);
  if (row.feature === 'fma' && random.oneIn(2)) {
    const bytes = row.w ? 8 : 4;
    for (let i = 0; i < 256; i += 16)
      for (const area of [fx.subarray(160), high])
        putClose(random, new DataView(area.buffer, area.byteOffset), i, bytes);
    for (let i = 0; i < WINDOW_BYTES; i += 16) putClose(random, view, i, bytes);
  }
  const flags = random.next() & 0x8d5;
  if (codes.includes('Mx')) putIndexes(random, instruction, index, scale, [fx, high]);
  return {
    name: `${instruction.op}/${size}`,
    code,
    registers: { gpr, rflags: INTERRUPTS_ENABLED | flags, fx, high },
    window,
    undefinedFlags: 0,
  };
}
