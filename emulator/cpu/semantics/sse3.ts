/** SSE3 (SDM 1, 12.3): horizontal and alternating arithmetic, duplicating moves. */
import { FP_ADD, FP_ADDSUB, FP_SUB } from '../../core/softfloat-codes.ts';
import type { Emitter, Form, Semantic, Value } from '../emitter.ts';
import { packedOperation } from './sse-arithmetic.ts';
import type { SemanticTable } from './vector.ts';

/** Byte numbers of the lanes of `bytes` that a shuffle selects; lanes count on into the second operand. */
export function byteOrder(bytes: number, lanes: readonly number[]): number[] {
  return lanes.flatMap((lane) => Array.from({ length: bytes }, (_, i) => lane * bytes + i));
}

/** Results of the first operand's pairs below those of the second's. */
function horizontal(code: number, name: 'add' | 'sub', size: 4 | 8): Semantic {
  const even = byteOrder(size, size === 8 ? [0, 2] : [0, 2, 4, 6]);
  const odd = byteOrder(size, size === 8 ? [1, 3] : [1, 3, 5, 7]);
  return (e, { operands: [destination, source] }) => {
    const a = e.let(e.readVector(destination));
    const b = e.let(e.readVector(source, true));
    const [x, y] = [e.let(e.shuffle(even, a, b)), e.let(e.shuffle(odd, a, b))];
    e.writeVector(destination, packedOperation(e, code, size, x, y, e.op(`${shape(size)}.${name}`, x, y)));
  };
}

/** Even lanes are subtracted, odd ones added. */
function alternating(size: 4 | 8): Semantic {
  const order = byteOrder(size, size === 8 ? [0, 3] : [0, 5, 2, 7]);
  return (e, { operands: [destination, source] }) => {
    const a = e.let(e.readVector(destination));
    const b = e.let(e.readVector(source, true));
    const [difference, sum] = [e.op(`${shape(size)}.sub`, a, b), e.op(`${shape(size)}.add`, a, b)];
    e.writeVector(destination, packedOperation(e, FP_ADDSUB, size, a, b, e.shuffle(order, difference, sum)));
  };
}

const shape = (size: 4 | 8): string => (size === 8 ? 'f64x2' : 'f32x4');

function duplicate(lanes: readonly number[]): Semantic {
  const order = byteOrder(4, lanes);
  return (e, { operands: [destination, source] }) => {
    const vector: Value = e.let(e.readVector(source, true));
    e.writeVector(destination, e.shuffle(order, vector, vector));
  };
}

function movddup(e: Emitter, { operands: [destination, source] }: Form): void {
  e.writeVector(destination, e.op('i64x2.splat', e.readVectorLow(source, 8)));
}

export const sse3: SemanticTable = {
  addsubps: alternating(4),
  addsubpd: alternating(8),
  haddps: horizontal(FP_ADD, 'add', 4),
  haddpd: horizontal(FP_ADD, 'add', 8),
  hsubps: horizontal(FP_SUB, 'sub', 4),
  hsubpd: horizontal(FP_SUB, 'sub', 8),
  lddqu: (e, { operands: [destination, source] }) => e.writeVector(destination, e.readVector(source)),
  movddup,
  movsldup: duplicate([0, 0, 2, 2]),
  movshdup: duplicate([1, 1, 3, 3]),
};
