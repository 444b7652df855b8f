/** The memory type that accesses to a page have in effect, and what decided (SDM 3A 12.5.2.2, 12.12.3; with EPT 3C 29.3.7.2). This processor has no MTRRs. */
import { CR0_CD } from '../cpu/control-bits.ts';
import * as L from '../cpu/layout.ts';
import type { LinearMemory } from '../cpu/state.ts';
import type { EffectiveType, WalkStep } from './api.ts';
import { EPT_ENTRY, PAGE_ENTRY, entryName } from './entries.ts';
import { MEMORY_TYPES, PAT_TYPES, type PatType, combinedType } from './memory-types.ts';

const EPT_TYPE_SHIFT = 3n;
/** The third bit of the index into PAT. */
const PAT_OF_4K = 0x80n;
const PAT_OF_LARGE = 0x1000n;

/** @param steps of a walk that has reached its page, in the context in which it was made */
export function effectiveType(mem: LinearMemory, steps: readonly WalkStep[]): EffectiveType {
  const disabled = (mem.get32(L.CR0) & CR0_CD) !== 0;
  const page = pageType(
    mem,
    steps.findLast(({ table }) => table === 'guest'),
  );
  const ept = steps.findLast(({ table, forGuestLevel }) => table === 'ept' && forGuestLevel === 0);
  if (!ept) {
    const fill = disabled ? '; CR0.CD is 1: nothing new is cached' : '';
    return { type: combinedType('WB', page.type), because: `${page.because}${fill}` };
  }
  if (disabled) return { type: 'UC', because: 'CR0.CD is 1' };
  const type = MEMORY_TYPES[Number((ept.entry >> EPT_TYPE_SHIFT) & 7n)]!;
  const says = `${entryName(ept)} says ${type}`;
  if (ept.entry & EPT_ENTRY.ignorePat) return { type, because: `${says} and to ignore PAT` };
  return { type: combinedType(type, page.type), because: `${says}, ${page.because}` };
}

/** By the entry that maps the page. */
function pageType(mem: LinearMemory, leaf: WalkStep | undefined): { type: PatType; because: string } {
  if (!leaf) return { type: 'WB', because: 'without paging PAT counts as WB' };
  const { entry, level } = leaf;
  const third = entry & (level === 1 ? PAT_OF_4K : PAT_OF_LARGE);
  const index = (third ? 4 : 0) + (entry & PAGE_ENTRY.cacheDisable ? 2 : 0) + (entry & PAGE_ENTRY.writeThrough ? 1 : 0);
  const type = PAT_TYPES[Number((mem.get64(L.MSR_PAT) >> BigInt(8 * index)) & 7n)]!;
  return { type, because: `${entryName(leaf)} chooses PAT${index}, which is ${type}` };
}
