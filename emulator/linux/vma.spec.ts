import assert from 'node:assert/strict';
import fc from 'fast-check';
import { covered, findHole, findVma, insertVma, mergeAround, overlapping, removeRange, splitAt } from './vma.ts';
import type { Vma } from './vma.ts';

const area = (start: number, end: number, prot = 3): Vma => ({
  start,
  end,
  prot,
  shared: false,
  inode: undefined,
  offset: 0,
  growsDown: false,
  huge: false,
  name: '',
});

describe('Areas', () => {
  it('join neighbours of equal attributes only', () => {
    const vmas: Vma[] = [];
    insertVma(vmas, area(10, 20));
    insertVma(vmas, area(30, 40));
    insertVma(vmas, area(20, 30));
    assert.deepEqual(
      vmas.map(({ start, end }) => [start, end]),
      [[10, 40]],
    );
    insertVma(vmas, area(40, 50, 1));
    assert.equal(vmas.length, 2);
  });
  it('refuse to overlap', () => {
    const vmas = [area(10, 20)];
    assert.throws(() => insertVma(vmas, area(15, 25)));
  });
  it('are found at their edges', () => {
    const vmas = [area(10, 20), area(30, 40)];
    assert.equal(findVma(vmas, 9), undefined);
    assert.equal(findVma(vmas, 10), vmas[0]);
    assert.equal(findVma(vmas, 19), vmas[0]);
    assert.equal(findVma(vmas, 20), undefined);
    assert.equal(covered(vmas, 10, 20), true);
    assert.equal(covered(vmas, 15, 35), false);
  });
  it('give the highest hole', () => {
    const vmas = [area(0x5000, 0x6000), area(0x8000, 0x9000, 1)];
    assert.equal(findHole(vmas, 0x1000, 0xa000, 0x1000, 0x1000), 0x9000);
    assert.equal(findHole(vmas, 0x2000, 0xa000, 0x1000, 0x1000), 0x6000);
    assert.equal(findHole(vmas, 0x3000, 0xa000, 0x1000, 0x1000), 0x2000);
    assert.equal(findHole(vmas, 0x5000, 0xa000, 0x1000, 0x1000), -1);
  });

  it('behave as an array of pages under any sequence of changes', () => {
    const change = fc.record({
      what: fc.constantFrom('map', 'unmap', 'protect'),
      start: fc.nat(30),
      length: fc.integer({ min: 1, max: 12 }),
      prot: fc.nat(3),
    });
    const seed = Date.now() & 0xffff;
    fc.assert(
      fc.property(fc.array(change, { maxLength: 40 }), (changes) => {
        const vmas: Vma[] = [];
        const pages: (number | undefined)[] = new Array<undefined>(48).fill(undefined);
        for (const { what, start, length, prot } of changes) {
          const end = start + length;
          if (what !== 'protect') removeRange(vmas, start, end);
          if (what === 'map') insertVma(vmas, area(start, end, prot));
          if (what === 'protect') {
            splitAt(vmas, start);
            splitAt(vmas, end);
            for (const vma of overlapping(vmas, start, end)) vma.prot = prot;
            mergeAround(vmas, start, end);
          }
          for (let page = start; page < end; page++)
            if (what === 'map') pages[page] = prot;
            else if (what === 'unmap') pages[page] = undefined;
            else if (pages[page] !== undefined) pages[page] = prot;
          assert.deepEqual(
            Array.from(pages, (_, page) => findVma(vmas, page)?.prot),
            pages,
          );
          for (let at = 1; at < vmas.length; at++) {
            assert.ok(vmas[at - 1]!.end <= vmas[at]!.start);
            assert.ok(vmas[at - 1]!.end < vmas[at]!.start || vmas[at - 1]!.prot !== vmas[at]!.prot, 'joined');
          }
        }
      }),
      { seed, numRuns: 200 },
    );
  });
});
