/** A sample of the paging cases through real instructions of a guest: error code, CR2, RIP and flags as a handler sees them. */
import assert from 'node:assert/strict';
import * as L from '../../emulator/cpu/layout.ts';
import { Segment } from '../../emulator/cpu/state.ts';
import { updateDerived } from '../../emulator/cpu/system/reset.ts';
import { CODE, createTestMachine } from '../../emulator/cpu/system/system-test-support.ts';
import type { TestMachine } from '../../emulator/cpu/system/system-test-support.ts';
import { ACCESSED, DIRTY, LARGE, NX, P, U, W } from './paging-cases.ts';
import { type Access, type Registers, oracle } from './paging-oracle.ts';

const SAMPLES = Number(process.env.DUNE_PAGING_GUEST_CASES ?? 3000);
const LINEAR = 0x0000_7123_8a7b_6c58n;
const PML4 = 0xf00000;
/** Identity-mapped 2 MB pages: the first is the supervisor's, the second has the same code for ring 3. */
const USER_BASE = 0x20_0000;
const TABLES = [PML4, 0xe00000, 0xe01000, 0xe02000] as const;
const REPORT = 0x5000;
const HLT = 0xf4;

const SOURCE = `
  read: mov rcx, [rbx]
  read_done: hlt
  write: mov [rbx], rcx
  write_done: hlt
  fetch: jmp rbx
`;

function seeded(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

describe('paging, as a guest sees it', () => {
  let machine: TestMachine;
  const slot = (index: number): number => TABLES[index]! + Number((LINEAR >> BigInt(39 - 9 * index)) & 511n) * 8;

  before(() => {
    machine = createTestMachine(SOURCE);
    const { physical } = machine.context;
    physical.write(USER_BASE + CODE, physical.slice(CODE, 0x1000).slice());
    const identity = PML4 + 0x2000;
    physical.write64(identity, 0x83n | ACCESSED | DIRTY);
    physical.write64(identity + 8, BigInt(USER_BASE) | 0x87n | ACCESSED | DIRTY);
    for (let vector = 0; vector < 32; vector++) machine.gate(vector, { ist: 1 });
  });

  function run(r: Registers, { kind }: Access, entries: readonly bigint[]): void {
    const { context, symbols } = machine;
    const { mem, cpu, physical, mmu } = context;
    entries.forEach((entry, index) => physical.write64(slot(index), entry));
    const user = r.cpl === 3;
    mem.set64(L.CR0, 0x8005_0033n & ~(r.wp ? 0n : 1n << 16n));
    const cr4 = (r.smep ? 1n << 20n : 0n) | (r.smap ? 1n << 21n : 0n) | (r.pke ? 1n << 22n : 0n);
    mem.set64(L.CR4, 0x06a0n | cr4);
    mem.set64(L.MSR_EFER, r.nxe ? 0xd01n : 0x501n);
    mem.set32(L.PKRU, r.pkru);
    mem.set32(L.SYSTEM_FLAGS, r.ac ? 1 << 18 : 0);
    mem.set32(L.ACTIVITY, 0);
    const flat = { base: 0n, limit: 0xffff_ffff };
    cpu.setSegment(Segment.CS, { ...flat, selector: user ? 0x33 : 0x10, rights: user ? 0xa0fb : 0xa09b });
    cpu.setSegment(Segment.SS, { ...flat, selector: user ? 0x2b : 0x18, rights: user ? 0xc0f3 : 0xc093 });
    cpu.rip = BigInt(symbols.get(kind)! + (user ? USER_BASE : 0));
    cpu.rsp = BigInt(0x60000 + (user ? USER_BASE : 0));
    cpu.setGpr(3, LINEAR);
    cpu.cr2 = 0x1234n;
    physical.write64(REPORT, 0n);
    updateDerived(context);
    mmu.flushAll();
    machine.run();
  }

  function check(r: Registers, access: Access, entries: readonly bigint[], at: bigint): void {
    const { context, symbols } = machine;
    const expected = oracle(r, access, LINEAR, entries);
    context.physical.write(Number(at), Uint8Array.of(HLT));
    run(r, access, entries);
    const what = JSON.stringify({ r, access, entries: entries.map((entry) => entry.toString(16)) });
    const report = machine.report();
    const base = r.cpl === 3 ? USER_BASE : 0;
    if (expected.fault !== undefined) {
      assert.deepEqual([report?.vector, report?.errorCode], [14, expected.fault], what);
      assert.equal(context.cpu.cr2, LINEAR, what);
      const rip = access.kind === 'fetch' ? Number(LINEAR) : symbols.get(access.kind)! + base;
      assert.equal(report!.rip, rip, what);
    } else {
      // HLT ends it: #GP in ring 3.
      assert.equal(report?.vector, r.cpl === 3 ? 13 : undefined, what);
      const done = access.kind === 'fetch' ? LINEAR : BigInt(symbols.get(`${access.kind}_done`)! + base);
      if (report) assert.equal(BigInt(report.rip), done, what);
      else assert.equal(context.cpu.rip, done + 1n, what);
      assert.equal(context.cpu.cr2, 0x1234n, what);
    }
    const found = entries.map((_entry, index) => context.physical.read64(slot(index)));
    assert.deepEqual(found, expected.entries, what);
  }

  it(`${SAMPLES} cases at random`, function () {
    this.timeout(60_000 + SAMPLES * 20);
    const seed = Number(process.env.DUNE_PAGING_SEED ?? Date.now() % 1_000_000);
    const below = seeded(seed);
    const coin = (): boolean => below(2) === 1;
    let refused = 0;
    try {
      for (let n = 0; n < SAMPLES; n++) {
        const registers: Registers = {
          ...{ mode: '4-level', physBits: 36, cpl: coin() ? 3 : 0, pse: true, wp: coin(), smep: coin(), smap: coin() },
          ...{ pke: coin(), nxe: below(4) > 0, ac: coin(), pkru: (below(0x10000) | (below(0x10000) << 16)) >>> 0 },
        };
        // 4 KB and 2 MB: what the walk leads to must be memory.
        const leaf = below(2) === 0 ? 3 : 2;
        const offset = leaf === 3 ? 0xfffn : 0x1f_ffffn;
        const page = leaf === 3 ? 0x60_0000n : 0x40_0000n;
        const entries = Array.from({ length: leaf + 1 }, (_, index) => {
          const target = index === leaf ? page + (leaf === 2 ? LARGE : 0n) : BigInt(TABLES[index + 1]!);
          let entry = target | P | W | U;
          for (const bit of [W, U, NX]) if (below(5) === 0) entry ^= bit;
          if (coin()) entry |= ACCESSED;
          if (below(30) === 0) entry ^= P;
          if (index === leaf) entry |= (coin() ? DIRTY : 0n) | (BigInt(below(16)) << 59n);
          return entry;
        });
        const access: Access = { kind: (['read', 'write', 'fetch'] as const)[below(3)]!, implicit: false };
        if (oracle(registers, access, LINEAR, entries).fault !== undefined) refused++;
        check(registers, access, entries, page + (LINEAR & offset));
      }
    } catch (error) {
      console.error(`DUNE_PAGING_SEED=${seed}`);
      throw error;
    }
    assert.ok(refused > SAMPLES / 10 && refused < SAMPLES * 0.95, `${refused} of ${SAMPLES} refused`);
  });
});
