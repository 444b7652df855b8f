/** Memory operands of x87 instructions: formats as numbers, and their unpacking. */
import { fromInteger } from './softfloat-convert';
import { unpack32, unpack64 } from './softfloat-formats';
import { R, X } from './softfloat';
import { FORMAT_F32, FORMAT_F64, FORMAT_I16, FORMAT_I32 } from './x87-codes';

/** Unpacks a memory operand into X. */
export function unpackOperand(format: i32, value: u64): void {
  if (format == FORMAT_F32) {
    unpack32(u32(value));
    return;
  }
  if (format == FORMAT_F64) {
    unpack64(value);
    return;
  }
  if (format == FORMAT_I16) fromInteger(i64(i16(value)));
  else if (format == FORMAT_I32) fromInteger(i64(i32(value)));
  else fromInteger(i64(value));
  X.kind = R.kind;
  X.sign = R.sign;
  X.exponent = R.exponent;
  X.significand = R.high;
  X.denormal = false;
}
