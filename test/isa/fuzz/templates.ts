/** `npm run fuzz:templates -- --cases N --seed S`: blocks that the core builds from templates against those of the decoder. See docs/testing.md. */
import { parseArgs } from 'node:util';
import { compareTemplates } from '../../../emulator/cpu/templates-test-support.ts';

const { values } = parseArgs({
  options: {
    cases: { type: 'string', default: '1000000' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000_007) },
  },
});
const cases = Number(values.cases);
const seed = Number(values.seed);
console.log(`seed ${seed}: ${cases} blocks`);
const begin = performance.now();
const { compared, differences } = compareTemplates(cases, seed);
const seconds = (performance.now() - begin) / 1000;
for (const difference of differences.slice(0, 20)) console.log(difference);
console.log(`${compared} blocks built both ways, ${differences.length} differences; ${seconds.toFixed(1)} s`);
process.exitCode = differences.length > 0 ? 1 : 0;
