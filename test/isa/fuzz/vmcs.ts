/** `npm run fuzz:vmcs -- --cases N --seed S`: random VMCS states through VM entry, row by row and by VMRESUME. See docs/testing.md. */
import { parseArgs } from 'node:util';
import { fuzzVmcs } from '../../../emulator/vmx/vmcs-fuzz-support.ts';

const { values } = parseArgs({
  options: {
    cases: { type: 'string', default: '1000000' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000_007) },
  },
});
const CHUNK = 100_000;
const cases = Number(values.cases);
const seed = Number(values.seed);

console.log(`seed ${seed}: ${cases} VMCS states`);
const begin = performance.now();
let done = 0;
let entered = 0;
let problem: string | undefined;
for (let chunk = 0; done < cases && problem === undefined; chunk++) {
  const result = fuzzVmcs(Math.min(CHUNK, cases - done), seed + chunk);
  done += result.cases;
  entered += result.entered;
  ({ problem } = result);
}
const seconds = (performance.now() - begin) / 1000;
if (problem !== undefined) console.log(problem);
console.log(`${done} states, ${entered} entered; ${seconds.toFixed(1)} s, ${Math.round(done / seconds)} states/s`);
process.exitCode = problem === undefined ? 0 : 1;
