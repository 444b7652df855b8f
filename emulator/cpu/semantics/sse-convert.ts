/**
 * SSE and SSE2 conversions (SDM 1, 5.5 and 5.6.1.6). As in sse-arithmetic.ts: native when no flag can change, else the core.
 * CVTPI2PS and its kin, which touch MMX registers, are in mmx.ts.
 */
import {
  CVT_F32_F64,
  CVT_F32_I32,
  CVT_F32_I64,
  CVT_F64_F32,
  CVT_F64_I32,
  CVT_F64_I64,
  CVT_I32_F32,
  CVT_I64_F32,
  CVT_I64_F64,
  CVT_TRUNCATE,
} from '../../core/softfloat-codes.ts';
import type { Emitter, Form, Semantic, Value } from '../emitter.ts';
import { FP_RESULT, MXCSR } from '../layout.ts';
import {
  asBits,
  doubt,
  doubtComparison,
  doubtResult,
  doubtRounding,
  float,
  helperScalar,
  helperVector,
  ordinaryLanes,
  roundingMatters,
  settled,
  wideBits,
} from './sse-arithmetic.ts';
import { alone, high64, low64, splat, zero } from './vector.ts';
import type { SemanticTable } from './vector.ts';

/** PM and PE of MXCSR. */
const INEXACT_STICKY = 0x1020;

/** i32: not 0 when a lost fraction would have to be reported. Truncation ignores MXCSR.RC. */
function inexactMatters(e: Emitter, truncate: boolean): Value {
  if (!truncate) return roundingMatters(e);
  const state = e.op('i32.and', e.loadState(MXCSR, 4), e.i32(INEXACT_STICKY));
  return e.op('i32.ne', state, e.i32(INEXACT_STICKY));
}

/** Repeats a conversion in the core, which leaves its answer at FP_RESULT. */
function redo(e: Emitter, kind: number, bits: Value): void {
  e.faultIf(e.call('sseConvert', e.i32(kind), bits.type === 'i64' ? bits : e.op('i64.extend_i32_u', bits)));
}
function redoScalar(e: Emitter, kind: number, bits: Value, resultSize: 4 | 8): Value {
  redo(e, kind, bits);
  return helperScalar(e, resultSize);
}

/** Repeats a packed conversion of the low `count` lanes. */
export function redoPackedConversion(e: Emitter, kind: number, count: number, vector: Value): Value {
  e.faultIf(e.call('sseConvertPacked', e.i32(kind), e.i32(count), low64(e, vector), high64(e, vector)));
  return helperVector(e);
}

/** CVTSI2SD and CVTSI2SS: exact while the integer fits the significand. */
function integerToScalar(resultSize: 4 | 8): Semantic {
  return (e, { operands: [destination, source], size }) => {
    const from = size === 8 ? 8 : 4;
    const value = e.let(e.read(source, from));
    const result = e.variable(float(resultSize), e.op(`${float(resultSize)}.convert_i${from * 8}_s`, value));
    if (from !== 4 || resultSize !== 8) {
      const limit = resultSize === 8 ? 1n << 53n : 1n << 24n;
      const tooWide =
        from === 8
          ? e.op('i64.gt_u', e.op('i64.add', value, e.i64(limit)), e.i64(2n * limit))
          : e.op('i32.gt_u', e.op('i32.add', value, e.i32(Number(limit))), e.i32(Number(2n * limit)));
      const kind = resultSize === 8 ? CVT_I64_F64 : from === 8 ? CVT_I64_F32 : CVT_I32_F32;
      e.unlikely([doubt(e.op('i32.and', tooWide, roundingMatters(e)))], () =>
        e.set(result, redoScalar(e, kind, value, resultSize)),
      );
    }
    // An integer never becomes a denormal.
    e.writeScalar(destination, resultSize, settled(e, true, resultSize, result));
  };
}

/** CVT(T)SD2SI and CVT(T)SS2SI. Binary32 is widened first, which loses nothing. */
function scalarToInteger(sourceSize: 4 | 8, truncate: boolean): Semantic {
  return (e, { operands: [destination, source], size }) => {
    const to = size === 8 ? 8 : 4;
    const given = e.let(e.readScalar(source, sourceSize));
    const value = e.let(sourceSize === 8 ? given : e.op('f64.promote_f32', given));
    const whole = e.let(e.op(truncate ? 'f64.trunc' : 'f64.nearest', value));
    const integer = to === 8 ? 'i64' : 'i32';
    const result = e.variable(integer, e.op(`${integer}.trunc_sat_f64_s`, whole));
    const inRange = e.op('f64.lt', e.op('f64.abs', whole), e.f64(2 ** (to * 8 - 1)));
    const fraction = doubt(inexactMatters(e, truncate), e.op('f64.eq', whole, value));
    const wide = sourceSize === 8 ? (to === 8 ? CVT_F64_I64 : CVT_F64_I32) : to === 8 ? CVT_F32_I64 : CVT_F32_I32;
    e.unlikely([doubt(e.op('i32.eqz', inRange)), fraction], () => {
      redo(e, wide + (truncate ? CVT_TRUNCATE : 0), asBits(e, sourceSize, given));
      e.set(result, e.loadState(FP_RESULT, to));
    });
    e.write(destination, to, e.get(result));
  };
}

function cvtss2sd(e: Emitter, { operands: [destination, source] }: Form): void {
  const value = e.let(e.readScalar(source, 4));
  const result = e.variable('f64', e.op('f64.promote_f32', value));
  const sure = e.unlikely(doubtComparison(e, 4, value), () =>
    e.set(result, redoScalar(e, CVT_F32_F64, wideBits(e, 4, value), 8)),
  );
  e.writeScalar(destination, 8, settled(e, sure && value.plain === 4, 8, result));
}

function cvtsd2ss(e: Emitter, { operands: [destination, source] }: Form): void {
  const value = e.let(e.readScalar(source, 8));
  const result = e.variable('f32', e.op('f32.demote_f64', value));
  const isZero = e.op('f64.eq', value, e.f64(0));
  const sure = e.unlikely([doubtRounding(e), doubtResult(e, 4, e.get(result), isZero)], () =>
    e.set(result, redoScalar(e, CVT_F64_F32, wideBits(e, 8, value), 4)),
  );
  e.writeScalar(destination, 4, settled(e, sure, 4, result));
}

/** CVTPS2PD: a lane that came from a denormal or a NaN shows in the wide result. */
function cvtps2pd(e: Emitter, { operands: [destination, source] }: Form): void {
  const vector = e.let(alone(e, 8, e.readVectorLow(source, 8)));
  const result = e.variable('v128', e.op('f64x2.promote_low_f32x4', vector));
  const magnitude = e.let(e.op('f64x2.abs', e.get(result)));
  const plain = e.op('f64x2.ge', magnitude, splat(e, 8, 0x3810000000000000n)); // 2^-126, the least normal binary32
  const fine = e.op('v128.or', plain, e.op('f64x2.eq', magnitude, zero(e)));
  e.unlikely([doubt(e.op('i32.ne', e.op('i64x2.bitmask', fine), e.i32(3)))], () =>
    e.set(result, redoPackedConversion(e, CVT_F32_F64, 2, vector)),
  );
  e.writeVector(destination, e.get(result));
}

function cvtpd2ps(e: Emitter, { operands: [destination, source] }: Form): void {
  const vector = e.let(e.readVector(source, true));
  const result = e.variable('v128', e.op('f32x4.demote_f64x2_zero', vector));
  const ordinary = e.op('i32.and', e.op('i32x4.bitmask', ordinaryLanes(e, 4, e.get(result))), e.i32(3));
  e.unlikely([doubtRounding(e), doubt(e.op('i32.ne', ordinary, e.i32(3)))], () =>
    e.set(result, redoPackedConversion(e, CVT_F64_F32, 2, vector)),
  );
  e.writeVector(destination, e.get(result));
}

/** Four integers to binary32; used for two by CVTPI2PS. */
export function convertIntegersToSingles(e: Emitter, vector: Value): Value {
  const result = e.variable('v128', e.op('f32x4.convert_i32x4_s', vector));
  const wide = e.op('i32x4.gt_u', e.op('i32x4.add', vector, splat(e, 4, 1 << 24)), splat(e, 4, 2 << 24));
  e.unlikely([doubt(e.op('i32.and', e.op('v128.any_true', wide), roundingMatters(e)))], () =>
    e.set(result, redoPackedConversion(e, CVT_I32_F32, 4, vector)),
  );
  return e.let(e.get(result));
}

/** `count` binary32 lanes to integers; the lanes above must be zero. */
export function convertSinglesToIntegers(e: Emitter, vector: Value, truncate: boolean): Value {
  const whole = e.let(e.op(truncate ? 'f32x4.trunc' : 'f32x4.nearest', vector));
  const result = e.variable('v128', e.op('i32x4.trunc_sat_f32x4_s', whole));
  const inRange = e.op('f32x4.lt', e.op('f32x4.abs', whole), splat(e, 4, 0x4f000000)); // 2^31
  const exact = e.op('i32.eqz', e.op('v128.any_true', e.op('f32x4.ne', whole, vector)));
  const doubts = [doubt(e.op('i32.eqz', e.op('i32x4.all_true', inRange))), doubt(inexactMatters(e, truncate), exact)];
  e.unlikely(doubts, () =>
    e.set(result, redoPackedConversion(e, CVT_F32_I32 + (truncate ? CVT_TRUNCATE : 0), 4, vector)),
  );
  return e.let(e.get(result));
}

/** Two binary64 lanes to integers in the low quadword, zero above. */
export function convertDoublesToIntegers(e: Emitter, vector: Value, truncate: boolean): Value {
  const whole = e.let(e.op(truncate ? 'f64x2.trunc' : 'f64x2.nearest', vector));
  const result = e.variable('v128', e.op('i32x4.trunc_sat_f64x2_s_zero', whole));
  const inRange = e.op('f64x2.lt', e.op('f64x2.abs', whole), splat(e, 8, 0x41e0000000000000n)); // 2^31
  const exact = e.op('i32.eqz', e.op('v128.any_true', e.op('f64x2.ne', whole, vector)));
  const doubts = [doubt(e.op('i32.eqz', e.op('i64x2.all_true', inRange))), doubt(inexactMatters(e, truncate), exact)];
  e.unlikely(doubts, () =>
    e.set(result, redoPackedConversion(e, CVT_F64_I32 + (truncate ? CVT_TRUNCATE : 0), 2, vector)),
  );
  return e.let(e.get(result));
}

function packedToIntegers(f: (e: Emitter, vector: Value, truncate: boolean) => Value, truncate: boolean): Semantic {
  return (e, { operands: [destination, source] }) => {
    const vector = e.let(e.readVector(source, true));
    e.writeVector(destination, f(e, vector, truncate));
  };
}

function cvtdq2ps(e: Emitter, { operands: [destination, source] }: Form): void {
  const vector = e.let(e.readVector(source, true));
  e.writeVector(destination, convertIntegersToSingles(e, vector));
}

function cvtdq2pd(e: Emitter, { operands: [destination, source] }: Form): void {
  const vector = alone(e, 8, e.readVectorLow(source, 8));
  e.writeVector(destination, e.op('f64x2.convert_low_i32x4_s', vector));
}

export const sseConvert: SemanticTable = {
  cvtsi2ss: integerToScalar(4),
  cvtsi2sd: integerToScalar(8),
  cvtss2si: scalarToInteger(4, false),
  cvttss2si: scalarToInteger(4, true),
  cvtsd2si: scalarToInteger(8, false),
  cvttsd2si: scalarToInteger(8, true),
  cvtss2sd,
  cvtsd2ss,
  cvtps2pd,
  cvtpd2ps,
  cvtdq2ps,
  cvtdq2pd,
  cvtps2dq: packedToIntegers(convertSinglesToIntegers, false),
  cvttps2dq: packedToIntegers(convertSinglesToIntegers, true),
  cvtpd2dq: packedToIntegers(convertDoublesToIntegers, false),
  cvttpd2dq: packedToIntegers(convertDoublesToIntegers, true),
};
