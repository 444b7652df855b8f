/** Small pieces that the SSE and MMX families share. */
import type { Emitter, Form, Semantic, Value } from '../emitter.ts';

export type SemanticTable = Readonly<Record<string, Semantic>>;

/** The same 16-byte constant from lanes of 1, 2, 4 or 8 bytes. */
export function lanes(e: Emitter, laneBytes: 1 | 2 | 4 | 8, values: readonly (number | bigint)[]): Value {
  const bytes: number[] = [];
  for (const value of values) {
    for (let i = 0; i < laneBytes; i++) bytes.push(Number((BigInt(value) >> BigInt(8 * i)) & 0xffn));
  }
  return e.v128(bytes);
}

export function splat(e: Emitter, laneBytes: 1 | 2 | 4 | 8, value: number | bigint): Value {
  return lanes(e, laneBytes, new Array<number | bigint>(16 / laneBytes).fill(value));
}

export function zero(e: Emitter): Value {
  return splat(e, 8, 0);
}

/** An 8-byte or 4-byte number alone in the low lane, zeros above. */
export function alone(e: Emitter, size: 4 | 8, value: Value): Value {
  return e.lane(`${value.type}x${16 / size}.replace_lane`, 0, zero(e), value);
}

export function low64(e: Emitter, vector: Value): Value {
  return e.lane('i64x2.extract_lane', 0, vector);
}

export function high64(e: Emitter, vector: Value): Value {
  return e.lane('i64x2.extract_lane', 1, vector);
}

/** All ones if the i32 is 1, all zeros if it is 0. */
export function laneMask(e: Emitter, flag: Value): Value {
  return e.op('i32x4.splat', e.op('i32.sub', e.i32(0), flag));
}

/** destination = f(destination, source), both 128 bits; a memory source must be aligned (SDM 1, 11.3 and 12.10.3). */
export function packed(f: (e: Emitter, a: Value, b: Value) => Value): Semantic {
  return (e: Emitter, { operands: [destination, source] }: Form) => {
    const a = e.let(e.readVector(destination));
    const b = e.let(e.readVector(source, true));
    e.writeVector(destination, f(e, a, b));
  };
}
