/** Tests of 16- and 32-bit code: a state to start in, code, and what came out of it. The layouts are those of host-legacy.c. */
import type { Outcome as Run } from './case.ts';

export const CODE = 0x400000;
const CODE_OFFSET = 0x1000;
const CODE_STRIDE = 128;
/** Cases with code addresses of their own; later ones use them again. */
const CODE_SLOTS = 256;
export const DATA = 0x200000;
export const DATA_BYTES = 0x20000;
export const EXIT = 0x3f0000;
export const WINDOW = DATA + 0xe00;
export const WINDOW_BYTES = 1024;
export const FLAT_CODE = 0x23;
export const FLAT_DATA = 0x2b;
export const WIDE_CODE = 0x33;

/** A segment of the LDT, as `modify_ldt` makes it. */
export interface LdtSegment {
  readonly base: number;
  readonly limit: number;
  /** Descriptor type (SDM 3A table 3-1), accessed. */
  readonly type: number;
  readonly big: boolean;
  readonly present: boolean;
}
const segment = (base: number, limit: number, type: number, big: boolean, present = true): LdtSegment => ({
  base,
  limit,
  type,
  big,
  present,
});
/** Entry `n` has selector 8n + 7. */
export const LDT: readonly LdtSegment[] = [
  segment(CODE, 0xffff, 0xb, false),
  segment(CODE, 0xffff, 0xb, true),
  segment(DATA, 0x1fff, 3, true),
  segment(DATA, 0x1fff, 3, false),
  segment(DATA, 0xdff, 7, true),
  segment(DATA, 0xdff, 7, false),
  segment(DATA, 0x3fff, 1, true),
  segment(DATA, 0x3fff, 3, true, false),
  segment(CODE, 0xffff, 9, true),
];
export const Selector = {
  none: 0,
  code16: 0x07,
  code32: 0x0f,
  data32: 0x17,
  data16: 0x1f,
  down32: 0x27,
  down16: 0x2f,
  readOnly: 0x37,
  absent: 0x3f,
  executeOnly: 0x47,
} as const;

export function baseOf(selector: number): number {
  return selector & 4 ? LDT[selector >> 3]!.base : 0;
}

export interface LegacyCase {
  readonly name: string;
  /** Without the exit. */
  readonly code: Uint8Array;
  readonly wide: boolean;
  readonly gpr: Uint32Array;
  readonly eflags: number;
  readonly cs: number;
  readonly ss: number;
  readonly ds: number;
  readonly es: number;
  readonly window: Uint8Array;
  readonly undefinedFlags: number;
}

export interface LegacyOutcome {
  readonly vector: Run['vector'];
  readonly error: number;
  /** Offset in CS of the instruction at fault. */
  readonly eip: number;
  readonly gpr: Uint32Array;
  readonly eflags: number;
  readonly ds: number;
  readonly es: number;
  readonly window: Uint8Array;
}

export const codeAddress = (index: number): number => CODE + CODE_OFFSET + (index % CODE_SLOTS) * CODE_STRIDE;

/** The code with a far jump to EXIT in 64-bit mode behind it. */
export function withExit({ code, wide }: LegacyCase): Uint8Array {
  const jump = [0xea, EXIT & 255, (EXIT >> 8) & 255, EXIT >> 16, 0, WIDE_CODE, 0];
  return Uint8Array.from([...code, ...(wide ? jump : [0x66, ...jump])]);
}
