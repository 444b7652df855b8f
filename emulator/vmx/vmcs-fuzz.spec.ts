import assert from 'node:assert/strict';
import { fuzzVmcs } from './vmcs-fuzz-support.ts';

const CASES = 4000;

describe('random VMCS states', () => {
  const seed = Date.now() % 1_000_000_007;

  it(`have one verdict by all rows and by VMRESUME (seed ${seed})`, () => {
    const { problem, entered } = fuzzVmcs(CASES, seed);
    assert.equal(problem, undefined);
    assert.ok(entered > CASES / 10 && entered < CASES, `${entered} of ${CASES} entries succeeded`);
  });
});
