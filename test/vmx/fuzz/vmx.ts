/** `npm run fuzz:vmx -- --cases N --seed S`: random hypervisors and guests in root operation, in lock step. See docs/testing.md. */
import { parseArgs } from 'node:util';
import { FuzzMachines } from './machines.ts';

const { values } = parseArgs({
  options: {
    cases: { type: 'string', default: '200' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000_007) },
  },
});
/** Scenarios that machines live for. */
const GENERATION = 200;
const MOST_PROBLEMS = 5;
const cases = Number(values.cases);
const first = Number(values.seed);

console.log(`seed ${first}: ${cases} scenarios`);
const begin = performance.now();
const totals = { instructions: 0, exits: 0, failures: 0, problems: 0 };
const reasons = new Map<string, number>();
let machines = new FuzzMachines();
let done = 0;
const count = (): void => {
  for (const [reason, times] of machines.reasons) reasons.set(reason, (reasons.get(reason) ?? 0) + times);
};
for (; done < cases && totals.problems < MOST_PROBLEMS; done++) {
  if (done > 0 && done % GENERATION === 0) {
    count();
    machines = new FuzzMachines();
  }
  const outcome = machines.run(first + done);
  totals.instructions += outcome.instructions;
  totals.exits += outcome.exits;
  totals.failures += outcome.failures;
  if (outcome.problem === undefined) continue;
  totals.problems++;
  console.log(`seed ${first + done}: ${outcome.problem}`);
}
count();
const seconds = (performance.now() - begin) / 1000;
const often = [...reasons].sort(([, a], [, b]) => b - a).map(([reason, times]) => `${reason} ${times}`);
console.log(
  `${done} scenarios, ${totals.instructions} instructions, ${totals.exits} exits, ${totals.failures} of them failed entries; ${totals.problems} problems`,
);
console.log(`${reasons.size} exit reasons: ${often.join(', ')}`);
console.log(`${seconds.toFixed(1)} s, ${(done / seconds).toFixed(1)} scenarios/s`);
process.exitCode = totals.problems === 0 ? 0 : 1;
