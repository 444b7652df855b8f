import assert from 'node:assert/strict';
import { disassemble } from './disassemble.ts';

const bytes = (hex: string) => Uint8Array.from(hex.split(' '), (byte) => parseInt(byte, 16));

describe('disassemble', () => {
  it('writes GNU and Intel syntax', () => {
    const code = bytes('48 89 e5 48 83 ec 10 f4');
    assert.deepEqual(
      disassemble(code, 0x401000n).map((line) => line.text),
      ['mov %rsp,%rbp', 'sub $0x10,%rsp', 'hlt'],
    );
    assert.deepEqual(
      disassemble(code, 0x401000n, { syntax: 'intel', count: 2 }).map((line) => line.text),
      ['mov rbp, rsp', 'sub rsp, 0x10'],
    );
  });

  it('names branch targets and RIP-relative operands', () => {
    const symbolOf = (gva: bigint) => (gva === 0x401010n ? 'target' : gva === 0x402009n ? 'data' : undefined);
    const lines = disassemble(bytes('eb 0e 48 8b 05 00 10 00 00 c3'), 0x401000n, { symbolOf });
    assert.deepEqual(
      lines.map((line) => [line.text, line.reference, line.flow]),
      [
        ['jmp 0x401010 <target>', 0x401010n, 'jump'],
        ['mov 0x1000(%rip),%rax # 0x402009 <data>', 0x402009n, 'next'],
        ['ret', undefined, 'return'],
      ],
    );
  });

  it('passes over bytes that are no instruction', () => {
    const lines = disassemble(bytes('06 90 0f'), 0n);
    assert.deepEqual(
      lines.map((line) => [line.gva, line.text, line.bytes.length]),
      [
        [0n, '(bad)', 1],
        [1n, 'nop', 1],
        [2n, '(bad)', 1],
      ],
    );
  });
});
