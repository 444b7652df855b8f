/** Seeded random numbers (mulberry32) and operands worth trying. */

export class Random {
  #state: number;
  constructor(seed: number) {
    this.#state = seed | 0;
  }
  /** 32 bits. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return (t ^ (t >>> 14)) >>> 0;
  }
  below(limit: number): number {
    return this.next() % limit;
  }
  oneIn(chances: number): boolean {
    return this.below(chances) === 0;
  }
  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }
  bytes(count: number): Uint8Array {
    return Uint8Array.from({ length: count }, () => this.next() & 255);
  }
  bits64(): bigint {
    return (BigInt(this.next()) << 32n) | BigInt(this.next());
  }
  /** Edges of every operand size, small numbers, and noise. */
  operand(): bigint {
    if (this.oneIn(3)) return this.bits64();
    if (this.oneIn(3)) return BigInt(this.below(70));
    const edge = 1n << BigInt(this.pick([7, 8, 15, 16, 31, 32, 63, 64]));
    return BigInt.asUintN(64, edge + BigInt(this.below(5)) - 2n);
  }
}
