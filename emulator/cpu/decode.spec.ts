/** The decoder: against iced-x86 (decode-test-support.ts), and what it says of single instructions. */
import assert from 'node:assert/strict';
import { decode, decodeFailure } from './decode.ts';
import { compareDecoders } from './decode-test-support.ts';
import type { MemoryOperand } from './instruction.ts';

const bytesOf = (text: string) => Uint8Array.from(text.split(' '), (byte) => parseInt(byte, 16));

describe('decode', () => {
  const seed = Number(process.env.SEED ?? 20240607);

  for (const mode of [2, 1, 0] as const) {
    it(`agrees with iced-x86 on random ${[16, 32, 64][mode]}-bit code (SEED=${seed})`, () => {
      const found = compareDecoders(mode === 2 ? 120_000 : 40_000, seed, mode);
      const lines = [...found].slice(0, 60).map(([problem, bytes]) => `${problem}: ${bytes}`);
      assert.equal(lines.join('\n'), '');
    });
  }

  it('tells why it refuses', () => {
    const why = (text: string) => (decode(bytesOf(text), 0, 0n, 2) ? 'valid' : decodeFailure());
    assert.equal(why('06'), 'invalid');
    assert.equal(why('f0 01 c0'), 'invalid');
    assert.equal(why('48 8b'), 'truncated');
    assert.equal(why('48 8b 05 00 00'), 'truncated');
    assert.equal(why(`${'66 '.repeat(15)}90`), 'too-long');
    assert.equal(why(`${'66 '.repeat(14)}90`), 'valid');
  });

  it('takes a shift by 0 as one that keeps the flags', () => {
    assert.equal(decode(bytesOf('c1 e0 20'), 0, 0n, 2)?.op, 'shift_by_zero');
    assert.equal(decode(bytesOf('48 c1 e0 20'), 0, 0n, 2)?.op, 'shl');
  });

  it('folds RIP-relative operands into the displacement', () => {
    const operand = decode(bytesOf('c7 05 10 00 00 00 01 00 00 00'), 0, 0x1000n, 2)!.operands[0] as MemoryOperand;
    assert.deepEqual([operand.base, operand.displacement], [-1, 0x101an]);
  });
});
