/** F16C (SDM 1 14.4): half precision to single and back. The core converts: the formats have no counterpart in WebAssembly. */
import { FP_RESULT } from '../layout.ts';
import { helperVector } from './sse-arithmetic.ts';
import { immediateByte } from './sse-integer.ts';
import { alone, high64, low64 } from './vector.ts';
import type { SemanticTable } from './vector.ts';
import { vexForm } from './vex.ts';

export const half: SemanticTable = {
  vcvtph2ps: vexForm(
    (e, { operands: [destination, source] }) => {
      e.faultIf(e.call('sseFromHalf', e.readVectorLow(source!, 8)));
      e.writeVector(destination!, helperVector(e));
    },
    { floats: true, source: 8 },
  ),
  vcvtps2ph: vexForm(
    (e, { operands: [destination, source, immediate] }) => {
      const vector = e.let(e.readVector(source!));
      e.faultIf(e.call('sseToHalf', immediateByte(e, immediate!), low64(e, vector), high64(e, vector)));
      e.writeVector(destination!, alone(e, 8, e.loadState(FP_RESULT, 8)));
    },
    { floats: true, narrows: true },
  ),
};
