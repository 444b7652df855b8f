/** Which operations drop which cached translations (SDM 3A 5.10.4, 3C 29.4.3): a stale entry shows that one was kept. */
import assert from 'node:assert/strict';
import * as C from '../cpu/codes.ts';
import * as L from '../cpu/layout.ts';
import { type TestMachine, createTestMachine } from './test-support.ts';

const PLAIN = 0x1000n;
const GLOBAL = 0x2000n;
const LARGE = 0x4000_0000n;
const OLD = 0x40_0000n;
const NEW = 0x60_0000n;
const RIGHTS = 0x67n;
const G = 0x100n;
const PS = 0x80n;

let m: TestMachine;
const read = (gva: bigint): number => (m.core.slowLoad(gva, 1, 0) >>> 0) - L.RAM_BASE;
const context = (change: { pcid?: number; vpid?: number; cpu?: number; cpl?: number }): void => {
  if (change.pcid !== undefined) m.mem.set64(L.CR3, (m.cpu.cr3 & ~0xfffn) | BigInt(change.pcid));
  if (change.vpid !== undefined) m.mem.set32(L.VPID, change.vpid);
  if (change.cpu !== undefined) m.mmu.banks.cpu = change.cpu;
  if (change.cpl !== undefined) m.mem.set32(L.CPL, change.cpl);
  m.mmu.banks.contextChanged();
};
function map(target: bigint): void {
  m.map(PLAIN, target | RIGHTS);
  m.map(GLOBAL, (target + 0x1000n) | RIGHTS | G);
  m.map(LARGE, target | RIGHTS | PS, 2);
}
/** What of the present context is still cached after all tables were changed. */
function stale(): string {
  const kept = (gva: bigint): boolean => read(gva) < Number(NEW);
  return [kept(PLAIN) && 'plain', kept(GLOBAL) && 'global', kept(LARGE + 0x5000n) && 'large'].filter(Boolean).join(' ');
}
/** Fills the TLB in these contexts, then changes the tables behind it. */
function fill(...contexts: Parameters<typeof context>[0][]): void {
  map(OLD);
  for (const one of contexts) {
    context(one);
    for (const gva of [PLAIN, GLOBAL, LARGE + 0x5000n]) read(gva);
  }
  map(NEW);
}

describe('TLB', () => {
  beforeEach(() => {
    m = createTestMachine();
    m.mem.set64(L.CR4, 0x2_00a0n);
    context({ pcid: 1, vpid: 0 });
  });

  it('keeps entries until they are invalidated', () => {
    fill({});
    assert.equal(stale(), 'plain global large');
  });

  it('INVLPG drops one page, all of a large page, and global entries of every PCID', () => {
    fill({ pcid: 1 }, { pcid: 2 });
    m.mmu.invalidatePage(LARGE + 0x1f_f000n);
    assert.equal(stale(), 'plain global');
    m.mmu.invalidatePage(GLOBAL);
    assert.equal(stale(), 'plain');
    m.mmu.invalidatePage(PLAIN);
    assert.equal(stale(), '');
    context({ pcid: 1 });
    assert.equal(stale(), 'plain large');
  });

  it('INVLPG drops what code of a large page is fetched by, although data has displaced it elsewhere', () => {
    const code = LARGE + 0x5000n;
    const fetch = (): number => (m.core.translate(code, C.ACCESS_EXEC) >>> 0) - L.RAM_BASE;
    map(OLD);
    fetch();
    m.map(0x5000n, OLD | RIGHTS);
    read(0x5000n);
    map(NEW);
    assert.equal(fetch(), Number(OLD) + 0x5000, 'data displaces no code');
    m.mmu.invalidatePage(LARGE + 0x1f_f000n);
    assert.equal(fetch(), Number(NEW) + 0x5000);
  });

  it('MOV CR3 keeps global pages and other PCIDs', () => {
    fill({ pcid: 1 }, { pcid: 2 });
    m.mmu.flush(true);
    assert.equal(stale(), 'global');
    context({ pcid: 1 });
    assert.equal(stale(), 'plain global large');
  });

  const invpcid: [number, string, string][] = [
    [0, 'global large', 'plain global large'],
    [1, 'global', 'plain global large'],
    [2, '', ''],
    [3, 'global', 'global'],
  ];
  for (const [type, own, other] of invpcid) {
    it(`INVPCID type ${type}`, () => {
      fill({ pcid: 1 }, { pcid: 2 });
      m.mmu.invalidatePcid(type, 2, PLAIN);
      assert.equal(stale(), own);
      context({ pcid: 1 });
      assert.equal(stale(), other);
    });
  }

  const invvpid: [number, string, string, string][] = [
    [0, 'global large', 'plain global large', 'plain global large'],
    [1, '', 'plain global large', 'plain global large'],
    [2, '', '', 'plain global large'],
    [3, 'global', 'plain global large', 'plain global large'],
  ];
  for (const [type, own, other, root] of invvpid) {
    it(`INVVPID type ${type}`, () => {
      fill({ vpid: 0 }, { vpid: 2 }, { vpid: 1 });
      m.mmu.invalidateVpid(type, 1, PLAIN);
      assert.equal(stale(), own);
      context({ vpid: 2 });
      assert.equal(stale(), other);
      context({ vpid: 0 });
      assert.equal(stale(), root);
    });
  }

  it('INVLPG and MOV CR3 concern the VPID in force only', () => {
    fill({ vpid: 1 }, { vpid: 2 });
    m.mmu.invalidatePage(PLAIN);
    m.mmu.flush(false);
    assert.equal(stale(), '');
    context({ vpid: 1 });
    assert.equal(stale(), 'plain global large');
  });

  it('is one of each logical CPU', () => {
    fill({ cpu: 1 }, { cpu: 0 });
    m.mmu.invalidatePcid(2, 0, 0n);
    assert.equal(stale(), '');
    context({ cpu: 1 });
    assert.equal(stale(), 'plain global large');
  });

  it('INVEPT drops what was translated through that EPT', () => {
    const build = (): bigint => {
      const root = m.frame();
      const table = m.frame();
      m.physical.write64(root, BigInt(table) | 7n);
      m.physical.write64(table, 0xb7n);
      return BigInt(root) | 0x1en;
    };
    const tables = [build(), build()];
    const use = (eptp: bigint): void => {
      m.mem.set64(L.EPTP, eptp);
      m.mmu.banks.contextChanged();
    };
    map(OLD);
    for (const eptp of tables) {
      use(eptp);
      for (const gva of [PLAIN, GLOBAL, LARGE + 0x5000n]) read(gva);
    }
    map(NEW);
    m.mmu.invalidateEpt(1, tables[0]!);
    assert.equal(stale(), 'plain global large');
    use(tables[0]!);
    assert.equal(stale(), '');
    m.mmu.invalidateEpt(2, 0n);
    use(tables[1]!);
    assert.equal(stale(), '');
  });

  it('forgets a page that a page fault was taken for, in every ring', () => {
    m.map(PLAIN, OLD | 0x65n);
    context({ cpl: 3 });
    read(PLAIN);
    context({ cpl: 0 });
    read(PLAIN);
    m.map(PLAIN, NEW | 0x65n);
    assert.equal(m.core.slowStore(PLAIN, 1, 0, 0n), 1);
    context({ cpl: 3 });
    assert.equal(read(PLAIN), Number(NEW));
  });

  it('gives rights by ring: what ring 0 may touch, ring 3 may not', () => {
    m.map(PLAIN, OLD | 0x63n);
    read(PLAIN);
    context({ cpl: 3 });
    assert.equal(m.core.slowLoad(PLAIN, 1, 0), -1);
  });

  describe('write tags', () => {
    const tag = (): boolean => m.mmu.entries().some((entry) => entry.gva === PLAIN && entry.writeTag);
    const pfn = Number(OLD >> 12n);
    beforeEach(() => m.map(PLAIN, OLD | 0x27n));

    it('wait for the dirty flag and for the frame to be marked dirty', () => {
      read(PLAIN);
      assert.equal(tag(), false);
      m.core.slowStore(PLAIN, 1, 0, 1n);
      assert.equal(tag(), true);
      assert.equal(m.mem.bytes[L.FRAME_FLAGS + pfn]! & L.FRAME_DIRTY, L.FRAME_DIRTY);
    });

    it('are dropped for a frame, or for all', () => {
      m.core.slowStore(PLAIN, 1, 0, 1n);
      m.mmu.protectFrame(pfn + 1);
      assert.equal(tag(), true);
      m.mmu.protectFrame(pfn);
      assert.equal(tag(), false);
      m.core.slowStore(PLAIN, 1, 0, 1n);
      m.mmu.protectAllFrames();
      assert.equal(tag(), false);
    });

    it('come back without a walk: a page made read-only in the tables alone stays writable, as a stale entry does', () => {
      m.core.slowStore(PLAIN, 1, 0, 1n);
      m.mmu.protectAllFrames();
      m.map(PLAIN, OLD | 0x25n);
      assert.equal(m.core.slowStore(PLAIN, 1, 0, 2n), 0);
      assert.equal(tag(), true);
      m.mmu.invalidatePage(PLAIN);
      assert.equal(m.core.slowStore(PLAIN, 1, 0, 3n), 1, 'after INVLPG the tables count');
    });

    it('are not handed out for code, and stores into it bail out unless careful', () => {
      m.mem.set64(L.CODE_BITMAP + pfn * 8, 2n);
      assert.equal(m.core.slowStore(PLAIN, 8, 0, 1n), 0, 'another granule');
      assert.equal(tag(), false);
      assert.equal(m.core.slowStore(PLAIN + 0x3cn, 8, 0, 1n), 1, 'reaches into the granule');
      assert.equal(m.mem.get32(L.FAULT_KIND), C.FAULT_BAIL);
      m.core.setCareful(1);
      assert.equal(m.core.slowStore(PLAIN + 0x3cn, 8, 0, 1n), 0);
      assert.deepEqual(m.observed, [{ hpa: Number(OLD) + 0x3c, bytes: 8 }]);
    });

    it('are not handed out for watched frames', () => {
      m.mem.bytes[L.FRAME_FLAGS + pfn] = L.FRAME_WATCHED;
      assert.equal(m.core.slowStore(PLAIN, 8, 0, 1n), 1);
      assert.equal(m.mem.get32(L.FAULT_KIND), C.FAULT_BAIL);
    });
  });

  it('comes back from a snapshot with its stale entries', () => {
    fill({ pcid: 1 });
    const saved = m.mmu.save();
    m.mmu.flushAll();
    assert.equal(stale(), '');
    m.mmu.restore(saved);
    context({});
    assert.equal(stale(), 'plain global large');
  });

  it('gives the least recently used bank away', () => {
    fill({ pcid: 1 });
    for (let pcid = 2; pcid <= L.TLB_BANKS; pcid++) context({ pcid });
    context({ pcid: 1 });
    assert.equal(stale(), 'plain global large');
    for (let pcid = 2; pcid <= L.TLB_BANKS + 1; pcid++) context({ pcid });
    context({ pcid: 1 });
    assert.equal(stale(), '');
  });
});
