/**
 * Where indirect jumps and calls of translated code go that leave their region, since their targets were not expected. Samples
 * of such exits tell; a region that is left often is translated again, and compares with the targets it was left for.
 */

/** Samples after which a region is translated again. */
const ENOUGH = 48;
/** Instructions within which they must have come. */
const SOON = 6_000_000;
const MOST_TIMES = 2;
/** Targets that an indirect branch is compared with. */
const MOST_TARGETS = 12;
/** Samples of a branch for each of its targets, at most: rarer ones are not compared with. */
const RAREST = 24;

interface Samples {
  first: number;
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
  /** A region was left by an indirect branch. True if it should be translated again. */
  sample(region: number, terminator: number, target: number, now: number): boolean {
    let counts = this.#targets.get(terminator);
    if (!counts) this.#targets.set(terminator, (counts = new Map()));
    counts.set(target, (counts.get(target) ?? 0) + 1);
    let samples = this.#regions.get(region);
    if (!samples) this.#regions.set(region, (samples = { first: now, count: 0, times: 0 }));
    if (now - samples.first > SOON) {
      samples.first = now;
      samples.count = 0;
    }
    if (samples.times >= MOST_TIMES || ++samples.count < ENOUGH) return false;
    samples.count = 0;
    samples.times++;
    return true;
  }
  clear(): void {
    this.#targets.clear();
    this.#regions.clear();
  }
}
