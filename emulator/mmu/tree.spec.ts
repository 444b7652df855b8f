import assert from 'node:assert/strict';
import * as L from '../cpu/layout.ts';
import { describeEptEntry, describePageTableEntry } from './entries.ts';
import { createTestMachine } from './test-support.ts';
import { pageTableNodes } from './tree.ts';
import { walkLines, walkResult } from './walk-text.ts';

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

  it('shows an EPT of 5 levels from its PML5Es on, whose addresses are not signed', () => {
    const m = createTestMachine();
    const gpa = 2 ** 51 + 0x4000_0000;
    m.mem.set32(L.PHYS_BITS, 52);
    m.mem.set64(L.EPTP, BigInt(m.frame()) | 0x26n);
    m.mapEpt(gpa, 0x40_0000n | 0xb5n, 2);
    m.mmu.banks.contextChanged();
    const [pml5e] = pageTableNodes(m, 'ept');
    assert.deepEqual([pml5e!.level, pml5e!.start, pml5e!.end], [5, 2n ** 51n, 2n ** 51n + 2n ** 48n]);
    const [pml4e] = pageTableNodes(m, 'ept', pml5e!.tableHpa, 4, pml5e!.start);
    const [pdpte] = pageTableNodes(m, 'ept', pml4e!.tableHpa, 3, pml4e!.start);
    const [leaf] = pageTableNodes(m, 'ept', pdpte!.tableHpa, 2, pdpte!.start);
    assert.deepEqual([leaf!.start, leaf!.target, leaf!.flags], [BigInt(gpa), 0x40_0000, 'R X WB 2M']);
  });
});

describe('other kinds of paging as trees and in words', () => {
  const EFER_32 = 0x800n;

  it('32-bit: 4-byte entries, 4 MB pages above 4 GB', () => {
    const m = createTestMachine();
    const table = m.frame();
    const root = Number(m.cpu.cr3);
    m.mem.set64(L.CR4, 0x10n);
    m.mem.set64(L.MSR_EFER, EFER_32);
    m.physical.write32(root + 4, table | 7);
    m.physical.write32(root + 8, 0x40_2083 | (3 << 13));
    m.physical.write32(table + 4, 0x30_0005);
    const [small, large] = pageTableNodes(m, 'guest');
    assert.deepEqual([small!.kind, small!.level, small!.start, small!.end], ['table', 2, 0x40_0000n, 0x80_0000n]);
    assert.deepEqual([large!.target, large!.pageSize, large!.flags], [0x3_0040_0000, 4 << 20, 'R W S 4M']);
    const [page] = pageTableNodes(m, 'guest', small!.tableHpa, 1, small!.start);
    assert.deepEqual(
      [page!.start, page!.target, page!.flags, page!.entryHpa],
      [0x40_1000n, 0x30_0000, 'R U', table + 4],
    );
    assert.deepEqual(walkLines(m.mmu.walk(0x40_1234n, 'read')), [
      `  PDE at gpa:0x${(root + 4).toString(16)} = 0x${(table | 7).toString(16)}: PDE R W U -> table at gpa:0x${table.toString(16)}`,
      `  PTE at gpa:0x${(table + 4).toString(16)} = 0x300005: PTE R U -> page at gpa:0x300000`,
    ]);
    const refused = m.mmu.walk(0x40_1234n, 'write', true);
    assert.equal(walkResult(refused), 'page fault, error code 0x7: PTE gives R U; a write needs W');
  });

  it('PAE: PDPTEs are registers', () => {
    const m = createTestMachine();
    const directory = m.frame();
    m.mem.set64(L.MSR_EFER, EFER_32);
    m.mem.set64(L.PDPTE + 16, BigInt(directory) | 1n);
    m.physical.write64(directory, 0x60_0087n);
    const [register] = pageTableNodes(m, 'guest');
    assert.deepEqual([register!.level, register!.start, register!.flags], [3, 0x8000_0000n, 'register']);
    const [leaf] = pageTableNodes(m, 'guest', register!.tableHpa, 2, register!.start);
    assert.deepEqual([leaf!.start, leaf!.target, leaf!.flags], [0x8000_0000n, 0x60_0000, 'R W U X 2M']);
    const walk = m.mmu.walk(0x8012_3456n, 'read');
    assert.equal(walk.hpa, 0x72_3456);
    assert.match(walkLines(walk)[0]!, /^ {2}PDPTE at gpa:.*: PDPTE register -> table/);
    assert.equal(walkResult(m.mmu.walk(0n, 'read')), 'page fault, error code 0x0: PDPTE is not present (0x0)');
  });

  it('5-level: a root of PML5Es', () => {
    const m = createTestMachine();
    const pml4 = m.frame();
    const root = Number(m.cpu.cr3);
    m.mem.set64(L.CR4, 0x10a0n);
    m.physical.write64(root + 511 * 8, BigInt(pml4) | 3n);
    const [top] = pageTableNodes(m, 'guest');
    assert.deepEqual([top!.level, top!.start], [5, 0xffff_0000_0000_0000n]);
    const walk = m.mmu.walk(0xffff_8000_0000_0000n, 'read');
    assert.deepEqual(
      walk.steps.map(({ level, outcome }) => [level, outcome]),
      [
        [5, 'table'],
        [4, 'not-present'],
      ],
    );
  });

  it('protection keys: which key refused', () => {
    const m = createTestMachine();
    m.mem.set64(L.CR4, 0x40_00a0n);
    m.mem.set32(L.PKRU, 0x800);
    m.map(0x1000n, 0x30_0007n | (5n << 59n));
    const refused = m.mmu.walk(0x1000n, 'write', true);
    const reason = 'PTE has protection key 5, to which PKRU (0x800) denies writes';
    assert.equal(walkResult(refused), `page fault, error code 0x27: ${reason}`);
    assert.equal(m.mmu.walk(0x1000n, 'read', true).result.kind, 'ok');
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
