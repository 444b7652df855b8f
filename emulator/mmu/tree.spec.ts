import assert from 'node:assert/strict';
import * as L from '../cpu/layout.ts';
import { describeEptEntry, describePageTableEntry } from './entries.ts';
import { createTestMachine } from './test-support.ts';
import { pageTableNodes } from './tree.ts';

describe('page tables as a tree', () => {
  it('merges consecutive pages with equal rights and descends through tables', () => {
    const m = createTestMachine();
    const base = 0xffff_8000_0000_0000n;
    for (let page = 0n; page < 3n; page++) m.map(base + page * 4096n, (0x40_0000n + page * 4096n) | 3n);
    m.map(base + 0x3000n, 0x40_3000n | 1n);
    m.map(base + 0x20_0000n, 0x60_0000n | 0x83n, 2);
    const [top] = pageTableNodes(m, 'guest');
    assert.deepEqual([top!.start, top!.kind, top!.level, top!.flags], [base, 'table', 4, 'R W U X']);
    const down = (node = top!, index = 0) =>
      pageTableNodes(m, 'guest', node.tableHpa, node.level - 1, node.start)[index]!;
    const [table, large] = pageTableNodes(m, 'guest', down().tableHpa, 2, down().start);
    assert.deepEqual([large!.kind, large!.pageSize, large!.flags], ['leaf', 0x20_0000, 'R W S X 2M']);
    const pages = pageTableNodes(m, 'guest', table!.tableHpa, 1, table!.start);
    assert.deepEqual(
      pages.map(({ kind, start, end, target }) => [kind, start - base, end - base, target]),
      [
        ['range', 0n, 0x3000n, 0x40_0000],
        ['leaf', 0x3000n, 0x4000n, 0x40_3000],
      ],
    );
  });

  it('shows the EPT in force, and nothing when it is off', () => {
    const m = createTestMachine();
    assert.deepEqual(pageTableNodes(m, 'ept'), []);
    m.mem.set64(L.EPTP, BigInt(m.frame()) | 0x1en);
    m.mapEpt(0x4000_0000, 0x40_0000n | 0xb5n, 2);
    m.mmu.banks.contextChanged();
    const [top] = pageTableNodes(m, 'ept');
    const [pdpte] = pageTableNodes(m, 'ept', top!.tableHpa, 3, top!.start);
    const [leaf] = pageTableNodes(m, 'ept', pdpte!.tableHpa, 2, pdpte!.start);
    assert.deepEqual([leaf!.start, leaf!.target, leaf!.flags], [0x4000_0000n, 0x40_0000, 'R X WB 2M']);
  });
});

describe('table entries in words', () => {
  it('say kind, target, rights and marks', () => {
    assert.equal(describePageTableEntry(0n, 1).text, 'PTE not present');
    assert.equal(describePageTableEntry(0x8000_0000_0040_0067n, 1).text, 'PTE R W U NX A D -> page at gpa:0x400000');
    assert.equal(describePageTableEntry(0x1000_0027n, 3).text, 'PDPTE R W U X A -> table at gpa:0x10000000');
    assert.equal(describePageTableEntry(0x4000_01e3n, 3).flags, 'R W S X A D G 1G');
    assert.equal(describeEptEntry(0x40_0377n, 1).text, 'EPT PTE R W X A D WB -> page at hpa:0x400000');
    assert.equal(describeEptEntry(0x40_0007n, 4).text, 'EPT PML4E R W X -> table at hpa:0x400000');
    assert.equal(describeEptEntry(0x40_0000n, 1).kind, 'not-present');
  });
});
