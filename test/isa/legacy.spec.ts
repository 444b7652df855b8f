/** 16- and 32-bit code against the host CPU: every integer instruction that a user program has outside 64-bit mode, in flat segments and in others. */
import assert from 'node:assert/strict';
import { arithmetic } from '../../emulator/cpu/table/arithmetic.ts';
import { bits } from '../../emulator/cpu/table/bits.ts';
import { bmi } from '../../emulator/cpu/table/bmi.ts';
import { control } from '../../emulator/cpu/table/control.ts';
import { movement } from '../../emulator/cpu/table/movement.ts';
import type { OpcodeRow } from '../../emulator/cpu/table/row.ts';
import { shifts } from '../../emulator/cpu/table/shifts.ts';
import { string } from '../../emulator/cpu/table/string.ts';
import { systemRows } from '../../emulator/cpu/table/system.ts';
import { whyNoHost } from './support/host.ts';
import type { LegacyCase } from './support/legacy-case.ts';
import { legacyDifferences } from './support/legacy-compare.ts';
import { LegacyEmulator } from './support/legacy-emulated.ts';
import { generateLegacy, SETTINGS } from './support/legacy-generate.ts';
import { runOnLegacyHost, whyNoLegacyHost } from './support/legacy-host.ts';
import { Random } from './support/random.ts';

const seed = Number(process.env['SEED'] ?? 1);
const CASES_PER_FORM = Number(process.env['CASES'] ?? 12);

const families: Record<string, readonly OpcodeRow[]> = {
  arithmetic,
  movement,
  shifts,
  bits,
  string,
  control,
  bmi: bmi.filter((row) => row.vex === undefined),
  system: systemRows,
};
/** System instructions that a user program may try: what it is not allowed raises the same fault everywhere. */
const SYSTEM =
  /^(popf|push_segment|pop_segment|mov_(from|to)_segment|l[eds]s|lss|bound|retf|iret|jmp_far|call_far|in|out|ins|outs|cli|sti|hlt|clts|invd|wbinvd|lldt|ltr|lmsw|arpl|lar|lsl|verr|verw|mov_(from|to)_control)$/;

function isTestable(row: OpcodeRow): boolean {
  if (row.only64 || row.encoding === '' || /^(0F 0D|0F AE)/.test(row.encoding)) return false;
  // The thread's own FS and GS stay.
  if (row.op === 'pop_segment' && /^0F/.test(row.encoding)) return false;
  return !row.system || SYSTEM.test(row.op);
}

describe('16- and 32-bit code agrees with the host CPU', function () {
  let why: string | undefined;
  let emulator: LegacyEmulator;
  before(() => {
    why = whyNoHost() ?? whyNoLegacyHost();
    emulator = new LegacyEmulator();
  });

  for (const [title, setting] of Object.entries(SETTINGS))
    for (const [family, rows] of Object.entries(families)) {
      it(`${family} in ${title} (SEED=${seed})`, function () {
        if (why) return this.skip();
        const random = new Random(seed);
        const cases: LegacyCase[] = [];
        for (const row of rows.filter(isTestable))
          for (const size of (row.sizes ?? [0]).filter((bytes) => bytes < 8))
            for (let i = 0; i < CASES_PER_FORM; i++) {
              const test = generateLegacy(random, row, size, setting, cases.length);
              if (test) cases.push(test);
            }
        const expected = runOnLegacyHost(cases);
        const found = cases.flatMap((test, index) =>
          legacyDifferences(test, emulator.run(test, index), expected[index]!),
        );
        assert.equal(found.slice(0, 10).join('\n'), '', `${found.length} of ${cases.length} cases differ`);
      });
    }
});
