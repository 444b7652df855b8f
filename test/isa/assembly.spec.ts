/** The tests written in assembly beside this file: each runs on the host CPU and in the emulator, and both must end alike. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { assemble } from './support/assembly.ts';
import { differences } from './support/compare.ts';
import { EmulatedHost } from './support/emulated.ts';
import { runOnHost, whyNoHost } from './support/host.ts';

const sources = readdirSync(import.meta.dirname).filter((name) => name.endsWith('.s'));

for (const source of sources) {
  describe(`test/isa/${source}`, () => {
    const tests = whyNoHost() ? [] : assemble(join(import.meta.dirname, source));
    let host: ReturnType<typeof runOnHost>;
    let emulated: EmulatedHost;

    before(() => {
      host = runOnHost(tests);
      emulated = new EmulatedHost();
    });

    tests.forEach((test, index) =>
      it(test.name.replaceAll('_', ' '), () => {
        const found = differences(test, emulated.run(test, index), host[index]!, { floatingPoint: true });
        assert.equal(found.join('\n'), '');
      }),
    );
  });
}
