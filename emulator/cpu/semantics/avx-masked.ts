/** Masked moves and gathers (SDM 2 VMASKMOV, VPMASKMOV, VPGATHERDD...): elements whose mask has its top bit clear touch no memory. */
import type { Emitter, Form, Semantic, Value } from '../emitter.ts';
import type { Operand } from '../instruction.ts';
import { BOUNCE, FP_RESULT, TLB_UNCACHED } from '../layout.ts';
import { test } from './avx.ts';
import { high64, lanes, low64, zero } from './vector.ts';
import type { SemanticTable } from './vector.ts';
import { isWide, readHalves, writeHalves } from './vex.ts';

type ElementBytes = 4 | 8;
const SHAPE: Record<ElementBytes, string> = { 4: 'i32x4', 8: 'i64x2' };

/** One bit an element. */
function maskBits(e: Emitter, bytes: ElementBytes, halves: readonly Value[]): Value {
  const count = 16 / bytes;
  return halves
    .map((half, i) => e.op('i32.shl', e.op(`${SHAPE[bytes]}.bitmask`, half), e.i32(i * count)))
    .reduce((all, bits) => e.op('i32.or', all, bits));
}

/** Alignment may be checked: the instructions here are to leave accesses to the helpers, which do not (SDM 2 VMASKMOV, VPGATHERDD). */
const mayCheckAlignment = (e: Emitter): Value => e.loadState(TLB_UNCACHED, 4);

/** Whether all elements are wanted, and may be accessed as one: those on two pages fault one by one. */
function asOne(e: Emitter, bytes: ElementBytes, halves: number, bits: Value, address: Value): Value {
  const all = (1 << ((16 / bytes) * halves)) - 1;
  const inPage = e.op('i32.and', e.op('i32.wrap_i64', address), e.i32(0xfff));
  const onePage = e.op('i32.le_u', inPage, e.i32(0x1000 - halves * 16));
  const wanted = e.op('i32.and', e.op('i32.eq', bits, e.i32(all)), onePage);
  return e.op('i32.and', wanted, e.op('i32.eqz', mayCheckAlignment(e)));
}

/** Halves that a helper has left at FP_RESULT. */
function loaded(e: Emitter, count: number): Value[] {
  return Array.from({ length: count }, (_, half) => {
    const low = e.op('i64x2.splat', e.loadState(FP_RESULT + half * 16, 8));
    return e.lane('i64x2.replace_lane', 1, low, e.loadState(FP_RESULT + half * 16 + 8, 8));
  });
}

function maskedLoad(e: Emitter, form: Form, bytes: ElementBytes): void {
  const [destination, mask, source] = form.operands as [Operand, Operand, Operand];
  const wide = isWide(form);
  const masks = readHalves(e, mask, wide);
  const bits = e.let(maskBits(e, bytes, masks));
  const address = e.address(source);
  const results = masks.map(() => e.variable('v128', zero(e)));
  const put = (values: readonly Value[]): void => results.forEach((result, half) => e.set(result, values[half]!));
  e.if(
    asOne(e, bytes, masks.length, bits, address),
    () => put(wide ? e.load256(address) : [e.load128(address)]),
    () => {
      e.faultIf(e.call('loadMasked', address, e.i32(bytes), bits));
      put(loaded(e, masks.length));
    },
  );
  writeHalves(
    e,
    destination,
    results.map((result) => e.get(result)),
  );
}

function maskedStore(e: Emitter, form: Form, bytes: ElementBytes): void {
  const [destination, mask, source] = form.operands as [Operand, Operand, Operand];
  const wide = isWide(form);
  const masks = readHalves(e, mask, wide);
  const values = readHalves(e, source, wide);
  const bits = e.let(maskBits(e, bytes, masks));
  const address = e.address(destination);
  e.if(
    asOne(e, bytes, masks.length, bits, address),
    () => (wide ? e.store256(address, values[0]!, values[1]!) : e.store128(address, values[0]!)),
    () => {
      values.forEach((value, half) => {
        e.storeState(BOUNCE + half * 16, 8, low64(e, value));
        e.storeState(BOUNCE + half * 16 + 8, 8, high64(e, value));
      });
      e.faultIf(e.call('storeMasked', address, e.i32(bytes), bits));
    },
  );
}

function maskMove(bytes: ElementBytes): Semantic {
  return (e, form) => (form.operands[0]!.kind === 'memory' ? maskedStore : maskedLoad)(e, form, bytes);
}

/** Element `number` (i32) of up to two halves. */
function element(e: Emitter, bytes: ElementBytes, halves: readonly Value[], number: Value): Value {
  const perHalf = 16 / bytes;
  const [low, high] = halves;
  const half = high ? e.select(e.op('i32.ge_u', number, e.i32(perHalf)), high, low!) : low!;
  const within = lanes(
    e,
    1,
    Array.from({ length: 16 }, (_, i) => i % bytes),
  );
  const first = e.op('i32.mul', e.op('i32.and', number, e.i32(perHalf - 1)), e.i32(bytes));
  const order = e.op('i8x16.add', e.op('i8x16.splat', first), within);
  return e.lane(`${SHAPE[bytes]}.extract_lane`, 0, e.op('i8x16.swizzle', half, order));
}

/** All ones where `number` stands in a half. */
function place(e: Emitter, bytes: ElementBytes, half: number, number: Value): Value {
  const perHalf = 16 / bytes;
  const numbers = Array.from({ length: perHalf }, (_, lane) => lane + half * perHalf);
  const spread = bytes === 8 ? e.op('i64.extend_i32_u', number) : number;
  return e.op(`${SHAPE[bytes]}.eq`, e.op(`${SHAPE[bytes]}.splat`, spread), lanes(e, bytes, numbers));
}

/**
 * An element that is done is in the destination and its mask is zero, so that a fault in the middle leaves an instruction that does the rest.
 * The mask is zero at the end.
 */
function gather(indexBytes: ElementBytes, bytes: ElementBytes): Semantic {
  return (e, form) => {
    const [destination, memory, index, mask] = form.operands as [Operand, Operand, Operand, Operand];
    const count = form.size / Math.max(indexBytes, bytes);
    const halves = Math.max(1, (count * bytes) / 16);
    const indexes = readHalves(e, index, index.kind === 'ymm').map((half) => e.let(half));
    const done = (operand: Operand, half: number, value: Value): void =>
      half ? e.writeVectorHigh(operand, value) : e.writeVector(operand, value);
    const halfOf = (operand: Operand, half: number): Value =>
      half ? e.readVectorHigh(operand) : e.readVector(operand);
    const number = e.variable('i32', e.i32(0));
    e.loop((exit) => {
      e.if(e.op('i32.eq', e.get(number), e.i32(count)), exit);
      const now = e.let(e.get(number));
      e.set(number, e.op('i32.add', now, e.i32(1)));
      const masks = Array.from({ length: halves }, (_, half) => halfOf(mask, half));
      const places = masks.map((_, half) => e.let(place(e, bytes, half, now)));
      const chosen = e.op('i32.shr_u', maskBits(e, bytes, masks), now);
      e.if(e.op('i32.and', chosen, e.i32(1)), () => {
        const offset = element(e, indexBytes, indexes, now);
        const wideOffset = indexBytes === 8 ? offset : e.op('i64.extend_i32_s', offset);
        const address = e.elementAddress(memory, e.let(wideOffset));
        const value = e.variable(bytes === 8 ? 'i64' : 'i32', bytes === 8 ? e.i64(0) : e.i32(0));
        e.if(
          mayCheckAlignment(e),
          () => {
            e.faultIf(e.call('loadMasked', address, e.i32(bytes), e.i32(1)));
            e.set(value, e.loadState(FP_RESULT, bytes));
          },
          () => e.set(value, e.load(address, bytes)),
        );
        const everywhere = e.let(e.op(`${SHAPE[bytes]}.splat`, e.get(value)));
        places.forEach((here, half) =>
          done(destination, half, e.op('v128.bitselect', everywhere, halfOf(destination, half), here)),
        );
      });
      places.forEach((here, half) => done(mask, half, e.op('v128.andnot', halfOf(mask, half), here)));
    });
    // What the elements do not fill is zero.
    const filled = count * bytes;
    if (filled === 8) e.writeVector(destination, e.lane('i64x2.replace_lane', 1, e.readVector(destination), e.i64(0)));
    if (filled <= 16) e.writeVectorHigh(destination, zero(e));
    writeHalves(e, mask, [zero(e)]);
  };
}

export const avxMasked: SemanticTable = {
  vtestps: test((e, half) => e.op('i32x4.bitmask', half)),
  vtestpd: test((e, half) => e.op('i64x2.bitmask', half)),
  vmaskmovps: maskMove(4),
  vmaskmovpd: maskMove(8),
  vpmaskmovd: maskMove(4),
  vpmaskmovq: maskMove(8),
  vpgatherdd: gather(4, 4),
  vpgatherdq: gather(4, 8),
  vpgatherqd: gather(8, 4),
  vpgatherqq: gather(8, 8),
  vgatherdps: gather(4, 4),
  vgatherdpd: gather(4, 8),
  vgatherqps: gather(8, 4),
  vgatherqpd: gather(8, 8),
};
