/**
 * Tells of accesses that a stale TLB entry serves (EventKind `stale-tlb`), while somebody listens. The core parks entries when a table has changed
 * (core/mmu-stale.ts); here is which frames hold tables, what was written there, and by whom. Nothing of it changes what the guest sees, but for one thing: jump
 * caches are emptied, so that code whose TLB entry is gone is fetched by what the tables say now.
 */
import { ACCESS_EXEC, ACCESS_KIND, ACCESS_WRITE } from '../cpu/codes.ts';
import * as L from '../cpu/layout.ts';
import type { LinearMemory } from '../cpu/state.ts';
import type { EventBus } from '../machine/events.ts';
import type { Mmu, TableChange, TlbDifference, TlbEntryDetails, Walk } from './api.ts';
import type { TlbBanks } from './banks.ts';
import type { MmuCore } from './core.ts';
import { EPT_ENTRY, PAGE_ENTRY } from './entries.ts';
import { rightsOf } from './tlb-listing.ts';
import { walkResult } from './walk-text.ts';

const PAGE = 4096;
/** Writes to a table after which it is watched no longer, until a walk goes through it again: the frame may be something else by now. */
const MOST_WRITES = 1000;
/** Changes remembered, and forgotten by halves, the oldest first. */
const MOST_CHANGES = 4096;
/** EPT entries: the rights, and that of user-mode execution. */
const EPT_PRESENT = EPT_ENTRY.rights | 0x400n;
const GUEST_MARKS = PAGE_ENTRY.accessed | PAGE_ENTRY.dirty;
const EPT_MARKS = EPT_ENTRY.accessed | EPT_ENTRY.dirty;

interface Table {
  readonly ept: boolean;
  readonly contents: Uint8Array;
  writes: number;
}

export interface StaleWatchParts {
  readonly mem: LinearMemory;
  readonly core: MmuCore;
  readonly events: EventBus;
  readonly banks: TlbBanks;
  readonly mmu: Pick<Mmu, 'entryDetails' | 'lookup' | 'protectFrame'>;
}

export class StaleWatch {
  readonly #parts: StaleWatchParts;
  #on = false;
  /** By frame number. */
  readonly #tables = new Map<number, Table>();
  /** By HPA of the entry, in the order of the writes. */
  readonly #changes = new Map<number, TableChange>();
  last: TlbEntryDetails | undefined;

  constructor(parts: StaleWatchParts) {
    this.#parts = parts;
    parts.events.onInterest('stale-tlb', (wanted) => this.#switch(wanted));
  }

  #switch(on: boolean): void {
    if (on === this.#on) return;
    this.#on = on;
    const { core, banks } = this.#parts;
    core.setChecking(on ? 1 : 0);
    banks.onOtherRoot = on ? () => core.parkEntries() : undefined;
    if (!on) this.#forget();
  }

  #forget(): void {
    for (const pfn of this.#tables.keys()) this.#unwatch(pfn);
    this.#tables.clear();
    this.#changes.clear();
    this.last = undefined;
  }
  #unwatch(pfn: number): void {
    this.#parts.mem.bytes[L.FRAME_FLAGS + pfn]! &= ~L.FRAME_WATCHED;
    this.#tables.delete(pfn);
  }

  /** All state was replaced. */
  restored(): void {
    if (!this.#on) return;
    this.#forget();
    this.#parts.core.parkEntries();
  }

  /** Calls `look` with the TLB as it is when nobody watches. */
  plainly<T>(look: () => T): T {
    if (!this.#on) return look();
    this.#parts.core.setChecking(0);
    try {
      return look();
    } finally {
      this.#parts.core.setChecking(1);
    }
  }

  /** A walk has read an entry of a table that is not watched yet. */
  tableFound(hpa: number, ept: boolean): void {
    const { mem, mmu } = this.#parts;
    const pfn = Math.floor(hpa / PAGE);
    mem.bytes[L.FRAME_FLAGS + pfn]! |= L.FRAME_WATCHED;
    mmu.protectFrame(pfn);
    const at = L.RAM_BASE + pfn * PAGE;
    this.#tables.set(pfn, { ept, contents: mem.bytes.slice(at, at + PAGE), writes: 0 });
  }

  /** Bytes of a watched frame were written. */
  written(hpa: number, bytes: number, byInstruction: boolean): void {
    const end = hpa + bytes;
    for (let at = hpa; at < end; at = (Math.floor(at / PAGE) + 1) * PAGE) {
      const pfn = Math.floor(at / PAGE);
      const table = this.#tables.get(pfn);
      if (table) this.#tableWritten(pfn, table, at, Math.min(end, (pfn + 1) * PAGE), byInstruction);
    }
  }

  #tableWritten(pfn: number, table: Table, from: number, to: number, byInstruction: boolean): void {
    const { mem, core } = this.#parts;
    const before = new DataView(table.contents.buffer);
    let counts = false;
    for (let hpa = from - (from % 8); hpa < to; hpa += 8) {
      const old = before.getBigUint64(hpa % PAGE, true);
      const now = mem.get64(L.RAM_BASE + hpa);
      if (old === now) continue;
      before.setBigUint64(hpa % PAGE, now, true);
      if (!mayBeCached(table, old) || sameButMarks(table, old, now)) continue;
      counts = true;
      this.#remember(hpa, old, now, byInstruction);
    }
    const weary = ++table.writes > MOST_WRITES;
    if (weary) this.#unwatch(pfn);
    if (counts || weary) core.parkEntries();
  }

  #remember(hpa: number, old: bigint, now: bigint, byInstruction: boolean): void {
    const { rip, cpl, mode, thread, instructions } = this.#parts.events.context();
    this.#changes.delete(hpa);
    this.#changes.set(hpa, { hpa, old, new: now, rip, cpl, mode, thread, instructions, byInstruction });
    if (this.#changes.size <= MOST_CHANGES) return;
    for (const oldest of [...this.#changes.keys()].slice(0, MOST_CHANGES / 2)) this.#changes.delete(oldest);
  }

  /** The latest recorded change of an entry that the walk reads. */
  changeOf({ steps }: Walk): TableChange | undefined {
    const known = steps.flatMap(({ hpa }) => this.#changes.get(hpa - (hpa % 8)) ?? []);
    return known.reduce<TableChange | undefined>(
      (latest, one) => (latest && latest.instructions > one.instructions ? latest : one),
      undefined,
    );
  }

  /** An access that a stale entry serves; true if a listener holds the instruction. */
  used(gva: bigint, access: number): boolean {
    const { events, mmu } = this.#parts;
    const kind = access & ACCESS_KIND;
    const words = kind === ACCESS_EXEC ? 'execute' : kind === ACCESS_WRITE ? 'write' : 'read';
    const entry = mmu.lookup(gva);
    const details = entry && mmu.entryDetails(entry.bank, entry.index);
    if (!details) return false;
    return events.emit('stale-tlb', () => {
      this.last = details;
      return { summary: summaryOf(gva, words, details), facts: factsOf(gva, words, details) };
    });
  }
}

/** Only entries that are present are cached (SDM 3A 5.10.2). */
function mayBeCached({ ept }: Table, entry: bigint): boolean {
  if (ept) return (entry & EPT_PRESENT) !== 0n;
  // Entries of 4 bytes: two of them.
  return (entry & PAGE_ENTRY.present) !== 0n || ((entry >> 32n) & PAGE_ENTRY.present) !== 0n;
}

/** What the processor itself sets, and what does not make an entry stale. */
function sameButMarks({ ept }: Table, old: bigint, now: bigint): boolean {
  const marks = ept ? EPT_MARKS : GUEST_MARKS | (GUEST_MARKS << 32n);
  return ((old ^ now) & ~marks) === 0n;
}

const hex = (value: bigint | number): string => `0x${value.toString(16)}`;

function summaryOf(gva: bigint, access: string, { entry, walk, missing }: TlbEntryDetails): string {
  const now = walk.result.kind === 'ok' ? `hpa:${hex(walk.hpa ?? 0)}` : walkResult(walk);
  return `${access} of gva:${hex(gva)} by a stale TLB entry: hpa:${hex(entry.hpa)} ${rightsOf(entry)}, the tables now say ${now}; missing: ${missing[0]}`;
}

function factsOf(gva: bigint, access: string, details: TlbEntryDetails): Record<string, bigint | number | string> {
  const { entry, walk, bank, change } = details;
  const difference: TlbDifference | undefined = entry.differences[0];
  return {
    gva,
    access,
    hpa: entry.hpa,
    now: walk.hpa ?? -1,
    difference: difference ?? 'page',
    changed: details.changed ?? 'guest',
    missing: details.missing[0] ?? '',
    vpid: bank.vpid,
    pcid: bank.pcid,
    ...(change ? { changedBy: change.rip } : {}),
  };
}
