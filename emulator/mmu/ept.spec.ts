import assert from 'node:assert/strict';
import * as C from '../cpu/codes.ts';
import * as L from '../cpu/layout.ts';
import { effectiveRights } from './rights.ts';
import { type TestMachine, createTestMachine } from './test-support.ts';

const R = 1n;
const W = 2n;
const X = 4n;
const WB = 6n << 3n;
const LARGE = 0x80n;
const A = 0x100n;
const D = 0x200n;
const GVA = 0x1000n;
/** Guest-physical page, and the host page behind it. */
const GPA = 0x5_0000_0000;
const HPA = 0x40_0000n;

let m: TestMachine;
let leaf: number;

/** Type WB and the page-walk length. */
const POINTERS = { 4: 0x1en, 5: 0x26n } as const;
let levels: keyof typeof POINTERS;

/** Guest tables at GPAs that the EPT maps one to one, and one page at GPA. */
function prepare(accessedDirty: boolean, tables = R | W | X | WB): void {
  m = createTestMachine();
  m.mem.set64(L.EPTP, BigInt(m.frame()) | POINTERS[levels] | (accessedDirty ? 0x40n : 0n));
  m.map(GVA, BigInt(GPA) | 0x67n, 1, 0x27n);
  for (let hpa = 0x10_0000; hpa < 0x11_0000; hpa += 4096) m.mapEpt(hpa, BigInt(hpa) | tables);
  leaf = m.mapEpt(GPA, HPA | R | W | X | WB);
  m.mmu.banks.contextChanged();
}
function setLeaf(entry: bigint): void {
  m.physical.write64(leaf, entry);
  m.mmu.invalidateEpt(2, 0n);
}
function tryAccess(kind: number): number {
  if (kind === C.ACCESS_WRITE) return m.core.slowStore(GVA + 8n, 8, 0, 1n) === 0 ? 0 : -1;
  return kind === C.ACCESS_READ ? m.core.slowLoad(GVA + 8n, 8, 0) : m.core.translate(GVA + 8n, kind);
}
function violation(kind: number): bigint {
  assert.equal(tryAccess(kind), -1, 'the access was allowed');
  assert.equal(m.mem.get32(L.FAULT_KIND), C.FAULT_EPT_VIOLATION);
  assert.equal(m.mem.get64(L.FAULT_GVA), GVA + 8n);
  return m.mem.get64(L.FAULT_QUALIFICATION);
}

function translations(length: 4 | 5): void {
  before(() => (levels = length));

  it('translates through both dimensions and reports all steps', () => {
    prepare(false);
    assert.equal((m.core.slowLoad(GVA + 8n, 8, 0) >>> 0) - L.RAM_BASE, Number(HPA) + 8);
    const walk = m.mmu.walk(GVA + 8n, 'read');
    assert.equal(walk.steps.length, levels === 4 ? 24 : 29);
    assert.equal(walk.gpa, GPA + 8);
    assert.equal(walk.hpa, Number(HPA) + 8);
    assert.equal(m.mmu.gpaToHpa(GPA + 0x123), Number(HPA) + 0x123);
    assert.equal(m.mmu.gpaToHpa(GPA + 0x1000), -1);
  });

  it("drops one translation at a violation by a 4 KB entry, all of the guest's large page at another", () => {
    prepare(false);
    const large = 0x4000_0000n;
    const page = 0x6_0000_0000;
    const [first, second] = [0x50_0000n, 0x50_1000n];
    m.map(large, BigInt(page) | 0xe7n, 2, 0x27n);
    [first, second].forEach((hpa, index) => m.mapEpt(page + index * 4096, hpa | R | WB));
    for (const at of [0n, 4096n]) assert.notEqual(m.core.slowLoad(large + at, 8, 0), -1);
    const cached = (): bigint[] => m.mmu.entries().flatMap(({ gva }) => (gva >= large ? [gva] : []));
    assert.deepEqual(cached(), [large, large + 4096n]);
    assert.equal(m.core.slowStore(large, 8, 0, 1n), 1);
    assert.equal(m.mem.get32(L.FAULT_KIND), C.FAULT_EPT_VIOLATION);
    assert.deepEqual(cached(), [large + 4096n]);
    // The table that held both entries is gone: nothing says what size they were.
    assert.notEqual(m.core.slowLoad(large, 8, 0), -1);
    const table = m.mmu.walk(large, 'read').steps.findLast((step) => step.table === 'ept' && step.level === 2)!;
    m.physical.write64(table.hpa, 0n);
    assert.equal(m.core.slowStore(large, 8, 0, 1n), 1);
    assert.deepEqual(cached(), []);
  });

  it('gives access, rights given and bits 7 to 11 in the qualification', () => {
    prepare(false);
    setLeaf(0n);
    assert.equal(violation(C.ACCESS_READ), 0x781n);
    assert.equal(m.mem.get64(L.FAULT_GPA), BigInt(GPA) + 8n);
    assert.equal(violation(C.ACCESS_WRITE), 0x782n);
    assert.equal(violation(C.ACCESS_EXEC), 0x784n);
    setLeaf(HPA | R | WB);
    assert.equal(violation(C.ACCESS_WRITE), 0x78an);
    assert.equal(violation(C.ACCESS_EXEC), 0x78cn);
    setLeaf(HPA | X | WB);
    assert.equal(violation(C.ACCESS_READ), 0x7a1n);
  });

  it('ANDs rights over the levels', () => {
    prepare(false);
    const table = m.mmu.walk(GVA, 'read').steps.findLast((step) => step.table === 'ept' && step.level === 2)!;
    m.physical.write64(table.hpa, table.entry & ~W);
    assert.equal(violation(C.ACCESS_WRITE), 0x7aan);
    const walk = m.mmu.walk(GVA, 'write');
    assert.equal(walk.result.kind === 'ept-violation' && walk.result.reason, 'EPT PDE gives R X; the access needs W');
  });

  it('counts references to guest tables as writes when A/D flags are on', () => {
    prepare(true, R | X | WB);
    assert.equal(violation(C.ACCESS_READ), 0xabn);
    assert.equal(m.mem.get64(L.FAULT_GPA), m.cpu.cr3);
  });

  it('needs write permission to set a guest A or D flag when EPT A/D flags are off', () => {
    prepare(false, R | X | WB);
    assert.ok(tryAccess(C.ACCESS_READ) !== -1, 'A is set already');
    const walk = m.mmu.walk(GVA, 'read');
    const pte = walk.steps.find((step) => step.table === 'guest' && step.level === 1)!;
    m.physical.write64(pte.hpa, pte.entry & ~0x40n);
    m.mmu.flush(false);
    assert.equal(violation(C.ACCESS_WRITE), 0xabn, 'the update reads and writes');
  });

  it('sets A and D in EPT entries', () => {
    prepare(true);
    tryAccess(C.ACCESS_READ);
    assert.equal(m.physical.read64(leaf) & (A | D), A);
    tryAccess(C.ACCESS_WRITE);
    assert.equal(m.physical.read64(leaf) & (A | D), A | D);
  });

  it('maps 2 MB and 1 GB pages', () => {
    prepare(false);
    m.mapEpt(0x6_0000_0000, R | W | X | WB | LARGE | 0x20_0000n, 2);
    assert.equal(m.mmu.gpaToHpa(0x6_0012_3456), 0x32_3456);
    m.mapEpt(0x7_0000_0000, R | W | X | WB | LARGE, 3);
    assert.equal(m.mmu.gpaToHpa(0x7_0012_3456), 0x12_3456);
  });

  const misconfigured: [string, bigint][] = [
    ['write without read', HPA | W | WB],
    ['write and execute without read', HPA | W | X | WB],
    ['memory type 2', HPA | R | (2n << 3n)],
    ['memory type 7', HPA | R | (7n << 3n)],
    ['an address above MAXPHYADDR', HPA | R | WB | (1n << 40n)],
  ];
  for (const [name, entry] of misconfigured) {
    it(`is misconfigured by ${name}`, () => {
      prepare(false);
      setLeaf(entry);
      assert.equal(tryAccess(C.ACCESS_READ), -1);
      assert.equal(m.mem.get32(L.FAULT_KIND), C.FAULT_EPT_MISCONFIG);
      assert.equal(m.mem.get64(L.FAULT_GPA), BigInt(GPA) + 8n);
      assert.equal(m.mmu.walk(GVA + 8n, 'read').result.kind, 'ept-misconfiguration');
    });
  }

  it('is misconfigured by reserved bits of table entries and large pages', () => {
    prepare(false);
    const pde = m.mmu.walk(GVA, 'read').steps.findLast((step) => step.table === 'ept' && step.level === 2)!;
    m.physical.write64(pde.hpa, pde.entry | 8n);
    assert.equal(tryAccess(C.ACCESS_READ), -1);
    assert.equal(m.mem.get32(L.FAULT_KIND), C.FAULT_EPT_MISCONFIG);
    m.physical.write64(pde.hpa, R | WB | LARGE | 0x1000n);
    assert.equal(tryAccess(C.ACCESS_READ), -1);
    assert.equal(m.mem.get32(L.FAULT_KIND), C.FAULT_EPT_MISCONFIG);
  });
}
describe('EPT of 4 levels', () => translations(4));
describe('EPT of 5 levels', () => translations(5));

describe('guest-physical addresses beyond 48 bits', () => {
  const WIDE = GPA + 2 ** 51;
  const prepareWide = (length: 4 | 5): void => {
    levels = length;
    prepare(false);
    m.mem.set32(L.PHYS_BITS, 52);
    m.map(GVA, BigInt(WIDE) | 0x67n, 1, 0x27n);
    m.mmu.flushAll();
  };

  it('are EPT violations with 4 levels, and no entry is to blame', () => {
    prepareWide(4);
    assert.equal(violation(C.ACCESS_WRITE), 0x782n);
    assert.equal(m.mem.get64(L.FAULT_GPA), BigInt(WIDE) + 8n);
    const walk = m.mmu.walk(GVA + 8n, 'write');
    assert.ok(walk.result.kind === 'ept-violation');
    assert.match(walk.result.reason, /^a guest-physical address of more than 48 bits \(0x8000500000008\)/);
    assert.deepEqual(
      walk.steps.filter(({ outcome }) => outcome !== 'table' && outcome !== 'leaf'),
      [],
    );
    const rows = effectiveRights(m.mem, walk);
    assert.deepEqual(
      rows.map(({ given, decidedBy }) => [given, decidedBy]),
      Array(3).fill([false, ['the EPT has 4 levels, and the guest-physical address more than 48 bits']]),
    );
  });

  it('are translated with 5', () => {
    prepareWide(5);
    assert.equal(violation(C.ACCESS_READ), 0x781n, 'the EPT PML5E is not present');
    const absent = m.mmu.walk(GVA + 8n, 'read').steps.at(-1)!;
    assert.deepEqual([absent.level, absent.outcome, absent.hpa & 0xfff], [5, 'not-present', 8 * 8]);
    m.mapEpt(WIDE, HPA | R | W | X | WB);
    assert.equal((m.core.slowLoad(GVA + 8n, 8, 0) >>> 0) - L.RAM_BASE, Number(HPA) + 8);
    assert.equal(m.mmu.gpaToHpa(WIDE + 0x123), Number(HPA) + 0x123);
    const walk = m.mmu.walk(GVA + 8n, 'read');
    assert.deepEqual([walk.gpa, walk.hpa, walk.steps.length], [WIDE + 8, Number(HPA) + 8, 29]);
  });

  it('rights and reserved bits of an EPT PML5E', () => {
    prepareWide(5);
    m.mapEpt(WIDE, HPA | R | W | X | WB);
    const pml5e = m.mmu.walk(GVA, 'read').steps.findLast((step) => step.table === 'ept' && step.level === 5)!;
    m.physical.write64(pml5e.hpa, pml5e.entry & ~W);
    assert.equal(violation(C.ACCESS_WRITE), 0x7aan);
    const walk = m.mmu.walk(GVA, 'write');
    assert.equal(walk.result.kind === 'ept-violation' && walk.result.reason, 'EPT PML5E gives R X; the access needs W');
    assert.deepEqual(
      effectiveRights(m.mem, walk).map(({ given }) => given),
      [true, false, true],
    );
    for (const bit of [8n, 0x10n, 0x20n, 0x40n, LARGE]) {
      m.physical.write64(pml5e.hpa, pml5e.entry | bit);
      assert.equal(tryAccess(C.ACCESS_READ), -1);
      assert.equal(m.mem.get32(L.FAULT_KIND), C.FAULT_EPT_MISCONFIG);
      const { result } = m.mmu.walk(GVA, 'read');
      const reason = `: reserved bit ${bit.toString(2).length - 1} set in an entry that points to a table$`;
      assert.ok(result.kind === 'ept-misconfiguration');
      assert.match(result.reason, new RegExp(`^EPT PML5E can never be valid .*${reason}`));
    }
  });

  it('5 levels in both dimensions: 35 entries', () => {
    prepareWide(5);
    m.mapEpt(WIDE, HPA | R | W | X | WB);
    const root = m.frame();
    m.physical.write64(root, m.cpu.cr3 | 0x27n);
    m.mem.set64(L.CR3, BigInt(root));
    m.mem.set64(L.CR4, m.mem.get64(L.CR4) | 0x1000n);
    m.mmu.banks.contextChanged();
    // What stands behind the trace is not overwritten.
    m.mem.set64(L.WATCH_LIST, 0x1234n);
    const { steps, hpa } = m.mmu.walk(GVA + 8n, 'read');
    assert.deepEqual([steps.length, hpa, m.mem.get64(L.WATCH_LIST)], [35, Number(HPA) + 8, 0x1234n]);
  });
});
