/**
 * Which TLB bank serves which context. An entry of a bank holds for exactly one combination of logical CPU, VPID, EPTP, PCID (CR3 when
 * PCIDs are off) and of what decides rights: paging mode, ring, WP, SMAP, SMEP, NXE, PKRU. So none of these is part of the hit test, and MOV CR3,
 * ring changes, WRPKRU, VM entries and VM exits only swap the bank.
 */
import * as L from '../cpu/layout.ts';
import type { LinearMemory } from '../cpu/state.ts';
import type { BankContext } from './api.ts';
import type { MmuCore } from './core.ts';

/** Bits of the first key word below the CPU number: what decides rights. */
const USER = 1;
const WRITE_PROTECT = 2;
const PAGING = 4;
const SMAP = 8;
const SMEP = 16;
const NO_EXECUTE = 32;
const LA57 = 64;
/** Alignment checks are on: the bank stays empty so that every access takes the slow path. */
const UNCACHED = 128;
const PAE = 256;
const LONG = 512;
const PAGE_4M = 1024;
const KEYS = 2048;

const KEY_WORDS = 7;
const ROOT_WORDS = 3;
const CR0_WP = 1 << 16;
const CR0_AM = 1 << 18;
const CR0_PG = 1 << 31;
const CR4_PSE = 1 << 4;
const CR4_PAE = 1 << 5;
const CR4_PGE = 1 << 7;
const CR4_LA57 = 1 << 12;
const CR4_PCIDE = 1 << 17;
const CR4_SMEP = 1 << 20;
const CR4_SMAP = 1 << 21;
const CR4_PKE = 1 << 22;
const EFER_LMA = 1 << 10;
const EFER_NXE = 1 << 11;
const RFLAGS_AC = 1 << 18;

const CR0_KEYS = [
  [WRITE_PROTECT, CR0_WP],
  [PAGING, CR0_PG],
] as const;
const CR4_KEYS = [
  [PAGE_4M, CR4_PSE],
  [PAE, CR4_PAE],
  [LA57, CR4_LA57],
  [SMEP, CR4_SMEP],
  [SMAP, CR4_SMAP],
  [KEYS, CR4_PKE],
] as const;
const EFER_KEYS = [
  [NO_EXECUTE, EFER_NXE],
  [LONG, EFER_LMA],
] as const;
/** What else decides rights, as the banks' tags name it. */
const RULES = [
  [WRITE_PROTECT, 'WP'],
  [SMEP, 'SMEP'],
  [SMAP, 'SMAP'],
  [NO_EXECUTE, 'NX'],
  [KEYS, 'PKE'],
] as const;

/** Address-space part of a bank's key. */
export interface BankKey {
  readonly cpu: number;
  readonly vpid: number;
  readonly pcid: number;
}

export interface SavedBanks {
  readonly keys: Int32Array;
  readonly stamps: Float64Array;
  readonly siblings: Uint32Array;
  readonly roots: Int32Array;
  readonly clock: number;
  /** The banks in use, entry by entry. */
  readonly entries: Uint8Array;
}

export class TlbBanks {
  /** Logical CPU whose TLB is in force. */
  cpu = 0;
  /** Told when a bank is in force with other tables than last time: a MOV to CR3 that keeps the entries of a PCID. */
  onOtherRoot: (() => void) | undefined;
  readonly #u32: Uint32Array;
  readonly #keys = new Int32Array(L.TLB_BANKS * KEY_WORDS);
  /** When a bank was last selected; 0 for one never used. */
  readonly #stamps = new Float64Array(L.TLB_BANKS);
  readonly #siblings = new Uint32Array(L.TLB_BANKS);
  /** What each bank's tables began at when it was last in force, ROOT_WORDS each: CR3, and VMX_MODE. With PCIDs that is no part of the key. */
  readonly #roots = new Int32Array(L.TLB_BANKS * ROOT_WORDS);
  /** The key being looked for. */
  readonly #wanted = new Int32Array(KEY_WORDS);
  /** Bit n: bank n has been used. */
  #prepared = 0;
  #clock = 0;
  #current = -1;
  /** The bank before the current one. */
  #previous = -1;

  constructor(
    readonly mem: LinearMemory,
    readonly core: MmuCore,
  ) {
    this.#u32 = mem.u32;
    this.contextChanged();
  }

  /** Empties a bank that has never been used: memory that nobody needs is not touched. */
  #prepare(bank: number): void {
    if ((this.#prepared >>> bank) & 1) return;
    this.#prepared |= 1 << bank;
    const { bytes } = this.mem;
    bytes.fill(0xff, L.TLB + bank * L.TLB_BANK_BYTES, L.TLB + (bank + 1) * L.TLB_BANK_BYTES);
    bytes.fill(L.JC_EMPTY, L.JC + bank * L.JC_BANK_BYTES, L.JC + (bank + 1) * L.JC_BANK_BYTES);
  }

  /** Selects the bank of the context the CPU state describes: sets TLB_BASE, JC_BASE, TLB_SIBLINGS and TLB_UNCACHED. */
  contextChanged(): void {
    this.#readKey();
    if (this.#current >= 0 && this.#holdsWanted(this.#current)) return this.#noteRoot();
    // An exit and the entry after it go to and fro between two.
    let bank = this.#previous;
    if (bank < 0 || !this.#serves(bank)) for (bank = 0; bank < L.TLB_BANKS && !this.#serves(bank);) bank++;
    if (bank === L.TLB_BANKS) bank = this.#allocate();
    this.#previous = this.#current;
    this.#current = bank;
    this.#stamps[bank] = ++this.#clock;
    this.#u32[L.TLB_BASE >>> 2] = L.TLB + bank * L.TLB_BANK_BYTES;
    this.#u32[L.JC_BASE >>> 2] = L.JC + bank * L.JC_BANK_BYTES;
    this.#u32[L.TLB_SIBLINGS >>> 2] = this.#siblings[bank]!;
    this.#u32[L.TLB_UNCACHED >>> 2] = this.#wanted[0]! & UNCACHED;
    this.#noteRoot();
  }
  #noteRoot(): void {
    const at = this.#current * ROOT_WORDS;
    const other =
      this.#roots[at] !== this.#u32[L.CR3 >>> 2]! << 0 || this.#roots[at + 1] !== this.#u32[(L.CR3 >>> 2) + 1]! << 0;
    if (other) this.onOtherRoot?.();
    this.#roots[at] = this.#u32[L.CR3 >>> 2]!;
    this.#roots[at + 1] = this.#u32[(L.CR3 >>> 2) + 1]!;
    this.#roots[at + 2] = this.#u32[L.VMX_MODE >>> 2]!;
  }

  #readKey(): void {
    const u32 = this.#u32;
    const cr0 = u32[L.CR0 >>> 2]!;
    const cr4 = u32[L.CR4 >>> 2]!;
    const user = u32[L.CPL >>> 2] === 3;
    const alignment = (u32[L.SYSTEM_FLAGS >>> 2]! & RFLAGS_AC) !== 0;
    let mode = this.cpu << 16;
    if (user) {
      mode |= USER;
      if (alignment && cr0 & CR0_AM) mode |= UNCACHED;
    } else {
      if (cr0 & CR0_WP) mode |= WRITE_PROTECT;
      if (cr4 & CR4_SMAP && !alignment) mode |= SMAP;
      if (cr4 & CR4_SMEP) mode |= SMEP;
    }
    if (cr0 & CR0_PG) mode |= PAGING;
    if (cr4 & CR4_PSE) mode |= PAGE_4M;
    if (cr4 & CR4_PAE) mode |= PAE;
    if (cr4 & CR4_LA57) mode |= LA57;
    const efer = u32[L.MSR_EFER >>> 2]!;
    if (efer & EFER_NXE) mode |= NO_EXECUTE;
    if (efer & EFER_LMA) mode |= LONG;
    const keys = (cr4 & CR4_PKE) !== 0;
    if (keys) mode |= KEYS;
    const cr3 = u32[L.CR3 >>> 2]!;
    const pcids = (cr4 & CR4_PCIDE) !== 0;
    const key = this.#wanted;
    key[0] = mode;
    key[1] = u32[L.VPID >>> 2]! | ((pcids ? cr3 & 0xfff : 0) << 16);
    key[2] = u32[L.EPTP >>> 2]!;
    key[3] = u32[(L.EPTP >>> 2) + 1]!;
    // With PCIDs the base may change under entries that stay (MOV CR3 with bit 63 set).
    key[4] = pcids ? 0 : cr3;
    key[5] = pcids ? 0 : u32[(L.CR3 >>> 2) + 1]!;
    key[6] = keys ? u32[L.PKRU >>> 2]! : 0;
  }

  #serves(bank: number): boolean {
    return this.#stamps[bank]! > 0 && this.#holdsWanted(bank);
  }
  #holdsWanted(bank: number): boolean {
    const keys = this.#keys;
    const wanted = this.#wanted;
    const at = bank * KEY_WORDS;
    for (let word = 0; word < KEY_WORDS; word++) if (keys[at + word] !== wanted[word]) return false;
    return true;
  }

  /** Gives the least recently used bank to the wanted key. */
  #allocate(): number {
    let bank = 0;
    for (let other = 1; other < L.TLB_BANKS; other++) if (this.#stamps[other]! < this.#stamps[bank]!) bank = other;
    this.#prepare(bank);
    this.core.flushBank(bank, 0);
    this.#keys.set(this.#wanted, bank * KEY_WORDS);
    this.#stamps[bank] = ++this.#clock;
    for (let one = 0; one < L.TLB_BANKS; one++) {
      let mask = 0;
      for (let other = 0; other < L.TLB_BANKS; other++) if (this.#related(one, other)) mask |= 1 << other;
      this.#siblings[one] = mask;
    }
    return bank;
  }

  #related(one: number, other: number): boolean {
    const keys = this.#keys;
    const a = one * KEY_WORDS;
    const b = other * KEY_WORDS;
    return this.#stamps[other]! > 0 && keys[a]! >>> 16 === keys[b]! >>> 16 && keys[a + 1] === keys[b + 1];
  }

  /** Calls `visit` for every bank in use by a logical CPU (default: the one in force). */
  forEach(visit: (bank: number, key: BankKey) => void, cpu: number | 'every' = this.cpu): void {
    for (let bank = 0; bank < L.TLB_BANKS; bank++) {
      if (this.#stamps[bank] === 0) continue;
      const owner = this.#keys[bank * KEY_WORDS]! >>> 16;
      if (cpu !== 'every' && owner !== cpu) continue;
      const space = this.#keys[bank * KEY_WORDS + 1]!;
      visit(bank, { cpu: owner, vpid: space & 0xffff, pcid: space >>> 16 });
    }
  }

  /** VPID and PCID in force, from the CPU state as it is now. */
  get vpid(): number {
    this.#readKey();
    return this.#wanted[1]! & 0xffff;
  }
  get pcid(): number {
    this.#readKey();
    return this.#wanted[1]! >>> 16;
  }

  context(bank: number): BankContext {
    const at = bank * KEY_WORDS;
    const space = this.#keys[at + 1]!;
    return {
      cpu: this.#keys[at]! >>> 16,
      vpid: space & 0xffff,
      pcid: space >>> 16,
      eptp: quadword(this.#keys[at + 2]!, this.#keys[at + 3]!),
      cr3: this.root(bank),
      user: (this.#keys[at]! & USER) !== 0,
      rules: RULES.filter(([bit]) => this.#keys[at]! & bit).map(([, name]) => name),
    };
  }

  /** Number of the bank of the context that the CPU state describes; -1 if it has none. */
  get current(): number {
    this.#readKey();
    for (let bank = 0; bank < L.TLB_BANKS; bank++) if (this.#serves(bank)) return bank;
    return -1;
  }
  /** CR3 when the bank was last in force. */
  root(bank: number): bigint {
    return quadword(this.#roots[bank * ROOT_WORDS]!, this.#roots[bank * ROOT_WORDS + 1]!);
  }

  /**
   * Calls `look` with that in the state which decides a walk for the context of a bank. Where a control is no part of what tags the bank, it is as if on.
   * PDPTE registers are those that a MOV to CR3 would load now. Nothing but walks may be done meanwhile.
   */
  within<T>(bank: number, look: () => T): T {
    if (bank === this.current) return look();
    const { mem } = this;
    const saved = mem.bytes.slice(L.STATE, L.STATE + L.STATE_SIZE);
    const fault = mem.bytes.slice(L.FAULT_KIND, L.FAULT_QUALIFICATION + 8);
    const [mode, , low, high, , , pkru] = this.#keys.subarray(bank * KEY_WORDS, (bank + 1) * KEY_WORDS);
    const bits = (pairs: readonly (readonly [number, number])[]): number =>
      pairs.reduce((value, [key, bit]) => (mode! & key ? value | bit : value), 0);
    mem.set32(L.CPL, mode! & USER ? 3 : 0);
    mem.set32(L.CR0, bits(CR0_KEYS));
    mem.set32(L.CR4, bits(CR4_KEYS) | CR4_PGE);
    mem.set32(L.MSR_EFER, bits(EFER_KEYS));
    mem.set32(L.SYSTEM_FLAGS, 0);
    mem.set64(L.EPTP, quadword(low!, high!));
    mem.set64(L.CR3, this.root(bank));
    mem.set32(L.VMX_MODE, this.#roots[bank * ROOT_WORDS + 2]!);
    mem.set32(L.PKRU, pkru!);
    try {
      if (mode! & PAE && !(mode! & LONG) && this.core.readPdptes(this.root(bank)) === 0)
        for (let index = 0; index < 4; index++) mem.set64(L.PDPTE + index * 8, mem.get64(L.EXCHANGE + index * 8));
      return look();
    } finally {
      mem.bytes.set(saved, L.STATE);
      mem.bytes.set(fault, L.FAULT_KIND);
    }
  }

  /** Every bank with its contents, as plain data. What a TLB holds is visible to the guest: stale entries are part of the state. */
  save(): SavedBanks {
    const used = this.#stamps.findLastIndex((stamp) => stamp > 0) + 1;
    return {
      keys: this.#keys.slice(),
      stamps: this.#stamps.slice(),
      siblings: this.#siblings.slice(),
      roots: this.#roots.slice(),
      clock: this.#clock,
      entries: this.mem.bytes.slice(L.TLB, L.TLB + used * L.TLB_BANK_BYTES),
    };
  }

  /** The caller selects the bank afterwards (`contextChanged`). Write tags are dropped: frames are clean after a restore. */
  restore(saved: SavedBanks): void {
    this.forgetBanks();
    this.#keys.set(saved.keys);
    this.#stamps.set(saved.stamps);
    this.#siblings.set(saved.siblings);
    this.#roots.set(saved.roots);
    this.#clock = saved.clock;
    for (let bank = 0; bank < L.TLB_BANKS; bank++) if (this.#stamps[bank]! > 0) this.#prepare(bank);
    this.mem.bytes.set(saved.entries, L.TLB);
    this.core.banksReplaced();
    this.core.dropWriteTags(-1);
  }

  /** Empties every bank, and the assignment of banks. */
  private forgetBanks(): void {
    this.core.banksReplaced();
    for (let bank = 0; bank < L.TLB_BANKS; bank++) this.core.flushBank(bank, 0);
    this.#stamps.fill(0);
    this.#clock = 0;
    this.#current = -1;
  }

  /** Drops every entry of every bank, and the assignment of banks. */
  forget(): void {
    this.forgetBanks();
    this.contextChanged();
  }
}

function quadword(low: number, high: number): bigint {
  return BigInt(low >>> 0) | (BigInt(high >>> 0) << 32n);
}
