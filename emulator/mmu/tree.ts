/** Page tables as a tree of nodes, entries with equal rights and consecutive targets merged into ranges. */
import * as L from '../cpu/layout.ts';
import type { PageTableNode } from '../machine/api.ts';
import type { LinearMemory } from '../cpu/state.ts';
import type { Mmu } from './api.ts';
import { type EntryDescription, type EntryPlace, describeEntry } from './entries.ts';
import { PAGING_LEVELS, entrySpan, eptLevels, pagingMode } from './modes.ts';
import type { PhysicalMemory } from './physical.ts';

const ADDRESS = 0x000f_ffff_ffff_f000n;
const PAE_ROOT = 0xffff_ffe0n;
const PDPTES = 4;

export interface TreeParts {
  readonly mem: LinearMemory;
  readonly physical: PhysicalMemory;
  readonly mmu: Mmu;
}

/** One table: what its entries are, and where. */
interface Table {
  readonly place: EntryPlace;
  readonly hpa: number;
  readonly entries: number;
  readonly entryBytes: 4 | 8;
  /** First input address it covers. */
  readonly start: bigint;
}

/**
 * Children of one table of the tables in force; without `tableHpa` of the root. Entries that are not present are left out.
 * @param level level of the table's entries: 5 to 2 for the root, down to 1
 * @param start first input address the table covers
 */
export function pageTableNodes(
  parts: TreeParts,
  which: 'guest' | 'ept',
  tableHpa?: number,
  level?: number,
  start = 0n,
): PageTableNode[] {
  const { mem, physical } = parts;
  const hpa = tableHpa ?? rootOf(parts, which);
  const paging = pagingMode(mem);
  if (which === 'guest' && paging === 'none') return [];
  const at = level ?? (which === 'guest' ? PAGING_LEVELS[paging] : eptLevels(mem));
  const narrow = which === 'guest' && paging === '32-bit';
  const registers = which === 'guest' && paging === 'PAE' && at === 3;
  const table: Table = {
    place: { table: which, level: at, paging },
    hpa,
    entries: narrow ? 1024 : registers ? PDPTES : 512,
    entryBytes: narrow ? 4 : 8,
    start,
  };
  if (!registers && (hpa < 0 || !physical.has(hpa, 4096))) return [];
  const nodes: PageTableNode[] = [];
  for (let index = 0; index < table.entries; index++) {
    const entry = registers ? mem.get64(L.PDPTE + index * 8) : readEntry(physical, table, index);
    const described = describeEntry(table.place, entry);
    if (described.kind === 'not-present') continue;
    const node = nodeOf(parts.mmu, table, index, entry, described);
    const last = nodes.at(-1);
    if (last && continues(last, node)) nodes[nodes.length - 1] = { ...last, kind: 'range', end: node.end };
    else nodes.push(node);
  }
  return nodes;
}

function readEntry(physical: PhysicalMemory, { hpa, entryBytes }: Table, index: number): bigint {
  const at = hpa + index * entryBytes;
  return entryBytes === 4 ? BigInt(physical.read32(at)) : physical.read64(at);
}

function rootOf({ mem, mmu }: TreeParts, which: 'guest' | 'ept'): number {
  if (which === 'guest') {
    const pae = pagingMode(mem) === 'PAE';
    return mmu.gpaToHpa(Number(mem.get64(L.CR3) & (pae ? PAE_ROOT : ADDRESS)));
  }
  const eptp = mem.get64(L.EPTP);
  return eptp === 0n ? -1 : Number(eptp & ADDRESS);
}

/** Guest addresses above the middle of the root are negative: canonical form. */
function inputAddress({ place, start }: Table, index: number): bigint {
  const { table, level, paging } = place;
  const span = entrySpan(level, table === 'guest' ? paging : '4-level');
  const address = start + BigInt(index) * BigInt(span);
  if (table === 'ept' || level < 4) return address;
  return BigInt.asUintN(64, BigInt.asIntN(level === 5 ? 57 : 48, address));
}

function nodeOf(mmu: Mmu, table: Table, index: number, entry: bigint, described: EntryDescription): PageTableNode {
  const { level, paging } = table.place;
  const guest = table.place.table === 'guest';
  const start = inputAddress(table, index);
  const common = {
    start,
    end: start + BigInt(entrySpan(level, guest ? paging : '4-level')),
    level,
    entryHpa: table.hpa + index * table.entryBytes,
    entry,
    flags: described.flags,
    parts: described.parts,
  };
  if (described.kind === 'leaf') {
    return { ...common, kind: 'leaf', target: described.target, pageSize: described.pageSize! };
  }
  if (!guest) return { ...common, kind: 'table', tableHpa: described.target };
  return { ...common, kind: 'table', tableHpa: mmu.gpaToHpa(described.target), tableGpa: described.target };
}

function continues(last: PageTableNode, next: PageTableNode): boolean {
  if (last.target === undefined || next.target === undefined) return false;
  const bytes = Number(last.end - last.start);
  return last.flags === next.flags && last.end === next.start && last.target + bytes === next.target;
}
