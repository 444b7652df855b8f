/** What is known of a decoded block. */
import type { DecodedInstruction } from './decode.ts';
import type { CodeContext } from './fpu-traps.ts';
import * as L from './layout.ts';
import type { LinearMemory } from './state.ts';

/** What TypeScript does at a record that no handler covers. */
export type SystemStep =
  | { readonly insn: DecodedInstruction; /** Its record, if it ends a block. */ readonly record?: number }
  /** What cannot be executed: no instruction, or not in this state. */
  | Refused;

export interface Refused {
  readonly insn: undefined;
  readonly vector: number;
  readonly because: string;
  /** Bytes that are no instruction. */
  readonly bytes?: Uint8Array;
}

/** L.RECORD_LENGTHS. */
export class RecordLengths {
  constructor(readonly mem: LinearMemory) {}

  of(record: number): number {
    return this.mem.bytes[L.RECORD_LENGTHS + (record - L.RECORDS) / L.RECORD_UNIT]!;
  }
  /** Of a record of so many bytes. */
  set(record: number, bytes: number, lengths: number): void {
    const at = L.RECORD_LENGTHS + (record - L.RECORDS) / L.RECORD_UNIT;
    this.mem.bytes.fill(0, at, at + bytes / L.RECORD_UNIT);
    this.mem.bytes[at] = lengths;
  }
}

/** A program of 20 MB has half a million of these: what can be found out again is not kept. */
export class Block {
  live = true;

  constructor(
    readonly gva: number,
    /** Address of its first record. */
    readonly record: number,
    readonly pfn: number,
    /** Frame of the second page when its last instruction crosses, or -1. */
    readonly secondPfn: number,
    /** Linear address after it. */
    readonly end: number,
    /** Instructions. */
    readonly count: number,
    /** Made for one single step. */
    readonly single: boolean,
    /** Its last instruction, if TypeScript executes it. */
    readonly system: SystemStep | undefined,
    readonly context: CodeContext,
    readonly lengths: RecordLengths,
  ) {}

  /** Offset from `gva` of each instruction. */
  get starts(): number[] {
    const starts: number[] = [];
    this.#each((_, offset) => starts.push(offset));
    return starts;
  }
  /** Record of each instruction; those of a fused pair have the same. */
  get records(): number[] {
    const records: number[] = [];
    this.#each((record) => records.push(record));
    return records;
  }
  /** Instructions before the one of a record. */
  instructionsBefore(end: number): number {
    let instructions = 0;
    for (let record = this.record; record < end; record += L.RECORD_UNIT)
      for (let rest = this.lengths.of(record); rest > 0; rest >>>= 4) instructions++;
    return instructions;
  }
  /** Their bytes. */
  bytesBefore(end: number): number {
    let bytes = 0;
    for (let record = this.record; record < end; record += L.RECORD_UNIT)
      for (let rest = this.lengths.of(record); rest > 0; rest >>>= 4) bytes += rest & 15;
    return bytes;
  }
  #each(visit: (record: number, offset: number) => void): void {
    for (let record = this.record, index = 0, offset = 0; index < this.count; record += L.RECORD_UNIT) {
      for (let rest = this.lengths.of(record); rest > 0; rest >>>= 4, index++) {
        visit(record, offset);
        offset += rest & 15;
      }
    }
  }
}
