/** Memory types against the tables of the SDM: 3A 12-7 and 12-11, 3C 29.3.7.2. */
import assert from 'node:assert/strict';
import * as L from '../cpu/layout.ts';
import { walkText } from './walk-text.ts';
import { type TestMachine, createTestMachine } from './test-support.ts';

const GVA = 0x1000n;
const GPA = 0x40_0000;
const P_W = 3n;
const LARGE = 0x80n;
const CD = 0x4000_0000n;
const EPT_RWX = 7n;
const IGNORE_PAT = 0x40n;
/** PAT0 to PAT7 as after a reset (SDM 3A table 12-12). */
const RESET = 0x0007_0406_0007_0406n;
const TYPE = { UC: 0n, WC: 1n, WT: 4n, WP: 5n, WB: 6n, 'UC-': 7n } as const;
type Name = keyof typeof TYPE;

let m: TestMachine;
const found = (): { type: string; because: string } => {
  const { memoryType, result } = m.mmu.walk(GVA, 'read', false);
  assert.ok(
    memoryType,
    JSON.stringify(result, (_key, value: unknown) => String(value)),
  );
  return memoryType;
};

/** Lines of SDM 3A table 12-7, in its order: the memory's type, and what UC, UC-, WC, WT, WB and WP of PAT make of it. */
const TABLE: readonly (readonly [memory: Exclude<Name, 'UC-'>, effective: string])[] = [
  ['UC', 'UC UC WC UC UC UC'],
  ['WC', 'UC WC WC UC WC UC'],
  ['WT', 'UC UC WC WT WT WP'],
  ['WB', 'UC UC WC WT WB WP'],
  ['WP', 'UC WC WC WT WP WP'],
];
const COLUMNS: readonly Name[] = ['UC', 'UC-', 'WC', 'WT', 'WB', 'WP'];

describe('effective memory types', () => {
  beforeEach(() => {
    m = createTestMachine();
    m.mem.set64(L.MSR_PAT, RESET);
  });

  it('follow PAT, PCD and PWT of the page where there is no EPT', () => {
    const chosen = ['WB', 'WT', 'UC', 'UC', 'WC', 'WP', 'UC', 'UC'];
    m.mem.set64(L.MSR_PAT, 0x0007_0501_0007_0406n);
    for (const [index, type] of chosen.entries()) {
      const bits = (index & 1 ? 0x8n : 0n) | (index & 2 ? 0x10n : 0n);
      m.map(GVA, BigInt(GPA) | P_W | bits | (index & 4 ? 0x80n : 0n));
      assert.equal(found().type, type);
      assert.match(found().because, new RegExp(`^PTE chooses PAT${index}, which is `));
    }
    // Of a large page the third bit is bit 12.
    m = createTestMachine();
    m.mem.set64(L.MSR_PAT, 0x0007_0501_0007_0406n);
    m.map(GVA, P_W | LARGE | 0x1008n, 2);
    assert.deepEqual(found(), { type: 'WP', because: 'PDE chooses PAT5, which is WP' });
  });

  it('are write-back without paging, and say that CR0.CD keeps lines out', () => {
    m.mem.set64(L.CR0, 0x11n | CD);
    assert.deepEqual(found(), {
      type: 'WB',
      because: 'without paging PAT counts as WB; CR0.CD is 1: nothing new is cached',
    });
  });

  describe('under EPT', () => {
    const underEpt = (leaf: bigint): void => {
      for (let table = 0x10_0000; table < 0x12_0000; table += 4096)
        m.mapEpt(table, BigInt(table) | EPT_RWX | (TYPE.WB << 3n));
      m.mapEpt(GPA, BigInt(GPA) | EPT_RWX | leaf);
    };
    beforeEach(() => {
      m.map(GVA, BigInt(GPA) | P_W);
      m.mem.set64(L.EPTP, BigInt(m.frame()) | 0x1en);
      m.mem.set32(L.NON_ROOT, 1);
    });

    it('combine PAT with the type of the EPT entry', () => {
      for (const [memory, effective] of TABLE) {
        for (const [column, type] of effective.split(' ').entries()) {
          m.mem.set64(L.MSR_PAT, TYPE[COLUMNS[column]!]);
          underEpt(TYPE[memory] << 3n);
          assert.deepEqual(found(), {
            type,
            because: `EPT PTE says ${memory}, PTE chooses PAT0, which is ${COLUMNS[column]!}`,
          });
        }
      }
    });

    it('are those of the EPT entry alone if it ignores PAT', () => {
      m.mem.set64(L.MSR_PAT, TYPE.UC);
      underEpt((TYPE.WB << 3n) | IGNORE_PAT);
      assert.deepEqual(found(), { type: 'WB', because: 'EPT PTE says WB and to ignore PAT' });
    });

    it('are UC with CR0.CD, whatever else', () => {
      underEpt((TYPE.WB << 3n) | IGNORE_PAT);
      m.mem.set64(L.CR0, m.mem.get64(L.CR0) | CD);
      assert.deepEqual(found(), { type: 'UC', because: 'CR0.CD is 1' });
    });

    it('are shown with the walk', () => {
      underEpt(TYPE.WT << 3n);
      assert.equal(
        walkText(m.mmu.walk(GVA, 'read')).at(-1),
        '  memory type WT: EPT PTE says WT, PTE chooses PAT0, which is WB',
      );
      m.map(GVA, 0n);
      assert.equal(m.mmu.walk(GVA, 'read').memoryType, undefined);
    });
  });
});
