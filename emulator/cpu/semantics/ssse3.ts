/** SSSE3 (SDM 1, 12.6), on XMM and MMX registers. */
import type { Emitter, Semantic, Value } from '../emitter.ts';
import { mmxBinary, mmxInstruction, mmxJoined } from './mmx.ts';
import type { PackedOperation } from './packed-integer.ts';
import { byteOrder } from './sse3.ts';
import { immediateByte, shiftedBytes } from './sse-integer.ts';
import { lanes, low64, packed, splat, zero } from './vector.ts';
import type { SemanticTable } from './vector.ts';

/** `instruction` of even and odd lanes: those of `a` below those of `b`. */
function horizontal(bytes: 2 | 4, instruction: string): PackedOperation {
  const count = 16 / bytes;
  const even = byteOrder(
    bytes,
    Array.from({ length: count }, (_, lane) => lane * 2),
  );
  const odd = byteOrder(
    bytes,
    Array.from({ length: count }, (_, lane) => lane * 2 + 1),
  );
  return (e, a, b) => e.op(instruction, e.shuffle(even, a, b), e.shuffle(odd, a, b));
}

/** `a` negated where `b` is negative, 0 where it is 0. */
function sign(shape: string): PackedOperation {
  return (e, a, b) => {
    const negative = e.let(e.op(`${shape}.lt_s`, b, zero(e)));
    const signed = e.op(`${shape}.sub`, e.op('v128.xor', a, negative), negative);
    return e.op('v128.andnot', signed, e.op(`${shape}.eq`, b, zero(e)));
  };
}

const absolute =
  (shape: string): PackedOperation =>
  (e, _a, b) =>
    e.op(`${shape}.abs`, b);

/** Unsigned bytes of `a` times signed bytes of `b`, pairs added with saturation. */
const multiplyAdd: PackedOperation = (e, a, b) => {
  const even = e.op(
    'i16x8.mul',
    e.op('v128.and', a, splat(e, 2, 0xff)),
    e.op('i16x8.shr_s', e.op('i16x8.shl', b, e.i32(8)), e.i32(8)),
  );
  const odd = e.op('i16x8.mul', e.op('i16x8.shr_u', a, e.i32(8)), e.op('i16x8.shr_s', b, e.i32(8)));
  return e.op('i16x8.add_sat_s', even, odd);
};

/** (a * b + 2^14) >> 15. WebAssembly's instruction saturates -1 * -1, where this one gives -1. */
const multiplyHighRounded: PackedOperation = (e, a, b) => {
  const minusOne = (v: Value): Value => e.op('i16x8.eq', v, splat(e, 2, 0x8000));
  return e.op('v128.xor', e.op('i16x8.q15mulr_sat_s', a, b), e.op('v128.and', minusOne(a), minusOne(b)));
};

/** Bytes of `a` by the numbers in `b`; bit 7 of a number gives 0. */
function shuffleBytes(numberBits: number): PackedOperation {
  return (e, a, b) => e.op('i8x16.swizzle', a, e.op('v128.and', b, splat(e, 1, 0x80 | numberBits)));
}

const lanewise: Readonly<Record<string, PackedOperation>> = {
  pmaddubsw: multiplyAdd,
  psignb: sign('i8x16'),
  psignw: sign('i16x8'),
  psignd: sign('i32x4'),
  pmulhrsw: multiplyHighRounded,
  pabsb: absolute('i8x16'),
  pabsw: absolute('i16x8'),
  pabsd: absolute('i32x4'),
};

const pairwise: Readonly<Record<string, PackedOperation>> = {
  phaddw: horizontal(2, 'i16x8.add'),
  phaddd: horizontal(4, 'i32x4.add'),
  phaddsw: horizontal(2, 'i16x8.add_sat_s'),
  phsubw: horizontal(2, 'i16x8.sub'),
  phsubd: horizontal(4, 'i32x4.sub'),
  phsubsw: horizontal(2, 'i16x8.sub_sat_s'),
};

/** Bytes from `count` on of a (high) and b (low) side by side. */
const align: Semantic = (e, { operands: [destination, source, immediate] }) => {
  const a = e.let(e.readVector(destination));
  const b = e.let(e.readVector(source, true));
  const count = e.let(immediateByte(e, immediate));
  const numbers = lanes(e, 1, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
  // A byte of `a` stands 16 further up. Numbers outside 0..15 give 0; so do those of counts of 32 and more.
  const capped = e.op('i8x16.splat', e.select(e.op('i32.gt_u', count, e.i32(32)), e.i32(32), count));
  const order = e.let(e.op('i8x16.add', numbers, capped));
  const low = e.op('i8x16.swizzle', b, order);
  e.writeVector(destination, e.op('v128.or', low, e.op('i8x16.swizzle', a, e.op('i8x16.sub', order, splat(e, 1, 16)))));
};

function alignMmx(e: Emitter, { operands: [destination, source, immediate] }: Parameters<Semantic>[1]): void {
  const joined = mmxJoined(e, source, destination);
  e.writeMmx(destination, low64(e, shiftedBytes(e, joined, immediateByte(e, immediate), 'i8x16.add')));
}

const named = (
  table: Readonly<Record<string, PackedOperation>>,
  suffix: string,
  make: (f: PackedOperation) => Semantic,
) => Object.entries(table).map(([op, f]): [string, Semantic] => [op + suffix, make(f)]);

export const ssse3: SemanticTable = {
  ...Object.fromEntries([
    ...named({ ...lanewise, ...pairwise, pshufb: shuffleBytes(15) }, '', packed),
    ...named({ ...lanewise, pshufb: shuffleBytes(7) }, '_mmx', mmxBinary),
    ...named(pairwise, '_mmx', (f) =>
      mmxInstruction((e, { operands: [destination, source] }) => {
        const joined = mmxJoined(e, destination, source);
        e.writeMmx(destination, low64(e, f(e, joined, joined)));
      }),
    ),
  ]),
  palignr: align,
  palignr_mmx: mmxInstruction(alignMmx),
};
