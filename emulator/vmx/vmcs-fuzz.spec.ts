import assert from 'node:assert/strict';
import { DEFAULT_MODEL } from '../cpu/system/models.ts';
import { fuzzVmcs, lesserModel } from './vmcs-fuzz-test-support.ts';

const CASES = 3000;

describe('random VMCS states', () => {
  const seed = Date.now() % 1_000_000_007;

  for (const model of [DEFAULT_MODEL, lesserModel(seed)])
    it(`have one verdict by all rows and by VM entries (seed ${seed}, ${model.name})`, () => {
      const { problem, entered, violated } = fuzzVmcs(CASES, seed, model);
      assert.equal(problem, undefined);
      assert.ok(entered > CASES / 20 && entered < CASES, `${entered} of ${CASES} entries succeeded`);
      assert.ok(violated.size > 100, `${violated.size} rows were violated`);
    });
});
