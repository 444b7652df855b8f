/** Lazy flags made real (AssemblyScript). The kinds are those of cpu/codes.ts; results are in RFLAGS positions: CF 0, PF 2, AF 4, ZF 6, SF 7, OF 11. */
import { CC_A, CC_B, CC_OP } from '../cpu/layout';
import { CC_ADD, CC_DEC, CC_FLAGS, CC_INC, CC_LOGIC, CC_SAR, CC_SHL, CC_SHR, CC_SUB } from '../cpu/codes';
import { RFLAGS_AF as AF, RFLAGS_CF as CF, RFLAGS_ZF as ZF } from '../cpu/control-bits';


@inline function truncate(value: u64, width: i32): u64 {
  const unused = <u64>(64 - (8 << width));
  return (value << unused) >> unused;
}

/** ZF, SF and PF of a result. */
@inline function resultFlags(result: u64, sign: u64): i32 {
  const zero = <i32>(result == 0);
  const negative = <i32>((result & sign) != 0);
  const even = <i32>((popcnt<u64>(result & 0xff) & 1) == 0);
  return (even << 2) | (zero << 6) | (negative << 7);
}

/**
 * The six arithmetic flags of a lazy state.
 * @param state kind * 4 + log2(operand bytes)
 */
function materialize(state: u32, a: u64, b: u64): i32 {
  const kind = state >> 2;
  if (kind == CC_FLAGS) return <i32>a;
  const width = <i32>(state & 3);
  const sign = <u64>1 << ((8 << width) - 1);
  let result = a;
  let carry: i32 = 0;
  let overflow: i32 = 0;
  let adjust: i32 = 0;
  switch (kind) {
    case CC_ADD:
      result = truncate(a + b, width);
      carry = <i32>(result < a);
      overflow = <i32>((~(a ^ b) & (a ^ result) & sign) != 0);
      adjust = <i32>(a ^ b ^ result) & AF;
      break;
    case CC_SUB:
      result = truncate(a - b, width);
      carry = <i32>(a < b);
      overflow = <i32>(((a ^ b) & (a ^ result) & sign) != 0);
      adjust = <i32>(a ^ b ^ result) & AF;
      break;
    case CC_INC:
      carry = <i32>b;
      overflow = <i32>(result == sign);
      adjust = <i32>((result & 15) == 0) << 4;
      break;
    case CC_DEC:
      carry = <i32>b;
      overflow = <i32>(result == sign - 1);
      adjust = <i32>((result & 15) == 15) << 4;
      break;
    // OF of shifts is defined for a count of 1; for others this is what processors leave there.
    case CC_SHL:
      carry = <i32>((b & sign) != 0);
      overflow = carry ^ <i32>((result & sign) != 0);
      break;
    case CC_SHR:
      carry = <i32>(b & 1);
      overflow = <i32>((b & sign) != 0);
      break;
    case CC_SAR:
      carry = <i32>(b & 1);
      break;
    case CC_LOGIC:
      break;
  }
  return carry | adjust | resultFlags(result, sign) | (overflow << 11);
}

export function arithmeticFlags(): i32 {
  return materialize(load<u32>(CC_OP), load<u64>(CC_A), load<u64>(CC_B));
}

/** Whether condition code `cc` (0..15) holds, as 0 or 1. */
export function condition(cc: i32): i32 {
  const flags = arithmeticFlags();
  const lessThan = (flags >> 7) ^ (flags >> 11);
  let holds: i32;
  switch (cc >> 1) {
    case 0:
      holds = flags >> 11;
      break;
    case 1:
      holds = flags;
      break;
    case 2:
      holds = flags >> 6;
      break;
    case 3:
      holds = <i32>((flags & (CF | ZF)) != 0);
      break;
    case 4:
      holds = flags >> 7;
      break;
    case 5:
      holds = flags >> 2;
      break;
    case 6:
      holds = lessThan;
      break;
    default:
      holds = lessThan | (flags >> 6);
  }
  return (holds & 1) ^ (cc & 1);
}
