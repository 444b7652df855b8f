/**
 * Where translated code misses the TLB. At first a region is left at every miss, so that no call stands in its way and registers stay registers; that is
 * dear where misses are frequent. Samples of misses tell where: there the region, translated again, calls the slow path.
 */

/** Samples after which a region is translated again, and instructions of it for each: at least the one and the other. */
const ENOUGH = 8;
const INSTRUCTIONS_A_SAMPLE = 8;
/** Instructions within which they must have come. */
const SOON = 4_000_000;
/** Times that a region is translated again; the last time it is never left at a miss. */
const MOST_TIMES = 3;

interface Samples {
  first: number;
  count: number;
  times: number;
  readonly records: Set<number>;
}

export class MissProfile {
  readonly #slow = new Set<number>();
  /** By first record of the region. */
  readonly #regions = new Map<number, Samples>();

  /** Whether accesses of a record call the slow path in a region. */
  isSlow(region: number, record: number): boolean {
    return this.#slow.has(record) || (this.#regions.get(region)?.times ?? 0) >= MOST_TIMES;
  }
  /** A region missed at a record; true if it should be translated again. */
  sample(region: number, record: number, now: number, instructions: number): boolean {
    let samples = this.#regions.get(region);
    if (!samples) {
      samples = { first: now, count: 0, times: 0, records: new Set() };
      this.#regions.set(region, samples);
    }
    if (now - samples.first > SOON) {
      samples.first = now;
      samples.count = 0;
      samples.records.clear();
    }
    samples.records.add(record);
    const enough = Math.max(ENOUGH, instructions / INSTRUCTIONS_A_SAMPLE);
    if (++samples.count < enough || samples.times >= MOST_TIMES) return false;
    for (const one of samples.records) this.#slow.add(one);
    samples.records.clear();
    samples.count = 0;
    samples.times++;
    return true;
  }
  clear(): void {
    this.#slow.clear();
    this.#regions.clear();
  }
}
