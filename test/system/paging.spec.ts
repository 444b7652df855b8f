/** Every combination of what decides about an access, against SDM 3A 4.6 to 4.8 (paging-oracle.ts). DUNE_PAGING_CASES: random ones beside. */
import assert from 'node:assert/strict';
import * as C from '../../emulator/cpu/codes.ts';
import * as L from '../../emulator/cpu/layout.ts';
import { ACCESSED, ACCESSES, DIRTY, LARGE, NX, P, PAGE, PHYS_BITS, PagingBench, U, W } from './paging-cases.ts';
import { type Mode, type Registers, TOP } from './paging-oracle.ts';

const RANDOM_CASES = Number(process.env.DUNE_PAGING_CASES ?? 100_000);
const MODES = ['32-bit', 'PAE', '4-level', '5-level'] as const;
const BOTH = [false, true] as const;
const ALL = P | W | U;

const isLong = (mode: Mode): boolean => mode === '4-level' || mode === '5-level';
/** Levels at which a page can be mapped. */
const leafLevels = (mode: Mode): readonly number[] => (isLong(mode) ? [1, 2, 3] : [1, 2]);

const PLAIN: Omit<Registers, 'mode'> = {
  physBits: PHYS_BITS,
  cpl: 0,
  wp: true,
  pse: true,
  smep: false,
  smap: false,
  pke: false,
  nxe: true,
  ac: false,
  pkru: 0,
};

function seeded(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

describe('paging, case by case', () => {
  let bench: PagingBench;
  before(() => {
    bench = new PagingBench();
  });

  /** Entries down to a leaf of the level: full rights, flags set. */
  function path(mode: Mode, leafLevel: number): bigint[] {
    const entries: bigint[] = [];
    for (let index = 0; TOP[mode] - index >= leafLevel; index++) {
      const leaf = TOP[mode] - index === leafLevel;
      const target = leaf ? PAGE | DIRTY | (leafLevel > 1 ? LARGE : 0n) : bench.tableAddress(mode, index);
      entries.push(target | ALL | ACCESSED);
    }
    return entries;
  }

  /** CR0.WP, CR4.SMEP, CR4.SMAP, RFLAGS.AC, EFER.NXE. */
  function* protections(mode: Mode): Generator<Registers> {
    for (const cpl of [0, 1, 2, 3])
      for (const wp of BOTH)
        for (const smep of BOTH)
          for (const smap of BOTH)
            for (const ac of BOTH) for (const nxe of BOTH) yield { ...PLAIN, mode, cpl, wp, smep, smap, ac, nxe };
  }

  for (const mode of MODES) {
    it(`${mode}: rights of page and tables, by CPL, WP, SMEP, SMAP, AC, NXE`, function () {
      this.timeout(120_000);
      const noExecutes = mode === '32-bit' ? [0n] : [0n, NX];
      for (const leafLevel of leafLevels(mode)) {
        const full = path(mode, leafLevel);
        const last = full.length - 1;
        for (const registers of protections(mode))
          for (const access of ACCESSES)
            for (let rights = 0n; rights < 4n; rights++)
              for (const noExecute of noExecutes)
                for (const above of [0n, W, U, NX]) {
                  if (above === NX && mode === '32-bit') continue;
                  const entries = [...full];
                  entries[last] = (full[last]! & ~(W | U)) | (rights << 1n) | noExecute;
                  if (last > 0) entries[last - 1] = above === NX ? full[last - 1]! | NX : full[last - 1]! & ~above;
                  bench.check({ registers, access, entries });
                }
      }
    });
  }

  for (const mode of ['4-level', '5-level'] as const) {
    it(`${mode}: protection keys, by every right of the key, of the page, CPL, WP, SMAP and AC`, function () {
      this.timeout(120_000);
      for (const leafLevel of leafLevels(mode)) {
        const full = path(mode, leafLevel);
        const last = full.length - 1;
        for (const key of [0, 1, 7, 15])
          for (let denied = 0; denied < 4; denied++)
            for (const cpl of [0, 3])
              for (const wp of BOTH)
                for (const smap of BOTH)
                  for (const ac of BOTH)
                    for (const pke of BOTH) {
                      // Every other key says the opposite.
                      const pkru = ((denied << (2 * key)) | (~(3 << (2 * key)) & (denied === 3 ? 0 : -1))) >>> 0;
                      const registers = { ...PLAIN, mode, cpl, wp, smap, ac, pke, pkru };
                      for (const access of ACCESSES)
                        for (let rights = 0n; rights < 4n; rights++)
                          for (const above of [0n, U]) {
                            const entries = [...full];
                            entries[last] = (full[last]! & ~(W | U)) | (rights << 1n) | (BigInt(key) << 59n);
                            entries[last - 1] = full[last - 1]! & ~above;
                            bench.check({ registers, access, entries });
                          }
                    }
      }
    });
  }

  for (const mode of MODES) {
    it(`${mode}: present and reserved bits of every level, one at a time`, function () {
      this.timeout(120_000);
      const width = mode === '32-bit' ? 32 : 64;
      for (const physBits of [32, 36, PHYS_BITS, 40, 46, 52])
        for (const leafLevel of leafLevels(mode)) {
          bench.machine.mem.set32(L.PHYS_BITS, physBits);
          const full = path(mode, leafLevel);
          for (const nxe of BOTH)
            for (const pse of BOTH)
              for (const cpl of [0, 3])
                for (const access of ACCESSES)
                  for (const index of full.keys())
                    for (let bit = 0; bit < width; bit++) {
                      // Bits of a table's address that exist would name another table.
                      const table = index < full.length - 1;
                      if (table && bit >= 12 && bit < Math.min(physBits, width)) continue;
                      if (table && bit === 7 && TOP[mode] - index <= 3) continue;
                      if (!table && bit === 7) continue;
                      if (mode === '32-bit' && !pse && leafLevel === 2) continue;
                      const entries = [...full];
                      entries[index] = full[index]! ^ (1n << BigInt(bit));
                      bench.check({ registers: { ...PLAIN, mode, physBits, nxe, pse, cpl }, access, entries });
                    }
        }
      bench.machine.mem.set32(L.PHYS_BITS, PHYS_BITS);
    });
  }

  for (const mode of MODES) {
    it(`${mode}: accessed and dirty flags of every level, by what is set before and what refuses`, () => {
      for (const leafLevel of leafLevels(mode)) {
        const full = path(mode, leafLevel);
        for (let accessed = 0; accessed < 1 << full.length; accessed++)
          for (const dirty of [0n, DIRTY])
            for (const refusing of [-1, ...full.keys()])
              for (const missing of [P, W, U])
                for (const cpl of [0, 3])
                  for (const access of ACCESSES) {
                    const entries = full.map((entry, index) => {
                      const flags = (accessed >> index) & 1 ? entry : entry & ~ACCESSED;
                      const leaf = index === full.length - 1;
                      return (leaf ? (flags & ~DIRTY) | dirty : flags) & ~(index === refusing ? missing : 0n);
                    });
                    bench.check({ registers: { ...PLAIN, mode, cpl }, access, entries });
                  }
      }
    });
  }

  it('PAE: a PDPTE register that is not present', () => {
    const { mem, core } = bench.machine;
    bench.check({ registers: { ...PLAIN, mode: 'PAE' }, access: ACCESSES[0]!, entries: path('PAE', 1) });
    assert.equal(core.translate(0x1234_5678n, C.ACCESS_READ), -1);
    assert.equal(mem.get32(L.FAULT_ERROR), 0);
  });

  it(`everything at random (${RANDOM_CASES} cases)`, function () {
    this.timeout(60_000 + RANDOM_CASES);
    const seed = Number(process.env.DUNE_PAGING_SEED ?? Date.now() % 1_000_000);
    const below = seeded(seed);
    const coin = (): boolean => below(2) === 1;
    try {
      for (let n = 0; n < RANDOM_CASES; n++) {
        const mode = MODES[below(4)]!;
        const levels = leafLevels(mode);
        const entries = path(mode, levels[below(levels.length)]!).map((entry, index, all) => {
          let flipped = entry;
          for (const bit of [1n, 2n, 5n, 6n, 63n]) if (below(4) === 0) flipped ^= 1n << bit;
          if (below(40) === 0) flipped ^= P;
          if (below(60) === 0) flipped ^= 1n << BigInt(PHYS_BITS + below(62 - PHYS_BITS));
          if (index === all.length - 1) flipped = (flipped & ~(15n << 59n)) | (BigInt(below(16)) << 59n);
          return mode === '32-bit' ? flipped & 0xffff_ffffn : mode === 'PAE' ? flipped & ~(15n << 59n) : flipped;
        });
        const registers: Registers = {
          ...{ mode, physBits: PHYS_BITS, cpl: below(4), pse: true },
          ...{ wp: coin(), smep: coin(), smap: coin(), pke: coin(), nxe: below(4) > 0, ac: coin() },
          pkru: (below(0x10000) | (below(0x10000) << 16)) >>> 0,
        };
        bench.check({ registers, access: ACCESSES[below(ACCESSES.length)]!, entries });
      }
    } catch (error) {
      console.error(`DUNE_PAGING_SEED=${seed}`);
      throw error;
    }
  });

  after(() => {
    assert.ok(bench.cases > 300_000, `${bench.cases} cases`);
  });
});
