/** Memory types: their names, and what two of them come to. Caches are not modelled: nothing a program sees depends on them. */

/** As EPT entries, EPT pointers and VMX capabilities number them (SDM 3A table 12-2). */
export const MEMORY_TYPES: Readonly<Record<number, MemoryType>> = { 0: 'UC', 1: 'WC', 4: 'WT', 5: 'WP', 6: 'WB' };
/** In IA32_PAT (SDM 3A table 12-10). */
export const PAT_TYPES: Readonly<Record<number, PatType>> = { ...MEMORY_TYPES, 7: 'UC-' };

export type MemoryType = 'UC' | 'WC' | 'WT' | 'WP' | 'WB';
export type PatType = MemoryType | 'UC-';

/** By the type of the memory (of its MTRR or its EPT entry), then by the page's in PAT (SDM 3A table 12-7). */
const COMBINED: Readonly<Record<MemoryType, Readonly<Record<PatType, MemoryType>>>> = {
  UC: { UC: 'UC', 'UC-': 'UC', WC: 'WC', WT: 'UC', WB: 'UC', WP: 'UC' },
  WC: { UC: 'UC', 'UC-': 'WC', WC: 'WC', WT: 'UC', WB: 'WC', WP: 'UC' },
  WT: { UC: 'UC', 'UC-': 'UC', WC: 'WC', WT: 'WT', WB: 'WT', WP: 'WP' },
  WB: { UC: 'UC', 'UC-': 'UC', WC: 'WC', WT: 'WT', WB: 'WB', WP: 'WP' },
  WP: { UC: 'UC', 'UC-': 'WC', WC: 'WC', WT: 'WT', WB: 'WP', WP: 'WP' },
};

export function combinedType(memory: MemoryType, page: PatType): MemoryType {
  return COMBINED[memory][page];
}
