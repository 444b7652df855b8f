/** SSE4.1 (SDM 1, 12.8-12.10): blends, extensions, insertions and extractions, rounding, dot products. */
import { FP_RESULT } from '../layout.ts';
import type { Emitter, Form, Semantic, Value } from '../emitter.ts';
import type { PackedOperation } from './packed-integer.ts';
import { helperVector } from './sse-arithmetic.ts';
import { immediateByte } from './sse-integer.ts';
import { byteOrder } from './sse3.ts';
import { high64, lanes, low64, packed, zero } from './vector.ts';
import type { SemanticTable } from './vector.ts';

type LaneBytes = 1 | 2 | 4 | 8;
const SHAPE: Record<LaneBytes, string> = { 1: 'i8x16', 2: 'i16x8', 4: 'i32x4', 8: 'i64x2' };

const laneNumbers = (bytes: LaneBytes): number[] => Array.from({ length: 16 / bytes }, (_, lane) => lane);

/** An i32 in every lane. */
function spread(e: Emitter, bytes: LaneBytes, value: Value): Value {
  return e.op(`${SHAPE[bytes]}.splat`, bytes === 8 ? e.op('i64.extend_i32_u', value) : value);
}

/** All ones in the lanes whose bit is set in `immediate`, lane 0 by bit 0. */
function lanesOfBits(e: Emitter, bytes: LaneBytes, immediate: Value): Value {
  const bits = lanes(
    e,
    bytes,
    laneNumbers(bytes).map((lane) => 1 << lane),
  );
  return e.op(`${SHAPE[bytes]}.eq`, e.op('v128.and', spread(e, bytes, immediate), bits), bits);
}

/** Lane `number` (i32, in range) in every lane. */
function laneEverywhere(e: Emitter, bytes: LaneBytes, vector: Value, number: Value): Value {
  const within = lanes(
    e,
    1,
    Array.from({ length: 16 }, (_, i) => i % bytes),
  );
  const first = bytes === 1 ? number : e.op('i32.mul', number, e.i32(bytes));
  return e.op('i8x16.swizzle', vector, e.op('i8x16.add', e.op('i8x16.splat', first), within));
}

/** `vector` with the lanes of `value` (the same in all) at lane `number`. */
function insertedAt(e: Emitter, bytes: LaneBytes, vector: Value, value: Value, number: Value): Value {
  const here = e.op(`${SHAPE[bytes]}.eq`, spread(e, bytes, number), lanes(e, bytes, laneNumbers(bytes)));
  return e.op('v128.bitselect', value, vector, here);
}

function laneNumber(e: Emitter, operand: Form['operands'][number], bytes: LaneBytes): Value {
  return e.let(e.op('i32.and', e.read(operand, 1), e.i32(16 / bytes - 1)));
}

function blend(bytes: LaneBytes): Semantic {
  return (e, { operands: [destination, source, immediate] }) => {
    const a = e.let(e.readVector(destination));
    const b = e.let(e.readVector(source, true));
    const choice = e.let(immediateByte(e, immediate));
    e.writeVector(destination, e.op('v128.bitselect', b, a, lanesOfBits(e, bytes, choice)));
  };
}

/** Lanes of `b` where those of `mask` have their top bit set, else of `a`. */
export function blendByTopBits(e: Emitter, instruction: string, bits: number, a: Value, b: Value, mask: Value): Value {
  return e.op('v128.bitselect', b, a, e.op(instruction, mask, e.i32(bits - 1)));
}

/** By the top bits of the lanes of XMM0. */
function blendByVector(instruction: string, bits: number): Semantic {
  return (e, { operands: [destination, source, mask] }) => {
    const a = e.let(e.readVector(destination));
    const b = e.let(e.readVector(source, true));
    e.writeVector(destination, blendByTopBits(e, instruction, bits, a, b, e.readVector(mask)));
  };
}

/** PMOVSX and PMOVZX in one or more doublings. */
function extend(bytes: 2 | 4 | 8, doublings: readonly string[]): Semantic {
  return (e, { operands: [destination, source] }) => {
    const low =
      source.kind !== 'memory'
        ? e.readVector(source)
        : bytes === 2
          ? e.op('i32x4.splat', e.read(source, 2))
          : e.op(bytes === 4 ? 'i32x4.splat' : 'i64x2.splat', e.read(source, bytes));
    e.writeVector(
      destination,
      doublings.reduce((vector, instruction) => e.op(instruction, vector), low),
    );
  };
}

function extensionsOf(prefix: string, signedness: 's' | 'u'): SemanticTable {
  const words = `i16x8.extend_low_i8x16_${signedness}`;
  const doublewords = `i32x4.extend_low_i16x8_${signedness}`;
  const quadwords = `i64x2.extend_low_i32x4_${signedness}`;
  return {
    [`${prefix}bw`]: extend(8, [words]),
    [`${prefix}bd`]: extend(4, [words, doublewords]),
    [`${prefix}bq`]: extend(2, [words, doublewords, quadwords]),
    [`${prefix}wd`]: extend(8, [doublewords]),
    [`${prefix}wq`]: extend(4, [doublewords, quadwords]),
    [`${prefix}dq`]: extend(8, [quadwords]),
  };
}

/** PEXTRB, PEXTRW, PEXTRD, PEXTRQ, EXTRACTPS: memory takes the lane alone, a register has it zero-extended. */
function extract(width?: 1 | 2 | 4): Semantic {
  return (e, { operands: [destination, source, immediate], size }) => {
    const bytes = width ?? (size === 8 ? 8 : 4);
    const number = laneNumber(e, immediate, bytes);
    const vector = laneEverywhere(e, bytes, e.let(e.readVector(source)), number);
    const unsigned = bytes < 4 ? '_u' : '';
    const value = e.lane(`${SHAPE[bytes]}.extract_lane${unsigned}`, 0, vector);
    e.write(destination, destination.kind === 'memory' || bytes === 8 ? bytes : 4, value);
  };
}

/** PINSRB, PINSRD, PINSRQ. */
function insert(width?: 1): Semantic {
  return (e, { operands: [destination, source, immediate], size }) => {
    const bytes = width ?? (size === 8 ? 8 : 4);
    const value = e.op(`${SHAPE[bytes]}.splat`, e.let(e.read(source, bytes)));
    const number = laneNumber(e, immediate, bytes);
    e.writeVector(destination, insertedAt(e, bytes, e.readVector(destination), value, number));
  };
}

/** Source lane in imm[7:6] (a register's), destination lane in imm[5:4], lanes to clear in imm[3:0]. */
function insertps(e: Emitter, { operands: [destination, source, immediate] }: Form): void {
  const choice = e.let(immediateByte(e, immediate));
  const field = (shift: number) => e.op('i32.and', e.op('i32.shr_u', choice, e.i32(shift)), e.i32(3));
  const value =
    source.kind === 'memory'
      ? e.op('i32x4.splat', e.read(source, 4))
      : laneEverywhere(e, 4, e.let(e.readVector(source)), field(6));
  const inserted = insertedAt(e, 4, e.readVector(destination), value, field(4));
  e.writeVector(destination, e.op('v128.andnot', inserted, lanesOfBits(e, 4, choice)));
}

/** ZF: no bit in common; CF: no bit of the source outside the destination. */
function ptest(e: Emitter, { operands: [destination, source] }: Form): void {
  const a = e.let(e.readVector(destination));
  const b = e.let(e.readVector(source, true));
  const none = (v: Value) => e.op('i32.eqz', e.op('v128.any_true', v));
  const zf = e.op('i32.shl', none(e.op('v128.and', a, b)), e.i32(6));
  e.setFlags('flags', 4, e.op('i32.or', zf, none(e.op('v128.andnot', b, a))));
}

/** Rounding with the mode of the immediate; the core does it, as few programs have it in a loop. */
function roundScalar(size: 4 | 8): Semantic {
  return (e, { operands: [destination, source, immediate] }) => {
    const value = e.let(e.readVectorLow(source, size));
    const wide = size === 8 ? value : e.op('i64.extend_i32_u', value);
    e.faultIf(e.call('sseRound', e.i32(size), immediateByte(e, immediate), wide));
    e.writeVectorLow(destination, size, e.loadState(FP_RESULT, size));
  };
}

function roundPacked(size: 4 | 8): Semantic {
  return (e, { operands: [destination, source, immediate] }) => {
    const vector = e.let(e.readVector(source, true));
    e.faultIf(e.call('sseRoundPacked', e.i32(size), immediateByte(e, immediate), low64(e, vector), high64(e, vector)));
    e.writeVector(destination, helperVector(e));
  };
}

function dotProduct(size: 4 | 8): Semantic {
  return (e, { operands: [destination, source, immediate] }) => {
    const b = e.let(e.readVector(source, true));
    const a = e.let(e.readVector(destination));
    const halves = [low64(e, a), high64(e, a), low64(e, b), high64(e, b)];
    e.faultIf(e.call('sseDot', e.i32(size), immediateByte(e, immediate), ...halves));
    e.writeVector(destination, helperVector(e));
  };
}

/** Eight sums of four absolute differences: bytes of `a` from imm[2] * 4 on against the four of `b` at imm[1:0] * 4. */
function mpsadbw(e: Emitter, { operands: [destination, source, immediate] }: Form): void {
  const choice = e.let(immediateByte(e, immediate));
  const b = e.let(e.readVector(source, true));
  const numbers = lanes(e, 1, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
  const from = e.op('i8x16.splat', e.op('i32.and', choice, e.i32(4)));
  const window = e.let(e.op('i8x16.swizzle', e.readVector(destination), e.op('i8x16.add', numbers, from)));
  const block = e.let(laneEverywhere(e, 4, b, e.op('i32.and', choice, e.i32(3))));
  const sums = [0, 1, 2, 3].map((k) => {
    const moved = e.shuffle(
      Array.from({ length: 16 }, (_, i) => (i + k) % 16),
      window,
      window,
    );
    const same = e.shuffle(new Array<number>(16).fill(k), block, block);
    const words = (v: Value) => e.op('i16x8.extend_low_i8x16_u', v);
    return e.op('i16x8.abs', e.op('i16x8.sub', words(moved), words(same)));
  });
  e.writeVector(
    destination,
    sums.reduce((sum, term) => e.op('i16x8.add', sum, term)),
  );
}

/** Least unsigned word and, above it, the first place where it stands. Words travel with their numbers below them. */
const minimumPosition: PackedOperation = (e, _a, vector) => {
  const keyed = (half: string, first: number) =>
    e.op(
      'v128.or',
      e.op('i32x4.shl', e.op(`i32x4.extend_${half}_i16x8_u`, vector), e.i32(16)),
      lanes(e, 4, [first, first + 1, first + 2, first + 3]),
    );
  const four = e.let(e.op('i32x4.min_u', keyed('low', 0), keyed('high', 4)));
  const two = e.let(e.op('i32x4.min_u', four, e.shuffle(byteOrder(4, [2, 3, 0, 1]), four, four)));
  const one = e.op('i32x4.min_u', two, e.shuffle(byteOrder(4, [1, 0, 3, 2]), two, two));
  const found = e.let(e.lane('i32x4.extract_lane', 0, one));
  return e.lane('i32x4.replace_lane', 0, zero(e), e.op('i32.rotl', found, e.i32(16)));
};

/** Signed products of the even doublewords. */
const multiplyEvenSigned: PackedOperation = (e, a, b) => {
  const even = (v: Value) => e.shuffle(byteOrder(4, [0, 2, 0, 2]), v, v);
  return e.op('i64x2.extmul_low_i32x4_s', even(a), even(b));
};

const native =
  (instruction: string): PackedOperation =>
  (e, a, b) =>
    e.op(instruction, a, b);

const operations: Readonly<Record<string, PackedOperation>> = {
  pmuldq: multiplyEvenSigned,
  pcmpeqq: native('i64x2.eq'),
  packusdw: native('i16x8.narrow_i32x4_u'),
  pminsb: native('i8x16.min_s'),
  pminsd: native('i32x4.min_s'),
  pminuw: native('i16x8.min_u'),
  pminud: native('i32x4.min_u'),
  pmaxsb: native('i8x16.max_s'),
  pmaxsd: native('i32x4.max_s'),
  pmaxuw: native('i16x8.max_u'),
  pmaxud: native('i32x4.max_u'),
  pmulld: native('i32x4.mul'),
  phminposuw: minimumPosition,
};

export const sse41: SemanticTable = {
  ...Object.fromEntries(Object.entries(operations).map(([op, f]) => [op, packed(f)])),
  ...extensionsOf('pmovsx', 's'),
  ...extensionsOf('pmovzx', 'u'),
  pblendvb: blendByVector('i8x16.shr_s', 8),
  blendvps: blendByVector('i32x4.shr_s', 32),
  blendvpd: blendByVector('i64x2.shr_s', 64),
  blendps: blend(4),
  blendpd: blend(8),
  pblendw: blend(2),
  ptest,
  movntdqa: (e, { operands: [destination, source] }) => e.writeVector(destination, e.readVector(source, true)),
  roundss: roundScalar(4),
  roundsd: roundScalar(8),
  roundps: roundPacked(4),
  roundpd: roundPacked(8),
  pextrb: extract(1),
  pextrw_to: extract(2),
  pextrd: extract(),
  extractps: extract(4),
  pinsrb: insert(1),
  pinsrd: insert(),
  insertps,
  dpps: dotProduct(4),
  dppd: dotProduct(8),
  mpsadbw,
};
