/** Time limits on machines that do other things too: the quickest of a few tries counts. */
import assert from 'node:assert/strict';

const MOST_TRIES = 8;

/** `work` returns the milliseconds it took, or is timed. Fails when no try stays within the limit. */
export async function within(limit: number, work: () => unknown): Promise<void> {
  const tries: number[] = [];
  while (tries.length < MOST_TRIES) {
    const start = performance.now();
    const told = await work();
    tries.push(typeof told === 'number' ? told : performance.now() - start);
    if (tries.at(-1)! < limit) return;
  }
  assert.fail(`not once within ${limit} ms: ${tries.map((ms) => ms.toFixed(0)).join(', ')}`);
}
