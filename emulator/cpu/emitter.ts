/**
 * The abstract emitter: the only thing an instruction's meaning is written against.
 *
 * Two back-ends implement it: the interpreter generator (build time, operands come from the decoded
 * record) and, later, the region translator (run time, operands are constants and locals). A semantic
 * function therefore never knows where an operand lives.
 *
 * Rules for semantic functions
 *  - A `Value` is a pure expression. Reads of registers, memory and flags happen where they are called, in
 *    order, and are kept in locals; pure operations may be emitted wherever they are used, also twice: use
 *    `let` for anything used more than once.
 *  - Precise faults: no register, flag or memory may be written before the last access that can fault.
 *    A read-modify-write loads with `forWrite`, so that the fault says "write" and the store cannot fail.
 *  - Sizes are in bytes. 1, 2 and 4-byte integers travel zero-extended in an i32, 8-byte ones in an i64.
 */
import type { Operand } from './instruction.ts';

export type ValueType = 'i32' | 'i64' | 'f32' | 'f64' | 'v128';
export type Size = 1 | 2 | 4 | 8;

/** A pure expression of one wasm type. Opaque to semantics. */
export interface Value {
  readonly type: ValueType;
  /** Known to be plain, if read as floating-point numbers of so many bytes: zero or normal. Of a vector, all lanes. */
  readonly plain?: 4 | 8 | undefined;
}

/** Why the usual way may not do: conditions, i32 0 or 1. */
export interface Doubt {
  /** Seldom holds. */
  readonly suspected: Value;
  /** Looked at in that case: if it holds, there is no reason for doubt. */
  readonly unless?: Value;
}

/** A mutable local. Reading it is `get(variable)`. */
export interface Variable {
  readonly type: ValueType;
}

/** Kinds of lazy flags; see CC_* in codes.ts. */
export type FlagKind = 'flags' | 'add' | 'sub' | 'logic' | 'inc' | 'dec' | 'shl' | 'shr' | 'sar';

export interface Emitter {
  // ---- pure values
  i32(value: number): Value;
  i64(value: bigint | number): Value;
  f32(value: number): Value;
  f64(value: number): Value;
  v128(bytes: readonly number[]): Value;
  /** Any wasm instruction without immediate: `op('i64.add', a, b)`, `op('f64x2.mul', a, b)`, `op('i32.wrap_i64', a)`. */
  op(name: string, ...args: Value[]): Value;
  /** Lane instructions: `lane('f64x2.extract_lane', 0, v)`, `lane('i32x4.replace_lane', 3, v, x)`. */
  lane(name: string, lane: number, ...args: Value[]): Value;
  /** `i8x16.shuffle`: 16 lane numbers, 0..15 of a, 16..31 of b. */
  shuffle(lanes: readonly number[], a: Value, b: Value): Value;
  /** `condition ? a : b`; both are evaluated. */
  select(condition: Value, a: Value, b: Value): Value;

  // ---- locals
  /** Evaluates now and keeps the result. */
  let(value: Value): Value;
  variable(type: ValueType, initial?: Value): Variable;
  get(variable: Variable): Value;
  set(variable: Variable, value: Value): void;

  // ---- control flow inside one instruction
  if(condition: Value, then: () => void, otherwise?: () => void): void;
  /**
   * Runs `then` if there is reason for one of the doubts. What was read may be read again, so nothing may have been written before in this instruction. True
   * if what comes after is not reached with one: the region translator may leave the region instead.
   */
  unlikely(doubts: readonly Doubt[], then: () => void): boolean;
  /** Repeats `body` until it calls `exit`; `again` continues at once. */
  loop(body: (exit: () => void, again: () => void) => void): void;

  // ---- guest registers and operands
  /** Reads a register, immediate or memory operand. Immediates are sign-extended to `size`. */
  read(operand: Operand, size: Size): Value;
  /** Writes a register or memory operand. Memory: computes the address again only if no `address()` of this operand was taken before. */
  write(operand: Operand, size: Size, value: Value): void;
  /** As `read`, but a memory access is checked for writing first (read-modify-write). */
  readForWrite(operand: Operand, size: Size): Value;
  /** A register by number, whatever the operands are: `gpr(4, 8)` is RSP. 32-bit writes clear the upper half. */
  gpr(register: number, size: Size): Value;
  setGpr(register: number, size: Size, value: Value): void;
  /** 128-bit vector register operand, or 16 bytes of memory (`aligned`: #GP(0) unless the address is a multiple of 16). */
  readVector(operand: Operand, aligned?: boolean): Value;
  writeVector(operand: Operand, value: Value, aligned?: boolean): void;
  /** Bits 255:128 of a vector register operand. What writes them says so: `writeVector` of a register keeps them, as SSE does. */
  readVectorHigh(operand: Operand): Value;
  writeVectorHigh(operand: Operand, value: Value): void;
  /** The low `size` bytes of an XMM register or that much memory, as i32/i64. */
  readVectorLow(operand: Operand, size: 4 | 8): Value;
  /** Memory: stores `size` bytes. Register: replaces the low bytes, keeping the others. */
  writeVectorLow(operand: Operand, size: 4 | 8, value: Value): void;
  /** As `readVectorLow`, as f32 or f64. NaNs keep their bits. */
  readScalar(operand: Operand, size: 4 | 8): Value;
  writeScalar(operand: Operand, size: 4 | 8, value: Value): void;
  /** The low `size` bytes of memory in a vector, zeros above. */
  readAlone(operand: Operand, size: 4 | 8): Value;
  /** MMX register operand (`mm0`..) or 8 bytes of memory, as i64. Writing also sets the register's exponent to all ones; TOP and tags are the semantic's business. */
  readMmx(operand: Operand): Value;
  writeMmx(operand: Operand, value: Value): void;
  /** The i of an ST(i) operand, as an i32 (x87 arithmetic is done by helpers that take register numbers). */
  stNumber(operand: Operand): Value;

  // ---- memory
  /** Linear address (i64) of a memory operand: segment base, address size and all. Evaluated once an operand. */
  address(operand: Operand): Value;
  /** As `address`, with an i64 in place of the index register: the element of a gather. */
  elementAddress(operand: Operand, index: Value): Value;
  /** Offset part only, truncated to the address size (LEA). */
  effectiveAddress(operand: Operand): Value;
  /** Linear address (i64) so many bytes (i64) from a memory operand, in 64-bit mode: the offset wraps with the address size. */
  addressFrom(operand: Operand, distance: Value): Value;
  /** An i64 cut to the address size of a memory operand. */
  truncatedAddress(operand: Operand, offset: Value): Value;
  /** Loads at a linear address; i64 for 8 bytes, else i32. `forWrite` checks write permission as well. */
  load(address: Value, size: Size, forWrite?: boolean): Value;
  /** Stores an integer of that size, f32 or f64. */
  store(address: Value, size: Size, value: Value): void;
  load128(address: Value, aligned?: boolean): Value;
  store128(address: Value, value: Value, aligned?: boolean): void;
  /** 32 bytes, the lower half first. They are one access: a store that faults has written nothing. */
  load256(address: Value): readonly [Value, Value];
  store256(address: Value, low: Value, high: Value): void;
  /**
   * Outside 64-bit mode: linear address (i64) of `bytes` at an offset (i64) of a memory operand's segment or of the stack segment, checked against
   * limit and type. Takes the fault now.
   */
  segmentAddress(segment: Operand | 'stack', offset: Value, bytes: number, write: boolean): Value;
  /** Checks that `bytes` at the address can be written (and takes the fault now). */
  probeWrite(address: Value, bytes: number): void;

  // ---- flags
  /** Records the flags lazily. `b` as CC_* in codes.ts asks; left out for 'logic' and 'flags'. */
  setFlags(kind: FlagKind, size: Size, a: Value, b?: Value): void;
  /** The six arithmetic flags in their RFLAGS positions, as an i32. */
  arithmeticFlags(): Value;
  /** CF as 0 or 1 (i32). */
  carry(): Value;
  /** Condition code 0..15 (O NO B AE E NE BE A S NS P NP L GE LE G) as 0 or 1 (i32). */
  condition(cc: number): Value;
  /** DF: +1 or -1 (i64). */
  direction(): Value;

  // ---- machine state by address in layout.ts
  loadState(address: number, size: Size): Value;
  storeState(address: number, size: Size, value: Value): void;
  loadStateF64(address: number): Value;

  // ---- helpers of the AssemblyScript core (exports of emulator/core/index.ts)
  call(helper: string, ...args: Value[]): Value;
  callVoid(helper: string, ...args: Value[]): void;

  // ---- faults
  /** Ends the instruction with an exception; nothing may have been written. */
  raise(vector: number, errorCode?: number): void;
  raiseIf(condition: Value, vector: number, errorCode?: number): void;
  /** Ends the instruction if the i32 is not 0: a helper has filled FAULT_*. */
  faultIf(condition: Value): void;

  // ---- ends of blocks
  /** Direct jump to the instruction's branch target. */
  jump(): void;
  /** To the target if the condition (i32) holds, else falls through. */
  jumpIf(condition: Value): void;
  /** To a computed RIP (i64), which `checkTarget` has let pass. */
  jumpTo(target: Value): void;
  /**
   * #GP(0) unless a computed RIP is canonical or, outside 64-bit mode, lies within the code segment. To be called before anything is written.
   * @param pushed where, in 64-bit mode, the return address will be pushed: what is wrong there comes first (SDM 2A CALL)
   */
  checkTarget(target: Value, pushed?: Value): void;
  /** RIP of the next instruction (i64). */
  nextRip(): Value;
  /** Leaves the instruction to TypeScript (cpu/system/): state is exactly at its start. */
  system(): void;
}

/**
 * What a semantic function knows of its instruction: everything that makes a different handler. Register numbers, immediates
 * and displacements are placeholders in the interpreter and real in the translator; only `kind` may be looked at.
 */
export interface Form {
  readonly op: string;
  /** Operand size in bytes. */
  readonly size: number;
  readonly operands: readonly Operand[];
  readonly condition?: number;
  readonly rep: 'none' | 'rep' | 'repne';
  /** Outside 64-bit mode, where that needs a handler of its own; see table/legacy.ts. */
  readonly legacy?: LegacyForm;
}

/**
 * How an instruction is to go about segments outside 64-bit mode: `f` a 32-bit stack without bounds at base 0, `4` and `2` a 32- or 16-bit stack that is checked,
 * `c` memory operands or branch targets that the meaning itself has to check.
 */
export type LegacyForm = 'f' | '4' | '2' | 'c';

/** An instruction's meaning. Registered by op name in cpu/semantics/index.ts. An op without one is left to cpu/system/. */
export type Semantic = (e: Emitter, form: Form) => void;
