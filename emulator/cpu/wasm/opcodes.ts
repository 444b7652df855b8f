/**
 * WebAssembly instructions by their text name (WebAssembly core specification 2.0, appendix "Index of instructions").
 * Those without immediates are in OPCODES; loads and stores in MEMORY_OPCODES; lane instructions in LANE_OPCODES.
 */
export type ValueType = 'i32' | 'i64' | 'f32' | 'f64' | 'v128';

export const TYPE_CODES: Record<ValueType, number> = { i32: 0x7f, i64: 0x7e, f32: 0x7d, f64: 0x7c, v128: 0x7b };

export interface Opcode {
  /** Prefix byte 0xfc (saturating conversion) or 0xfd (SIMD), or 0. */
  readonly prefix: number;
  readonly code: number;
  readonly result: ValueType;
}

const PREFIX_SATURATING = 0xfc;
const PREFIX_SIMD = 0xfd;

const table = new Map<string, Opcode>();

const LANE_TYPE: Record<string, ValueType> = {
  i8x16: 'i32',
  i16x8: 'i32',
  i32x4: 'i32',
  i64x2: 'i64',
  f32x4: 'f32',
  f64x2: 'f64',
};

function resultOf(shape: string, name: string, comparison: boolean): ValueType {
  if (comparison || /^(any_true|all_true|bitmask)/.test(name)) return 'i32';
  return shape in TYPE_CODES ? (shape as ValueType) : 'v128';
}

/** Consecutive opcodes of one shape; '-' skips a reserved number. */
function run(
  shape: string,
  first: number,
  names: string,
  options: { prefix?: number; comparison?: boolean } = {},
): void {
  names.split(' ').forEach((name, index) => {
    if (name === '-') return;
    const result = resultOf(shape, name, options.comparison ?? false);
    table.set(`${shape}.${name}`, { prefix: options.prefix ?? 0, code: first + index, result });
  });
}

const INTEGER_COMPARE = 'eq ne lt_s lt_u gt_s gt_u le_s le_u ge_s ge_u';
const INTEGER = 'clz ctz popcnt add sub mul div_s div_u rem_s rem_u and or xor shl shr_s shr_u rotl rotr';
const FLOAT_COMPARE = 'eq ne lt gt le ge';
const FLOAT = 'abs neg ceil floor trunc nearest sqrt add sub mul div min max copysign';

run('i32', 0x45, `eqz ${INTEGER_COMPARE}`, { comparison: true });
run('i64', 0x50, `eqz ${INTEGER_COMPARE}`, { comparison: true });
run('f32', 0x5b, FLOAT_COMPARE, { comparison: true });
run('f64', 0x61, FLOAT_COMPARE, { comparison: true });
run('i32', 0x67, INTEGER);
run('i64', 0x79, INTEGER);
run('f32', 0x8b, FLOAT);
run('f64', 0x99, FLOAT);
run('i32', 0xa7, 'wrap_i64 trunc_f32_s trunc_f32_u trunc_f64_s trunc_f64_u');
run('i64', 0xac, 'extend_i32_s extend_i32_u trunc_f32_s trunc_f32_u trunc_f64_s trunc_f64_u');
run('f32', 0xb2, 'convert_i32_s convert_i32_u convert_i64_s convert_i64_u demote_f64');
run('f64', 0xb7, 'convert_i32_s convert_i32_u convert_i64_s convert_i64_u promote_f32');
run('i32', 0xbc, 'reinterpret_f32');
run('i64', 0xbd, 'reinterpret_f64');
run('f32', 0xbe, 'reinterpret_i32');
run('f64', 0xbf, 'reinterpret_i64');
run('i32', 0xc0, 'extend8_s extend16_s');
run('i64', 0xc2, 'extend8_s extend16_s extend32_s');

const saturating = { prefix: PREFIX_SATURATING };
run('i32', 0, 'trunc_sat_f32_s trunc_sat_f32_u trunc_sat_f64_s trunc_sat_f64_u', saturating);
run('i64', 4, 'trunc_sat_f32_s trunc_sat_f32_u trunc_sat_f64_s trunc_sat_f64_u', saturating);

const simd = { prefix: PREFIX_SIMD };
run('i8x16', 14, 'swizzle splat', simd);
run('i16x8', 16, 'splat', simd);
run('i32x4', 17, 'splat', simd);
run('i64x2', 18, 'splat', simd);
run('f32x4', 19, 'splat', simd);
run('f64x2', 20, 'splat', simd);
run('i8x16', 35, INTEGER_COMPARE, simd);
run('i16x8', 45, INTEGER_COMPARE, simd);
run('i32x4', 55, INTEGER_COMPARE, simd);
run('f32x4', 65, FLOAT_COMPARE, simd);
run('f64x2', 71, FLOAT_COMPARE, simd);
run('v128', 77, 'not and andnot or xor bitselect any_true', simd);
run('f32x4', 94, 'demote_f64x2_zero', simd);
run('f64x2', 95, 'promote_low_f32x4', simd);
run('i8x16', 96, 'abs neg popcnt all_true bitmask narrow_i16x8_s narrow_i16x8_u', simd);
run('f32x4', 103, 'ceil floor trunc nearest', simd);
run('i8x16', 107, 'shl shr_s shr_u add add_sat_s add_sat_u sub sub_sat_s sub_sat_u', simd);
run('f64x2', 116, 'ceil floor', simd);
run('i8x16', 118, 'min_s min_u max_s max_u', simd);
run('f64x2', 122, 'trunc', simd);
run('i8x16', 123, 'avgr_u', simd);
run('i16x8', 124, 'extadd_pairwise_i8x16_s extadd_pairwise_i8x16_u', simd);
run('i32x4', 126, 'extadd_pairwise_i16x8_s extadd_pairwise_i16x8_u', simd);
run(
  'i16x8',
  128,
  'abs neg q15mulr_sat_s all_true bitmask narrow_i32x4_s narrow_i32x4_u extend_low_i8x16_s extend_high_i8x16_s ' +
    'extend_low_i8x16_u extend_high_i8x16_u shl shr_s shr_u add add_sat_s add_sat_u sub sub_sat_s sub_sat_u',
  simd,
);
run('f64x2', 148, 'nearest', simd);
run(
  'i16x8',
  149,
  'mul min_s min_u max_s max_u - avgr_u extmul_low_i8x16_s extmul_high_i8x16_s extmul_low_i8x16_u extmul_high_i8x16_u',
  simd,
);
run(
  'i32x4',
  160,
  'abs neg - all_true bitmask - - extend_low_i16x8_s extend_high_i16x8_s extend_low_i16x8_u extend_high_i16x8_u ' +
    'shl shr_s shr_u add - - sub - - - mul min_s min_u max_s max_u dot_i16x8_s - ' +
    'extmul_low_i16x8_s extmul_high_i16x8_s extmul_low_i16x8_u extmul_high_i16x8_u',
  simd,
);
run(
  'i64x2',
  192,
  'abs neg - all_true bitmask - - extend_low_i32x4_s extend_high_i32x4_s extend_low_i32x4_u extend_high_i32x4_u ' +
    'shl shr_s shr_u add - - sub - - - mul eq ne lt_s gt_s le_s ge_s ' +
    'extmul_low_i32x4_s extmul_high_i32x4_s extmul_low_i32x4_u extmul_high_i32x4_u',
  simd,
);
run('f32x4', 224, 'abs neg - sqrt add sub mul div min max pmin pmax', simd);
run('f64x2', 236, 'abs neg - sqrt add sub mul div min max pmin pmax', simd);
run('i32x4', 248, 'trunc_sat_f32x4_s trunc_sat_f32x4_u', simd);
run('f32x4', 250, 'convert_i32x4_s convert_i32x4_u', simd);
run('i32x4', 252, 'trunc_sat_f64x2_s_zero trunc_sat_f64x2_u_zero', simd);
run('f64x2', 254, 'convert_low_i32x4_s convert_low_i32x4_u', simd);

export const OPCODES: ReadonlyMap<string, Opcode> = table;

const lanes = new Map<string, Opcode>();
[
  'i8x16.extract_lane_s i8x16.extract_lane_u i8x16.replace_lane i16x8.extract_lane_s i16x8.extract_lane_u i16x8.replace_lane',
  'i32x4.extract_lane i32x4.replace_lane i64x2.extract_lane i64x2.replace_lane f32x4.extract_lane f32x4.replace_lane',
  'f64x2.extract_lane f64x2.replace_lane',
]
  .join(' ')
  .split(' ')
  .forEach((name, index) => {
    const shape = name.slice(0, name.indexOf('.'));
    const result = name.includes('extract') ? LANE_TYPE[shape]! : 'v128';
    lanes.set(name, { prefix: PREFIX_SIMD, code: 21 + index, result });
  });

/** Instructions with one lane immediate. */
export const LANE_OPCODES: ReadonlyMap<string, Opcode> = lanes;

export const OP_SHUFFLE = 13;
export const OP_V128_CONST = 12;

/** Loads and stores, which take an alignment and an offset. */
export const MEMORY_OPCODES = {
  'i32.load': 0x28,
  'i64.load': 0x29,
  'f32.load': 0x2a,
  'f64.load': 0x2b,
  'i32.load8_s': 0x2c,
  'i32.load8_u': 0x2d,
  'i32.load16_s': 0x2e,
  'i32.load16_u': 0x2f,
  'i64.load8_s': 0x30,
  'i64.load8_u': 0x31,
  'i64.load16_s': 0x32,
  'i64.load16_u': 0x33,
  'i64.load32_s': 0x34,
  'i64.load32_u': 0x35,
  'i32.store': 0x36,
  'i64.store': 0x37,
  'f32.store': 0x38,
  'f64.store': 0x39,
  'i32.store8': 0x3a,
  'i32.store16': 0x3b,
  'i64.store8': 0x3c,
  'i64.store16': 0x3d,
  'i64.store32': 0x3e,
  'v128.load': 0xfd00,
  'v128.store': 0xfd0b,
  'v128.load32_zero': 0xfd5c,
  'v128.load64_zero': 0xfd5d,
} as const;
export type MemoryInstruction = keyof typeof MEMORY_OPCODES;
