/** Memory management as the rest of the emulator sees it. GVAs are bigint, guest- and host-physical addresses are number (at most 52 bits). */
import type { MemoryType } from './memory-types.ts';
import type { PagingMode } from './modes.ts';

/** One reference of a page walk, with what it decided. */
export interface WalkStep {
  /** Which table: guest level 5..1 (`guest`), EPT level 5..1 (`ept`). */
  readonly table: 'guest' | 'ept';
  readonly level: number;
  /** The guest's. PDPTEs of PAE paging are registers. */
  readonly paging: PagingMode;
  /** For EPT steps: the guest level whose GPA is being translated, 0 for the final GPA. */
  readonly forGuestLevel: number;
  /** GPA of a guest entry when EPT is on, else equal to `hpa`. For EPT steps: the GPA being translated. */
  readonly gpa: number;
  /** Host-physical address of the entry: 8 bytes, 4 in 32-bit paging. For a PDPTE register, the GPA it was loaded from. */
  readonly hpa: number;
  readonly entry: bigint;
  readonly outcome: 'table' | 'leaf' | 'not-present' | 'reserved-bit' | 'refused' | 'misconfigured' | 'no-memory';
}

export interface Walk {
  readonly gva: bigint;
  readonly access: 'read' | 'write' | 'execute';
  readonly user: boolean;
  readonly steps: readonly WalkStep[];
  /** Present when the walk reached memory (even if rights then refuse). */
  readonly gpa?: number;
  readonly hpa?: number;
  /** Bytes of the smallest leaf on the way: 4 KB, 2 MB, 4 MB, 1 GB. */
  readonly pageSize?: number;
  /** How its accesses are cached: of a walk that is `ok`. */
  readonly memoryType?: EffectiveType;
  readonly result:
    | { readonly kind: 'ok' }
    | { readonly kind: 'page-fault'; readonly errorCode: number; readonly reason: string }
    | { readonly kind: 'ept-violation'; readonly qualification: bigint; readonly reason: string }
    | { readonly kind: 'ept-misconfiguration'; readonly reason: string }
    | { readonly kind: 'no-memory' };
}

export interface EffectiveType {
  readonly type: MemoryType;
  /** What decided. */
  readonly because: string;
}

export interface TlbEntry {
  readonly bank: number;
  /** Of the bank's 1,024. */
  readonly index: number;
  readonly gva: bigint;
  readonly hpa: number;
  /** The low 39 bits of the guest-physical address. */
  readonly gpaLow: number;
  /** Bytes of the guest's page that this is, or is a part of. */
  readonly pageSize: number;
  readonly readable: boolean;
  readonly writable: boolean;
  readonly executable: boolean;
  readonly global: boolean;
  /** Writes go through without being looked at: no watched frame, no code, no page that a snapshot wants to keep. */
  readonly writeTag: boolean;
  /** How it disagrees with what the tables say now; empty if it does not. */
  readonly differences: readonly TlbDifference[];
}

/**
 * `page`: another page or nothing there; `read`, `write`, `execute`: the tables do not give that right, which the entry does. An entry with one of these is stale.
 * `flags`: an accessed or dirty flag has been cleared, and is not set again by accesses that the entry serves; `global`: the G flag has.
 */
export type TlbDifference = 'page' | 'read' | 'write' | 'execute' | 'flags' | 'global';

/** What selects a TLB bank. */
export interface BankContext {
  readonly cpu: number;
  readonly vpid: number;
  readonly eptp: bigint;
  readonly pcid: number;
  /** When it was last in force. */
  readonly cr3: bigint;
  readonly user: boolean;
  /** What else decides rights: WP SMEP SMAP NX PKE. */
  readonly rules: readonly string[];
}

export interface TlbBank extends BankContext {
  readonly bank: number;
  readonly current: boolean;
  /** Belongs to the logical CPU in force. */
  readonly own: boolean;
}

/** An entry beside what the tables say now. */
export interface TlbEntryDetails {
  readonly entry: TlbEntry;
  readonly bank: TlbBank;
  /** The walk of the first access that the entry does not serve as the tables would, else of one that it serves. */
  readonly walk: Walk;
  readonly stale: boolean;
  /** In one sentence; for an entry that agrees, too. */
  readonly summary: string;
  /** Which of the two translations has changed. */
  readonly changed?: 'guest' | 'ept';
  /** Invalidations that would drop the entry, the narrowest first. */
  readonly missing: readonly string[];
  /** What changed the tables, if that was recorded: while an event breakpoint for stale entries was set. */
  readonly change?: TableChange;
}

/** A write to a paging-structure entry. */
export interface TableChange {
  readonly hpa: number;
  readonly old: bigint;
  readonly new: bigint;
  /** The instruction, or what ran when something else wrote. */
  readonly rip: bigint;
  readonly cpl: number;
  readonly mode: string;
  readonly thread: number;
  readonly instructions: number;
  /** Written by an instruction of the guest rather than on its behalf. */
  readonly byInstruction: boolean;
}

export interface Mmu {
  /**
   * So many times the context was for a while that of the bank before this one, as the core has seen (core/page-supply.ts), and is again what it was: as if
   * `contextChanged` had been called both times.
   */
  bankReturned(times: number): void;
  /** As its first half: the context may be any now, and `contextChanged` follows. */
  bankLeft(): void;
  /** The full walk of an address in the current context, without side effects (no A/D update, no TLB). */
  walk(gva: bigint, access: 'read' | 'write' | 'execute', user?: boolean): Walk;
  /** GVA to HPA without side effects and without permission checks beyond presence; -1 if unmapped. */
  peek(gva: bigint): number;
  /** GPA to HPA through the EPT in force (identity when off); -1 if unmapped. */
  gpaToHpa(gpa: number): number;

  /** INVLPG in the current context (SDM 3A 5.10.4.1). */
  invalidatePage(gva: bigint): void;
  /** MOV CR3 without bit 63, or CR0/CR4 changes: drops the current PCID's entries, keeping global ones if asked. */
  flush(keepGlobal: boolean): void;
  /** INVPCID types 0..3. */
  invalidatePcid(type: number, pcid: number, gva: bigint): void;
  /** INVVPID types 0..3. */
  invalidateVpid(type: number, vpid: number, gva: bigint): void;
  /** INVEPT types 1, 2. */
  invalidateEpt(type: number, eptp: bigint): void;
  /** Everything, every CPU. */
  flushAll(): void;
  /** Drops write tags of a frame in every bank (code page, snapshot, watchpoint). */
  protectFrame(pfn: number): void;
  /** Drops every write tag of every CPU: after the dirty marks of frames were cleared (snapshot). */
  protectAllFrames(): void;
  /** All TLBs as plain data, and back. */
  save(): unknown;
  restore(saved: unknown): void;
  /** What the TLB holds now; of the running logical CPU, or of every one. */
  entries(cpu?: 'every'): TlbEntry[];
  tlbBanks(): TlbBank[];
  entryDetails(bank: number, index: number): TlbEntryDetails | undefined;
  /** What every context has cached of the page of an address. */
  translations(gva: bigint): TlbEntryDetails[];
  /** The entry in force that an access to an address would find. */
  lookup(gva: bigint): TlbEntry | undefined;
  /** What the last stale entry used was (EventKind `stale-tlb`). */
  readonly lastStaleUse: TlbEntryDetails | undefined;
}
