/** x87 transcendental instructions; accuracy is described in core/x87-transcendental.ts. */
import * as C from '../../core/x87-codes.ts';
import type { SemanticTable } from './vector.ts';
import { helper } from './x87.ts';

const FUNCTIONS: Record<string, number> = {
  f2xm1: C.FN_F2XM1,
  fyl2x: C.FN_YL2X,
  fyl2xp1: C.FN_YL2XP1,
  fptan: C.FN_PTAN,
  fpatan: C.FN_PATAN,
  fsin: C.FN_SIN,
  fcos: C.FN_COS,
  fsincos: C.FN_SINCOS,
};

export const x87Functions: SemanticTable = Object.fromEntries(
  Object.entries(FUNCTIONS).map(([op, code]) => [op, helper('x87Transcendental', code)]),
);
