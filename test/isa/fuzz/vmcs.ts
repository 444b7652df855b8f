/** `npm run fuzz:vmcs -- --cases N --seed S`: random VMCS states through VM entry, row by row and by the entries themselves. See docs/testing.md. */
import { parseArgs } from 'node:util';
import { DEFAULT_MODEL } from '../../../emulator/cpu/system/models.ts';
import { ENTRY_CHECKS } from '../../../emulator/vmx/checks/index.ts';
import { MSR_LOAD_CHECKS } from '../../../emulator/vmx/checks/msr-load.ts';
import { fuzzVmcs, lesserModel } from '../../../emulator/vmx/vmcs-fuzz-test-support.ts';

const { values } = parseArgs({
  options: {
    cases: { type: 'string', default: '1000000' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000_007) },
    models: { type: 'string', default: '6' },
  },
});
const CHUNK = 50_000;
const cases = Number(values.cases);
const seed = Number(values.seed);
/** Every other one is the whole processor. */
const models = Array.from({ length: Number(values.models) }, (_, n) =>
  n % 2 === 0 ? DEFAULT_MODEL : lesserModel(seed + n),
);

console.log(`seed ${seed}: ${cases} VMCS states`);
const begin = performance.now();
let done = 0;
let entered = 0;
let refusedMsrs = 0;
let problem: string | undefined;
const violated = new Map<string, number>();
for (let chunk = 0; done < cases && problem === undefined; chunk++) {
  const model = models[chunk % models.length]!;
  const result = fuzzVmcs(Math.min(CHUNK, cases - done), seed + chunk, model);
  done += result.cases;
  entered += result.entered;
  refusedMsrs += result.refusedMsrs;
  for (const [id, times] of result.violated) violated.set(id, (violated.get(id) ?? 0) + times);
  if (result.problem !== undefined) problem = `${result.problem} (${model.name})`;
}
const seconds = (performance.now() - begin) / 1000;
if (problem !== undefined) console.log(problem);
const rows = [...Object.values(ENTRY_CHECKS).flat(), ...MSR_LOAD_CHECKS];
const never = rows.filter(({ id }) => !violated.has(id)).map(({ id }) => id);
const least = [...violated].sort(([, a], [, b]) => a - b).slice(0, 5);
console.log(
  `${done} states, ${entered} entered, ${refusedMsrs} refused for an MSR; ${rows.length - never.length} of ${rows.length} rows violated`,
);
if (never.length > 0) console.log(`never violated: ${never.join(', ')}`);
console.log(`least often: ${least.map(([id, times]) => `${id} ${times}`).join(', ')}`);
console.log(`${seconds.toFixed(1)} s, ${Math.round(done / seconds)} states/s`);
process.exitCode = problem === undefined ? 0 : 1;
