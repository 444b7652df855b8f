/**
 * Which TLB bank serves which context. An entry of a bank holds for exactly one combination of logical CPU, VPID, EPTP, PCID (CR3 when
 * PCIDs are off) and of what decides rights: paging mode, ring, WP, KEY_SMAP, KEY_SMEP, NXE, PKRU. So none of these is part of the hit test, and MOV CR3,
 * ring changes, WRPKRU, VM entries and VM exits only swap the bank.
 */
import * as L from '../cpu/layout.ts';
import type { LinearMemory } from '../cpu/state.ts';
import {
  KEY_LA57,
  KEY_LONG,
  KEY_NO_EXECUTE,
  KEY_PAE,
  KEY_PAGE_4M,
  KEY_PAGING,
  KEY_PROTECTION,
  KEY_SMAP,
  KEY_SMEP,
  KEY_UNCACHED,
  KEY_USER,
  KEY_WORDS,
  KEY_WRITE_PROTECT,
  ROOT_WORDS,
} from '../cpu/bank-keys.ts';
import type { BankContext } from './api.ts';
import type { MmuCore } from './core.ts';
import {
  CR0_WP,
  CR0_PG,
  CR4_PSE,
  CR4_PAE,
  CR4_PGE,
  CR4_LA57,
  CR4_SMEP,
  CR4_SMAP,
  CR4_PKE,
  EFER_LMA,
  EFER_NXE,
} from '../cpu/control-bits.ts';

/** Answers of the core: number of the bank, and whether it was last in force with another CR3. */
const BANK = 0xff;
const OTHER_ROOT = 0x100;
/** No context has this first word. */
const NO_KEY = -1;

const CR0_KEYS = [
  [KEY_WRITE_PROTECT, CR0_WP],
  [KEY_PAGING, CR0_PG],
] as const;
const CR4_KEYS = [
  [KEY_PAGE_4M, CR4_PSE],
  [KEY_PAE, CR4_PAE],
  [KEY_LA57, CR4_LA57],
  [KEY_SMEP, CR4_SMEP],
  [KEY_SMAP, CR4_SMAP],
  [KEY_PROTECTION, CR4_PKE],
] as const;
const EFER_KEYS = [
  [KEY_NO_EXECUTE, EFER_NXE],
  [KEY_LONG, EFER_LMA],
] as const;
/** What else decides rights, as the banks' tags name it. */
const RULES = [
  [KEY_WRITE_PROTECT, 'WP'],
  [KEY_SMEP, 'SMEP'],
  [KEY_SMAP, 'SMAP'],
  [KEY_NO_EXECUTE, 'NX'],
  [KEY_PROTECTION, 'PKE'],
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
  /** What code is fetched by: the chunks in use, one after the other. */
  readonly code: Uint8Array;
  readonly codeUsed: Uint8Array;
}

const CODE_CHUNK_BYTES = L.CODE_CHUNK << L.CODE_SHIFT;
/** Where the chunks of CODE_TLB stand that are in use. */
function codeChunks(used: Uint8Array): number[] {
  const chunks: number[] = [];
  used.forEach((bits, byte) => {
    for (let bit = 0; bits >> bit !== 0; bit++)
      if ((bits >> bit) & 1) chunks.push(L.CODE_TLB + (byte * 8 + bit) * CODE_CHUNK_BYTES);
  });
  return chunks;
}

export class TlbBanks {
  /** Logical CPU whose TLB is in force. */
  cpu = 0;
  /** Told when a bank is in force with other tables than last time: a MOV to CR3 that keeps the entries of a PCID. */
  onOtherRoot: (() => void) | undefined;
  readonly #u32: Uint32Array;
  /** Of banks that hold nothing NO_KEY. */
  readonly #keys: Int32Array;
  /** When a bank was last selected; 0 for one never used. */
  readonly #stamps = new Float64Array(L.TLB_BANKS);
  readonly #siblings = new Uint32Array(L.TLB_BANKS);
  /** What each bank's tables began at when it was last in force, ROOT_WORDS each: CR3, and VMX_MODE. With PCIDs that is no part of the key. */
  readonly #roots: Int32Array;
  /** The key being looked for. */
  readonly #wanted: Int32Array;
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
    const { buffer } = mem.memory;
    this.#keys = new Int32Array(buffer, L.BANK_KEYS, L.TLB_BANKS * KEY_WORDS).fill(NO_KEY);
    this.#wanted = new Int32Array(buffer, L.BANK_KEYS + this.#keys.byteLength, KEY_WORDS);
    this.#roots = new Int32Array(buffer, L.BANK_ROOTS, L.TLB_BANKS * ROOT_WORDS);
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
    const found = this.core.selectBank(this.cpu, this.#current, this.#previous);
    const bank = found < 0 ? this.#allocate() : found & BANK;
    if (bank !== this.#current) this.#select(bank);
    const otherRoot = found < 0 ? this.core.noteRoot(bank) : found & OTHER_ROOT;
    if (otherRoot !== 0) this.onOtherRoot?.();
  }
  #select(bank: number): void {
    const u32 = this.#u32;
    this.#previous = this.#current;
    this.#current = bank;
    this.#stamps[bank] = ++this.#clock;
    u32[L.BANK_CURRENT >>> 2] = bank;
    u32[L.BANK_PREVIOUS >>> 2] = this.#previous;
    u32[L.TLB_BASE >>> 2] = L.TLB + bank * L.TLB_BANK_BYTES;
    u32[L.JC_BASE >>> 2] = L.JC + bank * L.JC_BANK_BYTES;
    u32[L.TLB_SIBLINGS >>> 2] = this.#siblings[bank]!;
    u32[L.TLB_UNCACHED >>> 2] = this.#wanted[0]! & KEY_UNCACHED;
  }

  /** The context was for a while that of the bank before this one, which the core has seen (core/page-supply.ts), some times; as if both had been selected as often. */
  returned(times: number): void {
    this.#clock += 2 * times;
    this.#stamps[this.#previous] = this.#clock - 1;
    this.#stamps[this.#current] = this.#clock;
  }
  /** As `returned`, once, but the context may be any other now: the caller selects its bank. */
  left(): void {
    this.#select(this.#previous);
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
    this.core.readKey(this.cpu);
    return this.#wanted[1]! & 0xffff;
  }
  get pcid(): number {
    this.core.readKey(this.cpu);
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
      user: (this.#keys[at]! & KEY_USER) !== 0,
      rules: RULES.filter(([bit]) => this.#keys[at]! & bit).map(([, name]) => name),
    };
  }

  /** Number of the bank of the context that the CPU state describes; -1 if it has none. */
  get current(): number {
    return this.core.findBank(this.cpu, this.#current, -1);
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
    mem.set32(L.CPL, mode! & KEY_USER ? 3 : 0);
    mem.set32(L.CR0, bits(CR0_KEYS));
    mem.set32(L.CR4, bits(CR4_KEYS) | CR4_PGE);
    mem.set32(L.MSR_EFER, bits(EFER_KEYS));
    mem.set32(L.SYSTEM_FLAGS, 0);
    mem.set64(L.EPTP, quadword(low!, high!));
    mem.set64(L.CR3, this.root(bank));
    mem.set32(L.VMX_MODE, this.#roots[bank * ROOT_WORDS + 2]!);
    mem.set32(L.PKRU, pkru!);
    try {
      if (mode! & KEY_PAE && !(mode! & KEY_LONG) && this.core.readPdptes(this.root(bank)) === 0)
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
      code: this.#saveCode(),
      codeUsed: this.mem.bytes.slice(L.CODE_USED, L.CODE_USED + L.TLB_BANKS * L.CODE_USED_BYTES),
    };
  }

  #saveCode(): Uint8Array {
    const { bytes } = this.mem;
    const chunks = codeChunks(bytes.subarray(L.CODE_USED, L.CODE_USED + L.TLB_BANKS * L.CODE_USED_BYTES));
    const code = new Uint8Array(chunks.length * CODE_CHUNK_BYTES);
    chunks.forEach((at, index) => code.set(bytes.subarray(at, at + CODE_CHUNK_BYTES), index * CODE_CHUNK_BYTES));
    return code;
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
    this.mem.bytes.set(saved.codeUsed, L.CODE_USED);
    codeChunks(saved.codeUsed).forEach((at, index) =>
      this.mem.bytes.set(saved.code.subarray(index * CODE_CHUNK_BYTES, (index + 1) * CODE_CHUNK_BYTES), at),
    );
    this.core.banksReplaced();
    this.core.dropWriteTags(-1);
  }

  /** Empties every bank, and the assignment of banks. */
  private forgetBanks(): void {
    this.core.banksReplaced();
    for (let bank = 0; bank < L.TLB_BANKS; bank++) this.core.flushBank(bank, 0);
    this.#stamps.fill(0);
    this.#keys.fill(NO_KEY);
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
