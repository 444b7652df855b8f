/**
 * Where blocks are found by linear address, frame and context. A large program has half a million and goes through them in no order, so a search touches
 * one line of one array: four words a slot, linear probing.
 *
 *   0 bits 31:0 of the address | 1 its bits 56:32, context, single step | 2 frame | 3 number of the block, CROSSES
 */
import { CODE_CONTEXTS } from './fpu-traps.ts';
import type { CodeContext } from './fpu-traps.ts';

const TWO_32 = 0x1_0000_0000;
const FEWEST = 4096;
const WORDS = 4;
/** Numbers that are no block's. */
const EMPTY = 0xffff_ffff;
const REMOVED = 0xffff_fffe;
const NONE = -1;
/** Set in the number of a block whose last instruction goes on on another page. */
export const CROSSES = 0x8000_0000;
/** The number alone. */
export const NUMBER = 0x7fff_ffff;

/** Outside 64-bit mode addresses have no high half, and the context's number of segments takes its place. */
const high = (gva: number, context: CodeContext, single: boolean): number =>
  (((Math.floor(gva / TWO_32) + Math.floor(context / CODE_CONTEXTS)) << 7) |
    ((context % CODE_CONTEXTS) << 1) |
    (single ? 1 : 0)) >>>
  0;

export class BlockIndex {
  #slots = new Uint32Array(FEWEST * WORDS).fill(EMPTY);
  #mask = FEWEST - 1;
  /** Slots that are not empty. */
  #used = 0;

  #first(gva: number, pfn: number): number {
    const low = gva >>> 0;
    return (low ^ (low >>> 11) ^ Math.imul(pfn, 0x9e375)) & this.#mask;
  }
  /** Number of the block and CROSSES, or -1. */
  find(gva: number, pfn: number, context: CodeContext, single: boolean): number {
    const slot = this.#search(gva, pfn, context, single);
    return slot < 0 ? NONE : this.#slots[slot + 3]!;
  }
  /** Offset of its slot, or -1. */
  #search(gva: number, pfn: number, context: CodeContext, single: boolean): number {
    const slots = this.#slots;
    const low = gva >>> 0;
    const second = high(gva, context, single);
    for (let at = this.#first(gva, pfn); ; at = (at + 1) & this.#mask) {
      const slot = at * WORDS;
      const number = slots[slot + 3]!;
      if (number === EMPTY) return NONE;
      if (slots[slot] === low && slots[slot + 1] === second && slots[slot + 2] === pfn && number !== REMOVED)
        return slot;
    }
  }
  /** Enters what is not there yet. */
  add(gva: number, pfn: number, context: CodeContext, single: boolean, number: number): void {
    if (++this.#used * 2 > this.#mask) this.#grow();
    this.#enter(this.#first(gva, pfn), gva >>> 0, high(gva, context, single), pfn, number);
  }
  #enter(from: number, low: number, second: number, pfn: number, number: number): void {
    let at = from;
    while (this.#slots[at * WORDS + 3] !== EMPTY) at = (at + 1) & this.#mask;
    this.#slots.set([low, second, pfn, number], at * WORDS);
  }
  /** Twice as large, without what was removed. */
  #grow(): void {
    const old = this.#slots;
    this.#slots = new Uint32Array(old.length * 2).fill(EMPTY);
    this.#mask = this.#mask * 2 + 1;
    this.#used = 1;
    for (let slot = 0; slot < old.length; slot += WORDS) {
      if (old[slot + 3]! >= REMOVED) continue;
      this.#used++;
      const low = old[slot]!;
      const pfn = old[slot + 2]!;
      this.#enter(this.#first(low, pfn), low, old[slot + 1]!, pfn, old[slot + 3]!);
    }
  }
  remove(gva: number, pfn: number, context: CodeContext, single: boolean): void {
    const slot = this.#search(gva, pfn, context, single);
    if (slot >= 0) this.#slots[slot + 3] = REMOVED;
  }
  clear(): void {
    this.#slots = new Uint32Array(FEWEST * WORDS).fill(EMPTY);
    this.#mask = FEWEST - 1;
    this.#used = 0;
  }
}
