import assert from 'node:assert/strict';
import * as C from '../cpu/codes.ts';
import * as L from '../cpu/layout.ts';
import { PAGE_ENTRY } from './entries.ts';
import { type TestMachine, createTestMachine } from './test-support.ts';
import { walkResult } from './walk-text.ts';

const P = 1n;
const W = 2n;
const U = 4n;
const A = 0x20n;
const D = 0x40n;
const PS = 0x80n;
const NX = PAGE_ENTRY.noExecute;
const GVA = 0x7fff_1234_5678n;
const PAGE = 0x30_0000n;

let m: TestMachine;

function cpl(level: number): void {
  m.mem.set32(L.CPL, level);
  m.mmu.banks.contextChanged();
}
function access(kind: number, gva = GVA): number {
  if (kind === C.ACCESS_WRITE) return m.core.slowStore(gva, 1, 0, 0x5an) === 0 ? m.core.translate(gva, kind) : -1;
  if (kind === C.ACCESS_READ) return m.core.slowLoad(gva, 1, 0);
  return m.core.translate(gva, kind);
}
/** Error code of the #PF that the access takes. */
function pageFault(kind: number, gva = GVA): number {
  m.mem.set32(L.FAULT_KIND, 0);
  assert.equal(access(kind, gva), -1, 'the access was allowed');
  assert.equal(m.mem.get32(L.FAULT_KIND), C.FAULT_EXCEPTION);
  assert.equal(m.mem.get32(L.FAULT_VECTOR), 14);
  assert.equal(m.mem.get64(L.FAULT_GVA), gva);
  return m.mem.get32(L.FAULT_ERROR);
}
function allowed(kind: number, gva = GVA): number {
  const host = access(kind, gva);
  assert.ok(host !== -1, `refused: fault ${m.mem.get32(L.FAULT_KIND)} error ${m.mem.get32(L.FAULT_ERROR)}`);
  return (host >>> 0) - L.RAM_BASE;
}

describe('guest paging', () => {
  beforeEach(() => {
    m = createTestMachine();
  });

  it('translates 4 KB, 2 MB and 1 GB pages', () => {
    m.map(GVA, PAGE | P | W);
    assert.equal(allowed(C.ACCESS_READ), 0x30_0678);
    m.map(0x4020_0000n, 0x40_0000n | P | W | PS, 2);
    assert.equal(allowed(C.ACCESS_READ, 0x4032_1abcn), 0x52_1abc);
    m.map(0x8000_0000n, P | W | PS, 3);
    assert.equal(allowed(C.ACCESS_READ, 0x8012_3456n), 0x12_3456);
  });

  it('is the identity of 32 bits with paging off', () => {
    m.mem.set64(L.CR0, 0x33n);
    assert.equal(allowed(C.ACCESS_WRITE, 0x12_3456n), 0x12_3456);
  });

  it('gives error code bits P W U and I/D', () => {
    assert.equal(pageFault(C.ACCESS_READ), 0);
    assert.equal(pageFault(C.ACCESS_WRITE), 2);
    assert.equal(pageFault(C.ACCESS_EXEC), 16);
    cpl(3);
    assert.equal(pageFault(C.ACCESS_READ), 4);
    m.map(GVA, PAGE | P | W);
    assert.equal(pageFault(C.ACCESS_READ), 5);
    assert.equal(pageFault(C.ACCESS_WRITE), 7);
    m.map(GVA, PAGE | P | U | NX);
    allowed(C.ACCESS_READ);
    assert.equal(pageFault(C.ACCESS_WRITE), 7);
    assert.equal(pageFault(C.ACCESS_EXEC), 21);
  });

  it('ANDs U and W and ORs NX over the levels', () => {
    m.map(GVA, PAGE | P | W | U, 1, P | W | U | NX);
    cpl(3);
    assert.equal(pageFault(C.ACCESS_EXEC), 21);
    m.map(0x1000n, PAGE | P | W | U, 1, P | U);
    assert.equal(pageFault(C.ACCESS_WRITE, 0x1000n), 7);
  });

  it('honours CR0.WP in ring 0', () => {
    m.map(GVA, PAGE | P | U);
    assert.equal(pageFault(C.ACCESS_WRITE), 3);
    m.mem.set64(L.CR0, 0x8000_0033n);
    m.mmu.banks.contextChanged();
    allowed(C.ACCESS_WRITE);
    cpl(3);
    assert.equal(pageFault(C.ACCESS_WRITE), 7);
  });

  it('reports reserved bits: above MAXPHYADDR, NX without NXE, PS in a PML4E, low bits of large pages', () => {
    m.map(GVA, PAGE | P | (1n << 39n));
    assert.equal(pageFault(C.ACCESS_READ), 9);
    m.map(0x4020_0000n, 0x40_2000n | P | PS, 2);
    assert.equal(pageFault(C.ACCESS_READ, 0x4020_0000n), 9);
    m.map(0x4020_0000n, 0x40_1000n | P | PS, 2); // bit 12 is PAT
    allowed(C.ACCESS_READ, 0x4020_0000n);
    m.map(1n << 39n, BigInt(m.frame()) | P | PS, 4);
    assert.equal(pageFault(C.ACCESS_READ, 1n << 39n), 9);
    m.map(GVA, PAGE | P | NX);
    m.mem.set64(L.MSR_EFER, 0x501n);
    m.mmu.banks.contextChanged();
    assert.equal(pageFault(C.ACCESS_EXEC), 9, 'no I/D bit without NXE and SMEP');
  });

  it('enforces SMEP and SMAP, the latter lifted by AC but not for implicit accesses', () => {
    m.map(GVA, PAGE | P | W | U);
    m.mem.set64(L.CR4, 0x30_00a0n);
    m.mmu.banks.contextChanged();
    assert.equal(pageFault(C.ACCESS_EXEC), 17);
    assert.equal(pageFault(C.ACCESS_READ), 1);
    m.mem.set32(L.SYSTEM_FLAGS, 1 << 18);
    m.mmu.banks.contextChanged();
    allowed(C.ACCESS_READ);
    assert.equal(m.core.translate(GVA, C.ACCESS_READ | C.ACCESS_IMPLICIT), -1);
  });

  it("treats implicit accesses at CPL 3 as the supervisor's", () => {
    m.map(GVA, PAGE | P | W);
    cpl(3);
    assert.ok(m.core.translate(GVA, C.ACCESS_WRITE | C.ACCESS_IMPLICIT) !== -1);
    assert.equal(pageFault(C.ACCESS_READ), 5, 'and leaves no right behind for ring 3');
  });

  it('sets A on the way and D on writes only', () => {
    const leaf = m.map(GVA, PAGE | P | W);
    allowed(C.ACCESS_READ);
    assert.equal(m.physical.read64(leaf), PAGE | P | W | A);
    assert.equal(m.physical.read64(Number(m.cpu.cr3) + 255 * 8) & A, A);
    allowed(C.ACCESS_WRITE);
    assert.equal(m.physical.read64(leaf), PAGE | P | W | A | D);
  });

  it('reports addresses that are not canonical', () => {
    for (const gva of [0x8000_0000_0000n, 0xffff_7fff_ffff_fff8n]) {
      assert.equal(m.core.slowLoad(gva, 8, 0), -1);
      assert.equal(m.mem.get32(L.FAULT_KIND), C.FAULT_NOT_CANONICAL);
      assert.equal(m.mem.get64(L.FAULT_GVA), gva);
    }
    assert.equal(m.mmu.walk(0x8000_0000_0000n, 'read').result.kind, 'page-fault');
  });

  it('reads all ones outside memory and drops writes', () => {
    m.map(GVA, 0x4000_0000n | P | W);
    const host = m.core.slowLoad(GVA, 8, 0);
    assert.equal(m.mem.view.getBigUint64(host, true), 0xffff_ffff_ffff_ffffn);
    assert.equal(m.core.slowStore(GVA, 8, 0, 1n), 0);
  });

  it('takes a fault of the second page at its first byte, writing nothing', () => {
    m.map(0x1000n, PAGE | P | W);
    assert.equal(m.core.slowStore(0x1ffcn, 8, 0, 0x1122_3344_5566_7788n), 1);
    assert.equal(m.mem.get64(L.FAULT_GVA), 0x2000n);
    assert.equal(m.physical.read32(Number(PAGE) + 0xffc), 0);
    m.map(0x2000n, (PAGE + 0x5000n) | P | W);
    assert.equal(m.core.slowStore(0x1ffcn, 8, 0, 0x1122_3344_5566_7788n), 0);
    assert.equal(m.physical.read32(Number(PAGE) + 0xffc), 0x5566_7788);
    assert.equal(m.physical.read32(Number(PAGE) + 0x5000), 0x1122_3344);
    assert.equal(m.mem.get64(m.core.slowLoad(0x1ffcn, 8, 0)), 0x1122_3344_5566_7788n);
  });

  it('explains which entry refused', () => {
    m.map(GVA, PAGE | P | W | U | A | D, 1, P | U);
    const walk = m.mmu.walk(GVA, 'write', true);
    assert.deepEqual(
      walk.steps.map((step) => [step.level, step.outcome]),
      [
        [4, 'refused'],
        [3, 'table'],
        [2, 'table'],
        [1, 'leaf'],
      ],
    );
    assert.deepEqual(walk.result, { kind: 'page-fault', errorCode: 7, reason: 'PML4E gives R U X; a write needs W' });
    assert.equal(walk.hpa, 0x30_0678);
    assert.equal(walkResult(walk), 'page fault, error code 0x7: PML4E gives R U X; a write needs W');
  });

  it('walks for the debugger without touching A, D, the TLB or a waiting fault', () => {
    const leaf = m.map(GVA, PAGE | P | W);
    m.mem.set32(L.FAULT_KIND, 77);
    assert.equal(m.mmu.walk(GVA, 'write').result.kind, 'ok');
    assert.equal(m.mmu.walk(GVA, 'read', true).result.kind, 'page-fault');
    assert.equal(m.physical.read64(leaf), PAGE | P | W);
    assert.equal(m.mmu.entries().length, 0);
    assert.equal(m.mem.get32(L.FAULT_KIND), 77);
    assert.equal(m.mmu.peek(GVA), 0x30_0678);
    assert.equal(m.mmu.peek(GVA + 0x1000n), -1);
  });
});
