/** AES rounds (FIPS 197; SDM 2A AESENC), carry-less multiplication, SHA rounds (FIPS 180; SDM 2B SHA1RNDS4). Results are at FP_RESULT. */
import { FP_RESULT } from '../cpu/layout';

const SBOX: StaticArray<u8> = [
  0x63, 0x7c, 0x77, 0x7b, 0xf2, 0x6b, 0x6f, 0xc5, 0x30, 0x01, 0x67, 0x2b, 0xfe, 0xd7, 0xab, 0x76,
  0xca, 0x82, 0xc9, 0x7d, 0xfa, 0x59, 0x47, 0xf0, 0xad, 0xd4, 0xa2, 0xaf, 0x9c, 0xa4, 0x72, 0xc0,
  0xb7, 0xfd, 0x93, 0x26, 0x36, 0x3f, 0xf7, 0xcc, 0x34, 0xa5, 0xe5, 0xf1, 0x71, 0xd8, 0x31, 0x15,
  0x04, 0xc7, 0x23, 0xc3, 0x18, 0x96, 0x05, 0x9a, 0x07, 0x12, 0x80, 0xe2, 0xeb, 0x27, 0xb2, 0x75,
  0x09, 0x83, 0x2c, 0x1a, 0x1b, 0x6e, 0x5a, 0xa0, 0x52, 0x3b, 0xd6, 0xb3, 0x29, 0xe3, 0x2f, 0x84,
  0x53, 0xd1, 0x00, 0xed, 0x20, 0xfc, 0xb1, 0x5b, 0x6a, 0xcb, 0xbe, 0x39, 0x4a, 0x4c, 0x58, 0xcf,
  0xd0, 0xef, 0xaa, 0xfb, 0x43, 0x4d, 0x33, 0x85, 0x45, 0xf9, 0x02, 0x7f, 0x50, 0x3c, 0x9f, 0xa8,
  0x51, 0xa3, 0x40, 0x8f, 0x92, 0x9d, 0x38, 0xf5, 0xbc, 0xb6, 0xda, 0x21, 0x10, 0xff, 0xf3, 0xd2,
  0xcd, 0x0c, 0x13, 0xec, 0x5f, 0x97, 0x44, 0x17, 0xc4, 0xa7, 0x7e, 0x3d, 0x64, 0x5d, 0x19, 0x73,
  0x60, 0x81, 0x4f, 0xdc, 0x22, 0x2a, 0x90, 0x88, 0x46, 0xee, 0xb8, 0x14, 0xde, 0x5e, 0x0b, 0xdb,
  0xe0, 0x32, 0x3a, 0x0a, 0x49, 0x06, 0x24, 0x5c, 0xc2, 0xd3, 0xac, 0x62, 0x91, 0x95, 0xe4, 0x79,
  0xe7, 0xc8, 0x37, 0x6d, 0x8d, 0xd5, 0x4e, 0xa9, 0x6c, 0x56, 0xf4, 0xea, 0x65, 0x7a, 0xae, 0x08,
  0xba, 0x78, 0x25, 0x2e, 0x1c, 0xa6, 0xb4, 0xc6, 0xe8, 0xdd, 0x74, 0x1f, 0x4b, 0xbd, 0x8b, 0x8a,
  0x70, 0x3e, 0xb5, 0x66, 0x48, 0x03, 0xf6, 0x0e, 0x61, 0x35, 0x57, 0xb9, 0x86, 0xc1, 0x1d, 0x9e,
  0xe1, 0xf8, 0x98, 0x11, 0x69, 0xd9, 0x8e, 0x94, 0x9b, 0x1e, 0x87, 0xe9, 0xce, 0x55, 0x28, 0xdf,
  0x8c, 0xa1, 0x89, 0x0d, 0xbf, 0xe6, 0x42, 0x68, 0x41, 0x99, 0x2d, 0x0f, 0xb0, 0x54, 0xbb, 0x16,
]; // prettier-ignore

const INVERSE_SBOX = new StaticArray<u8>(256);
for (let i = 0; i < 256; i++) unchecked((INVERSE_SBOX[unchecked(SBOX[i])] = u8(i)));

/** The state: four columns of four bytes. */
const before = memory.data(16);
const after = memory.data(16);

/** Times x in GF(2^8), four bytes at once. */
@inline function double4(word: u32): u32 {
  return ((word & 0x7f7f7f7f) << 1) ^ (((word >> 7) & 0x01010101) * 0x1b);
}

function mixColumn(column: u32): u32 {
  const twice = double4(column);
  return twice ^ rotr(column ^ twice, 8) ^ rotr(column, 16) ^ rotr(column, 24);
}

/** Multiplied by 4x^2 + 5 first, the inverse is the forward transformation. */
function inverseMixColumn(column: u32): u32 {
  const fourfold = double4(double4(column));
  return mixColumn(column ^ fourfold ^ rotr(fourfold, 16));
}

/** Bytes through `box`, each row moved by its number times `step` columns. */
function substituteAndShift(low: u64, high: u64, box: StaticArray<u8>, step: i32): void {
  store<u64>(before, low);
  store<u64>(before + 8, high);
  for (let i = 0; i < 16; i++) {
    const from = (i + (i & 3) * 4 * step) & 15;
    store<u8>(after + <usize>i, unchecked(box[load<u8>(before + <usize>from)]));
  }
}

function addRoundKey(low: u64, high: u64): void {
  store<u64>(FP_RESULT, load<u64>(after) ^ low);
  store<u64>(FP_RESULT + 8, load<u64>(after + 8) ^ high);
}

export function aesEncrypt(low: u64, high: u64, keyLow: u64, keyHigh: u64, last: i32): void {
  substituteAndShift(low, high, SBOX, 1);
  if (!last) for (let at: usize = 0; at < 16; at += 4) store<u32>(after + at, mixColumn(load<u32>(after + at)));
  addRoundKey(keyLow, keyHigh);
}

export function aesDecrypt(low: u64, high: u64, keyLow: u64, keyHigh: u64, last: i32): void {
  substituteAndShift(low, high, INVERSE_SBOX, -1);
  if (!last) for (let at: usize = 0; at < 16; at += 4) store<u32>(after + at, inverseMixColumn(load<u32>(after + at)));
  addRoundKey(keyLow, keyHigh);
}

export function aesInverseMixColumns(low: u64, high: u64): void {
  store<u64>(FP_RESULT, low);
  store<u64>(FP_RESULT + 8, high);
  for (let at = FP_RESULT; at < FP_RESULT + 16; at += 4)
    store<u32>(<usize>at, inverseMixColumn(load<u32>(<usize>at)));
}

function substituteWord(word: u32): u32 {
  let result: u32 = 0;
  for (let i = 0; i < 32; i += 8) result |= u32(unchecked(SBOX[(word >> i) & 0xff])) << i;
  return result;
}

export function aesKeygenAssist(low: u64, high: u64, constant: i32): void {
  const x1 = substituteWord(u32(low >> 32));
  const x3 = substituteWord(u32(high >> 32));
  store<u32>(FP_RESULT, x1);
  store<u32>(FP_RESULT + 4, rotr(x1, 8) ^ u32(constant));
  store<u32>(FP_RESULT + 8, x3);
  store<u32>(FP_RESULT + 12, rotr(x3, 8) ^ u32(constant));
}

/** PCLMULQDQ: immediate bit 0 chooses the half of a, bit 4 that of b. */
export function carrylessMultiply(aLow: u64, aHigh: u64, bLow: u64, bHigh: u64, immediate: i32): void {
  const a = immediate & 1 ? aHigh : aLow;
  let bits = immediate & 16 ? bHigh : bLow;
  let low: u64 = 0;
  let high: u64 = 0;
  for (; bits; bits &= bits - 1) {
    const place = ctz(bits);
    low ^= a << place;
    if (place) high ^= a >> (64 - place);
  }
  store<u64>(FP_RESULT, low);
  store<u64>(FP_RESULT + 8, high);
}

// ---- SHA. Words of an operand are numbered 3 (bits 127:96) to 0, as in the SDM.

@inline function result(w3: u32, w2: u32, w1: u32, w0: u32): void {
  store<u32>(FP_RESULT, w0);
  store<u32>(FP_RESULT + 4, w1);
  store<u32>(FP_RESULT + 8, w2);
  store<u32>(FP_RESULT + 12, w3);
}

@inline function word(low: u64, high: u64, number: i32): u32 {
  return u32((number < 2 ? low : high) >> (<u64>(number & 1) << 5));
}

function choose(which: i32, b: u32, c: u32, d: u32): u32 {
  if (which == 0) return (b & c) ^ (~b & d);
  return which == 2 ? (b & c) ^ (b & d) ^ (c & d) : b ^ c ^ d;
}

function sha1Constant(which: i32): u32 {
  if (which == 0) return 0x5a827999;
  if (which == 1) return 0x6ed9eba1;
  return which == 2 ? 0x8f1bbcdc : 0xca62c1d6;
}

export function sha1Rounds(aLow: u64, aHigh: u64, wLow: u64, wHigh: u64, immediate: i32): void {
  const which = immediate & 3;
  let a = word(aLow, aHigh, 3);
  let b = word(aLow, aHigh, 2);
  let c = word(aLow, aHigh, 1);
  let d = word(aLow, aHigh, 0);
  let e: u32 = 0;
  // The first word comes with E added to it.
  for (let i = 3; i >= 0; i--) {
    const next = choose(which, b, c, d) + rotl(a, 5) + word(wLow, wHigh, i) + e + sha1Constant(which);
    e = d;
    d = c;
    c = rotl(b, 30);
    b = a;
    a = next;
  }
  result(a, b, c, d);
}

export function sha1NextE(aLow: u64, aHigh: u64, wLow: u64, wHigh: u64): void {
  store<u64>(FP_RESULT, wLow);
  store<u32>(FP_RESULT + 8, u32(wHigh));
  store<u32>(FP_RESULT + 12, u32(wHigh >> 32) + rotl(u32(aHigh >> 32), 30));
}

export function sha1Message1(aLow: u64, aHigh: u64, bLow: u64, bHigh: u64): void {
  store<u64>(FP_RESULT, aLow ^ bHigh);
  store<u64>(FP_RESULT + 8, aHigh ^ aLow);
}

export function sha1Message2(aLow: u64, aHigh: u64, bLow: u64, bHigh: u64): void {
  const w16 = rotl(word(aLow, aHigh, 3) ^ word(bLow, bHigh, 2), 1);
  const w17 = rotl(word(aLow, aHigh, 2) ^ word(bLow, bHigh, 1), 1);
  const w18 = rotl(word(aLow, aHigh, 1) ^ word(bLow, bHigh, 0), 1);
  const w19 = rotl(word(aLow, aHigh, 0) ^ w16, 1);
  result(w16, w17, w18, w19);
}

@inline function sigma(x: u32, r1: u32, r2: u32, shift: u32): u32 {
  return rotr(x, r1) ^ rotr(x, r2) ^ (x >> shift);
}

/** Two rounds. The destination holds C D G H, the source A B E F; `keys` two words with their constants added. */
export function sha256Rounds(cLow: u64, cHigh: u64, aLow: u64, aHigh: u64, keys: u64): void {
  let a = word(aLow, aHigh, 3);
  let b = word(aLow, aHigh, 2);
  let c = word(cLow, cHigh, 3);
  let d = word(cLow, cHigh, 2);
  let e = word(aLow, aHigh, 1);
  let f = word(aLow, aHigh, 0);
  let g = word(cLow, cHigh, 1);
  let h = word(cLow, cHigh, 0);
  for (let i = 0; i < 2; i++) {
    const t1 = choose(0, e, f, g) + (rotr(e, 6) ^ rotr(e, 11) ^ rotr(e, 25)) + word(keys, 0, i) + h;
    const t2 = choose(2, a, b, c) + (rotr(a, 2) ^ rotr(a, 13) ^ rotr(a, 22));
    h = g;
    g = f;
    f = e;
    e = d + t1;
    d = c;
    c = b;
    b = a;
    a = t1 + t2;
  }
  result(a, b, e, f);
}

export function sha256Message1(aLow: u64, aHigh: u64, bLow: u64, bHigh: u64): void {
  const w0 = word(aLow, aHigh, 0);
  const w1 = word(aLow, aHigh, 1);
  const w2 = word(aLow, aHigh, 2);
  const w3 = word(aLow, aHigh, 3);
  const w4 = u32(bLow);
  result(w3 + sigma(w4, 7, 18, 3), w2 + sigma(w3, 7, 18, 3), w1 + sigma(w2, 7, 18, 3), w0 + sigma(w1, 7, 18, 3));
}

export function sha256Message2(aLow: u64, aHigh: u64, bLow: u64, bHigh: u64): void {
  const w16 = word(aLow, aHigh, 0) + sigma(word(bLow, bHigh, 2), 17, 19, 10);
  const w17 = word(aLow, aHigh, 1) + sigma(word(bLow, bHigh, 3), 17, 19, 10);
  const w18 = word(aLow, aHigh, 2) + sigma(w16, 17, 19, 10);
  const w19 = word(aLow, aHigh, 3) + sigma(w17, 17, 19, 10);
  result(w19, w18, w17, w16);
}
