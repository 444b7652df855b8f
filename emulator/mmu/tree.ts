/** Page tables as a tree of nodes, entries with equal rights and consecutive targets merged into ranges. */
import * as L from '../cpu/layout.ts';
import type { PageTableNode } from '../machine/api.ts';
import type { LinearMemory } from '../cpu/state.ts';
import type { Mmu } from './api.ts';
import { type EntryDescription, describeEptEntry, describePageTableEntry, entrySpan } from './entries.ts';
import type { PhysicalMemory } from './physical.ts';

const ENTRIES = 512;
const ADDRESS = 0x000f_ffff_ffff_f000n;
const CR4_LA57 = 0x1000n;

export interface TreeParts {
  readonly mem: LinearMemory;
  readonly physical: PhysicalMemory;
  readonly mmu: Mmu;
}

/**
 * Children of one table of the tables in force; without `tableHpa` of the root. Entries that are not present are left out.
 * @param level level of the table's entries: 5 or 4 for the root, down to 1
 * @param start first input address the table covers
 */
export function pageTableNodes(
  { mem, physical, mmu }: TreeParts,
  which: 'guest' | 'ept',
  tableHpa?: number,
  level?: number,
  start = 0n,
): PageTableNode[] {
  const table = tableHpa ?? rootOf(mem, mmu, which);
  if (table < 0 || !physical.has(table, 4096)) return [];
  const at = level ?? (which === 'guest' && (mem.get64(L.CR4) & CR4_LA57) !== 0n ? 5 : 4);
  const describe = which === 'guest' ? describePageTableEntry : describeEptEntry;
  const nodes: PageTableNode[] = [];
  for (let index = 0; index < ENTRIES; index++) {
    const entryHpa = table + index * 8;
    const entry = physical.read64(entryHpa);
    const described = describe(entry, at);
    if (described.kind === 'not-present') continue;
    const first = inputAddress(which, at, start, index);
    const node = nodeOf(which, mmu, at, first, entryHpa, entry, described);
    const last = nodes.at(-1);
    if (last && continues(last, node)) nodes[nodes.length - 1] = { ...last, kind: 'range', end: node.end };
    else nodes.push(node);
  }
  return nodes;
}

function rootOf(mem: LinearMemory, mmu: Mmu, which: 'guest' | 'ept'): number {
  if (which === 'guest') return mmu.gpaToHpa(Number(mem.get64(L.CR3) & ADDRESS));
  const eptp = mem.get64(L.EPTP);
  return eptp === 0n ? -1 : Number(eptp & ADDRESS);
}

/** Guest addresses above the middle of the root are negative: canonical form. */
function inputAddress(which: 'guest' | 'ept', level: number, start: bigint, index: number): bigint {
  const address = start + BigInt(index) * BigInt(entrySpan(level));
  if (which === 'ept' || level < 4) return address;
  return BigInt.asUintN(64, BigInt.asIntN(level === 5 ? 57 : 48, address));
}

function nodeOf(
  which: 'guest' | 'ept',
  mmu: Mmu,
  level: number,
  start: bigint,
  entryHpa: number,
  entry: bigint,
  described: EntryDescription,
): PageTableNode {
  const common = { start, end: start + BigInt(entrySpan(level)), level, entryHpa, entry, flags: described.flags };
  if (described.kind === 'leaf') {
    return { ...common, kind: 'leaf', target: described.target, pageSize: described.pageSize! };
  }
  if (which === 'ept') return { ...common, kind: 'table', tableHpa: described.target };
  return { ...common, kind: 'table', tableHpa: mmu.gpaToHpa(described.target), tableGpa: described.target };
}

function continues(last: PageTableNode, next: PageTableNode): boolean {
  if (last.target === undefined || next.target === undefined) return false;
  const bytes = Number(last.end - last.start);
  return last.flags === next.flags && last.end === next.start && last.target + bytes === next.target;
}
