/** Entries of the TLB beside the tables: what is listed as stale and why, and what is told when one serves an access. */
import assert from 'node:assert/strict';
import * as C from '../cpu/codes.ts';
import * as L from '../cpu/layout.ts';
import type { MachineEvent } from '../machine/events.ts';
import { type TestMachine, createTestMachine } from './test-support.ts';

const PAGE = 0x1000n;
const OTHER = 0x2000n;
const LARGE = 0x4000_0000n;
const OLD = 0x40_0000n;
const NEW = 0x60_0000n;
const RIGHTS = 0x67n;
const G = 0x100n;
const PS = 0x80n;
const PCIDE = 0x2_0000n;

let m: TestMachine;
const load = (gva: bigint): number => m.core.slowLoad(gva, 1, 0);
const hpaOf = (host: number): number => (host >>> 0) - L.RAM_BASE;
/** As the driver redoes an instruction that bailed out. */
function loadCarefully(gva: bigint): number {
  m.core.setCareful(1);
  const host = load(gva);
  m.core.setCareful(0);
  return host;
}
const kind = (): number => m.mem.get32(L.FAULT_KIND);
const inForce = (): void => m.mmu.banks.contextChanged();
const details = (gva: bigint) => {
  const entry = m.mmu.entries().find((one) => one.gva === gva);
  assert.ok(entry, `no entry of ${gva.toString(16)}`);
  return m.mmu.entryDetails(entry.bank, entry.index)!;
};

describe('TLB listing', () => {
  beforeEach(() => {
    m = createTestMachine();
    inForce();
  });

  it('shows page, size, rights and tags of what is cached', () => {
    m.map(PAGE, OLD | RIGHTS | G);
    m.map(LARGE, NEW | RIGHTS | PS | (1n << 63n), 2);
    load(PAGE);
    m.core.slowStore(LARGE + 0x5000n, 8, 0, 1n);
    const [small, large] = m.mmu.entries();
    assert.equal(small!.gva, PAGE);
    assert.equal(small!.hpa, Number(OLD));
    assert.equal(small!.gpaLow, Number(OLD));
    assert.equal(small!.pageSize, 4096);
    assert.deepEqual([small!.readable, small!.writable, small!.executable, small!.global], [true, true, true, true]);
    assert.equal(large!.gva, LARGE + 0x5000n);
    assert.equal(large!.pageSize, 2 ** 21);
    assert.deepEqual([large!.readable, large!.writable, large!.executable, large!.global], [true, true, false, false]);
    assert.deepEqual(small!.differences, []);
    assert.match(details(PAGE).summary, /as the tables say/);
  });

  it('marks entries that no longer agree, with what the tables say and what is missing', () => {
    m.map(PAGE, OLD | RIGHTS);
    load(PAGE);
    m.map(PAGE, NEW | RIGHTS);
    assert.deepEqual(details(PAGE).entry.differences, ['page']);
    assert.equal(details(PAGE).stale, true);
    assert.equal(details(PAGE).walk.hpa, Number(NEW));
    assert.deepEqual(details(PAGE).missing, ['INVLPG 0x1000', 'MOV to CR3 with bit 63 clear']);
    m.map(PAGE, OLD | 0x61n);
    assert.deepEqual(details(PAGE).entry.differences, ['write']);
    assert.match(details(PAGE).summary, /of a write: page fault, error code 0x3: PTE gives R S X; a write needs W/);
    m.map(PAGE, 0n);
    assert.deepEqual(details(PAGE).entry.differences, ['read', 'write', 'execute']);
    m.map(PAGE, OLD | RIGHTS | (1n << 63n));
    assert.deepEqual(details(PAGE).entry.differences, ['execute']);
    m.map(PAGE, OLD | 0x7n);
    assert.deepEqual(details(PAGE).entry.differences, ['flags']);
    assert.equal(details(PAGE).stale, false);
    m.map(PAGE, OLD | RIGHTS);
    assert.deepEqual(details(PAGE).entry.differences, []);
  });

  it('names other invalidations for global pages, PCIDs, VPIDs, CPUs and the EPT', () => {
    m.mem.set64(L.CR4, 0xa0n | PCIDE);
    m.mem.set64(L.CR3, m.cpu.cr3 | 5n);
    inForce();
    m.map(PAGE, OLD | RIGHTS);
    m.map(OTHER, OLD | RIGHTS | G);
    load(PAGE);
    load(OTHER);
    m.mem.set64(L.CR3, (m.cpu.cr3 & ~0xfffn) | 6n);
    inForce();
    m.map(PAGE, NEW | RIGHTS);
    m.map(OTHER, NEW | RIGHTS | G);
    assert.equal(details(PAGE).missing[0], 'INVPCID type 0 with PCID 5, address 0x1000');
    assert.equal(details(OTHER).missing[0], 'INVLPG 0x2000');
    m.mem.set32(L.VPID, 3);
    inForce();
    assert.match(details(PAGE).missing.join('; '), /INVLPG 0x1000 in VMX root operation/);
    m.mem.set32(L.VPID, 0);
    m.mmu.banks.cpu = 1;
    inForce();
    const [entry] = m.mmu.entries('every');
    assert.match(m.mmu.entryDetails(entry!.bank, entry!.index)!.missing[0]!, /on CPU 0/);
  });

  it('tells a change of the EPT from one of the guest tables', () => {
    m.mem.set64(L.EPTP, BigInt(m.frame()) | 0x1en);
    m.mem.set32(L.NON_ROOT, 1);
    inForce();
    for (let gpa = 0x10_0000; gpa < 0x14_0000; gpa += 4096) m.mapEpt(gpa, BigInt(gpa) | 0x37n);
    m.mapEpt(Number(OLD), OLD | 0x37n);
    m.mapEpt(Number(NEW), NEW | 0x37n);
    m.map(PAGE, OLD | RIGHTS);
    assert.equal(hpaOf(load(PAGE)), Number(OLD));
    m.mapEpt(Number(OLD), NEW | 0x37n);
    assert.equal(details(PAGE).changed, 'ept');
    assert.match(details(PAGE).missing[0]!, /^INVEPT type 1 with EPTP/);
    m.mapEpt(Number(OLD), 0n);
    assert.equal(details(PAGE).changed, 'ept');
    m.mapEpt(Number(OLD), OLD | 0x37n);
    m.map(PAGE, NEW | RIGHTS);
    assert.equal(details(PAGE).changed, 'guest');
  });

  it('compares the entries of contexts that are not in force with their own tables', () => {
    m.map(PAGE, OLD | 0x65n);
    m.mem.set32(L.CPL, 3);
    inForce();
    load(PAGE);
    m.mem.set32(L.CPL, 0);
    m.mem.set64(L.CR3, BigInt(m.frame()));
    inForce();
    assert.deepEqual(details(PAGE).entry.differences, []);
    assert.equal(details(PAGE).bank.user, true);
    assert.equal(details(PAGE).bank.current, false);
    assert.equal(m.mem.get32(L.CPL), 0);
  });
});

describe('uses of stale entries', () => {
  let events: MachineEvent[];
  let hold: boolean;
  const told = (index: number): MachineEvent => events[index]!;
  let unsubscribe: () => void;
  const subscribe = (): void => {
    unsubscribe = m.events.subscribe(['stale-tlb'], (event) => {
      events.push(event);
      if (hold) return 'hold';
    });
  };
  beforeEach(() => {
    m = createTestMachine();
    inForce();
    events = [];
    hold = false;
    m.map(PAGE, OLD | RIGHTS);
    m.map(OTHER, (OLD + 0x1000n) | RIGHTS);
    load(PAGE);
    load(OTHER);
  });

  it('are told before the access, which the entry then serves', () => {
    subscribe();
    assert.equal(hpaOf(load(PAGE)), Number(OLD));
    const slot = m.map(PAGE, NEW | RIGHTS);
    assert.equal(load(PAGE), -1);
    assert.equal(kind(), C.FAULT_BAIL);
    assert.equal(events.length, 0);
    assert.equal(hpaOf(loadCarefully(PAGE)), Number(OLD));
    assert.equal(events.length, 1);
    assert.match(
      told(0).summary,
      /^read of gva:0x1000 by a stale TLB entry: hpa:0x400000 R W X, the tables now say hpa:0x600000; missing: INVLPG 0x1000$/,
    );
    assert.equal(told(0).facts['difference'], 'page');
    const { change } = m.mmu.lastStaleUse!;
    assert.equal(change!.hpa, slot);
    assert.equal(change!.old, OLD | RIGHTS);
    assert.equal(change!.new, NEW | RIGHTS);
    assert.equal(change!.byInstruction, false);
    // Once for each change of the tables.
    assert.equal(hpaOf(load(PAGE)), Number(OLD));
    assert.equal(events.length, 1);
    m.map(OTHER, NEW | RIGHTS);
    assert.equal(hpaOf(loadCarefully(PAGE)), Number(OLD));
    assert.equal(events.length, 2);
  });

  it('can be held: then nothing has happened', () => {
    subscribe();
    m.map(PAGE, NEW | RIGHTS);
    hold = true;
    assert.equal(loadCarefully(PAGE), -1);
    assert.equal(kind(), C.FAULT_HELD);
    // Executed again at the same place, it passes in silence.
    assert.equal(hpaOf(loadCarefully(PAGE)), Number(OLD));
    assert.equal(events.length, 1);
  });

  it('are not told of entries that agree again, were invalidated, or only lack flags', () => {
    subscribe();
    m.map(PAGE, NEW | RIGHTS);
    m.map(PAGE, OLD | RIGHTS);
    assert.equal(hpaOf(load(PAGE)), Number(OLD));
    m.map(PAGE, OLD | 7n);
    assert.equal(hpaOf(load(PAGE)), Number(OLD));
    m.map(OTHER, NEW | RIGHTS);
    m.mmu.invalidatePage(OTHER);
    assert.equal(hpaOf(load(OTHER)), Number(NEW));
    assert.equal(events.length, 0);
  });

  it('tell of rights that were taken away, by the kind of access', () => {
    m.core.slowStore(PAGE, 8, 0, 1n);
    subscribe();
    m.map(PAGE, OLD | 0x61n);
    assert.equal(hpaOf(load(PAGE)), Number(OLD));
    assert.equal(events.length, 0);
    assert.equal(m.core.slowStore(PAGE, 8, 0, 0x55n), 1);
    assert.equal(kind(), C.FAULT_BAIL);
    m.core.setCareful(1);
    assert.equal(m.core.slowStore(PAGE, 8, 0, 0x55n), 0);
    m.core.setCareful(0);
    assert.equal(m.physical.read64(Number(OLD)), 0x55n);
    assert.equal(told(0).facts['access'], 'write');
    assert.equal(told(0).facts['difference'], 'write');
    assert.match(told(0).summary, /a write needs W/);
  });

  it('see what a guest instruction writes to a table', () => {
    subscribe();
    load(PAGE);
    const slot = m.map(PAGE, OLD | RIGHTS);
    m.map(0x5000n, BigInt(slot & ~0xfff) | RIGHTS);
    const at = 0x5000n + BigInt(slot & 0xfff);
    assert.equal(m.core.slowStore(at, 8, 0, NEW | RIGHTS), 1);
    m.core.setCareful(1);
    assert.equal(m.core.slowStore(at, 8, 0, NEW | RIGHTS), 0);
    m.core.setCareful(0);
    assert.equal(hpaOf(loadCarefully(PAGE)), Number(OLD));
    assert.equal(m.mmu.lastStaleUse!.change!.byInstruction, true);
  });

  it('are told when TypeScript accesses memory for the guest, and by fetches', () => {
    subscribe();
    m.map(PAGE, NEW | RIGHTS);
    assert.equal(hpaOf(m.core.translate(PAGE, C.ACCESS_EXEC)), Number(OLD));
    assert.equal(told(0).facts['access'], 'execute');
  });

  it('a MOV to CR3 that keeps a PCID leaves entries of other tables', () => {
    m.mem.set64(L.CR4, 0xa0n | PCIDE);
    m.mem.set64(L.CR3, m.cpu.cr3 | 5n);
    inForce();
    load(PAGE);
    subscribe();
    load(PAGE);
    m.mem.set64(L.CR3, BigInt(m.frame()) | 5n);
    inForce();
    assert.equal(hpaOf(loadCarefully(PAGE)), Number(OLD));
    assert.match(told(0).summary, /PML4E is not present/);
  });

  it('leave the TLB as it was, in snapshots and when nobody listens any more', () => {
    const before = m.mem.bytes.slice(L.TLB, L.TLB + L.TLB_BANK_BYTES);
    subscribe();
    m.map(PAGE, NEW | RIGHTS);
    const saved = m.mmu.save();
    loadCarefully(PAGE);
    unsubscribe();
    assert.deepEqual(m.mem.bytes.slice(L.TLB, L.TLB + L.TLB_BANK_BYTES), before);
    assert.equal(m.physical.read64(Number(OLD)), 0n);
    assert.equal(hpaOf(load(PAGE)), Number(OLD));
    assert.equal(events.length, 1);
    for (let pfn = 0; pfn < 4096; pfn++) assert.equal(m.mem.bytes[L.FRAME_FLAGS + pfn]! & L.FRAME_WATCHED, 0);
    m.mmu.restore(saved);
    inForce();
    assert.equal(hpaOf(load(PAGE)), Number(OLD));
  });
});
