/** Numbers shared by the x87 helpers and the semantics that call them. Plain constants only: two compilers read this file. */

// Memory formats.
export const FORMAT_F32 = 0;
export const FORMAT_F64 = 1;
export const FORMAT_I16 = 2;
export const FORMAT_I32 = 3;
export const FORMAT_I64 = 4;

// Arithmetic: FP_ADD.. of softfloat-codes.ts, plus what becomes of the operands.
/** source - destination, source / destination. */
export const REVERSED = 8;
export const POP = 16;

// x87Unary.
export const UNARY_CHS = 0;
export const UNARY_ABS = 1;
export const UNARY_SQRT = 2;
export const UNARY_RNDINT = 3;
export const UNARY_SCALE = 4;
export const UNARY_EXTRACT = 5;
export const UNARY_PREM = 6;
export const UNARY_PREM1 = 7;

// x87Constant.
export const CONSTANT_1 = 0;
export const CONSTANT_L2T = 1;
export const CONSTANT_L2E = 2;
export const CONSTANT_PI = 3;
export const CONSTANT_LG2 = 4;
export const CONSTANT_LN2 = 5;
export const CONSTANT_0 = 6;

// x87Transcendental.
export const FN_F2XM1 = 0;
export const FN_YL2X = 1;
export const FN_YL2XP1 = 2;
export const FN_PTAN = 3;
export const FN_PATAN = 4;
export const FN_SIN = 5;
export const FN_COS = 6;
export const FN_SINCOS = 7;
