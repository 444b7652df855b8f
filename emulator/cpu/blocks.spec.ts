import assert from 'node:assert/strict';
import { RunStop } from './engine-api.ts';
import { createTestEngine } from './engine-test-support.ts';

const HLT = 0xf4;
const CASES = 300;

/** A random register instruction: most kinds that the switch has fused or flagless handlers for. */
function randomInstruction(random: (below: number) => number): number[] {
  // RSP is left alone.
  const register = (): number => [0, 1, 2, 3, 5, 6, 7][random(7)]!;
  const rex = random(2) ? [0x48] : [];
  const modrm = (reg: number): number => 0xc0 | (reg << 3) | register();
  const byte = random(256);
  switch (random(14)) {
    case 0:
    case 1:
      // add or adc sbb and sub xor cmp, register form, 8-bit too
      return [...rex, random(8) * 8 + (random(4) ? 1 : 0), modrm(register())];
    case 2:
    case 3:
      return [...rex, 0x83, modrm(random(8)), byte];
    case 4:
      return [0x80, modrm(random(8)), byte];
    case 5:
      return [...rex, 0xff, modrm(random(2))];
    case 6:
      // rol ror rcl rcr shl shr shl sar by an immediate, 0 included
      return [...rex, 0xc1, modrm(random(8)), random(70)];
    case 7:
      return [...rex, 0xd3, modrm(random(8))];
    case 8:
      return [...rex, 0x85, modrm(register())];
    case 9:
      return [...rex, 0x0f, 0xaf, modrm(register())];
    case 10:
      return [0x0f, 0x90 + random(16), modrm(0)];
    case 11:
      return [...rex, 0x0f, 0x40 + random(16), modrm(register())];
    case 12:
      return [...rex, 0xf7, modrm(2 + random(2))];
    default:
      return [...rex, [0x89, 0x8d][random(2)]!, 0x44 | (register() << 3), 0x24, 8];
  }
}

/** Straight code with short forward jumps, in a loop of R8 rounds. */
function randomProgram(random: (below: number) => number): number[] {
  const body: number[] = [];
  for (let blocks = 1 + random(3); blocks > 0; blocks--) {
    for (let count = 1 + random(8); count > 0; count--) body.push(...randomInstruction(random));
    const skipped = randomInstruction(random);
    body.push(0x70 + random(16), skipped.length, ...skipped);
  }
  // dec r8; jnz start
  return [...body, 0x49, 0xff, 0xc8, 0x0f, 0x85, ...int32(-(body.length + 9)), HLT];
}
const int32 = (value: number): number[] => [
  value & 0xff,
  (value >> 8) & 0xff,
  (value >> 16) & 0xff,
  (value >> 24) & 0xff,
];

describe('blocks', () => {
  it('have the effect of their instructions one by one: fused pairs and dropped flags included', () => {
    const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
    let state = seed;
    const random = (below: number): number => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
    const whole = createTestEngine();
    const singly = createTestEngine();
    for (let index = 0; index < CASES; index++) {
      const code = randomProgram(random);
      const values = Array.from({ length: 16 }, () => BigInt(random(2 ** 31)) << BigInt(random(33)));
      const at = 0x1000 + index * 0x400;
      for (const t of [whole, singly]) {
        t.put(at, ...code);
        values.forEach((value, register) => t.engine.cpu.setGpr(register, value));
        t.engine.cpu.setGpr(8, 20n);
        t.start(at);
      }
      const text = `seed ${seed}, case ${index}: ${code.map((byte) => byte.toString(16).padStart(2, '0')).join(' ')}`;
      assert.equal(whole.engine.run(100_000), RunStop.Halted, text);
      while (singly.engine.run(40) !== RunStop.Halted);
      assert.equal(whole.state(), singly.state(), text);
      assert.deepEqual(whole.faults, [], text);
    }
  });
});
