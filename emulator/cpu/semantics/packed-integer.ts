/**
 * The packed integer operations as functions of two vectors: SSE2 applies them to 128 bits, MMX to the low 64 (see mmx.ts
 * for how operands are laid out there). Names are the SDM's.
 */
import type { Emitter, Value } from '../emitter.ts';
import { splat } from './vector.ts';

export type PackedOperation = (e: Emitter, a: Value, b: Value) => Value;

const native =
  (instruction: string): PackedOperation =>
  (e, a, b) =>
    e.op(instruction, a, b);

/** Interleaves lanes of `bytes` from the low or high halves. */
function interleave(bytes: number, high: boolean): PackedOperation {
  const order: number[] = [];
  for (let lane = 0; lane < 8 / bytes; lane++) {
    const from = (high ? 8 : 0) + lane * bytes;
    for (const operand of [0, 16]) for (let i = 0; i < bytes; i++) order.push(operand + from + i);
  }
  return (e, a, b) => e.shuffle(order, a, b);
}

/** High words of the 32-bit products. */
function multiplyHigh(signedness: 's' | 'u'): PackedOperation {
  const highWords = Array.from({ length: 8 }, (_, lane) => [lane * 4 + 2, lane * 4 + 3]).flat();
  return (e, a, b) =>
    e.shuffle(
      highWords,
      e.op(`i32x4.extmul_low_i16x8_${signedness}`, a, b),
      e.op(`i32x4.extmul_high_i16x8_${signedness}`, a, b),
    );
}

/** Products of the even doublewords. */
const multiplyEven: PackedOperation = (e, a, b) => {
  const even = (v: Value) => e.shuffle([0, 1, 2, 3, 8, 9, 10, 11, 0, 1, 2, 3, 8, 9, 10, 11], v, v);
  return e.op('i64x2.extmul_low_i32x4_u', even(a), even(b));
};

/** Sum of absolute differences of each eight bytes. */
const sumOfDifferences: PackedOperation = (e, a, b) => {
  const difference = e.op('v128.or', e.op('i8x16.sub_sat_u', a, b), e.op('i8x16.sub_sat_u', b, a));
  const words = e.op('i16x8.extadd_pairwise_i8x16_u', difference);
  const sums = e.let(e.op('i32x4.extadd_pairwise_i16x8_u', words));
  const low = e.op('v128.and', sums, splat(e, 8, 0xffffffff));
  return e.op('i64x2.add', low, e.op('i64x2.shr_u', sums, e.i32(32)));
};

export const interleaveLow: Readonly<Record<string, PackedOperation>> = {
  punpcklbw: interleave(1, false),
  punpcklwd: interleave(2, false),
  punpckldq: interleave(4, false),
};

export const interleaveHigh: Readonly<Record<string, PackedOperation>> = {
  punpckhbw: interleave(1, true),
  punpckhwd: interleave(2, true),
  punpckhdq: interleave(4, true),
};

/** Narrowing with saturation: results of `a` below those of `b`. */
export const pack: Readonly<Record<string, PackedOperation>> = {
  packsswb: native('i8x16.narrow_i16x8_s'),
  packuswb: native('i8x16.narrow_i16x8_u'),
  packssdw: native('i16x8.narrow_i32x4_s'),
};

/** Operations whose every 64-bit half depends on the same halves of the operands only. */
export const lanewise: Readonly<Record<string, PackedOperation>> = {
  pcmpgtb: native('i8x16.gt_s'),
  pcmpgtw: native('i16x8.gt_s'),
  pcmpgtd: native('i32x4.gt_s'),
  pcmpeqb: native('i8x16.eq'),
  pcmpeqw: native('i16x8.eq'),
  pcmpeqd: native('i32x4.eq'),
  paddb: native('i8x16.add'),
  paddw: native('i16x8.add'),
  paddd: native('i32x4.add'),
  paddq: native('i64x2.add'),
  psubb: native('i8x16.sub'),
  psubw: native('i16x8.sub'),
  psubd: native('i32x4.sub'),
  psubq: native('i64x2.sub'),
  paddsb: native('i8x16.add_sat_s'),
  paddsw: native('i16x8.add_sat_s'),
  paddusb: native('i8x16.add_sat_u'),
  paddusw: native('i16x8.add_sat_u'),
  psubsb: native('i8x16.sub_sat_s'),
  psubsw: native('i16x8.sub_sat_s'),
  psubusb: native('i8x16.sub_sat_u'),
  psubusw: native('i16x8.sub_sat_u'),
  pminub: native('i8x16.min_u'),
  pmaxub: native('i8x16.max_u'),
  pminsw: native('i16x8.min_s'),
  pmaxsw: native('i16x8.max_s'),
  pavgb: native('i8x16.avgr_u'),
  pavgw: native('i16x8.avgr_u'),
  pmullw: native('i16x8.mul'),
  pmulhw: multiplyHigh('s'),
  pmulhuw: multiplyHigh('u'),
  pmuludq: multiplyEven,
  pmaddwd: native('i32x4.dot_i16x8_s'),
  psadbw: sumOfDifferences,
  pand: native('v128.and'),
  pandn: (e, a, b) => e.op('v128.andnot', b, a),
  por: native('v128.or'),
  pxor: native('v128.xor'),
};

/** Shift instructions: lane bits and the WebAssembly operation. */
export const shifts: Readonly<Record<string, { readonly bits: 16 | 32 | 64; readonly instruction: string }>> = {
  psrlw: { bits: 16, instruction: 'i16x8.shr_u' },
  psrld: { bits: 32, instruction: 'i32x4.shr_u' },
  psrlq: { bits: 64, instruction: 'i64x2.shr_u' },
  psraw: { bits: 16, instruction: 'i16x8.shr_s' },
  psrad: { bits: 32, instruction: 'i32x4.shr_s' },
  psllw: { bits: 16, instruction: 'i16x8.shl' },
  pslld: { bits: 32, instruction: 'i32x4.shl' },
  psllq: { bits: 64, instruction: 'i64x2.shl' },
};

/** `vector` shifted by an i64 count: lanes become zero, or their sign, when it reaches their width. */
export function shiftLanes(e: Emitter, op: string, vector: Value, count: Value): Value {
  const { bits, instruction } = shifts[op]!;
  const inRange = e.let(e.op('i64.lt_u', count, e.i64(bits)));
  const amount = e.select(inRange, e.op('i32.wrap_i64', count), e.i32(bits - 1));
  const shifted = e.op(instruction, vector, amount);
  return instruction.endsWith('shr_s') ? shifted : e.select(inRange, shifted, splat(e, 8, 0));
}
