/** BT, BTS, BTR, BTC, BSF, BSR (SDM 2A). */
import type { Emitter, Semantic, Value } from '../emitter.ts';
import { bitOf, CF, constant, fromI32, isZero, replaceFlags, sizeOf, wide } from './operations.ts';

type Change = (e: Emitter, size: number, value: Value, bit: Value) => Value;

/** Bit offset within the operand, as a value of the operand size. */
function masked(e: Emitter, size: number, offset: Value): Value {
  return e.let(wide(e, size, 'and', offset, constant(e, size, size * 8 - 1)));
}

function carryFrom(e: Emitter, size: number, value: Value, offset: Value): void {
  replaceFlags(e, CF, bitOf(e, size, wide(e, size, 'shr_u', value, offset), 0));
}

/** A bit test, with the change of the bit if the instruction makes one. */
function bitTest(change?: Change): Semantic {
  return (e, form) => {
    const size = sizeOf(form);
    const [destination, index] = [form.operands[0]!, form.operands[1]!];
    const changed = (value: Value, offset: Value) =>
      change!(e, size, value, wide(e, size, 'shl', constant(e, size, 1), offset));
    if (destination.kind !== 'memory' || index.kind === 'immediate') {
      const offset = masked(
        e,
        size,
        index.kind === 'immediate' ? fromI32(e, size, e.read(index, 1)) : e.read(index, size),
      );
      const value = e.let(change ? e.readForWrite(destination, size) : e.read(destination, size));
      if (change) e.write(destination, size, changed(value, offset));
      return carryFrom(e, size, value, offset);
    }
    // A register offset is signed and reaches beyond the operand.
    const wideOffset = e.let(e.read(index, size));
    const extended =
      size === 8 ? wideOffset : e.op('i64.extend_i32_s', size === 2 ? e.op('i32.extend16_s', wideOffset) : wideOffset);
    const elements = e.op('i64.shr_s', extended, e.i64(size === 8 ? 6 : size === 4 ? 5 : 4));
    const distance = e.op('i64.mul', elements, e.i64(size));
    const address = e.let(
      form.legacy
        ? e.segmentAddress(
            destination,
            e.truncatedAddress(destination, e.op('i64.add', e.effectiveAddress(destination), distance)),
            size,
            change !== undefined,
          )
        : e.addressFrom(destination, distance),
    );
    const offset = masked(e, size, wideOffset);
    const value = e.let(e.load(address, size, change !== undefined));
    if (change) e.store(address, size, changed(value, offset));
    carryFrom(e, size, value, offset);
  };
}

/** Destination kept if the source is 0, as Intel and AMD processors do. */
function scan(position: (e: Emitter, size: number, value: Value) => Value): Semantic {
  return (e, form) => {
    const size = sizeOf(form);
    const value = e.let(e.read(form.operands[1]!, size));
    e.if(e.op('i32.eqz', isZero(e, size, value)), () =>
      e.write(form.operands[0]!, size, e.let(position(e, size, value))),
    );
    e.setFlags('logic', size, value);
  };
}

export const bits: Record<string, Semantic> = {
  bt: bitTest(),
  bts: bitTest((e, size, value, bit) => wide(e, size, 'or', value, bit)),
  btr: bitTest((e, size, value, bit) => wide(e, size, 'and', value, wide(e, size, 'xor', bit, constant(e, size, -1)))),
  btc: bitTest((e, size, value, bit) => wide(e, size, 'xor', value, bit)),
  bsf: scan((e, size, value) => e.op(size === 8 ? 'i64.ctz' : 'i32.ctz', value)),
  bsr: scan((e, size, value) =>
    size === 8
      ? e.op('i64.sub', e.i64(63), e.op('i64.clz', value))
      : e.op('i32.sub', e.i32(31), e.op('i32.clz', value)),
  ),
};
