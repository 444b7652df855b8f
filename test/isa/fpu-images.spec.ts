/** FXSAVE, FXRSTOR, FNSTENV, FLDENV, FNSAVE and FRSTOR against the host CPU, but for the last-instruction pointers, which are not modelled. */
import assert from 'node:assert/strict';
import { initialFx, WINDOW, WINDOW_BYTES } from './support/case.ts';
import type { TestCase } from './support/case.ts';
import { EmulatedHost } from './support/emulated.ts';
import { runOnHost, whyNoHost } from './support/host.ts';
import { Random } from './support/random.ts';

const seed = Number(process.env['SEED'] ?? 1);
const RBX = 3;
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

/** The image stands at [rbx]. */
const IMAGES: Record<string, { readonly code: number[]; readonly pointers: readonly [from: number, to: number] }> = {
  'fxsave64 [rbx]': { code: [0x48, 0x0f, 0xae, 0x03], pointers: [6, 24] },
  'fxsave [rbx]': { code: [0x0f, 0xae, 0x03], pointers: [6, 24] },
  // Restoring what was saved in between makes no difference; then saved again behind it.
  'fxsave; fninit; fxrstor; fxsave [rbx]': {
    code: [0x0f, 0xae, 0x03, 0xdb, 0xe3, 0x0f, 0xae, 0x0b, 0x0f, 0xae, 0x03],
    pointers: [6, 24],
  },
  'fnstenv [rbx]': { code: [0xd9, 0x33], pointers: [12, 28] },
  'fnstenv [rbx], 16-bit': { code: [0x66, 0xd9, 0x33], pointers: [6, 14] },
  'fnstenv; fldenv; fnstenv [rbx]': { code: [0xd9, 0x33, 0xd9, 0x23, 0xd9, 0x33], pointers: [12, 28] },
  'fnsave [rbx]': { code: [0xdd, 0x33], pointers: [12, 28] },
  'fnsave; frstor; fnsave [rbx]': { code: [0xdd, 0x33, 0xdd, 0x23, 0xdd, 0x33], pointers: [12, 28] },
  'fxsave [rbx + 8]': { code: [0x0f, 0xae, 0x43, 0x08], pointers: [0, 0] },
};

function testCase(random: Random, name: string, code: number[]): TestCase {
  const fx = initialFx();
  const view = new DataView(fx.buffer);
  const top = random.below(8);
  view.setUint16(2, (top << 11) | (random.next() & 0x4700), true);
  view.setUint8(4, random.next() & 0xff);
  for (let i = 0; i < 8; i++) {
    view.setBigUint64(32 + i * 16, random.oneIn(4) ? 0n : random.bits64() | (1n << 63n), true);
    view.setUint16(40 + i * 16, random.oneIn(4) ? 0x7fff : random.oneIn(3) ? 0 : random.next() & 0xffff, true);
  }
  fx.set(random.bytes(256), 160);
  const gpr = new BigUint64Array(16);
  gpr[RBX] = BigInt(WINDOW + 0x200 - 0x80);
  return {
    name,
    code: Uint8Array.from(code),
    registers: { gpr, rflags: 0x202, fx },
    window: new Uint8Array(WINDOW_BYTES),
    undefinedFlags: 0,
  };
}

describe('images of the floating-point state agree with the host CPU', () => {
  const why = whyNoHost();

  it(`at every instruction that stores or loads one (SEED=${seed})`, function () {
    if (why) return this.skip();
    const random = new Random(seed);
    const cases = Object.entries(IMAGES).flatMap(([name, { code }]) =>
      Array.from({ length: 20 }, () => testCase(random, name, code)),
    );
    const expected = runOnHost(cases);
    const emulated = new EmulatedHost();
    cases.forEach((test, index) => {
      const ours = emulated.run(test, index);
      const theirs = expected[index]!;
      assert.equal(ours.vector, theirs.vector, test.name);
      const [from, to] = IMAGES[test.name]!.pointers;
      for (const { window } of [ours, theirs]) window.fill(0, 0x180 + from, 0x180 + to);
      // MXCSR_MASK says what the processor has: bit 17 is AMD's misaligned mode.
      if (test.name.startsWith('fxsave'))
        for (const { window } of [ours, theirs]) window.fill(0, 0x180 + 28, 0x180 + 32);
      assert.equal(hex(ours.window), hex(theirs.window), test.name);
      // Status, tags and stack; the image of the outcome carries them.
      assert.equal(hex(ours.registers.fx.subarray(0, 5)), hex(theirs.registers.fx.subarray(0, 5)), test.name);
    });
  });
});
