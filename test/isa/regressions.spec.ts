/** Cases that once differed from the host CPU, in both back-ends: regressions.txt. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { assemblyOf } from './fuzz/assembly-text.ts';
import { parseCase } from './fuzz/case-text.ts';
import { DATA_BYTES } from './fuzz/layout.ts';
import { Shrinker } from './fuzz/shrink.ts';
import { whyNoHost } from './support/host.ts';

const lines = readFileSync(join(import.meta.dirname, 'regressions.txt'), 'utf8')
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'));

describe('what once differed from the host CPU', () => {
  let runner: Shrinker;

  before(function () {
    if (whyNoHost()) return this.skip();
    runner = new Shrinker();
  });
  after(() => runner?.dispose());

  for (const line of lines) {
    const { code, state, patches, comment } = parseCase(line);
    it(`${comment}: ${assemblyOf(code)}`, () => {
      const pages = new Uint8Array(DATA_BYTES);
      for (const backEnd of ['interpreter', 'translator'] as const) {
        const found = runner.differences(backEnd, { code, state, patches, pages }) ?? [];
        const text = found.map(({ part, expected, got }) => `${backEnd}: ${part} ${got}, host ${expected}`);
        assert.equal(text.join('\n'), '');
      }
    });
  }
});
