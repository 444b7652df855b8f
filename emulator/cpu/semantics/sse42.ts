/** SSE4.2 (SDM 1, 12.11; SDM 2B PCMPESTRI and "Packed string compare"): string compares, CRC32. */
import type { Emitter, Form, Semantic, Value } from '../emitter.ts';
import { INTEGER_RESULT } from '../layout.ts';
import { RAX, RCX, RDX, toI64 } from './operations.ts';
import type { Size } from '../emitter.ts';
import { helperVector } from './sse-arithmetic.ts';
import { immediateByte } from './sse-integer.ts';
import { high64, low64, packed } from './vector.ts';
import type { SemanticTable } from './vector.ts';

const XMM0 = { kind: 'xmm', register: 0 } as const;

/** |length|, at most 16: the helper caps it at the number of elements. */
function explicitLength(e: Emitter, register: number, size: number): Value {
  const value = size === 8 ? e.gpr(register, 8) : e.op('i64.extend_i32_s', e.gpr(register, 4));
  const signed = e.let(value);
  const negative = e.op('i64.lt_s', signed, e.i64(0));
  const magnitude = e.let(e.select(negative, e.op('i64.sub', e.i64(0), signed), signed));
  return e.op('i32.wrap_i64', e.select(e.op('i64.gt_u', magnitude, e.i64(16)), e.i64(16), magnitude));
}

/** @param toMask leaves a mask in XMM0 rather than an index in ECX */
function compareStrings(explicit: boolean, toMask: boolean): Semantic {
  return (e, { operands: [first, second, immediate], size }: Form) => {
    const a = e.let(e.readVector(first));
    const b = e.let(e.readVector(second));
    const implicit = e.i32(-1);
    const lengths = explicit ? [explicitLength(e, RAX, size), explicitLength(e, RDX, size)] : [implicit, implicit];
    const halves = [low64(e, a), high64(e, a), low64(e, b), high64(e, b)];
    const helper = toMask ? 'compareStringsMask' : 'compareStringsIndex';
    const index = e.call(helper, immediateByte(e, immediate), ...halves, ...lengths);
    if (toMask) e.writeVector(XMM0, helperVector(e));
    else e.setGpr(RCX, 4, index);
    e.setFlags('flags', 4, e.loadState(INTEGER_RESULT, 4));
  };
}

function crc32(width?: Size): Semantic {
  return (e, { operands: [destination, source], size }) => {
    const bytes = width ?? (size as Size);
    const value = toI64(e, bytes, e.read(source, bytes));
    e.write(destination, 4, e.call('crc32c', e.read(destination, 4), value, e.i32(bytes)));
  };
}

export const sse42: SemanticTable = {
  pcmpgtq: packed((e, a, b) => e.op('i64x2.gt_s', a, b)),
  pcmpestrm: compareStrings(true, true),
  pcmpestri: compareStrings(true, false),
  pcmpistrm: compareStrings(false, true),
  pcmpistri: compareStrings(false, false),
  crc32b: crc32(1),
  crc32: crc32(),
};
