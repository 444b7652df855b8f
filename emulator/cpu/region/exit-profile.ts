/**
 * Where indirect jumps and calls of translated code go that leave their region, since their targets were not expected. Samples
 * of such exits tell; a region that is left often is translated again, and compares with the targets it was left for.
 */

/** Samples after which a region is translated again, at least. */
const ENOUGH = 48;
const MOST_TIMES = 2;
/** Targets that an indirect branch is compared with. */
const MOST_TARGETS = 16;
/** Samples of a branch for each of its targets, at most: rarer ones are not compared with. */
const RAREST = 48;

interface Samples {
  count: number;
  times: number;
}

export class ExitProfile {
  /** By terminator of an indirect branch: how often each record was its target. */
  readonly #targets = new Map<number, Map<number, number>>();
  /** By first record of the region. */
  readonly #regions = new Map<number, Samples>();

  /** Targets of an indirect branch, the most frequent first. */
  targets(terminator: number): readonly number[] {
    const counts = [...(this.#targets.get(terminator) ?? [])].sort((a, b) => b[1] - a[1]).slice(0, MOST_TARGETS);
    const all = counts.reduce((sum, [, count]) => sum + count, 0);
    return counts.filter(([, count]) => count * RAREST >= all).map(([target]) => target);
  }
  /** An indirect branch led to a record. */
  note(terminator: number, target: number): void {
    let counts = this.#targets.get(terminator);
    if (!counts) this.#targets.set(terminator, (counts = new Map()));
    counts.set(target, (counts.get(target) ?? 0) + 1);
  }
  /** A region was left by an indirect branch, whose samples are enough at `enough`. True if it should be translated again. */
  sample(region: number, terminator: number, target: number, enough: number): boolean {
    this.note(terminator, target);
    let samples = this.#regions.get(region);
    if (!samples) this.#regions.set(region, (samples = { count: 0, times: 0 }));
    if (samples.times >= MOST_TIMES || ++samples.count < Math.max(ENOUGH, enough)) return false;
    samples.count = 0;
    samples.times++;
    return true;
  }
  clear(): void {
    this.#targets.clear();
    this.#regions.clear();
  }
}
