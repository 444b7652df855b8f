/** Broadcasts, permutations and shifts by lanes of AVX and AVX2 (SDM 1 14.1, 14.6). */
import type { Emitter, Form, Semantic, Size, Value } from '../emitter.ts';
import type { Operand } from '../instruction.ts';
import { CODE_MODE } from '../layout.ts';
import { immediateByte, orderOfDoublewords, sseInteger } from './sse-integer.ts';
import { sse41 } from './sse41.ts';
import { high64, low64, splat, zero } from './vector.ts';
import type { SemanticTable } from './vector.ts';
import { isWide, readHalves, vexForm, writeHalves } from './vex.ts';

const SHAPE: Record<Size, string> = { 1: 'i8x16', 2: 'i16x8', 4: 'i32x4', 8: 'i64x2' };

/** The lowest element in every lane. */
function broadcast(bytes: Size): Semantic {
  return (e, form) => {
    const [destination, source] = form.operands;
    const lane = `${SHAPE[bytes]}.extract_lane${bytes < 4 ? '_u' : ''}`;
    const element = source!.kind === 'memory' ? e.read(source!, bytes) : e.lane(lane, 0, e.readVector(source!));
    const half = e.let(e.op(`${SHAPE[bytes]}.splat`, element));
    writeHalves(e, destination!, isWide(form) ? [half, half] : [half]);
  };
}

function broadcastHalf(e: Emitter, { operands: [destination, source] }: Form): void {
  const half = e.load128(e.address(source!));
  writeHalves(e, destination!, [half, half]);
}

/** Doublewords of each half by the low two bits of the control's. */
const permuteSinglesInHalf = vexForm(
  (e, { operands: [destination, control] }) => {
    const numbers = e.op('v128.and', e.readVector(control!), splat(e, 4, 3));
    e.writeVector(destination!, e.op('i8x16.swizzle', e.readVector(destination!), orderOfDoublewords(e, numbers)));
  },
  { three: true },
);

/** Quadwords of each half by bit 1 of the control's. */
const permuteDoublesInHalf = vexForm(
  (e, { operands: [destination, control] }) => {
    const vector = e.let(e.readVector(destination!));
    const high = e.op('i64x2.shr_s', e.op('i64x2.shl', e.readVector(control!), e.i32(62)), e.i32(63));
    const [lows, highs] = [low64(e, vector), high64(e, vector)].map((quad) => e.op('i64x2.splat', quad));
    e.writeVector(destination!, e.op('v128.bitselect', highs!, lows!, high));
  },
  { three: true },
);

/** VPERMILPD by an immediate is SHUFPD of the source with itself. */
function withBoth(shuffle: Semantic): Semantic {
  return (e, form) => {
    const [destination, source, immediate] = form.operands as [Operand, Operand, Operand];
    shuffle(e, { ...form, operands: [destination, source, source, immediate] });
  };
}

const byKind = (byVector: Semantic, byImmediate: Semantic): Semantic => {
  return (e, form) => (form.operands[2]!.kind === 'immediate' ? byImmediate : byVector)(e, form);
};

const bit = (e: Emitter, value: Value, mask: number): Value => e.op('i32.and', value, e.i32(mask));

/** VPERM2x128: each half one of four, or zero. */
function permuteHalves(e: Emitter, { operands: [destination, first, second, immediate] }: Form): void {
  const b = readHalves(e, second!, true).map((half) => e.let(half));
  const a = readHalves(e, first!, true).map((half) => e.let(half));
  const choice = e.let(immediateByte(e, immediate!));
  const half = (shift: number): Value => {
    const chosen = e.select(
      bit(e, choice, 2 << shift),
      e.select(bit(e, choice, 1 << shift), b[1]!, b[0]!),
      e.select(bit(e, choice, 1 << shift), a[1]!, a[0]!),
    );
    return e.select(bit(e, choice, 8 << shift), zero(e), chosen);
  };
  writeHalves(e, destination!, [half(0), half(4)]);
}

function insertHalf(e: Emitter, { operands: [destination, first, second, immediate] }: Form): void {
  const inserted = e.let(second!.kind === 'memory' ? e.load128(e.address(second!)) : e.readVector(second!));
  const [low, high] = readHalves(e, first!, true);
  const upper = e.let(bit(e, immediateByte(e, immediate!), 1));
  writeHalves(e, destination!, [e.select(upper, low!, inserted), e.select(upper, inserted, high!)]);
}

function extractHalf(e: Emitter, { operands: [destination, source, immediate] }: Form): void {
  const [low, high] = readHalves(e, source!, true);
  const half = e.let(e.select(bit(e, immediateByte(e, immediate!), 1), high!, low!));
  if (destination!.kind === 'memory') e.store128(e.address(destination!), half);
  else writeHalves(e, destination!, [half]);
}

/** VPERMD and VPERMPS: doublewords of the whole source by the numbers in the first operand. */
function permuteDoublewords(e: Emitter, { operands: [destination, numbers, source] }: Form): void {
  const [low, high] = readHalves(e, source!, true).map((half) => e.let(half));
  const halves = readHalves(e, numbers!, true).map((half) => {
    const number = e.let(e.op('v128.and', half, splat(e, 4, 7)));
    // Numbers of the other half give byte numbers of 16 and more: zero.
    const fromLow = e.op('i8x16.swizzle', low!, orderOfDoublewords(e, number));
    const others = e.op('v128.xor', number, splat(e, 4, 4));
    return e.let(e.op('v128.or', fromLow, e.op('i8x16.swizzle', high!, orderOfDoublewords(e, others))));
  });
  writeHalves(e, destination!, halves);
}

/** VPERMQ and VPERMPD: quadwords of the whole source by the four fields of the immediate. */
function permuteQuadwords(e: Emitter, { operands: [destination, source, immediate] }: Form): void {
  const halves = readHalves(e, source!, true).map((half) => e.let(half));
  const choice = e.let(immediateByte(e, immediate!));
  const quadword = (field: number): Value => {
    const half = e.let(e.select(bit(e, choice, 2 << (2 * field)), halves[1]!, halves[0]!));
    const lane = (number: number): Value => e.lane('f64x2.extract_lane', number, half);
    return e.select(bit(e, choice, 1 << (2 * field)), lane(1), lane(0));
  };
  const pair = (field: number): Value =>
    e.let(e.lane('f64x2.replace_lane', 1, e.op('f64x2.splat', quadword(field)), quadword(field + 1)));
  writeHalves(e, destination!, [pair(0), pair(2)]);
}

/** Each lane by its own count: zero, or the sign, from the lane's width on. */
function shiftByLanes(bytes: 4 | 8, operation: 'shl' | 'shr_u' | 'shr_s'): Semantic {
  const type = bytes === 8 ? 'i64' : 'i32';
  const constant = (e: Emitter, value: number): Value => (bytes === 8 ? e.i64(value) : e.i32(value));
  return vexForm(
    (e, { operands: [destination, source] }) => {
      const counts = e.let(e.readVector(source!));
      let vector = e.let(e.readVector(destination!));
      for (let lane = 0; lane < 16 / bytes; lane++) {
        const value = e.lane(`${SHAPE[bytes]}.extract_lane`, lane, vector);
        const count = e.let(e.lane(`${SHAPE[bytes]}.extract_lane`, lane, counts));
        const inRange = e.op(`${type}.lt_u`, count, constant(e, bytes * 8));
        const shifted =
          operation === 'shr_s'
            ? e.op(`${type}.shr_s`, value, e.select(inRange, count, constant(e, bytes * 8 - 1)))
            : e.select(inRange, e.op(`${type}.${operation}`, value, count), constant(e, 0));
        vector = e.let(e.lane(`${SHAPE[bytes]}.replace_lane`, lane, vector, shifted));
      }
      e.writeVector(destination!, vector);
    },
    { three: true },
  );
}

/** VZEROUPPER and VZEROALL: eight registers outside 64-bit mode, else sixteen. */
function clear(whole: boolean): Semantic {
  const of = (e: Emitter, first: number): void => {
    for (let register = first; register < first + 8; register++) {
      const operand: Operand = { kind: 'ymm', register };
      if (whole) e.writeVector(operand, zero(e));
      e.writeVectorHigh(operand, zero(e));
    }
  };
  return (e) => {
    of(e, 0);
    e.if(e.op('i32.eq', e.loadState(CODE_MODE, 4), e.i32(2)), () => of(e, 8));
  };
}

export const avxPermute: SemanticTable = {
  vbroadcastss: broadcast(4),
  vbroadcastsd: broadcast(8),
  vbroadcastf128: broadcastHalf,
  vbroadcasti128: broadcastHalf,
  vpbroadcastb: broadcast(1),
  vpbroadcastw: broadcast(2),
  vpbroadcastd: broadcast(4),
  vpbroadcastq: broadcast(8),
  vpermilps: byKind(permuteSinglesInHalf, vexForm(sseInteger['pshufd']!)),
  vpermilpd: byKind(permuteDoublesInHalf, withBoth(vexForm(sseInteger['shufpd']!, { three: true, highImmediate: 2 }))),
  vperm2f128: permuteHalves,
  vperm2i128: permuteHalves,
  vinsertf128: insertHalf,
  vinserti128: insertHalf,
  vextractf128: extractHalf,
  vextracti128: extractHalf,
  vpermps: permuteDoublewords,
  vpermd: permuteDoublewords,
  vpermq: permuteQuadwords,
  vpermpd: permuteQuadwords,
  vpblendd: vexForm(sse41['blendps']!, { three: true, highImmediate: 4 }),
  vpsrlvd: shiftByLanes(4, 'shr_u'),
  vpsrlvq: shiftByLanes(8, 'shr_u'),
  vpsravd: shiftByLanes(4, 'shr_s'),
  vpsllvd: shiftByLanes(4, 'shl'),
  vpsllvq: shiftByLanes(8, 'shl'),
  vzeroupper: clear(false),
  vzeroall: clear(true),
};
