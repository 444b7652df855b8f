/** `npm run fuzz:programs -- --cases N --seed S [--kind linux|dune]`: random programs on the host and in lock step. See docs/testing.md. */
import { parseArgs } from 'node:util';
import { KINDS, runScenario } from './scenario.ts';

const MOST_MISMATCHES = 5;
/** Programs after which a long run says how far it is. */
const STRETCH = 50;
const { values } = parseArgs({
  options: {
    cases: { type: 'string', default: '20' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000_007) },
    kind: { type: 'string' },
  },
});
const cases = Number(values.cases);
const first = Number(values.seed);
const kinds = values.kind === undefined ? Object.keys(KINDS) : [values.kind];
console.log(`seed ${first}: ${cases} programs of each kind (${kinds.join(', ')})`);
const begin = performance.now();
const totals = { programs: 0, instructions: 0, slices: 0, journeys: 0, mismatches: 0 };
for (let i = 0; i < cases && totals.mismatches < MOST_MISMATCHES; i++)
  for (const kind of kinds) {
    const outcome = runScenario(kind, first + i);
    totals.programs++;
    totals.instructions += outcome.instructions;
    totals.slices += outcome.slices;
    totals.journeys += outcome.journeys;
    if (totals.programs % STRETCH === 0) console.log(`${totals.programs} programs, ${totals.mismatches} mismatches`);
    if (outcome.mismatch === undefined) continue;
    totals.mismatches++;
    console.log(`${kind}, seed ${first + i}: ${outcome.mismatch}`);
  }
const seconds = (performance.now() - begin) / 1000;
console.log(
  `${totals.programs} programs, ${totals.instructions} instructions in ${totals.slices} slices, ${totals.journeys} times back; ${totals.mismatches} mismatches; ${seconds.toFixed(1)} s`,
);
process.exitCode = totals.mismatches > 0 ? 1 : 0;
