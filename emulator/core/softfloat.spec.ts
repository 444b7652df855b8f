/** SSE arithmetic of the core against the host CPU: results and MXCSR, all rounding modes, special operands. */
import assert from 'node:assert/strict';
import * as L from '../cpu/layout.ts';
import { askHost, chooseCount, chooseSeed, generator, loadCore } from './core.support.ts';

interface Core {
  sseScalar(op: number, size: number, a: bigint, b: bigint): number;
  sseCompare(size: number, signalling: number, a: bigint, b: bigint): number;
  sseConvert(kind: number, value: bigint): number;
}

const SPECIAL64 = [
  0x0n,
  0x1n,
  0x8n,
  0xfffffffffffffn,
  0x10000000000000n,
  0x10000000000001n,
  0x3ff0000000000000n,
  0x3ff0000000000001n,
  0x3fefffffffffffffn,
  0x4000000000000000n,
  0x3fe0000000000000n,
  0x7fefffffffffffffn,
  0x7ff0000000000000n,
  0x7ff0000000000001n,
  0x7ff8000000000000n,
  0x7ff8000000001234n,
  0x7ff4000000000000n,
  0x41dfffffffc00000n,
  0x41e0000000000000n,
  0x43e0000000000000n,
  0x43dfffffffffffffn,
  0x3fd5555555555555n,
  0x20000000000000n,
  0x1ff0000000000000n,
];
const SPECIAL32 = [
  0x0n,
  0x1n,
  0x7fffffn,
  0x800000n,
  0x800001n,
  0x3f800000n,
  0x3f800001n,
  0x3f7fffffn,
  0x40000000n,
  0x3f000000n,
  0x7f7fffffn,
  0x7f800000n,
  0x7f800001n,
  0x7fc00000n,
  0x7fc01234n,
  0x7fa00000n,
  0x4f000000n,
  0x4effffffn,
  0x5f000000n,
  0x3eaaaaabn,
  0x1000000n,
  0x20000000n,
];

function operand(random: () => number, size: number): bigint {
  const special = size === 8 ? SPECIAL64 : SPECIAL32;
  const sign = BigInt(random() & 1) << BigInt(size * 8 - 1);
  const bits = (BigInt(random()) << 32n) | BigInt(random());
  switch (random() % 5) {
    case 0:
      return special[random() % special.length]! | sign;
    case 1: // any pattern
      return BigInt.asUintN(size * 8, bits);
    case 2: {
      // few significand bits, so that sums and products are often exact or ties
      const exponent = BigInt((random() % 60) - 30);
      const top = (BigInt(random()) & 0xfffn) << (size === 8 ? 40n : 11n);
      return sign | (size === 8 ? ((1023n + exponent) << 52n) | top : ((127n + exponent) << 23n) | top);
    }
    case 3: {
      // near the least normal number
      const exponent = BigInt(random() % 3);
      return (
        sign | (size === 8 ? (exponent << 52n) | (bits & 0xfffffffffffffn) : (exponent << 23n) | (bits & 0x7fffffn))
      );
    }
    default: {
      const exponent = BigInt((random() % 130) - 65);
      return (
        sign |
        (size === 8
          ? ((1023n + exponent) << 52n) | (bits & 0xfffffffffffffn)
          : ((127n + exponent) << 23n) | (bits & 0x7fffffn))
      );
    }
  }
}

interface Case {
  readonly op: number;
  readonly size: number;
  readonly mxcsr: number;
  readonly a: bigint;
  readonly b: bigint;
}

const OPERATIONS = [0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17];
const CONVERSIONS = [32, 33, 34, 35, 36, 37, 38, 39, 40, 53, 54, 55, 56];
const SOURCE_SIZE: Record<number, number> = {
  32: 4,
  33: 8,
  34: 4,
  35: 8,
  36: 8,
  37: 4,
  38: 4,
  39: 8,
  40: 8,
  53: 4,
  54: 4,
  55: 8,
  56: 8,
};
/** Conversions whose result has four bytes. */
const NARROW = new Set([33, 34, 35, 37, 39, 53, 55]);

function makeCases(random: () => number, count: number): Case[] {
  const cases: Case[] = [];
  for (let i = 0; i < count; i++) {
    const conversion = random() % 4 === 0;
    const op = conversion ? CONVERSIONS[random() % CONVERSIONS.length]! : OPERATIONS[random() % OPERATIONS.length]!;
    const size = conversion ? SOURCE_SIZE[op]! : random() & 1 ? 8 : 4;
    const masks = random() % 4 === 0 ? (random() & 0x3f) << 7 : 0x1f80;
    const sticky = random() % 4 === 0 ? 0x20 : 0;
    const daz = random() % 4 === 0 ? 0x40 : 0;
    const ftz = random() % 4 === 0 ? 0x8000 : 0;
    const mxcsr = masks | sticky | daz | ftz | ((random() & 3) << 13);
    const integer = op >= 34 && op <= 36;
    const a = integer
      ? BigInt.asUintN(size * 8, ((BigInt(random()) << 32n) | BigInt(random())) >> BigInt(random() % 64))
      : operand(random, size);
    cases.push({ op, size, mxcsr: unmaskedSticky(mxcsr), a, b: operand(random, size) });
  }
  return cases;
}

/** A flag that is already set does not trap by itself, but keep the cases simple: sticky PE only where PM is set. */
function unmaskedSticky(mxcsr: number): number {
  return mxcsr & 0x1000 ? mxcsr : mxcsr & ~0x20;
}

function encode(cases: readonly Case[]): Buffer {
  const input = Buffer.alloc(cases.length * 32);
  cases.forEach((c, i) => {
    input.writeUInt32LE(c.op, i * 32);
    input.writeUInt32LE(c.size, i * 32 + 4);
    input.writeUInt32LE(c.mxcsr, i * 32 + 8);
    input.writeBigUInt64LE(c.a, i * 32 + 16);
    input.writeBigUInt64LE(c.b, i * 32 + 24);
  });
  return input;
}

describe('SSE arithmetic of the core', () => {
  it('gives the results and flags of the host CPU', async function () {
    const { exports: core, view } = await loadCore<Core>();
    const seed = chooseSeed();
    const cases = makeCases(generator(seed), chooseCount(60000));
    const answers = askHost('softfloat.oracle.c', encode(cases));
    if (!answers) return this.skip();
    let wrong = 0;
    cases.forEach((c, i) => {
      view.setUint32(L.MXCSR, c.mxcsr, true);
      view.setUint32(L.CR4, 0x600, true);
      const fault =
        c.op < 16
          ? core.sseScalar(c.op, c.size, c.a, c.b)
          : c.op < 32
            ? core.sseCompare(c.size, c.op - 16, c.a, c.b)
            : core.sseConvert(c.op - 32, c.a);
      const width = c.op < 16 ? c.size * 8 : NARROW.has(c.op) || c.op < 32 ? 32 : 64;
      const result = BigInt.asUintN(width, view.getBigUint64(L.FP_RESULT, true));
      const expected = BigInt.asUintN(width, answers.readBigUInt64LE(i * 16));
      const mxcsr = view.getUint32(L.MXCSR, true);
      const expectedMxcsr = answers.readUInt32LE(i * 16 + 8);
      const trapped = answers.readUInt32LE(i * 16 + 12);
      const same = fault === trapped && mxcsr === expectedMxcsr && (trapped === 1 || result === expected);
      if (!same && wrong++ < 20) {
        console.error(
          `op ${c.op} size ${c.size} mxcsr ${c.mxcsr.toString(16)} a ${c.a.toString(16)} b ${c.b.toString(16)}: ` +
            `${result.toString(16)} ${mxcsr.toString(16)} fault ${fault}, host ${expected.toString(16)} ${expectedMxcsr.toString(16)} ${trapped}`,
        );
      }
    });
    assert.equal(wrong, 0, `${wrong} of ${cases.length} differ, SEED=${seed}`);
  });
});
