/** The instruction table. */
import { arithmetic } from './arithmetic.ts';
import { avx } from './avx.ts';
import { avxOnly } from './avx-only.ts';
import { bits } from './bits.ts';
import { bmi } from './bmi.ts';
import { control } from './control.ts';
import { crypto } from './crypto.ts';
import { fma } from './fma.ts';
import { integerExtensions } from './integer-extensions.ts';
import { mmx } from './mmx.ts';
import { movement } from './movement.ts';
import type { OpcodeRow } from './row.ts';
import { shiftByZero, shifts } from './shifts.ts';
import { sse } from './sse.ts';
import { sse2 } from './sse2.ts';
import { sse3 } from './sse3.ts';
import { sse41, sse42 } from './sse4.ts';
import { ssse3 } from './ssse3.ts';
import { string } from './string.ts';
import { systemRows } from './system.ts';
import { vmx } from './vmx.ts';
import { x87 } from './x87.ts';

export const table: readonly OpcodeRow[] = [
  ...arithmetic,
  ...movement,
  ...shifts,
  shiftByZero,
  ...bits,
  ...control,
  ...string,
  ...sse,
  ...sse2,
  ...mmx,
  ...x87,
  ...sse3,
  ...ssse3,
  ...sse41,
  ...sse42,
  ...bmi,
  ...integerExtensions,
  ...crypto,
  ...avx,
  ...avxOnly,
  ...fma,
  ...systemRows,
  ...vmx,
];
