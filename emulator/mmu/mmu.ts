/** Memory management as the TypeScript side sees it: bank selection, invalidation, and reading what tables and TLB hold. */
import type { LinearMemory } from '../cpu/state.ts';
import type { EventBus } from '../machine/events.ts';
import type { Mmu, TlbBank, TlbEntry, TlbEntryDetails, Walk } from './api.ts';
import { type BankKey, type SavedBanks, TlbBanks } from './banks.ts';
import type { MmuCore } from './core.ts';
import { StaleWatch } from './stale-watch.ts';
import { TlbListing } from './tlb-listing.ts';
import { peek, traceWalk } from './walk.ts';

export interface MmuParts {
  readonly mem: LinearMemory;
  readonly core: MmuCore;
  readonly events: EventBus;
}

/** `flushPage` argument. */
const ALL = 0;
const GLOBAL_ONLY = 1;
const NOT_GLOBAL = 2;

/** Bits of an EPTP that tag translations (SDM 3C 29.4.1, EP4TA). */
const EP4TA = 0x000f_ffff_ffff_f000n;

export class MemoryManagement implements Mmu {
  readonly banks: TlbBanks;
  readonly watch: StaleWatch;
  readonly #parts: MmuParts;
  readonly #listing: TlbListing;

  constructor(parts: MmuParts) {
    this.#parts = parts;
    this.banks = new TlbBanks(parts.mem, parts.core);
    this.#listing = new TlbListing(parts.mem, parts.core, this.banks);
    this.watch = new StaleWatch({ ...parts, banks: this.banks, mmu: this });
  }

  walk(gva: bigint, access: 'read' | 'write' | 'execute', user?: boolean): Walk {
    return traceWalk(this.#parts.mem, this.#parts.core, gva, access, user);
  }

  bankReturned(times: number): void {
    this.banks.returned(times);
  }
  bankLeft(): void {
    this.banks.left();
  }

  peek(gva: bigint): number {
    return peek(this.#parts.mem, this.#parts.core, gva);
  }

  gpaToHpa(gpa: number): number {
    const hpa = this.#parts.core.translateGpa(BigInt(gpa));
    return hpa === -1n ? -1 : Number(hpa);
  }

  invalidatePage(gva: bigint): void {
    const { vpid, pcid } = this.banks;
    this.#each(
      (key) => key.vpid === vpid,
      (bank, key) => this.#parts.core.flushPage(bank, gva, key.pcid === pcid ? ALL : GLOBAL_ONLY),
    );
    this.#report('INVLPG', { gva, vpid, pcid });
  }

  flush(keepGlobal: boolean): void {
    const { vpid, pcid } = this.banks;
    this.#each(
      (key) => key.vpid === vpid && (key.pcid === pcid || !keepGlobal),
      (bank, key) => {
        if (key.pcid === pcid) this.#parts.core.flushBank(bank, keepGlobal ? 1 : 0);
        else this.#parts.core.flushGlobal(bank);
      },
    );
    this.#report(keepGlobal ? 'MOV CR3' : 'control register', { vpid, pcid });
  }

  invalidatePcid(type: number, pcid: number, gva: bigint): void {
    const { vpid } = this.banks;
    const { core } = this.#parts;
    this.#each(
      (key) => key.vpid === vpid && (type >= 2 || key.pcid === pcid),
      (bank) => {
        if (type === 0) core.flushPage(bank, gva, NOT_GLOBAL);
        else core.flushBank(bank, type === 2 ? 0 : 1);
      },
    );
    this.#report('INVPCID', { type, vpid, ...(type < 2 ? { pcid } : {}), ...(type === 0 ? { gva } : {}) });
  }

  invalidateVpid(type: number, vpid: number, gva: bigint): void {
    const { core } = this.#parts;
    this.#each(
      (key) => (type === 2 ? key.vpid !== 0 : key.vpid === vpid),
      (bank) => {
        if (type === 0) core.flushPage(bank, gva, ALL);
        else core.flushBank(bank, type === 3 ? 1 : 0);
      },
    );
    this.#report('INVVPID', { type, ...(type === 2 ? {} : { vpid }), ...(type === 0 ? { gva } : {}) });
  }

  invalidateEpt(type: number, eptp: bigint): void {
    const wanted = eptp & EP4TA;
    this.banks.forEach((bank) => {
      const tables = this.banks.context(bank).eptp & EP4TA;
      if (tables !== 0n && (type === 2 || tables === wanted)) this.#parts.core.flushBank(bank, 0);
    });
    this.#report('INVEPT', { type, ...(type === 1 ? { eptp } : {}) });
  }

  /** What a VM entry or exit does when VPIDs are off (SDM 3C 29.4.3.1): drops everything tagged VPID 0. */
  flushUntagged(): void {
    this.#each(
      (key) => key.vpid === 0,
      (bank) => this.#parts.core.flushBank(bank, 0),
    );
    this.#report('VM transition without VPID', { vpid: 0 });
  }

  flushAll(): void {
    this.banks.forEach((bank) => this.#parts.core.flushBank(bank, 0), 'every');
    this.#report('everything', {});
  }

  /** Drops what every bank of every CPU holds of a page: from now on accesses to it are watched. */
  forgetPage(gva: bigint): void {
    this.banks.forEach((bank) => this.#parts.core.flushPage(bank, gva, ALL), 'every');
  }

  protectFrame(pfn: number): void {
    this.#parts.core.dropWriteTags(pfn);
  }

  /** Drops all write tags of all CPUs: after the dirty marks of frames were cleared (snapshot). */
  protectAllFrames(): void {
    this.#parts.core.dropWriteTags(-1);
  }

  save(): unknown {
    return this.watch.plainly(() => this.banks.save());
  }
  restore(saved: unknown): void {
    this.banks.restore(saved as SavedBanks);
    this.watch.restored();
  }

  entries(cpu?: 'every'): TlbEntry[] {
    return this.#listing.entries(cpu);
  }
  tlbBanks(): TlbBank[] {
    return this.#listing.banks();
  }
  entryDetails(bank: number, index: number): TlbEntryDetails | undefined {
    return this.#listing.details(bank, index, (walk) => this.watch.changeOf(walk));
  }
  translations(gva: bigint): TlbEntryDetails[] {
    return this.#listing.translations(gva, (walk) => this.watch.changeOf(walk));
  }
  lookup(gva: bigint): TlbEntry | undefined {
    return this.#listing.lookup(gva);
  }
  get lastStaleUse(): TlbEntryDetails | undefined {
    return this.watch.last;
  }

  #each(matches: (key: BankKey) => boolean, action: (bank: number, key: BankKey) => void): void {
    this.banks.forEach((bank, key) => {
      if (matches(key)) action(bank, key);
    });
  }

  #report(by: string, facts: Record<string, number | bigint>): void {
    const { events } = this.#parts;
    if (!events.wants('tlb-flush')) return;
    const words = Object.entries(facts).map(
      ([name, value]) => `${name} ${typeof value === 'bigint' ? hex(value) : value}`,
    );
    events.emit('tlb-flush', () => ({
      summary: `TLB flush by ${by}${words.length > 0 ? `: ${words.join(', ')}` : ''}`,
      facts: { by, ...facts },
    }));
  }
}

function hex(value: bigint): string {
  return `0x${value.toString(16)}`;
}

export function createMmu(parts: MmuParts): MemoryManagement {
  return new MemoryManagement(parts);
}
