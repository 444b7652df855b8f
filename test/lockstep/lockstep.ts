/** `npm run fuzz:lockstep -- --cases N --seed S`: interpreter and translator in lock step on random guests. See docs/testing.md. */
import { parseArgs } from 'node:util';
import { assemblyAt } from './explain.ts';
import { createMachines } from './machines.ts';
import { runScenario } from './scenario.ts';

/** Scenarios that machines live for. */
const GENERATION = 50;
const MOST_MISMATCHES = 5;
/** Scenarios after which a long run says how far it is. */
const STRETCH = 500;
const { values } = parseArgs({
  options: {
    cases: { type: 'string', default: '100' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000_007) },
  },
});
const cases = Number(values.cases);
const first = Number(values.seed);
console.log(`seed ${first}: ${cases} scenarios`);
const begin = performance.now();
const totals = { instructions: 0, slices: 0, interrupts: 0, regions: 0, mismatches: 0 };
let machines = createMachines();
for (let i = 0; i < cases && totals.mismatches < MOST_MISMATCHES; i++) {
  if (i % GENERATION === 0) machines = createMachines();
  const seed = first + i;
  const before = machines[1].regions + machines[2].regions;
  const outcome = runScenario(machines, seed);
  totals.regions += machines[1].regions + machines[2].regions - before;
  totals.instructions += outcome.instructions;
  totals.slices += outcome.slices;
  totals.interrupts += outcome.interrupts;
  if ((i + 1) % STRETCH === 0) console.log(`${i + 1} scenarios, ${totals.mismatches} mismatches`);
  if (outcome.mismatch === undefined) continue;
  totals.mismatches++;
  console.log(`seed ${seed}, slice ${outcome.slice} of ${outcome.length} instructions: ${outcome.mismatch}`);
  console.log(assemblyAt(seed, outcome));
  machines = createMachines();
}
const seconds = (performance.now() - begin) / 1000;
console.log(
  `${totals.instructions} instructions in ${totals.slices} slices, ${totals.interrupts} interrupts, ${totals.regions} regions; ${totals.mismatches} mismatches; ${seconds.toFixed(1)} s`,
);
process.exitCode = totals.mismatches > 0 ? 1 : 0;
