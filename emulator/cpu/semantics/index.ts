/** What every instruction means, by op name. An op without an entry is left to cpu/system/. */
import type { Semantic } from '../emitter.ts';
import { arithmetic } from './arithmetic.ts';
import { avx } from './avx.ts';
import { avxMasked } from './avx-masked.ts';
import { avxPermute } from './avx-permute.ts';
import { bits } from './bits.ts';
import { bmi } from './bmi.ts';
import { control } from './control.ts';
import { crypto } from './crypto.ts';
import { decimal } from './decimal.ts';
import { divisions } from './division.ts';
import { fma } from './fma.ts';
import { half } from './half.ts';
import { integerExtensions } from './integer-extensions.ts';
import { mmx } from './mmx.ts';
import { movement } from './movement.ts';
import { shifts } from './shifts.ts';
import { sseApproximate } from './sse-approximate.ts';
import { sseArithmetic } from './sse-arithmetic.ts';
import { sseCompare } from './sse-compare.ts';
import { sseConvert } from './sse-convert.ts';
import { sseInteger } from './sse-integer.ts';
import { sseMove } from './sse-move.ts';
import { sse3 } from './sse3.ts';
import { sse41 } from './sse41.ts';
import { sse42 } from './sse42.ts';
import { ssse3 } from './ssse3.ts';
import { stack } from './stack.ts';
import { strings } from './string.ts';
import { x87 } from './x87.ts';
import { x87Functions } from './x87-functions.ts';
import { x87State } from './x87-state.ts';

const families = [
  arithmetic,
  bits,
  control,
  decimal,
  divisions,
  movement,
  shifts,
  stack,
  strings,
  sseMove,
  sseArithmetic,
  sseCompare,
  sseConvert,
  sseApproximate,
  sseInteger,
  mmx,
  x87,
  x87Functions,
  x87State,
  sse3,
  ssse3,
  sse41,
  sse42,
  bmi,
  integerExtensions,
  crypto,
  avx,
  avxPermute,
  avxMasked,
  fma,
  half,
];

export const semantics: ReadonlyMap<string, Semantic> = new Map(families.flatMap((family) => Object.entries(family)));
