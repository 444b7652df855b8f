/** A little of `npm run fuzz:programs`: random programs on the host and in lock step. */
import assert from 'node:assert/strict';
import { KINDS, runScenario, whyNot } from './scenario.ts';

const seed = Number(process.env['SEED'] ?? 1);
const CASES = Number(process.env['CASES'] ?? 1);

describe('random programs', function () {
  this.timeout(300_000);
  before(function () {
    if (whyNot() !== undefined) this.skip();
  });

  for (const kind of Object.keys(KINDS))
    it(`${kind}: interpreted, translated, in pieces and back in time (SEED=${seed})`, () => {
      let [instructions, journeys] = [0, 0];
      for (let i = 0; i < CASES; i++) {
        const outcome = runScenario(kind, seed + i);
        assert.equal(outcome.mismatch, undefined, `seed ${seed + i}`);
        instructions += outcome.instructions;
        journeys += outcome.journeys;
      }
      assert.ok(instructions > CASES * 200_000, `${instructions} instructions`);
      assert.ok(journeys > 0, `${journeys} times back`);
    });
});
