/** Every integer instruction that is no branch, with random operands, against the host CPU. */
import assert from 'node:assert/strict';
import { arithmetic } from '../../emulator/cpu/table/arithmetic.ts';
import { bits } from '../../emulator/cpu/table/bits.ts';
import { bmi } from '../../emulator/cpu/table/bmi.ts';
import { control } from '../../emulator/cpu/table/control.ts';
import { integerExtensions } from '../../emulator/cpu/table/integer-extensions.ts';
import { movement } from '../../emulator/cpu/table/movement.ts';
import { shifts } from '../../emulator/cpu/table/shifts.ts';
import { sse42 } from '../../emulator/cpu/table/sse4.ts';
import { string } from '../../emulator/cpu/table/string.ts';
import type { OpcodeRow } from '../../emulator/cpu/table/row.ts';
import type { TestCase } from './support/case.ts';
import { compareWithHost } from './support/compare.ts';
import { generate } from './support/generate.ts';
import { whyNoHost } from './support/host.ts';
import { Random } from './support/random.ts';
import { generateSequence } from './support/sequences.ts';

const seed = Number(process.env['SEED'] ?? 1);
const CASES_PER_FORM = Number(process.env['CASES'] ?? 25);
const SEQUENCES = CASES_PER_FORM * 60;

const families: Record<string, readonly OpcodeRow[]> = {
  arithmetic,
  movement,
  shifts,
  bits,
  string,
  control,
  bmi,
  integerExtensions,
  crc32: sse42.filter((row) => row.op.startsWith('crc32')),
};

/** Not for this test: system rows, branches, absolute addresses. */
function isTestable(row: OpcodeRow): boolean {
  if (row.system || row.invalid64 || row.branch) return false;
  // 0F 0D with a register is a NOP on Intel processors and #UD on AMD's.
  if (row.encoding === '0F 0D /r') return false;
  return !(row.operands ?? []).some((code) => code.startsWith('O'));
}

function casesOf(rows: readonly OpcodeRow[], random: Random): TestCase[] {
  const cases: TestCase[] = [];
  for (const row of rows.filter(isTestable))
    for (const size of row.sizes ?? [0]) {
      for (let i = 0; i < CASES_PER_FORM; i++) {
        const test = generate(random, row, size);
        if (test) cases.push(test);
      }
    }
  return cases;
}

describe('integer instructions agree with the host CPU', () => {
  const why = whyNoHost();

  for (const [family, rows] of Object.entries(families)) {
    it(`${family} (SEED=${seed})`, function () {
      if (why) return this.skip();
      const cases = casesOf(rows, new Random(seed));
      const found = compareWithHost(cases);
      assert.equal(found.slice(0, 10).join('\n'), '', `${found.length} of ${cases.length} cases differ`);
    });
  }

  it(`in sequences (SEED=${seed})`, function () {
    if (why) return this.skip();
    const random = new Random(seed);
    const rows = Object.values(families).flat().filter(isTestable);
    const cases = Array.from({ length: SEQUENCES }, () => generateSequence(random, rows, 8));
    const found = compareWithHost(cases);
    assert.equal(found.slice(0, 10).join('\n'), '', `${found.length} of ${cases.length} cases differ`);
  });
});
