import assert from 'node:assert/strict';
import { documents } from '../../scripts/build/docs.ts';

describe('documents made from code', () => {
  for (const { path, present, generated } of documents())
    it(`${path} is up to date`, () => {
      assert.equal(present, generated, 'run: npx tsx scripts/build/docs.ts');
    });
});
