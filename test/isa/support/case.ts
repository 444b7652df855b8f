/** One test of instructions: a state to start in, code, and what came out of it. The layouts are those of host.c. */

/** Where code, data and the end of every case stand, on the host and in the emulator. */
export const CODE = 0x400000;
export const CODE_STRIDE = 128;
export const MAX_CASES = 0x800000 / CODE_STRIDE;
export const DATA = 0x200000;
export const EXIT = 0x3f0000;
/** The part of DATA that is set before and compared after. Its middle is a page boundary. */
export const WINDOW = DATA + 0xe00;
export const WINDOW_BYTES = 1024;
/** Longest code of a case, in bytes; the jump to EXIT is appended. */
export const MAX_CODE = CODE_STRIDE - 14;
export const FX_BYTES = 512;
/** Bits 255:128 of the sixteen vector registers. */
export const HIGH_BYTES = 256;

export interface Registers {
  /** RAX RCX RDX RBX RSP RBP RSI RDI R8..R15 */
  readonly gpr: BigUint64Array;
  rflags: number;
  /** FXSAVE image. */
  readonly fx: Uint8Array;
  /** Bits 255:128 of YMM0..15; zero when left out. */
  readonly high?: Uint8Array;
}

export interface TestCase {
  /** For messages. */
  readonly name: string;
  readonly code: Uint8Array;
  readonly registers: Registers;
  readonly window: Uint8Array;
  /** Flags (RFLAGS bits) that the SDM leaves undefined here. */
  readonly undefinedFlags: number;
}

export interface Outcome {
  /** Exception vector, or -1 if the code ran to its end. */
  readonly vector: number;
  readonly registers: Registers;
  readonly window: Uint8Array;
}

/** FXSAVE image after FNINIT and with MXCSR at its reset value. */
export function initialFx(): Uint8Array {
  const fx = new Uint8Array(FX_BYTES);
  const view = new DataView(fx.buffer);
  view.setUint16(0, 0x37f, true);
  view.setUint32(24, 0x1f80, true);
  return fx;
}

/** The code with a jump to EXIT behind it: JMP [RIP+0], and the address. */
export function withExit(code: Uint8Array): Uint8Array {
  const whole = new Uint8Array(code.length + 14);
  whole.set(code);
  whole.set([0xff, 0x25, 0, 0, 0, 0], code.length);
  new DataView(whole.buffer).setBigUint64(code.length + 6, BigInt(EXIT), true);
  return whole;
}

export const caseAddress = (index: number) => CODE + index * CODE_STRIDE;
