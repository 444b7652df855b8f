/** Control words and memory images: FLDCW, FNSTENV, FNSAVE, FXSAVE (SDM 1, 8.1.10 and 10.5). Images are built and read at FP_IMAGE. */
import {
  CR0,
  FP_IMAGE,
  MXCSR,
  SYSTEM_FLAGS,
  X87,
  X87_CW,
  X87_LAST_DP,
  X87_LAST_IP,
  X87_LAST_OPCODE,
  X87_SW,
  X87_TAG,
  X87_TOP,
  XMM,
  XMM_STRIDE,
} from '../cpu/layout';
import { MXCSR_MASK } from './softfloat-codes';
import { Env, KIND_FINITE, KIND_ZERO, X } from './softfloat';
import { unpack80 } from './softfloat-formats';
import { headOf, physical, significandOf, SW_BUSY, SW_ERROR_SUMMARY } from './x87-stack';
import { CR0_PE, RFLAGS_VM } from '../cpu/control-bits';

const CW_INITIAL = 0x37f;
/** Bits of the control word that exist; bit 6 always reads as 1. */
const CW_WRITABLE = 0x1f3f;
const CW_FIXED = 0x40;
const EXCEPTIONS = 0x3f;
const TAG_ALL_EMPTY = 0xffff;

/** ES and B follow the flags and masks. */
function updateSummary(): void {
  const sw = load<u32>(X87_SW);
  const pending = sw & ~load<u32>(X87_CW) & EXCEPTIONS;
  const summary = SW_ERROR_SUMMARY | SW_BUSY;
  store<u32>(X87_SW, pending ? sw | summary : sw & ~summary);
}

export function x87SetControl(value: i32): void {
  store<u32>(X87_CW, (value & CW_WRITABLE) | CW_FIXED);
  updateSummary();
}

export function x87Status(): i32 {
  return load<u32>(X87_SW) | (load<u32>(X87_TOP) << 11);
}

function setStatus(value: i32): void {
  store<u32>(X87_SW, value & 0xc7ff);
  store<u32>(X87_TOP, (value >> 11) & 7);
  updateSummary();
}

/** FNCLEX. */
export function x87ClearExceptions(): void {
  store<u32>(X87_SW, load<u32>(X87_SW) & 0x7f00);
}

/** FNINIT. */
export function x87Initialise(): void {
  store<u32>(X87_CW, CW_INITIAL);
  store<u32>(X87_SW, 0);
  store<u32>(X87_TOP, 0);
  store<u32>(X87_TAG, TAG_ALL_EMPTY);
  store<u32>(X87_LAST_OPCODE, 0);
  store<u64>(X87_LAST_IP, 0);
  store<u64>(X87_LAST_DP, 0);
}

/** The tag word with values in use classified: 0 valid, 1 zero, 2 special, 3 empty. */
function tagWord(): i32 {
  const tags = load<u32>(X87_TAG);
  let word = 0;
  for (let r = 0; r < 8; r++) {
    let tag = (tags >> (r << 1)) & 3;
    if (tag != 3) {
      const at = <usize>X87 + ((<usize>r) << 4);
      Env.daz = false;
      unpack80(load<u64>(at), load<u16>(at, 8));
      tag = X.kind == KIND_ZERO ? 1 : X.kind == KIND_FINITE && !X.denormal ? 0 : 2;
    }
    word |= tag << (r << 1);
  }
  return word;
}

/** Keeps only "empty" of a tag word (the others are classified anew when stored). */
function setTagWord(word: i32): void {
  let tags = 0;
  for (let shift = 0; shift < 16; shift += 2) if (((word >> shift) & 3) == 3) tags |= 3 << shift;
  store<u32>(X87_TAG, tags);
}

/** Bytes of the environment: 28 in the 32-bit format, 14 in the 16-bit one. */
function environmentSize(size: i32): usize {
  return size == 2 ? 14 : 28;
}

/** Real and virtual-8086 mode have images of their own, with linear addresses (SDM 1 figures 8-10 and 8-12). */
function linearPointers(): bool {
  return (load<u32>(CR0) & CR0_PE) == 0 || (load<u32>(SYSTEM_FLAGS) & RFLAGS_VM) != 0;
}

/** FNSTENV's image. `size`: 2 or 4. */
export function x87StoreEnvironment(size: i32): void {
  const ip = u32(load<u64>(X87_LAST_IP));
  const dp = u32(load<u64>(X87_LAST_DP));
  const opcode = load<u32>(X87_LAST_OPCODE);
  const linear = linearPointers();
  if (size == 2) {
    store<u16>(FP_IMAGE, load<u32>(X87_CW));
    store<u16>(FP_IMAGE + 2, x87Status());
    store<u16>(FP_IMAGE + 4, tagWord());
    store<u16>(FP_IMAGE + 6, ip);
    store<u16>(FP_IMAGE + 8, linear ? ((ip >> 4) & 0xf000) | opcode : 0);
    store<u16>(FP_IMAGE + 10, dp);
    store<u16>(FP_IMAGE + 12, linear ? (dp >> 4) & 0xf000 : 0);
  } else {
    store<u32>(FP_IMAGE, load<u32>(X87_CW) | 0xffff0000);
    store<u32>(FP_IMAGE + 4, x87Status() | 0xffff0000);
    store<u32>(FP_IMAGE + 8, tagWord() | 0xffff0000);
    store<u32>(FP_IMAGE + 12, linear ? ip | 0xffff0000 : ip);
    store<u32>(FP_IMAGE + 16, linear ? ((ip >> 4) & 0x0ffff000) | opcode : opcode << 16);
    store<u32>(FP_IMAGE + 20, linear ? dp | 0xffff0000 : dp);
    store<u32>(FP_IMAGE + 24, linear ? (dp >> 4) & 0x0ffff000 : 0xffff0000);
  }
}

/** The instruction and operand pointers and the opcode of an image with linear addresses. */
function loadLinearPointers(wide: bool): void {
  const ip: u32 = wide ? load<u16>(FP_IMAGE + 12) : load<u16>(FP_IMAGE + 6);
  const dp: u32 = wide ? load<u16>(FP_IMAGE + 20) : load<u16>(FP_IMAGE + 10);
  const upper: u32 = wide ? load<u32>(FP_IMAGE + 16) : load<u16>(FP_IMAGE + 8);
  const operand: u32 = wide ? load<u32>(FP_IMAGE + 24) : load<u16>(FP_IMAGE + 12);
  store<u64>(X87_LAST_IP, ip | ((upper & 0x0ffff000) << 4));
  store<u64>(X87_LAST_DP, dp | ((operand & 0x0ffff000) << 4));
  store<u32>(X87_LAST_OPCODE, upper & 0x7ff);
}

/** What FNSTENV does to the control word after storing. */
export function x87MaskAll(): void {
  store<u32>(X87_CW, load<u32>(X87_CW) | EXCEPTIONS);
  updateSummary();
}

export function x87LoadEnvironment(size: i32): void {
  const wide = size != 2;
  store<u32>(X87_CW, (load<u16>(FP_IMAGE) & CW_WRITABLE) | CW_FIXED);
  setTagWord(wide ? load<u16>(FP_IMAGE + 8) : load<u16>(FP_IMAGE + 4));
  if (linearPointers()) loadLinearPointers(wide);
  else {
    store<u64>(X87_LAST_IP, wide ? load<u32>(FP_IMAGE + 12) : load<u16>(FP_IMAGE + 6));
    store<u64>(X87_LAST_DP, wide ? load<u32>(FP_IMAGE + 20) : load<u16>(FP_IMAGE + 10));
    store<u32>(X87_LAST_OPCODE, wide ? load<u16>(FP_IMAGE + 18) & 0x7ff : 0);
  }
  setStatus(wide ? load<u16>(FP_IMAGE + 4) : load<u16>(FP_IMAGE + 2));
}

/** FNSAVE's image: environment and the stack, ST(0) first, ten bytes each. */
export function x87StoreState(size: i32): void {
  x87StoreEnvironment(size);
  let at = <usize>FP_IMAGE + environmentSize(size);
  for (let i = 0; i < 8; i++) {
    store<u64>(at, significandOf(i));
    store<u16>(at, headOf(i), 8);
    at += 10;
  }
}

export function x87LoadState(size: i32): void {
  x87LoadEnvironment(size);
  let at = <usize>FP_IMAGE + environmentSize(size);
  for (let i = 0; i < 8; i++) {
    const slot = <usize>X87 + ((<usize>physical(i)) << 4);
    store<u64>(slot, load<u64>(at));
    store<u16>(slot, load<u16>(at, 8), 8);
    at += 10;
  }
}

/** FXSAVE's first 416 bytes (SDM 1, table 10-2). `wide`: REX.W, 64-bit pointers. */
export function fxStore(wide: i32): void {
  store<u16>(FP_IMAGE, load<u32>(X87_CW));
  store<u16>(FP_IMAGE + 2, x87Status());
  const tags = load<u32>(X87_TAG);
  let inUse = 0;
  for (let r = 0; r < 8; r++) if (((tags >> (r << 1)) & 3) != 3) inUse |= 1 << r;
  store<u16>(FP_IMAGE + 4, inUse);
  store<u16>(FP_IMAGE + 6, load<u32>(X87_LAST_OPCODE));
  store<u64>(FP_IMAGE + 8, wide ? load<u64>(X87_LAST_IP) : load<u64>(X87_LAST_IP) & 0xffffffff);
  store<u64>(FP_IMAGE + 16, wide ? load<u64>(X87_LAST_DP) : load<u64>(X87_LAST_DP) & 0xffffffff);
  store<u32>(FP_IMAGE + 24, load<u32>(MXCSR));
  store<u32>(FP_IMAGE + 28, MXCSR_MASK);
  for (let i = 0; i < 8; i++) {
    const at = <usize>FP_IMAGE + 32 + ((<usize>i) << 4);
    store<u64>(at, significandOf(i));
    store<u64>(at, headOf(i), 8);
  }
  for (let i: usize = 0; i < 16; i++) {
    const at = <usize>FP_IMAGE + 160 + (i << 4);
    store<u64>(at, load<u64>(<usize>XMM + i * XMM_STRIDE));
    store<u64>(at, load<u64>(<usize>XMM + i * XMM_STRIDE, 8), 8);
  }
}

/** FXRSTOR; 1 if MXCSR's reserved bits are set (#GP) and nothing was changed. */
export function fxLoad(wide: i32): i32 {
  const mxcsr = load<u32>(FP_IMAGE + 24);
  if (mxcsr & ~MXCSR_MASK) return 1;
  store<u32>(MXCSR, mxcsr);
  store<u32>(X87_CW, (load<u16>(FP_IMAGE) & CW_WRITABLE) | CW_FIXED);
  const inUse: i32 = load<u8>(FP_IMAGE + 4);
  let tags = 0;
  for (let r = 0; r < 8; r++) if (!((inUse >> r) & 1)) tags |= 3 << (r << 1);
  store<u32>(X87_TAG, tags);
  store<u32>(X87_LAST_OPCODE, load<u16>(FP_IMAGE + 6) & 0x7ff);
  store<u64>(X87_LAST_IP, wide ? load<u64>(FP_IMAGE + 8) : load<u32>(FP_IMAGE + 8));
  store<u64>(X87_LAST_DP, wide ? load<u64>(FP_IMAGE + 16) : load<u32>(FP_IMAGE + 16));
  setStatus(load<u16>(FP_IMAGE + 2));
  for (let i = 0; i < 8; i++) {
    const at = <usize>FP_IMAGE + 32 + ((<usize>i) << 4);
    const slot = <usize>X87 + ((<usize>physical(i)) << 4);
    store<u64>(slot, load<u64>(at));
    store<u16>(slot, load<u16>(at, 8), 8);
  }
  for (let i: usize = 0; i < 16; i++) {
    const at = <usize>FP_IMAGE + 160 + (i << 4);
    store<u64>(<usize>XMM + i * XMM_STRIDE, load<u64>(at));
    store<u64>(<usize>XMM + i * XMM_STRIDE, load<u64>(at, 8), 8);
  }
  return 0;
}
