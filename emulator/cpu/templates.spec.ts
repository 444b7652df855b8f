import assert from 'node:assert/strict';
import { compareTemplates } from './templates-test-support.ts';

const CASES = 5000;

describe('templates', () => {
  it('make the same blocks as decoder and record writer', () => {
    const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
    const { compared, differences } = compareTemplates(CASES, seed);
    assert.deepEqual(differences, [], `seed ${seed}`);
    assert.ok(compared > CASES / 10, `seed ${seed}: only ${compared} blocks were built both ways`);
  });
});
