/** Memory management as the rest of the emulator sees it. GVAs are bigint, guest- and host-physical addresses are number (at most 52 bits). */
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
  readonly result:
    | { readonly kind: 'ok' }
    | { readonly kind: 'page-fault'; readonly errorCode: number; readonly reason: string }
    | { readonly kind: 'ept-violation'; readonly qualification: bigint; readonly reason: string }
    | { readonly kind: 'ept-misconfiguration'; readonly reason: string }
    | { readonly kind: 'no-memory' };
}

export interface TlbEntry {
  readonly bank: number;
  readonly gva: bigint;
  readonly hpa: number;
  readonly readable: boolean;
  readonly writable: boolean;
  readonly executable: boolean;
  readonly global: boolean;
}

/** What selects a TLB bank. */
export interface BankContext {
  readonly cpu: number;
  readonly vpid: number;
  readonly eptp: bigint;
  readonly pcid: number;
  readonly cr3: bigint;
  readonly user: boolean;
}

export interface Mmu {
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
  /** What the TLB holds now. */
  entries(): TlbEntry[];
}
