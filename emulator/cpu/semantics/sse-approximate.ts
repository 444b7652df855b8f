/**
 * RCPPS and RSQRTPS (SDM 2B): approximations with a relative error of at most 1.5 * 2^-12. The exact values differ between processors;
 * here the quotient is rounded as usual and then cut to 12 significant bits. No flags; denormals count as zero.
 */
import type { Emitter, Semantic, Value } from '../emitter.ts';
import { denormalLanes } from './sse-arithmetic.ts';
import { splat } from './vector.ts';
import type { SemanticTable } from './vector.ts';

const SIGN = 0x80000000;
const QUIET = 0x00400000;
/** Sign, exponent and the upper 11 fraction bits. */
const TWELVE_BITS = 0xfffff000;
const HALF_UNIT = 0x800;
const DEFAULT_NAN = 0xffc00000;

/** Denormals become zeros of their sign. */
function flushed(e: Emitter, vector: Value): Value {
  const kept = e.let(vector);
  return e.op('v128.andnot', kept, e.op('v128.andnot', denormalLanes(e, 4, kept), splat(e, 4, SIGN)));
}

/** Cuts to 12 bits; quiet NaNs of the source pass through. */
function finish(e: Emitter, source: Value, quotient: Value): Value {
  const cut = e.op('v128.and', e.op('i32x4.add', quotient, splat(e, 4, HALF_UNIT)), splat(e, 4, TWELVE_BITS));
  const quiet = e.op('v128.or', source, splat(e, 4, QUIET));
  return e.op('v128.bitselect', quiet, cut, e.op('f32x4.ne', source, source));
}

function reciprocal(e: Emitter, vector: Value): Value {
  const source = e.let(flushed(e, vector));
  const quotient = flushed(e, e.op('f32x4.div', splat(e, 4, 0x3f800000), source));
  return finish(e, source, quotient);
}

function reciprocalRoot(e: Emitter, vector: Value): Value {
  const source = e.let(flushed(e, vector));
  const one = splat(e, 4, 0x3f800000);
  // sqrt(-0) is -0, so that 1 / -0 gives the -infinity that RSQRTPS wants.
  const quotient = e.op('f32x4.div', one, e.op('f32x4.sqrt', source));
  const negative = e.op('f32x4.lt', source, splat(e, 4, 0));
  return e.op('v128.bitselect', splat(e, 4, DEFAULT_NAN), finish(e, source, quotient), negative);
}

function approximation(f: (e: Emitter, vector: Value) => Value, scalar: boolean): Semantic {
  return (e, { operands: [destination, source] }) => {
    if (!scalar) {
      e.writeVector(destination, f(e, e.let(e.readVector(source, true))));
      return;
    }
    const value = e.let(e.op('i32x4.splat', e.readVectorLow(source, 4)));
    e.writeVectorLow(destination, 4, e.lane('i32x4.extract_lane', 0, f(e, value)));
  };
}

export const sseApproximate: SemanticTable = {
  rcpps: approximation(reciprocal, false),
  rcpss: approximation(reciprocal, true),
  rsqrtps: approximation(reciprocalRoot, false),
  rsqrtss: approximation(reciprocalRoot, true),
};
