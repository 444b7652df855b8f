/** A decoded instruction: what the decoder returns, the interpreter's records are made from, and system handlers receive. */

export type Operand =
  | { readonly kind: 'gpr'; readonly register: number; /** AH CH DH BH */ readonly high?: boolean }
  | { readonly kind: 'xmm'; readonly register: number }
  /** All 256 bits of a vector register: an operand of a VEX.256 instruction. */
  | { readonly kind: 'ymm'; readonly register: number }
  | { readonly kind: 'mmx'; readonly register: number }
  /** ST(i), relative to TOP. */
  | { readonly kind: 'st'; readonly register: number }
  /** ES CS SS DS FS GS as 0..5. */
  | { readonly kind: 'segment'; readonly register: number }
  | { readonly kind: 'control'; readonly register: number }
  | { readonly kind: 'debug'; readonly register: number }
  | MemoryOperand
  /** Sign-extended to 64 bits. */
  | { readonly kind: 'immediate'; readonly value: bigint }
  /** Absolute target of a direct branch. */
  | { readonly kind: 'target'; readonly gva: bigint };

export interface MemoryOperand {
  readonly kind: 'memory';
  /** General register 0..15, or -1. RIP-relative operands are folded into the displacement. */
  readonly base: number;
  readonly index: number;
  /** log2 of the scale. */
  readonly scale: number;
  /** Sign-extended. */
  readonly displacement: bigint;
  /** ES CS SS DS FS GS as 0..5: the segment in force (override or default). */
  readonly segment: number;
  /** Bits: 64, 32 or 16. */
  readonly addressSize: 64 | 32 | 16;
}

export interface Instruction {
  /** Key of the table row: names the semantics, e.g. 'add', 'movaps', 'lgdt'. */
  readonly op: string;
  /** Operand size in bytes (the one the semantics are built for). */
  readonly size: number;
  readonly operands: readonly Operand[];
  /** Linear address of the first byte. */
  readonly gva: bigint;
  /** Bytes. */
  readonly length: number;
  readonly lock: boolean;
  readonly rep: 'none' | 'rep' | 'repne';
  /** Condition code for jcc, setcc, cmovcc. */
  readonly condition?: number;
}
