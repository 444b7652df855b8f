/**
 * Where code and data of the cases stand, on the host and in the emulator, and the layout of what harness.c reads and writes.
 *
 * DATA has eight pages: two writable, one not mapped, one read-only, two writable, one not mapped, one read-only.
 */
export const CODE = 0x400000;
export const CODE_BYTES = 0x200000;
/** Bytes from one program to the next; no divisor of a page, so that some cross one. */
export const PROGRAM_STRIDE = 496;
/** Where every program goes when it ends. */
export const GATE = 0x7e00_0000_0000;
export const DATA = 0x200000;
export const PAGE = 4096;
export const PAGES = 8;
export const DATA_BYTES = PAGES * PAGE;
export const enum Right {
  None,
  Read,
  Write,
}
export const RIGHTS: readonly Right[] = [
  ...[Right.Write, Right.Write, Right.None, Right.Read],
  ...[Right.Write, Right.Write, Right.None, Right.Read],
];

/** A state: registers that go in, or that come out with what ended the program. Offsets in bytes. */
export const STATE_BYTES = 1024;
export const AT_RFLAGS = 128;
export const AT_RIP = 136;
/** Exception vector, or NO_VECTOR. */
export const AT_VECTOR = 144;
export const AT_ERROR = 152;
/** CR2 of a page fault. */
export const AT_ADDRESS = 160;
export const AT_FS_BASE = 168;
export const AT_GS_BASE = 176;
/** XSAVE area in the standard format, x87, SSE and AVX. */
export const AT_XSAVE = 192;
export const NO_VECTOR = 0xffff;

// In the XSAVE area (SDM 1 13.4).
export const X_FCW = AT_XSAVE + 0;
export const X_FSW = AT_XSAVE + 2;
export const X_FTW = AT_XSAVE + 4;
export const X_MXCSR = AT_XSAVE + 24;
export const X_ST = AT_XSAVE + 32;
export const X_XMM = AT_XSAVE + 160;
export const X_HEADER = AT_XSAVE + 512;
export const X_YMM = AT_XSAVE + 576;
/** x87, SSE, AVX. */
export const COMPONENTS = 7;

export const PATCHES = 3;
export const PATCH_BYTES = 64;
/** Bytes written before a program runs: address u64 (0: none), then PATCH_BYTES. */
export const PATCH_STRIDE = 8 + PATCH_BYTES;
export const INPUT_BYTES = 1280;
export const OUTPUT_BYTES = 3072;
export const HEADER_BYTES = 16;
/** In an outcome: count u64, then address and value of each changed u64. */
export const AT_CHANGES = STATE_BYTES + 0;
export const MOST_CHANGES = 127;

/** RFLAGS bits that are compared: CF PF AF ZF SF DF OF AC. */
export const COMPARED_FLAGS = 0x40cd5;

export const programAddress = (index: number): number => CODE + index * PROGRAM_STRIDE;

export interface Patch {
  readonly address: number;
  readonly bytes: Uint8Array;
}

/** The end of a program at `at`: JMP to the gate through a pointer, which is aligned since AC may be set. */
export function exitBytes(at: number): number[] {
  const padding = (8 - ((at + 6) & 7)) & 7;
  const bytes = [0xff, 0x25, padding, 0, 0, 0, ...new Array<number>(padding).fill(0)];
  let address = BigInt(GATE);
  for (let i = 0; i < 8; i++, address >>= 8n) bytes.push(Number(address & 255n));
  return bytes;
}
export const MOST_EXIT_BYTES = 21;
