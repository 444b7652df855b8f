/** Time limits on machines that do other things too: the quickest of a few tries counts. */
import assert from 'node:assert/strict';

const MOST_TRIES = 8;

/** Tells at each call the milliseconds since it was made: by the clock or, if other processes had the processor meanwhile, of processor time. */
export function stopwatch(): () => number {
  const start = performance.now();
  const before = process.cpuUsage();
  return () => {
    const { user, system } = process.cpuUsage(before);
    return Math.min(performance.now() - start, (user + system) / 1000);
  };
}

/** `work` returns the milliseconds it took, or is timed. Fails when no try stays within the limit. */
export async function within(limit: number, work: () => unknown): Promise<void> {
  const tries: number[] = [];
  while (tries.length < MOST_TRIES) {
    const elapsed = stopwatch();
    const told = await work();
    tries.push(typeof told === 'number' ? told : elapsed());
    if (tries.at(-1)! < limit) return;
  }
  assert.fail(`not once within ${limit} ms: ${tries.map((ms) => ms.toFixed(0)).join(', ')}`);
}
