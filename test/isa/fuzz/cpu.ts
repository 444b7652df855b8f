/**
 * `npm run fuzz:cpu -- --cases N --seed S [--forms REGEX] [--backend interpreter|translator|both]`: random instructions on the host CPU and in the
 * emulator. See docs/testing.md.
 */
import { parseArgs } from 'node:util';
import { HOST_LACKS, selectForms } from './forms.ts';
import { Fuzzer } from './fuzzer.ts';
import type { Mismatch } from './fuzzer.ts';
import type { BackEnd } from './emulated.ts';
import { parseCase } from './case-text.ts';
import * as F from './layout.ts';
import { Shrinker } from './shrink.ts';
import { assemblyOf } from './assembly-text.ts';

const MOST_MISMATCHES = 20;
/** Cases after which a long run says how far it is. */
const STRETCH = 1_000_000;
const { values } = parseArgs({
  options: {
    cases: { type: 'string', default: '100000' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000_007) },
    forms: { type: 'string' },
    states: { type: 'string', default: '16' },
    backend: { type: 'string', default: 'both' },
    case: { type: 'string' },
    list: { type: 'boolean', default: false },
  },
});

const forms = selectForms(values.forms === undefined ? undefined : new RegExp(values.forms));
const backEnds: readonly BackEnd[] =
  values.backend === 'both' ? ['interpreter', 'translator'] : [values.backend as BackEnd];
const cases = Number(values.cases);
const seed = Number(values.seed);

if (values.case !== undefined) {
  const shrinker = new Shrinker();
  const { code, state, patches } = parseCase(values.case);
  for (const backEnd of backEnds) {
    const found = shrinker.differences(backEnd, { code, state, patches, pages: new Uint8Array(F.DATA_BYTES) });
    console.log(
      `${backEnd}: ${assemblyOf(code)}: ${found ? found.map((d) => `${d.part} ${d.got}, host ${d.expected}`).join('; ') : 'alike'}`,
    );
  }
  shrinker.dispose();
  process.exit();
}
if (values.list)
  for (const [reason, names] of forms.leftOut)
    console.log(`left out: ${reason}\n${names.map((name) => `  ${name}\n`).join('')}`);
for (const [reason, names] of forms.leftOut)
  if (reason.startsWith(HOST_LACKS)) console.log(`${reason}: ${names.join(', ')}`);
if (![...forms.leftOut.keys()].some((reason) => reason.startsWith(HOST_LACKS)))
  console.log('forms that the host lacks: none');
console.log(
  `seed ${seed}: ${cases} cases, ${forms.tried.length} forms, ${[...forms.leftOut.values()].flat().length} left out, ${backEnds.join(' and ')}`,
);
const fuzzer = new Fuzzer(forms.tried, seed, backEnds, Number(values.states));
const shrinker = new Shrinker();
function report(mismatch: Mismatch): void {
  const { text, code, differences, whole } = shrinker.shrink(mismatch);
  const how = differences.slice(0, 6).map(({ part, expected, got }) => `${part} ${got}, host ${expected}`);
  console.log(
    `${mismatch.backEnd}: ${assemblyOf(code)}\n  ${text}${whole ? '' : ' (and memory)'}\n  ${how.join('; ')}`,
  );
}
const begin = performance.now();
const found: Mismatch[] = [];
let told = 0;
const seen = new Set<string>();
while (fuzzer.totals.cases < cases) {
  for (const mismatch of fuzzer.round(cases - fuzzer.totals.cases)) {
    found.push(mismatch);
    const key = `${mismatch.program.form?.name ?? mismatch.program.instructions.map(({ insn }) => insn?.op).join()}`;
    if (seen.has(key)) continue;
    seen.add(key);
    report(mismatch);
    if (seen.size >= MOST_MISMATCHES) break;
  }
  if (seen.size >= MOST_MISMATCHES) break;
  if (fuzzer.totals.cases >= told + STRETCH) {
    told = fuzzer.totals.cases;
    console.log(`${told} cases, ${found.length} mismatches, ${((performance.now() - begin) / 1000).toFixed(0)} s`);
  }
}
const seconds = (performance.now() - begin) / 1000;
const { totals } = fuzzer;
const untouched = forms.tried.filter(({ name }) => !totals.perForm.has(name)).map(({ name }) => name);
if (untouched.length > 0 && totals.cases > 200_000) console.log(`no instance of: ${untouched.join(', ')}`);
console.log(
  `${totals.cases} cases of ${totals.programs} programs (${totals.perForm.size} forms), ${totals.faults} faulted, ${totals.overflows} with too much memory to compare, ${fuzzer.regions} regions; ${found.length} mismatches; ${seconds.toFixed(1)} s, ${Math.round(totals.cases / seconds)} cases/s`,
);
fuzzer.dispose();
shrinker.dispose();
process.exitCode = found.length > 0 ? 1 : 0;
