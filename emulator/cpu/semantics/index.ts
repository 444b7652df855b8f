/** What every instruction means, by op name. An op without an entry is left to cpu/system/. */
import type { Semantic } from '../emitter.ts';
import { mmx } from './mmx.ts';
import { sseApproximate } from './sse-approximate.ts';
import { sseArithmetic } from './sse-arithmetic.ts';
import { sseConvert } from './sse-convert.ts';
import { sseInteger } from './sse-integer.ts';
import { sseMove } from './sse-move.ts';

const families = [sseMove, sseArithmetic, sseConvert, sseApproximate, sseInteger, mmx];

export const semantics: ReadonlyMap<string, Semantic> = new Map(families.flatMap((family) => Object.entries(family)));
