/** Call-frame information while a source is read: what the `.cfi_` directives say of each function (DWARF 5 section 6.4; GNU as manual, "CFI directives"). */
import { leb128 } from './layout.ts';
import { AssemblyError } from './model.ts';
import type { AssemblySymbol, Expression, Position, Subsection } from './model.ts';
import type { Sections } from './sections.ts';

/** DW_CFA_* (DWARF 5 section 7.24). The first three hold a number in their low six bits. */
export const CFA = {
  advanceLoc: 0x40, offset: 0x80, restore: 0xc0, advanceLoc1: 2, advanceLoc2: 3, advanceLoc4: 4, offsetExtended: 5, restoreExtended: 6,
  undefined: 7, sameValue: 8, register: 9, rememberState: 0x0a, restoreState: 0x0b, defCfa: 0x0c, defCfaRegister: 0x0d, defCfaOffset: 0x0e,
  offsetExtendedSf: 0x11, defCfaSf: 0x12, defCfaOffsetSf: 0x13, valOffset: 0x14, valOffsetSf: 0x15, windowSave: 0x2d,
} as const; // prettier-ignore
export const DATA_ALIGNMENT = -8;
/** DWARF numbers of RSP and of the return address. */
const RSP = 7;
export const RETURN_ADDRESS = 16;

const SHORT = 0x3f;
const unsigned = (value: number): number[] => leb128(BigInt(value), false);
const signed = (value: number): number[] => leb128(BigInt(value), true);

/** An instruction, or time that passes between two. */
export type FrameInstruction =
  | { readonly kind: 'advance'; readonly from: AssemblySymbol; readonly to: AssemblySymbol }
  /** `initial`: may stand in a CIE. */
  | { readonly kind: 'code'; readonly bytes: readonly number[]; readonly initial: boolean };

/** A reference with its DW_EH_PE_* encoding. */
export interface EncodedReference {
  readonly encoding: number;
  readonly expression: Expression;
}

/** A function's. */
export class Frame {
  readonly instructions: FrameInstruction[] = [];
  end: AssemblySymbol | undefined;
  returnColumn = RETURN_ADDRESS;
  isSignalFrame = false;
  personality: EncodedReference | undefined;
  lsda: EncodedReference | undefined;
  /** Bytes from RSP to the CFA. */
  #offset = 0;
  readonly #remembered: number[] = [];
  #last: AssemblySymbol;

  constructor(
    readonly start: AssemblySymbol,
    readonly position: Position,
    /** Sections that it goes to. */
    readonly sections: FrameSections,
    readonly place: () => AssemblySymbol,
  ) {
    this.#last = start;
  }

  /** Instructions of a function that has just been called. */
  begin(): void {
    this.defineCfa(RSP, 8);
    this.offset(RETURN_ADDRESS, -8);
  }
  #code(bytes: readonly number[], initial = true): void {
    const here = this.place();
    if (here.fragment !== this.#last.fragment || here.offset !== this.#last.offset)
      this.instructions.push({ kind: 'advance', from: this.#last, to: here });
    this.#last = here;
    this.instructions.push({ kind: 'code', bytes, initial });
  }

  defineCfa(register: number, offset: number): void {
    this.#offset = offset;
    this.#code(
      offset < 0
        ? [CFA.defCfaSf, ...unsigned(register), ...signed(scaled(offset))]
        : [CFA.defCfa, ...unsigned(register), ...unsigned(offset)],
    );
  }
  defineCfaRegister(register: number): void {
    this.#code([CFA.defCfaRegister, ...unsigned(register)]);
  }
  defineCfaOffset(offset: number): void {
    this.#offset = offset;
    this.#code(offset < 0 ? [CFA.defCfaOffsetSf, ...signed(scaled(offset))] : [CFA.defCfaOffset, ...unsigned(offset)]);
  }
  adjustCfaOffset(by: number): void {
    this.defineCfaOffset(this.#offset + by);
  }
  offset(register: number, offset: number): void {
    const factor = scaled(offset);
    if (factor < 0) this.#code([CFA.offsetExtendedSf, ...unsigned(register), ...signed(factor)]);
    else if (register > SHORT) this.#code([CFA.offsetExtended, ...unsigned(register), ...unsigned(factor)]);
    else this.#code([CFA.offset | register, ...unsigned(factor)]);
  }
  relativeOffset(register: number, offset: number): void {
    this.offset(register, offset - this.#offset);
  }
  valueOffset(register: number, offset: number): void {
    const factor = scaled(offset);
    const operands = factor < 0 ? [CFA.valOffsetSf, signed(factor)] as const : [CFA.valOffset, unsigned(factor)] as const; // prettier-ignore
    this.#code([operands[0], ...unsigned(register), ...operands[1]]);
  }
  register(saved: number, holds: number): void {
    this.#code([CFA.register, ...unsigned(saved), ...unsigned(holds)]);
  }
  restore(register: number): void {
    this.#code(register > SHORT ? [CFA.restoreExtended, ...unsigned(register)] : [CFA.restore | register]);
  }
  /** DW_CFA_undefined or DW_CFA_same_value. */
  rule(code: number, register: number): void {
    this.#code([code, ...unsigned(register)]);
  }
  remember(): void {
    this.#remembered.push(this.#offset);
    this.#code([CFA.rememberState], false);
  }
  restoreState(): void {
    const offset = this.#remembered.pop();
    if (offset === undefined) throw new AssemblyError('`.cfi_restore_state` without a `.cfi_remember_state` before it');
    this.#offset = offset;
    this.#code([CFA.restoreState]);
  }
  windowSave(): void {
    this.#code([CFA.windowSave], false);
  }
  escape(bytes: readonly number[]): void {
    this.#code(bytes, false);
  }
}

/** Offsets are written in units of the data alignment. */
function scaled(offset: number): number {
  const factor = Math.trunc(offset / DATA_ALIGNMENT);
  return factor === 0 ? 0 : factor;
}

export interface FrameSections {
  readonly ehFrame: boolean;
  readonly debugFrame: boolean;
}

/** The functions of a source in their order. */
export class Frames {
  readonly all: Frame[] = [];
  readonly #open = new Map<Subsection, Frame>();
  wanted: FrameSections = { ehFrame: true, debugFrame: false };

  constructor(
    readonly sections: Sections,
    readonly place: () => AssemblySymbol,
  ) {}

  begin(position: Position): Frame {
    const part = this.sections.current;
    if (this.#open.has(part))
      throw new AssemblyError('`.cfi_startproc` before the `.cfi_endproc` of the one before it');
    const frame = new Frame(this.place(), position, this.wanted, this.place);
    this.#open.set(part, frame);
    this.all.push(frame);
    return frame;
  }
  get current(): Frame {
    const frame = this.#open.get(this.sections.current);
    if (!frame) throw new AssemblyError('this needs a `.cfi_startproc` before it');
    return frame;
  }
  end(): void {
    this.current.end = this.place();
    this.#open.delete(this.sections.current);
  }
  /** Those without an end. */
  get open(): Iterable<Frame> {
    return this.#open.values();
  }
}
