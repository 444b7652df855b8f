/** Which translation code is fetched by depends on what was executed, not on which blocks are decoded, linked or cached, nor on where slices end. */
import assert from 'node:assert/strict';
import { createTestEngine, type TestEngine } from './engine-test-support.ts';

const MAIN = 0x1000;
const CALLEE = 0x4000;
const OTHER = 0x5000;
/** Pages this far apart have one place in the TLB. */
const APART = 0x200_0000;
/** The frames of those beyond the memory there is. */
const BEHIND = 0x40_0000;
const ROUNDS = 300;
const ROUND = 6;
/** EDX: once a round. */
const added = (t: TestEngine): bigint => t.engine.cpu.gpr(2);

/** Rounds of `call CALLEE; mov al, [displacing]; dec ecx; jnz`, with another function in the tables after a third of them. */
function start(displacing: number, translate = false): TestEngine {
  const t = createTestEngine(translate ? { threshold: 3, batch: 1, modules: 100 } : undefined);
  for (const page of [MAIN, CALLEE]) t.remap(page + APART, page + BEHIND);
  const [low, high] = [displacing & 0xff, (displacing >> 8) & 0xff];
  const call = CALLEE - MAIN - 5;
  t.put(
    MAIN,
    0xe8,
    call & 0xff,
    call >> 8,
    0,
    0,
    0x8a,
    0x04,
    0x25,
    low,
    high,
    (displacing >> 16) & 0xff,
    displacing >> 24,
    0xff,
    0xc9,
    0x75,
    0xf0,
    0xf4,
  );
  // inc edx; ret. add edx, 2; ret
  t.put(CALLEE, 0xff, 0xc2, 0xc3);
  t.put(OTHER, 0x83, 0xc2, 2, 0xc3);
  t.start(MAIN);
  t.engine.cpu.setGpr(1, BigInt(ROUNDS));
  t.engine.run((ROUNDS / 3) * ROUND);
  assert.equal(added(t), BigInt(ROUNDS / 3));
  t.rewrite(CALLEE, OTHER);
  return t;
}

/** What happens after each slice. */
const ways: Record<string, { readonly slice: number; readonly between?: (t: TestEngine) => void }> = {
  'as a whole': { slice: 1e6 },
  'in single instructions': { slice: 1 },
  'when decoded code is dropped': { slice: 50, between: (t) => t.engine.blocks.flush() },
  'when the TLB is put back': {
    slice: 50,
    between: ({ engine, mmu }) => {
      mmu.restore(mmu.save());
      engine.contextChanged();
    },
  },
};

describe('the translations of code', () => {
  for (const [what, displacing] of [
    ['the callee', CALLEE + APART],
    ['the caller', MAIN + APART],
  ] as const)
    for (const translate of [false, true])
      for (const [way, { slice, between }] of Object.entries(ways))
        it(`stay while data displaces those of ${what}, ${way}${translate ? ', translated' : ''}`, () => {
          const t = start(displacing, translate);
          const end = t.engine.retired + (ROUNDS / 3) * ROUND;
          while (t.engine.retired < end) {
            t.engine.run(Math.min(slice, end - t.engine.retired));
            between?.(t);
          }
          assert.equal(added(t), BigInt((ROUNDS / 3) * 2));
          t.mmu.invalidatePage(BigInt(CALLEE));
          t.engine.run(1e6);
          assert.equal(added(t), BigInt((ROUNDS / 3) * 4));
          assert.deepEqual(t.faults, []);
        });

  it('stay when another page is invalidated, though nothing is known of large pages after the TLB was put back', () => {
    const t = start(CALLEE + APART);
    t.mmu.restore(t.mmu.save());
    t.engine.contextChanged();
    t.mmu.invalidatePage(BigInt(OTHER));
    t.engine.run((ROUNDS / 3) * ROUND);
    assert.equal(added(t), BigInt((ROUNDS / 3) * 2));
  });

  it('go when code displaces them, from the jump cache, too', () => {
    const t = start(CALLEE + APART);
    // In the place of the load from there: call [displacing]; nop; nop.
    const call = CALLEE + APART - MAIN - 10;
    t.put(CALLEE + BEHIND, 0xc3);
    t.put(MAIN + 5, 0xe8, call & 0xff, (call >> 8) & 0xff, (call >> 16) & 0xff, call >> 24, 0x90, 0x90);
    // The first round finds the old function.
    t.engine.run(1e6);
    assert.equal(added(t), BigInt(ROUNDS / 3 + 1 + 2 * ((ROUNDS / 3) * 2 - 1)));
  });
});
