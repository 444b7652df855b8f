/** MOV, MOVZX, LEA, XCHG, CMOVcc and the like (SDM 2A, 2B). */
import type { Emitter, Semantic, Size, Value } from '../emitter.ts';
import type { MemoryOperand } from '../instruction.ts';
import { fromI64, RAX, sizeOf, toI64 } from './operations.ts';

const copy: Semantic = (e, form) => {
  const size = sizeOf(form);
  e.write(form.operands[0]!, size, e.let(e.read(form.operands[1]!, size)));
};

function zeroExtend(from: Size): Semantic {
  return (e, form) => {
    const size = sizeOf(form);
    const value = e.let(e.read(form.operands[1]!, from));
    e.write(form.operands[0]!, size, size === 8 ? e.op('i64.extend_i32_u', value) : value);
  };
}

function signExtend(from: 1 | 2): Semantic {
  return (e, form) => {
    const size = sizeOf(form);
    const value = e.op(from === 1 ? 'i32.extend8_s' : 'i32.extend16_s', e.let(e.read(form.operands[1]!, from)));
    const extended =
      size === 8 ? e.op('i64.extend_i32_s', value) : size === 4 ? value : e.op('i32.and', value, e.i32(0xffff));
    e.write(form.operands[0]!, size, extended);
  };
}

function reverseBytes32(e: Emitter, value: Value): Value {
  const odd = e.op('i32.and', e.op('i32.rotl', value, e.i32(8)), e.i32(0x00ff00ff));
  return e.op('i32.or', odd, e.op('i32.and', e.op('i32.rotr', value, e.i32(8)), e.i32(0xff00ff00 | 0)));
}

/** Bytes in reverse order; a 2-byte value stays within 16 bits. */
export function reverseBytes(e: Emitter, size: Size, value: Value): Value {
  if (size === 2) return e.op('i32.shr_u', reverseBytes32(e, value), e.i32(16));
  if (size === 4) return reverseBytes32(e, value);
  const low = reverseBytes32(e, e.let(e.op('i32.wrap_i64', value)));
  const high = reverseBytes32(e, e.let(e.op('i32.wrap_i64', e.op('i64.shr_u', value, e.i64(32)))));
  return e.op('i64.or', e.op('i64.shl', toI64(e, 4, low), e.i64(32)), toI64(e, 4, high));
}

export const movement: Record<string, Semantic> = {
  mov: copy,
  movnti: copy,
  movzx8: zeroExtend(1),
  movzx16: zeroExtend(2),
  movsx8: signExtend(1),
  movsx16: signExtend(2),

  movsxd: (e, form) => {
    if (form.size < 8) return copy(e, form);
    e.write(form.operands[0]!, 8, e.op('i64.extend_i32_s', e.let(e.read(form.operands[1]!, 4))));
  },

  lea: (e, form) => {
    const size = sizeOf(form);
    e.write(form.operands[0]!, size, fromI64(e, size, e.effectiveAddress(form.operands[1]!)));
  },

  xchg: (e, form) => {
    const size = sizeOf(form);
    const a = e.let(e.readForWrite(form.operands[0]!, size));
    const b = e.let(e.read(form.operands[1]!, size));
    e.write(form.operands[0]!, size, b);
    e.write(form.operands[1]!, size, a);
  },

  // 16 bits: undefined by the SDM, 0 on Intel processors.
  bswap: (e, form) => {
    const operand = form.operands[0]!;
    if (form.size === 2) return e.write(operand, 2, e.i32(0));
    const size = sizeOf(form);
    e.write(operand, size, reverseBytes(e, size, e.let(e.read(operand, size))));
  },

  xlat: (e, form) => {
    const table = form.operands[0] as MemoryOperand;
    const index = e.op('i64.extend_i32_u', e.gpr(RAX, 1));
    if (!form.legacy) return e.setGpr(RAX, 1, e.load(e.addressFrom(table, index), 1));
    const offset = e.op('i64.add', e.effectiveAddress(table), index);
    const address = e.segmentAddress(table, e.truncatedAddress(table, offset), 1, false);
    e.setGpr(RAX, 1, e.load(address, 1));
  },

  // The source is read, and a 32-bit destination zero-extended, whether or not the condition holds.
  cmovcc: (e, form) => {
    const size = sizeOf(form);
    const source = e.let(e.read(form.operands[1]!, size));
    const kept = e.let(e.read(form.operands[0]!, size));
    e.write(form.operands[0]!, size, e.select(e.condition(form.condition!), source, kept));
  },

  setcc: (e, form) => e.write(form.operands[0]!, 1, e.let(e.condition(form.condition!))),
};
