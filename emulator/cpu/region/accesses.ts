/**
 * Which memory accesses of translated code share one look into the TLB.
 *
 * Addresses that differ by a constant (pushes, fields of a structure, an unrolled loop) have the same key. The first access of a key is checked for the whole
 * range of those that follow in its block; if all of it lies in a page that the TLB has, the others need no check. They need one again after anything that
 * may change the TLB: a slow path, a helper that accesses memory.
 *
 * A block is therefore emitted twice: the first time only to learn of its accesses.
 */

import type { Value } from '../emitter.ts';
import type { Expression } from '../interpreter/values.ts';

/** A sum of registers as they were at some time, plus a constant. */
export interface Place {
  /** Names the registers' values. */
  readonly key: string;
  readonly offset: number;
}

/** Offsets of places stay exact in a number. */
export const FARTHEST = 2 ** 40;
/** Helpers that cannot change the TLB. */
export const LEAVES_MEMORY_ALONE =
  /^(sse|x87|fx|aes|sha|crc32c|carryless|compareStrings|divide|multiply|rotate|arithmeticFlags|condition|(deposit|extract)Bits)/;

/** A value of which more is known. */
export interface Placed extends Value {
  readonly place?: Place;
}
export const placed = (value: Expression, place: Place): Expression & Placed => ({ ...value, place });

interface Access extends Place {
  readonly bytes: number;
  readonly write: boolean;
  /** Counts what may have changed the TLB before it. */
  readonly epoch: number;
}

/** Bytes from `low` to `high` of a key, known to be on one page that the TLB has. */
export interface CheckedRange {
  readonly key: string;
  readonly low: number;
  readonly high: number;
  readonly write: boolean;
  /** Local with the host offset of `low`. */
  readonly host: number;
}

/** Widest range of one check: a wider one would cross a page too often. */
const WIDEST = 256;

export class AccessPlanner {
  #accesses: Access[] = [];
  #recording = false;
  #epoch = 0;
  #next = 0;
  /** What has been checked so far. */
  checked: readonly CheckedRange[] = [];

  /** Begins the first emission of a block. */
  record(): void {
    this.#accesses = [];
    this.#recording = true;
    this.#epoch = 0;
  }
  /** Begins the second, real one. */
  emit(): void {
    this.#recording = false;
    this.#next = 0;
  }
  get recording(): boolean {
    return this.#recording;
  }

  /** The TLB may have changed. */
  forget(): void {
    this.#epoch++;
    this.checked = [];
  }

  /** The next access, in either emission. Answers the range that it is part of, if that is checked. */
  access({ key, offset }: Place, bytes: number, write: boolean): CheckedRange | undefined {
    if (this.#recording) {
      this.#accesses.push({ key, offset, bytes, write, epoch: this.#epoch });
      return undefined;
    }
    this.#next++;
    return this.checked.find(
      (range) => range.key === key && range.low <= offset && offset + bytes <= range.high && (range.write || !write),
    );
  }

  /** What to check for the access just announced: its own bytes and those of others to come. */
  rangeFrom({ key, offset }: Place, bytes: number, write: boolean): Omit<CheckedRange, 'host'> {
    const epoch = this.#accesses[this.#next - 1]?.epoch;
    let low = offset;
    let high = offset + bytes;
    let writes = write;
    for (let index = this.#next; index < this.#accesses.length; index++) {
      const other = this.#accesses[index]!;
      if (other.epoch !== epoch) break;
      if (other.key !== key) continue;
      const least = Math.min(low, other.offset);
      const most = Math.max(high, other.offset + other.bytes);
      if (most - least > WIDEST) continue;
      low = least;
      high = most;
      writes ||= other.write;
    }
    return { key, low, high, write: writes };
  }
  add(range: CheckedRange): void {
    this.checked = [...this.checked, range];
  }
}
