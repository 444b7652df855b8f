/** A little of `npm run fuzz:cpu`: random instructions and sequences agree with the host CPU in both back-ends. */
import assert from 'node:assert/strict';
import { selectForms } from './fuzz/forms.ts';
import { Fuzzer } from './fuzz/fuzzer.ts';
import { assemblyOf } from './fuzz/assembly-text.ts';
import { whyNoHost } from './support/host.ts';

const seed = Number(process.env['SEED'] ?? 1);
const CASES = Number(process.env['CASES'] ?? 8192);

describe('random code agrees with the host CPU', function () {
  this.timeout(300_000);

  it(`in both back-ends (SEED=${seed})`, function () {
    if (whyNoHost()) return this.skip();
    const fuzzer = new Fuzzer(selectForms().tried, seed, ['interpreter', 'translator']);
    try {
      while (fuzzer.totals.cases < CASES) {
        const found = fuzzer.round(CASES - fuzzer.totals.cases).map(({ backEnd, program, differences }) => {
          const text = differences.map(({ part, expected, got }) => `${part} ${got}, host ${expected}`);
          return `${backEnd}: ${assemblyOf(program.code)}: ${text.slice(0, 4).join('; ')}`;
        });
        assert.equal(found.slice(0, 10).join('\n'), '');
      }
      assert.ok(fuzzer.regions > CASES / 25, `${fuzzer.regions} regions`);
    } finally {
      fuzzer.dispose();
    }
  });
});
