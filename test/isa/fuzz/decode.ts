/** `npm run fuzz:decode -- --cases N --seed S`: the decoder against iced-x86 over random bytes, in all three code modes. See docs/testing.md. */
import { parseArgs } from 'node:util';
import { compareDecoders } from '../../../emulator/cpu/decode-test-support.ts';

const { values } = parseArgs({
  options: {
    cases: { type: 'string', default: '1000000' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000_007) },
  },
});
const cases = Number(values.cases);
const seed = Number(values.seed);
/** Half of the cases are 64-bit code. */
const SHARES = [0.25, 0.25, 0.5] as const;

console.log(`seed ${seed}: ${cases} instructions`);
let differences = 0;
const begin = performance.now();
for (const mode of [2, 1, 0] as const) {
  const found = compareDecoders(Math.round(cases * SHARES[mode]), seed, mode);
  for (const [problem, bytes] of found) console.log(`${[16, 32, 64][mode]}-bit: ${problem}: ${bytes}`);
  differences += found.size;
}
const seconds = (performance.now() - begin) / 1000;
console.log(
  `${differences} unexplained differences; ${seconds.toFixed(1)} s, ${Math.round(cases / seconds)} instructions/s`,
);
process.exitCode = differences > 0 ? 1 : 0;
