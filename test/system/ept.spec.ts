/** Guest paging over an EPT: rights of both, for every reference of the walk (SDM 3C 29.3.3, table 28-7). */
import assert from 'node:assert/strict';
import * as C from '../../emulator/cpu/codes.ts';
import * as L from '../../emulator/cpu/layout.ts';
import { type TestMachine, createTestMachine } from '../../emulator/mmu/test-support.ts';
import { ACCESSED, ACCESSES, DIRTY, NX, P, U, W } from './paging-cases.ts';
import { type Access, type Registers, oracle } from './paging-oracle.ts';

const LINEAR = 0x0000_7123_8a7b_6c58n;
const READ = 1;
const WRITE = 2;
const EXECUTE = 4;
const WRITE_BACK = 0x30;
const EPT_ACCESSED = 0x100;
const EPT_DIRTY = 0x200;
const BOTH = [false, true] as const;
const KIND = { read: C.ACCESS_READ, write: C.ACCESS_WRITE, fetch: C.ACCESS_EXEC } as const;
const LEVELS = 4;

interface Outcome {
  readonly kind: 'done' | 'page-fault' | 'violation' | 'misconfiguration';
  /** Error code or exit qualification. */
  readonly detail: number;
  /** Guest level whose entry could not be had, 0 for the page. */
  readonly level: number;
  readonly entries: readonly bigint[];
  /** EPT entries of the guest's tables, top level first, then of its page: their flags. */
  readonly flags: readonly number[];
}

/** What SDM 3C 29.3.3 says, reference by reference. `rights`: EPT rights of the pages of the guest's tables, top level first, then of its page. */
function expected(
  r: Registers,
  access: Access,
  entries: readonly bigint[],
  rights: readonly number[],
  ad: boolean,
): Outcome {
  const after = [...entries];
  const flags = rights.map(() => 0);
  const guest = oracle(r, access, LINEAR, entries);
  const every = entries.reduce((rights, entry) => rights & entry, W | U);
  // Bits 11:9 of the qualification: what the guest's tables make of the page.
  const page = (every & U ? 0x200 : 0) | (every & W ? 0x400 : 0) | (entries.some((entry) => entry & NX) ? 0x800 : 0);
  const outcome = (kind: Outcome['kind'], detail = 0, level = 0): Outcome => ({
    kind,
    detail,
    level,
    entries: after,
    flags,
  });
  const reference = (place: number, wanted: number): Outcome | undefined => {
    const given = rights[place]!;
    const level = LEVELS - place;
    if ((given & 3) === WRITE) return outcome('misconfiguration', 0, level);
    if (wanted & ~given)
      return outcome('violation', wanted | (given << 3) | 0x80 | (level === 0 ? 0x100 | page : 0), level);
    if (ad) flags[place] = flags[place]! | EPT_ACCESSED | (wanted & WRITE ? EPT_DIRTY : 0);
    return undefined;
  };
  for (let place = 0; place < LEVELS; place++) {
    // With accessed and dirty flags on, references to guest tables count as writes (29.3.5).
    const refused = reference(place, ad ? READ | WRITE : READ);
    if (refused) return refused;
    if (place === LEVELS - 1 && guest.fault !== undefined) return outcome('page-fault', guest.fault);
    if (entries[place] !== guest.entries[place] && !(rights[place]! & WRITE))
      return outcome('violation', READ | WRITE | (rights[place]! << 3) | 0x80, LEVELS - place);
    after[place] = guest.entries[place]!;
  }
  const wanted = access.kind === 'read' ? READ : access.kind === 'write' ? WRITE : EXECUTE;
  return reference(LEVELS, wanted) ?? outcome('done');
}

describe('paging over an EPT, case by case', () => {
  let m: TestMachine;
  let tables: number[];
  let slots: number[];
  let eptSlots: number[];
  let page: number;
  let cases = 0;

  before(() => {
    m = createTestMachine();
    tables = Array.from({ length: LEVELS }, () => m.frame());
    page = m.frame();
    slots = tables.map((table, index) => table + Number((LINEAR >> BigInt(39 - 9 * index)) & 511n) * 8);
    m.mem.set64(L.CR3, BigInt(tables[0]!));
    m.mem.set64(L.EPTP, BigInt(m.frame()) | 0x1en);
    eptSlots = [...tables, page].map((frame) => m.mapEpt(frame, BigInt(frame) | 0x37n));
  });

  function check(
    r: Registers,
    access: Access,
    entries: readonly bigint[],
    rights: readonly number[],
    ad: boolean,
  ): void {
    const { mem, core, physical } = m;
    mem.set32(L.CR0, 0x8000_0033 + (r.wp ? 1 << 16 : 0));
    mem.set32(L.EPTP, ad ? mem.get32(L.EPTP) | 0x40 : mem.get32(L.EPTP) & ~0x40);
    mem.set32(L.CPL, r.cpl);
    m.mmu.flushAll();
    mem.set32(L.TLB_UNCACHED, 1);
    entries.forEach((entry, index) => physical.write64(slots[index]!, entry));
    [...tables, page].forEach((frame, place) =>
      physical.write64(eptSlots[place]!, BigInt(frame | WRITE_BACK | rights[place]!)),
    );
    const wanted = expected(r, access, entries, rights, ad);
    mem.set32(L.FAULT_KIND, 0);
    const host = core.translate(LINEAR, KIND[access.kind] | (access.implicit ? C.ACCESS_IMPLICIT : 0));
    cases++;
    const kind = host === -1 ? mem.get32(L.FAULT_KIND) : C.FAULT_NONE;
    const names: Readonly<Record<number, Outcome['kind']>> = {
      [C.FAULT_NONE]: 'done',
      [C.FAULT_EXCEPTION]: 'page-fault',
      [C.FAULT_EPT_VIOLATION]: 'violation',
      [C.FAULT_EPT_MISCONFIG]: 'misconfiguration',
    };
    const places = [page, ...[...tables].reverse()];
    const found = {
      kind: names[kind],
      detail:
        kind === C.FAULT_EXCEPTION
          ? mem.get32(L.FAULT_ERROR)
          : kind === C.FAULT_EPT_VIOLATION
            ? Number(mem.get64(L.FAULT_QUALIFICATION))
            : 0,
      level:
        kind === C.FAULT_EPT_VIOLATION || kind === C.FAULT_EPT_MISCONFIG
          ? places.indexOf(Number(mem.get64(L.FAULT_GPA)) & ~0xfff)
          : 0,
      entries: slots.map((slot) => physical.read64(slot)),
      flags: eptSlots.map((slot) => physical.read32(slot) & (EPT_ACCESSED | EPT_DIRTY)),
    };
    if (kind === C.FAULT_NONE) assert.equal((host >>> 0) - L.RAM_BASE, page + Number(LINEAR & 0xfffn));
    assert.deepEqual(found, wanted, JSON.stringify({ r, access, rights, ad, entries: entries.map(String) }));
  }

  it('rights of the EPT at every reference, by rights of the guest, flags and access', function () {
    this.timeout(120_000);
    const plain: Registers = {
      ...{ mode: '4-level', physBits: 39, cpl: 0, wp: true, pse: false, smep: false, smap: false },
      ...{ pke: false, nxe: true, ac: false, pkru: 0 },
    };
    for (let place = 0; place <= LEVELS; place++)
      for (let right = 0; right < 8; right++)
        for (const ad of BOTH)
          for (const cpl of [0, 3])
            for (const access of ACCESSES)
              for (const flags of [0n, ACCESSED, ACCESSED | DIRTY])
                for (const guestRights of [0n, W, U, W | U, W | U | NX]) {
                  const rights = Array.from({ length: LEVELS + 1 }, (_, at) => (at === place ? right : 7));
                  const entries = tables.map((_table, index) => {
                    const leaf = index === LEVELS - 1;
                    const target = BigInt(leaf ? page : tables[index + 1]!);
                    return leaf ? target | P | guestRights | flags : target | P | W | U | (flags & ACCESSED);
                  });
                  check({ ...plain, cpl }, access, entries, rights, ad);
                }
    assert.ok(cases > 10_000, `${cases} cases`);
  });
});
