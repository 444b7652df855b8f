/** A little of `npm run fuzz:vmx`: random hypervisors and guests in root operation. */
import assert from 'node:assert/strict';
import { FuzzMachines } from './machines.ts';

const seed = Number(process.env['SEED'] ?? 1);
const CASES = Number(process.env['CASES'] ?? 12);

describe('random guests in root operation', function () {
  this.timeout(120_000);

  it(`agree interpreted, translated, and done twice from snapshots (SEED=${seed})`, () => {
    const machines = new FuzzMachines();
    let exits = 0;
    for (let n = 0; n < CASES; n++) {
      const outcome = machines.run(seed + n);
      assert.equal(outcome.problem, undefined, `seed ${seed + n}`);
      exits += outcome.exits;
    }
    assert.ok(exits > CASES * 5, `${exits} exits`);
    assert.ok(machines.reasons.size > 10, `${machines.reasons.size} exit reasons`);
  });
});
