/** Every SSE, SSE2, MMX and x87 instruction against the host CPU: special operands, all rounding modes, flags and traps. */
import assert from 'node:assert/strict';
import { avx } from '../../emulator/cpu/table/avx.ts';
import { avxOnly } from '../../emulator/cpu/table/avx-only.ts';
import { crypto } from '../../emulator/cpu/table/crypto.ts';
import { fma } from '../../emulator/cpu/table/fma.ts';
import { mmx } from '../../emulator/cpu/table/mmx.ts';
import { sse } from '../../emulator/cpu/table/sse.ts';
import { sse2 } from '../../emulator/cpu/table/sse2.ts';
import { sse3 } from '../../emulator/cpu/table/sse3.ts';
import { sse41, sse42 } from '../../emulator/cpu/table/sse4.ts';
import { ssse3 } from '../../emulator/cpu/table/ssse3.ts';
import { systemRows as system } from '../../emulator/cpu/table/system.ts';
import { x87 } from '../../emulator/cpu/table/x87.ts';
import type { OpcodeRow } from '../../emulator/cpu/table/row.ts';
import type { TestCase } from './support/case.ts';
import { compareWithHost } from './support/compare.ts';
import { generateVector } from './support/generate-vector.ts';
import { whyNoHost } from './support/host.ts';
import { Random } from './support/random.ts';

const seed = Number(process.env['SEED'] ?? 1);
const CASES_PER_ROW = Number(process.env['CASES'] ?? 40);

const families: Record<string, readonly OpcodeRow[]> = {
  sse,
  sse2,
  mmx,
  x87,
  sse3,
  ssse3,
  sse41,
  sse42: sse42.filter((row) => !row.op.startsWith('crc32')),
  crypto,
  ...Object.fromEntries(
    ['avx', 'avx2', 'aes', 'pclmulqdq'].flatMap((feature) =>
      ['VEX.128', 'VEX.256'].map((width) => [
        `${width} ${feature}`,
        avx.filter((row) => row.feature === feature && (width === 'VEX.256') === (row.vex === 'L1')),
      ]),
    ),
  ),
  ...Object.fromEntries(
    ['avx', 'avx2', 'f16c'].map((feature) => [`${feature} alone`, avxOnly.filter((row) => row.feature === feature)]),
  ),
  fma,
  control: system.filter((row) => /^(ld|st)mxcsr$/.test(row.op)),
};

/** Approximations differ between processors; images hold pointers that are not modelled (see fpu-images.spec.ts). */
const LEFT_OUT =
  /^v?(rcp|rsqrt)|^(fnstenv|fldenv|fnsave|frstor|fxsave|fxrstor)$|^(f2xm1|fyl2x|fyl2xp1|fptan|fpatan|fsin|fcos|fsincos)$/;

function casesOf(rows: readonly OpcodeRow[], random: Random): TestCase[] {
  return rows
    .filter((row) => !LEFT_OUT.test(row.op))
    .flatMap((row) =>
      (row.sizes ?? [0]).flatMap((size) =>
        Array.from({ length: CASES_PER_ROW }, () => generateVector(random, row, size)).filter(
          (test) => test !== undefined,
        ),
      ),
    );
}

describe('floating-point and vector instructions agree with the host CPU', () => {
  const why = whyNoHost();

  for (const [family, rows] of Object.entries(families)) {
    it(`${family} (SEED=${seed})`, function () {
      if (why) return this.skip();
      const cases = casesOf(rows, new Random(seed));
      const found = compareWithHost(cases, { floatingPoint: true });
      assert.equal(found.slice(0, 10).join('\n'), '', `${found.length} of ${cases.length} cases differ`);
    });
  }
});
