/** What the TLB holds, entry by entry, beside what the tables say now. */
import * as L from '../cpu/layout.ts';
import type { LinearMemory } from '../cpu/state.ts';
import type { TableChange, TlbBank, TlbDifference, TlbEntry, TlbEntryDetails, Walk } from './api.ts';
import type { TlbBanks } from './banks.ts';
import type { MmuCore } from './core.ts';
import { missingInvalidations } from './missing-invalidations.ts';
import { walkResult } from './walk-text.ts';
import { traceWalk } from './walk.ts';

const NO_TAG = 0xffff_ffff_ffff_ffffn;
const PAGE_MASK = 0xffff_ffff_ffff_f000n;
const PAGE = 4096;
const GPA_PAGES = 2 ** (32 - L.TLB_GPA_SHIFT);

// TLB_FLAGS, as core/mmu-tlb.ts has them.
const FLAG_GLOBAL = 1;
const FLAG_WRITABLE = 8;
const SIZES = [
  [2, 2 ** 21],
  [4, 2 ** 30],
  [16, 2 ** 22],
] as const;

/** Answers of the core's `compareEntry`, in its order of bits. */
const DIFFERENCES: readonly TlbDifference[] = ['page', 'read', 'write', 'execute', 'flags', 'global'];
const STALE: ReadonlySet<TlbDifference> = new Set(['page', 'read', 'write', 'execute']);

const pageOf = (gva: bigint): bigint => BigInt.asUintN(64, gva) & PAGE_MASK;
const slotOf = (gva: bigint): number => Number((gva >> 12n) & BigInt(L.TLB_ENTRIES - 1));

export function isStale({ differences }: Pick<TlbEntry, 'differences'>): boolean {
  return differences.some((difference) => STALE.has(difference));
}

export class TlbListing {
  constructor(
    readonly mem: LinearMemory,
    readonly core: MmuCore,
    readonly tlb: TlbBanks,
  ) {}

  banks(): TlbBank[] {
    const found: TlbBank[] = [];
    this.tlb.forEach((bank, { cpu }) => {
      found.push({ bank, ...this.tlb.context(bank), current: bank === this.tlb.current, own: cpu === this.tlb.cpu });
    }, 'every');
    return found;
  }

  entries(cpu?: 'every'): TlbEntry[] {
    const found: TlbEntry[] = [];
    this.tlb.forEach((bank) => {
      this.tlb.within(bank, () => {
        for (let index = 0; index < L.TLB_ENTRIES; index++) {
          const entry = this.#entry(bank, index);
          if (entry) found.push(entry);
        }
      });
    }, cpu);
    return found;
  }

  lookup(gva: bigint): TlbEntry | undefined {
    const { current } = this.tlb;
    const entry = current < 0 ? undefined : this.#entry(current, slotOf(gva));
    return entry?.gva === pageOf(gva) ? entry : undefined;
  }

  translations(gva: bigint, changeOf?: (walk: Walk) => TableChange | undefined): TlbEntryDetails[] {
    const found: TlbEntryDetails[] = [];
    for (const { bank } of this.banks()) {
      const details = this.details(bank, slotOf(gva), changeOf);
      if (details?.entry.gva === pageOf(gva)) found.push(details);
    }
    return found;
  }

  /** @param changeOf what is known of who changed an entry that a walk goes through */
  details(
    bank: number,
    index: number,
    changeOf: (walk: Walk) => TableChange | undefined = () => undefined,
  ): TlbEntryDetails | undefined {
    const context = this.banks().find((one) => one.bank === bank);
    if (!context) return undefined;
    return this.tlb.within(bank, () => {
      const entry = this.#entry(bank, index);
      if (!entry) return undefined;
      const walk = traceWalk(this.mem, this.core, entry.gva, accessToShow(entry));
      return this.#compare(entry, context, walk, changeOf(walk));
    });
  }

  #compare(entry: TlbEntry, bank: TlbBank, walk: Walk, change: TableChange | undefined): TlbEntryDetails {
    const stale = isStale(entry);
    const changed = stale ? whatChanged(entry, bank, walk) : undefined;
    const current = { vpid: this.tlb.vpid, pcid: this.tlb.pcid, cpu: this.tlb.cpu };
    return {
      entry,
      bank,
      walk,
      stale,
      summary: inWords(entry, walk),
      ...(changed ? { changed } : {}),
      missing: changed ? missingInvalidations(entry, bank, changed, current) : [],
      ...(stale && change ? { change } : {}),
    };
  }

  /** The bank's context is in the state (`TlbBanks.within`). */
  #entry(bank: number, index: number): TlbEntry | undefined {
    const { mem } = this;
    const at = L.TLB + bank * L.TLB_BANK_BYTES + (index << L.TLB_SHIFT);
    const tags = [L.TLB_READ, L.TLB_WRITE, L.TLB_EXEC].map((tag) => mem.get64(at + tag));
    const tag = tags.find((one) => one !== NO_TAG);
    if (tag === undefined) return undefined;
    const gva = tag & PAGE_MASK;
    const host = (Number(gva & 0xffff_ffffn) + mem.get32(at + L.TLB_ADDEND)) >>> 0;
    const flags = mem.get32(at + L.TLB_FLAGS);
    const bits = this.core.compareEntry(at);
    return {
      bank,
      index,
      gva,
      hpa: host - L.RAM_BASE,
      gpaLow: (flags >>> L.TLB_GPA_SHIFT) * PAGE,
      pageSize: SIZES.find(([flag]) => flags & flag)?.[1] ?? PAGE,
      readable: tags[0] !== NO_TAG,
      writable: tags[1] !== NO_TAG || (flags & FLAG_WRITABLE) !== 0,
      executable: tags[2] !== NO_TAG,
      global: (flags & FLAG_GLOBAL) !== 0,
      writeTag: tags[1] !== NO_TAG,
      differences: DIFFERENCES.filter((_, bit) => (bits >> bit) & 1),
    };
  }
}

/** The access whose walk tells most: one that the tables refuse though the entry allows it. */
function accessToShow({ differences, readable, executable }: TlbEntry): Walk['access'] {
  for (const access of ['read', 'write', 'execute'] as const) if (differences.includes(access)) return access;
  return readable ? 'read' : executable ? 'execute' : 'write';
}

/** The guest's tables if they refuse, or name another GPA than the entry was filled with. */
function whatChanged(entry: TlbEntry, { eptp }: TlbBank, walk: Walk): 'guest' | 'ept' {
  if (eptp === 0n || walk.result.kind === 'page-fault') return 'guest';
  const leaf = walk.gpa ?? walk.steps.findLast(({ table }) => table === 'ept')?.gpa ?? 0;
  return Math.floor(leaf / PAGE) % GPA_PAGES === entry.gpaLow / PAGE ? 'ept' : 'guest';
}

const hex = (value: bigint | number): string => `0x${value.toString(16)}`;

export function rightsOf({ readable, writable, executable }: TlbEntry): string {
  return [readable ? 'R' : '', writable ? 'W' : '', executable ? 'X' : ''].filter(Boolean).join(' ');
}

function inWords(entry: TlbEntry, walk: Walk): string {
  const cached = `${hex(entry.gva)} → hpa:${hex(entry.hpa)} ${rightsOf(entry)}`;
  const now = walk.result.kind === 'ok' ? `hpa:${hex(walk.hpa ?? 0)}` : walkResult(walk);
  if (isStale(entry))
    return `cached ${cached}; the tables now say of a${walk.access === 'execute' ? 'n' : ''} ${walk.access}: ${now}`;
  if (entry.differences.includes('flags'))
    return `cached ${cached}; an accessed or dirty flag has been cleared since, and is not set again through this entry`;
  if (entry.differences.includes('global')) return `cached ${cached}; the tables say no longer that it is global`;
  return `cached ${cached}, as the tables say`;
}
