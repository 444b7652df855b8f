/** Flags and rotates that are too long to inline (AssemblyScript). Flags are in RFLAGS positions; `size` is in bytes. */
import { INTEGER_RESULT } from '../cpu/layout';
import { RFLAGS_AF as AF, RFLAGS_CF as CF, RFLAGS_OF as OF, RFLAGS_PF as PF, RFLAGS_SF as SF, RFLAGS_ZF as ZF } from '../cpu/control-bits';


@inline function bit(value: u64, index: i32): i32 {
  return <i32>(value >> index) & 1;
}

/** SF, ZF and PF of a zero-extended result. */
export function resultFlags(result: u64, size: i32): i32 {
  const even = popcnt<u64>(result & 0xff) & 1 ? 0 : PF;
  return even | (result ? 0 : ZF) | (bit(result, size * 8 - 1) * SF);
}

/** Flags of a sum or difference with carry in, from the carries out of each bit and the signs that decide OF. */
@inline function carryFlags(result: u64, carries: u64, overflow: u64, size: i32): i32 {
  const top = size * 8 - 1;
  return resultFlags(result, size) | (bit(carries, top) * CF) | (bit(carries, 3) * AF) | (bit(overflow, top) * OF);
}

/** Flags of `result` = a + b + carry. */
export function adcFlags(a: u64, b: u64, result: u64, size: i32): i32 {
  return carryFlags(result, (a & b) | ((a | b) & ~result), (a ^ result) & (b ^ result), size);
}

/** Flags of `result` = a - b - carry. */
export function sbbFlags(a: u64, b: u64, result: u64, size: i32): i32 {
  return carryFlags(result, (~a & b) | ((~a | b) & result), (a ^ b) & (a ^ result), size);
}

/** RCL by a masked count; leaves CF and OF in INTEGER_RESULT. A count that is a multiple of the width plus one changes nothing. */
export function rotateCarryLeft(value: u64, count: i32, carry: i32, size: i32): u64 {
  const bits = size * 8;
  let result = value;
  let cf = <u64>carry;
  for (let i = count % (bits + 1); i > 0; i--) {
    const out = <u64>bit(result, bits - 1);
    result = (result << 1) | cf;
    cf = out;
  }
  const overflow = <u64>bit(result, bits - 1) ^ cf;
  store<u64>(INTEGER_RESULT, (cf * CF) | (overflow * OF));
  return size == 8 ? result : result & (((<u64>1) << bits) - 1);
}

/** RCR, as `rotateCarryLeft`. */
export function rotateCarryRight(value: u64, count: i32, carry: i32, size: i32): u64 {
  const bits = size * 8;
  let result = value;
  let cf = <u64>carry;
  for (let i = count % (bits + 1); i > 0; i--) {
    const out = result & 1;
    result = (result >> 1) | (cf << (bits - 1));
    cf = out;
  }
  const overflow = <u64>(bit(result, bits - 1) ^ bit(result, bits - 2));
  store<u64>(INTEGER_RESULT, (cf * CF) | (overflow * OF));
  return result;
}

/** PDEP: bits of `value`, from the lowest, to the places that `mask` has. */
export function depositBits(value: u64, mask: u64): u64 {
  let result: u64 = 0;
  let bits = value;
  for (let places = mask; places; places &= places - 1) {
    if (bits & 1) result |= places & (0 - places);
    bits >>= 1;
  }
  return result;
}

/** PEXT: the bits of `value` at the places of `mask`, side by side from the lowest. */
export function extractBits(value: u64, mask: u64): u64 {
  let result: u64 = 0;
  let bit: u64 = 1;
  for (let places = mask; places; places &= places - 1) {
    if (value & (places & (0 - places))) result |= bit;
    bit <<= 1;
  }
  return result;
}
