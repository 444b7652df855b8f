/** Exports of the AssemblyScript core (emulator/core/mmu.ts) that memory management in TypeScript uses. i64 parameters are bigint. */
export interface MmuCore {
  /** Fills WALK (see core/mmu-walk.ts) with the walk of an address, without side effects; returns FAULT_*. */
  walkTrace(gva: bigint, access: number): number;
  /** GPA to HPA through the EPT in force, without side effects; all ones (-1n) if not mapped. */
  translateGpa(gpa: bigint): bigint;
  /** Reads and checks the PDPTEs that a CR3 value names, into EXCHANGE; returns FAULT_NONE, FAULT_EXCEPTION (#GP) or a fault of the EPT. */
  readPdptes(cr3: bigint): number;
  flushBank(bank: number, keepGlobal: number): void;
  /** Drops the global pages of a bank. */
  flushGlobal(bank: number): void;
  /** `which`: 0 all entries of the page, 1 global ones only, 2 all but global ones. */
  flushPage(bank: number, gva: bigint, which: number): void;
  /** Drops the write tags of a frame, of all frames with -1. */
  dropWriteTags(pfn: number): void;
  /** How the entry at an address disagrees with the tables in force (core/mmu-stale.ts); 0 if it does not. */
  compareEntry(entry: number): number;
  /** 1: uses of stale entries are told from now on. */
  setChecking(on: number): void;
  /** While that is on: the tables have changed. */
  parkEntries(): void;
  /** Writes the key of the context in force (core/bank-keys.ts). */
  readKey(cpu: number): void;
  /** The bank with that key, looking first at two of them; -1 for none. One that comes into force: with bit 8 set if it was last so with another CR3, as `noteRoot` answers. */
  findBank(cpu: number, current: number, previous: number): number;
  selectBank(cpu: number, current: number, previous: number): number;
  noteRoot(bank: number): number;
  /** After the TLB area was written from outside. */
  banksReplaced(): void;
}
