/**
 * CMPPS and its like (SDM 2A CMPPD, table 3-1). A predicate says for which of the outcomes less, equal, greater, unordered it holds. Where a NaN or a
 * denormal takes part the core compares.
 */
import { FP_COMPARE, PREDICATE_OUTCOMES_HIGH, PREDICATE_OUTCOMES_LOW } from '../../core/softfloat-codes.ts';
import type { Emitter, Semantic, Value } from '../emitter.ts';
import {
  asBits,
  doubtComparison,
  doubtPackedComparison,
  float,
  redoPacked,
  redoScalar,
  scalarOperands,
  shape,
} from './sse-arithmetic.ts';
import { laneMask } from './vector.ts';
import type { SemanticTable } from './vector.ts';

const OUTCOMES = (BigInt(PREDICATE_OUTCOMES_HIGH) << 32n) | BigInt(PREDICATE_OUTCOMES_LOW);

/** Whether the predicate holds for an outcome (bit 0 less, 1 equal, 2 greater): 0 or 1. */
function holdsFor(e: Emitter, predicate: Value, outcome: number): Value {
  const place = e.op('i64.extend_i32_u', e.op('i32.shl', e.op('i32.and', predicate, e.i32(15)), e.i32(2)));
  const outcomes = e.op('i32.wrap_i64', e.op('i64.shr_u', e.i64(OUTCOMES), place));
  return e.op('i32.and', e.op('i32.shr_u', outcomes, e.i32(outcome)), e.i32(1));
}

function scalarCompare(size: 4 | 8, predicates: number): Semantic {
  return (e, form) => {
    const predicate = e.let(e.op('i32.and', e.read(form.operands[2]!, 1), e.i32(predicates - 1)));
    const [a, b] = scalarOperands(e, form, size);
    const flag = ['lt', 'eq', 'gt']
      .map((name, outcome) => {
        const is = e.op(`${float(size)}.${name}`, a, b);
        return e.op('i32.and', is, holdsFor(e, predicate, outcome));
      })
      .reduce((all, one) => e.op('i32.or', all, one));
    const mask = e.op('i32.sub', e.i32(0), flag);
    const result = e.variable(size === 8 ? 'i64' : 'i32', size === 8 ? e.op('i64.extend_i32_s', mask) : mask);
    e.unlikely(doubtComparison(e, size, a, b), () => {
      const redone = redoScalar(e, e.op('i32.add', predicate, e.i32(FP_COMPARE)), size, a, b);
      e.set(result, asBits(e, size, redone));
    });
    e.writeVectorLow(form.operands[0]!, size, e.get(result));
  };
}

function packedCompare(size: 4 | 8, predicates: number): Semantic {
  return (e, { operands: [destination, source, immediate] }) => {
    const a = e.let(e.readVector(destination!));
    const b = e.let(e.readVector(source!, true));
    const predicate = e.let(e.op('i32.and', e.read(immediate!, 1), e.i32(predicates - 1)));
    const holds = ['lt', 'eq', 'gt']
      .map((name, outcome) =>
        e.op('v128.and', e.op(`${shape(size)}.${name}`, a, b), laneMask(e, holdsFor(e, predicate, outcome))),
      )
      .reduce((all, one) => e.op('v128.or', all, one));
    const result = e.variable('v128', holds);
    e.unlikely(doubtPackedComparison(e, size, a, b), () =>
      e.set(result, redoPacked(e, e.op('i32.add', predicate, e.i32(FP_COMPARE)), size, a, b)),
    );
    e.writeVector(destination!, e.get(result));
  };
}

/** @param predicates how many there are: 8 of SSE, 32 of AVX */
export const compares = (predicates: 8 | 32): SemanticTable => ({
  cmpps: packedCompare(4, predicates),
  cmppd: packedCompare(8, predicates),
  cmpss: scalarCompare(4, predicates),
  cmpsd: scalarCompare(8, predicates),
});

/** The eight of SSE. */
export const sseCompare = compares(8);
