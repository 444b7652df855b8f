/** A little of `npm run fuzz:lockstep`: interpreter and translator in lock step on random guests. */
import assert from 'node:assert/strict';
import { createMachines } from './machines.ts';
import { runScenario } from './scenario.ts';

const seed = Number(process.env['SEED'] ?? 1);
const CASES = Number(process.env['CASES'] ?? 16);

describe('random guests in lock step', function () {
  this.timeout(120_000);

  it(`interpreted, translated, and translated in pieces with snapshots (SEED=${seed})`, () => {
    const machines = createMachines();
    let instructions = 0;
    for (let i = 0; i < CASES; i++) {
      const outcome = runScenario(machines, seed + i);
      assert.equal(outcome.mismatch, undefined, `seed ${seed + i}, slice ${outcome.slice}`);
      instructions += outcome.instructions;
    }
    assert.ok(instructions > CASES * 10_000, `${instructions} instructions`);
    assert.ok(machines[1].regions > CASES, `${machines[1].regions} regions`);
  });
});
