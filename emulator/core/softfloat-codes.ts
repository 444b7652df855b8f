/**
 * Numbers shared by the floating-point helpers (AssemblyScript) and the semantics that call them
 * (TypeScript). Plain constants only: both compilers read this file.
 */

// Exception flags, in the bit order of MXCSR and of the x87 status word (SDM 1, 8.1.3.3 and 10.2.3).
export const FLAG_INVALID = 1;
export const FLAG_DENORMAL = 2;
export const FLAG_ZERO_DIVIDE = 4;
export const FLAG_OVERFLOW = 8;
export const FLAG_UNDERFLOW = 16;
export const FLAG_INEXACT = 32;

// Rounding control (MXCSR.RC and x87 CW.RC).
export const ROUND_NEAREST = 0;
export const ROUND_DOWN = 1;
export const ROUND_UP = 2;
export const ROUND_ZERO = 3;

// Two-operand arithmetic.
export const FP_ADD = 0;
export const FP_SUB = 1;
export const FP_MUL = 2;
export const FP_DIV = 3;
/** Of the second operand. */
export const FP_SQRT = 4;
export const FP_MIN = 5;
export const FP_MAX = 6;
/** Packed only: even lanes subtract, odd lanes add. */
export const FP_ADDSUB = 7;
/** + predicate 0..31 of VCMPPS. */
export const FP_COMPARE = 8;
/**
 * For which outcomes the predicates 0..15 hold, four bits each, predicate 0 lowest: 1 less, 2 equal, 4 greater, 8 unordered (SDM 2A table 3-1). From 16 on
 * they are repeated.
 */
export const PREDICATE_OUTCOMES_LOW = 0x7ced8312;
export const PREDICATE_OUTCOMES_HIGH = 0xf4650b9a;
/** Bit n: predicate n raises invalid for quiet NaNs, too. */
export const SIGNALLING_PREDICATES = 0x99996666;

// Conversions of SSE lanes; the name is source to destination.
export const CVT_F32_F64 = 0;
export const CVT_F64_F32 = 1;
export const CVT_I32_F32 = 2;
export const CVT_I64_F32 = 3;
export const CVT_I64_F64 = 4;
export const CVT_F32_I32 = 5;
export const CVT_F32_I64 = 6;
export const CVT_F64_I32 = 7;
export const CVT_F64_I64 = 8;
/** Added to a float-to-integer conversion: truncate whatever MXCSR.RC says. */
export const CVT_TRUNCATE = 16;

// MXCSR (SDM 1, 10.2.3).
export const MXCSR_DAZ = 0x40;
export const MXCSR_FTZ = 0x8000;
export const MXCSR_MASK = 0xffff;
/** RC, PM and PE, and their value when the host's rounding is the program's and an inexact result changes nothing. */
export const MXCSR_ROUNDING = 0x7020;
export const MXCSR_NATIVE = 0x1020;
