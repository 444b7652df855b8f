/** F16C (SDM 2 VCVTPH2PS, VCVTPS2PH): four numbers in half precision. Exports are used as those of softfloat-sse.ts. */
import { FP_RESULT } from '../cpu/layout';
import { pack16, pack32, round16, round32, unpack16, unpack32 } from './softfloat-formats';
import { Env } from './softfloat';
import { enterSse, leaveSse, resize } from './softfloat-sse';

/** Immediate of VCVTPS2PH: RC in bits 1:0, bit 2 takes MXCSR.RC instead. */
const USE_MXCSR = 4;

/** Four halves to singles: exact, and denormals are numbers whatever MXCSR says, and raise nothing. */
export function sseFromHalf(halves: u64): i32 {
  enterSse();
  Env.daz = false;
  for (let i: usize = 0; i < 4; i++) {
    unpack16(u32(halves >> <u64>(i << 4)) & 0xffff);
    resize();
    round32();
    store<u32>(<usize>FP_RESULT + (i << 2), pack32());
  }
  return leaveSse();
}

/** Four singles to halves, which stand in 8 bytes. MXCSR.FTZ means nothing here. */
export function sseToHalf(immediate: i32, low: u64, high: u64): i32 {
  enterSse();
  Env.ftz = false;
  if (!(immediate & USE_MXCSR)) Env.rounding = immediate & 3;
  let result: u64 = 0;
  for (let i = 0; i < 4; i++) {
    const pair = i < 2 ? low : high;
    unpack32(u32(pair >> <u64>((i & 1) << 5)));
    resize();
    round16();
    result |= <u64>pack16() << <u64>(i << 4);
  }
  store<u64>(FP_RESULT, result);
  return leaveSse();
}
