/**
 * What the bits of page-table and EPT entries mean (SDM 3A 4.3 tables 4-4..4-6, 4.4.2 tables 4-8..4-11, 4.5.4 tables 4-14..4-20; SDM 3C 29.3.2).
 * Everything that shows an entry asks here.
 */
import { MEMORY_TYPES } from './memory-types.ts';
import { type PagingMode, entrySpan } from './modes.ts';

/** Bits of guest entries. */
export const PAGE_ENTRY = {
  present: 1n,
  writable: 2n,
  user: 4n,
  writeThrough: 8n,
  cacheDisable: 0x10n,
  accessed: 0x20n,
  dirty: 0x40n,
  large: 0x80n,
  global: 0x100n,
  address: 0x000f_ffff_ffff_f000n,
  noExecute: 1n << 63n,
} as const;

/** Bits 31:12 of entries of 4 bytes, and of those of 4 MB pages bits 31:22. */
const ADDRESS_32 = 0xffff_f000n;
const ADDRESS_4M = 0xffc0_0000n;

/** Bits of EPT entries. */
export const EPT_ENTRY = {
  read: 1n,
  write: 2n,
  execute: 4n,
  rights: 7n,
  ignorePat: 0x40n,
  large: 0x80n,
  accessed: 0x100n,
  dirty: 0x200n,
  address: 0x000f_ffff_ffff_f000n,
} as const;

const LEVEL_NAMES = ['', 'PTE', 'PDE', 'PDPTE', 'PML4E', 'PML5E'] as const;

/** "PDE", "EPT PML4E". */
export function entryName(of: { table: 'guest' | 'ept'; level: number }): string {
  return `${of.table === 'ept' ? 'EPT ' : ''}${LEVEL_NAMES[of.level] ?? `level ${of.level} entry`}`;
}

export interface EntryPart {
  readonly name: string;
  readonly value: bigint;
  readonly meaning: string;
  readonly hi: number;
  readonly lo: number;
}

export interface EntryDescription {
  readonly kind: 'not-present' | 'table' | 'leaf';
  /** "PTE" and so on. */
  readonly name: string;
  /** Next table or first byte of the page: GPA in guest entries, HPA in EPT entries. */
  readonly target: number;
  /** Bytes of a leaf's page. */
  readonly pageSize?: number;
  /** Rights and marks in short: "R W U X A D G 2M". */
  readonly flags: string;
  readonly parts: readonly EntryPart[];
  /** One line in words. */
  readonly text: string;
}

function isLeaf(entry: bigint, level: number, large: bigint): boolean {
  return level === 1 || ((level === 2 || level === 3) && (entry & large) !== 0n);
}

/** Of a guest entry. Bits 20:13 of a PDE that maps 4 MB are address bits 39:32 (PSE-36). */
function guestTarget(entry: bigint, level: number, leaf: boolean, paging: PagingMode): number {
  if (paging !== '32-bit') return targetOf(entry, level, leaf, PAGE_ENTRY.address);
  if (!leaf || level === 1) return Number(entry & ADDRESS_32);
  return Number((entry & ADDRESS_4M) | (((entry >> 13n) & 0xffn) << 32n));
}

function targetOf(entry: bigint, level: number, leaf: boolean, address: bigint): number {
  const low = leaf ? BigInt(entrySpan(level)) - 1n : 0n;
  return Number(entry & address & ~low);
}

type Bit = readonly [name: string, position: number, set: string, clear: string];

function parts(entry: bigint, bits: readonly Bit[]): EntryPart[] {
  return bits.map(([name, position, set, clear]) => {
    const value = (entry >> BigInt(position)) & 1n;
    return { name, value, meaning: value ? set : clear, hi: position, lo: position };
  });
}

const field = (entry: bigint, name: string, hi: number, lo: number, meaning: string): EntryPart => ({
  name,
  value: (entry >> BigInt(lo)) & ((1n << BigInt(hi - lo + 1)) - 1n),
  meaning,
  hi,
  lo,
});

const GUEST_BITS: readonly Bit[] = [
  ['P', 0, 'present', 'not present: every other bit is free for software'],
  ['W', 1, 'writable', 'read-only'],
  ['U', 2, 'ring 3 may use it', 'supervisor only'],
  ['PWT', 3, 'write-through', 'write-back'],
  ['PCD', 4, 'cache disabled', 'cached'],
  ['A', 5, 'accessed', 'not accessed yet'],
];
const GUEST_LEAF_BITS: readonly Bit[] = [
  ['D', 6, 'written (dirty)', 'not written yet'],
  ['G', 8, 'global: survives MOV CR3', 'not global'],
];
const patBit = (level: number): Bit => [
  'PAT',
  level === 1 ? 7 : 12,
  'memory types PAT4 to PAT7, by PCD and PWT',
  'memory types PAT0 to PAT3, by PCD and PWT',
];
const NX_BIT: Bit = ['NX', 63, 'instructions may not be fetched', 'executable'];

/** What an entry's place is: a table's level, and for the guest's the kind of paging. */
export interface EntryPlace {
  readonly table: 'guest' | 'ept';
  readonly level: number;
  readonly paging: PagingMode;
}

export function describeEntry({ table, level, paging }: EntryPlace, entry: bigint): EntryDescription {
  return table === 'ept' ? describeEptEntry(entry, level) : describePageTableEntry(entry, level, paging);
}

/** @param level 5 PML5E .. 1 PTE */
export function describePageTableEntry(entry: bigint, level: number, paging: PagingMode = '4-level'): EntryDescription {
  const name = entryName({ table: 'guest', level });
  if ((entry & PAGE_ENTRY.present) === 0n) {
    return {
      kind: 'not-present',
      name,
      target: 0,
      flags: '',
      parts: parts(entry, GUEST_BITS.slice(0, 1)),
      text: `${name} not present`,
    };
  }
  if (paging === 'PAE' && level === 3) return describePdpteRegister(entry, name);
  const leaf = isLeaf(entry, level, PAGE_ENTRY.large);
  const target = guestTarget(entry, level, leaf, paging);
  const size = leaf ? entrySpan(level, paging) : 0;
  const narrow = paging === '32-bit';
  const flags = [
    entry & PAGE_ENTRY.writable ? 'R W' : 'R',
    entry & PAGE_ENTRY.user ? 'U' : 'S',
    narrow ? '' : entry & PAGE_ENTRY.noExecute ? 'NX' : 'X',
    entry & PAGE_ENTRY.accessed ? 'A' : '',
    leaf && entry & PAGE_ENTRY.dirty ? 'D' : '',
    leaf && entry & PAGE_ENTRY.global ? 'G' : '',
    sizeMark(leaf, level, paging),
  ];
  const shown = [
    ...parts(entry, GUEST_BITS),
    ...(leaf ? parts(entry, [...GUEST_LEAF_BITS, patBit(level)]) : []),
    ...(level === 2 || level === 3 ? parts(entry, [['PS', 7, 'maps a large page', 'points to a table']]) : []),
    field(entry, 'AVL', 11, 9, 'free for software'),
    ...(narrow ? narrowAddress(entry, level, leaf) : wideAddress(entry, leaf, paging)),
  ];
  return finish('guest', name, leaf, target, size, flags, shown);
}

function narrowAddress(entry: bigint, level: number, leaf: boolean): EntryPart[] {
  if (!leaf) return [field(entry, 'table', 31, 12, 'frame number of the next table')];
  if (level === 1) return [field(entry, 'page', 31, 12, 'frame number of the page')];
  return [
    field(entry, 'high', 20, 13, 'bits 39:32 of the address of the page (PSE-36)'),
    field(entry, 'page', 31, 22, 'number of the 4 MB page'),
  ];
}

function wideAddress(entry: bigint, leaf: boolean, paging: PagingMode): EntryPart[] {
  const meaning = leaf ? 'frame number of the page' : 'frame number of the next table';
  const high =
    paging === 'PAE'
      ? [field(entry, 'reserved', 62, 52, 'must be 0')]
      : leaf
        ? [
            field(entry, 'AVL2', 58, 52, 'free for software'),
            field(entry, 'key', 62, 59, 'protection key with CR4.PKE, else free for software'),
          ]
        : [field(entry, 'AVL2', 62, 52, 'free for software')];
  return [field(entry, leaf ? 'page' : 'table', 51, 12, meaning), ...high, ...parts(entry, [NX_BIT])];
}

/** PDPTEs of PAE paging are registers, loaded by MOV to CR3, and give no rights (SDM 3A 4.4.1). */
function describePdpteRegister(entry: bigint, name: string): EntryDescription {
  const shown = [
    ...parts(entry, [GUEST_BITS[0]!, GUEST_BITS[3]!, GUEST_BITS[4]!]),
    field(entry, 'AVL', 11, 9, 'free for software'),
    field(entry, 'table', 51, 12, 'frame number of the next table'),
  ];
  return finish('guest', name, false, targetOf(entry, 3, false, PAGE_ENTRY.address), 0, ['register'], shown);
}

const EPT_BITS: readonly Bit[] = [
  ['R', 0, 'reads allowed', 'reads refused'],
  ['W', 1, 'writes allowed', 'writes refused'],
  ['X', 2, 'instruction fetches allowed', 'instruction fetches refused'],
];

/** @param level 5 PML5E .. 1 PTE */
export function describeEptEntry(entry: bigint, level: number): EntryDescription {
  const name = entryName({ table: 'ept', level });
  if ((entry & EPT_ENTRY.rights) === 0n) {
    return {
      kind: 'not-present',
      name,
      target: 0,
      flags: '',
      parts: parts(entry, EPT_BITS),
      text: `${name} not present`,
    };
  }
  const leaf = isLeaf(entry, level, EPT_ENTRY.large);
  const target = targetOf(entry, level, leaf, EPT_ENTRY.address);
  const size = leaf ? entrySpan(level) : 0;
  const type = Number((entry >> 3n) & 7n);
  const typeName = MEMORY_TYPES[type] ?? `reserved memory type ${type}`;
  const flags = [
    entry & EPT_ENTRY.read ? 'R' : '',
    entry & EPT_ENTRY.write ? 'W' : '',
    entry & EPT_ENTRY.execute ? 'X' : '',
    entry & EPT_ENTRY.accessed ? 'A' : '',
    leaf && entry & EPT_ENTRY.dirty ? 'D' : '',
    leaf ? typeName : '',
    sizeMark(leaf, level),
  ];
  const shown = [
    ...parts(entry, EPT_BITS),
    ...(leaf
      ? [
          field(entry, 'type', 5, 3, typeName),
          ...parts(entry, [['IPAT', 6, "guest's PAT ignored", "combined with the guest's PAT"]]),
        ]
      : []),
    ...(level === 2 || level === 3 ? parts(entry, [['PS', 7, 'maps a large page', 'points to a table']]) : []),
    ...parts(entry, [['A', 8, 'accessed', 'not accessed yet']]),
    ...(leaf ? parts(entry, [['D', 9, 'written (dirty)', 'not written yet']]) : []),
    field(entry, leaf ? 'page' : 'table', 51, 12, leaf ? 'frame number of the page' : 'frame number of the next table'),
    ...parts(entry, [['SVE', 63, 'no #VE for violations here', '#VE possible']]),
  ];
  return finish('ept', name, leaf, target, size, flags, shown);
}

function sizeMark(leaf: boolean, level: number, paging: PagingMode = '4-level'): string {
  if (!leaf || level === 1) return '';
  if (level === 3) return '1G';
  return paging === '32-bit' ? '4M' : '2M';
}

function finish(
  table: 'guest' | 'ept',
  name: string,
  leaf: boolean,
  target: number,
  pageSize: number,
  marks: readonly string[],
  shown: readonly EntryPart[],
): EntryDescription {
  const flags = marks.filter(Boolean).join(' ');
  const space = table === 'guest' ? 'gpa' : 'hpa';
  const text = `${name} ${flags} -> ${leaf ? 'page' : 'table'} at ${space}:0x${target.toString(16)}`;
  return leaf
    ? { kind: 'leaf', name, target, pageSize, flags, parts: shown, text }
    : { kind: 'table', name, target, flags, parts: shown, text };
}
