/** Running the instructions of a CIE and an FDE into the unwind rules at one address (DWARF 5, 6.4.2). */
import { SymbolError } from '../errors.ts';
import type { CommonInformation, FrameDescription } from './frame.ts';
import { ByteReader } from './reader.ts';
import { ofI386 } from './registers.ts';

export type CfaRule =
  | { readonly kind: 'register'; readonly register: number; readonly offset: number }
  | { readonly kind: 'expression'; readonly expression: Uint8Array };

export type RegisterRule =
  | { readonly kind: 'undefined' }
  | { readonly kind: 'same' }
  /** Saved at CFA + offset. */
  | { readonly kind: 'offset'; readonly offset: number }
  /** Is CFA + offset. */
  | { readonly kind: 'value-offset'; readonly offset: number }
  | { readonly kind: 'register'; readonly register: number }
  /** Saved at the address the expression computes. */
  | { readonly kind: 'expression'; readonly expression: Uint8Array }
  | { readonly kind: 'value-expression'; readonly expression: Uint8Array };

export interface UnwindRow {
  cfa: CfaRule | undefined;
  /** By DWARF register; none means the ABI's default. */
  rules: Map<number, RegisterRule>;
}

const enum Cfa {
  nop = 0x00,
  set_loc = 0x01,
  advance_loc1 = 0x02,
  advance_loc2 = 0x03,
  advance_loc4 = 0x04,
  offset_extended = 0x05,
  restore_extended = 0x06,
  undefined = 0x07,
  same_value = 0x08,
  register = 0x09,
  remember_state = 0x0a,
  restore_state = 0x0b,
  def_cfa = 0x0c,
  def_cfa_register = 0x0d,
  def_cfa_offset = 0x0e,
  def_cfa_expression = 0x0f,
  expression = 0x10,
  offset_extended_sf = 0x11,
  def_cfa_sf = 0x12,
  def_cfa_offset_sf = 0x13,
  val_offset = 0x14,
  val_offset_sf = 0x15,
  val_expression = 0x16,
  GNU_args_size = 0x2e,
  GNU_negative_offset_extended = 0x2f,
}

const MAX_REMEMBERED = 256;

/** The rules in force at a link-time address inside the description. */
export function unwindRow(description: FrameDescription, address: number): UnwindRow {
  const initial = new Program(description.cie, description.low, undefined).run(description.cie.instructions, Infinity);
  const row = new Program(description.cie, description.low, initial).run(description.instructions, address);
  return description.cie.narrow ? renumbered(row) : row;
}

function renumbered({ cfa, rules }: UnwindRow): UnwindRow {
  const rule = (one: RegisterRule): RegisterRule =>
    one.kind === 'register' ? { kind: 'register', register: ofI386(one.register) } : one;
  return {
    cfa: cfa?.kind === 'register' ? { ...cfa, register: ofI386(cfa.register) } : cfa,
    rules: new Map([...rules].map(([register, one]) => [ofI386(register), rule(one)])),
  };
}

class Program {
  readonly #row: UnwindRow;
  readonly #remembered: UnwindRow[] = [];

  constructor(
    readonly cie: CommonInformation,
    public location: number,
    readonly initial: UnwindRow | undefined,
  ) {
    this.#row = initial ? { cfa: initial.cfa, rules: new Map(initial.rules) } : { cfa: undefined, rules: new Map() };
  }

  run(instructions: Uint8Array, until: number): UnwindRow {
    const reader = new ByteReader(instructions, 'A call frame program');
    while (!reader.atEnd) {
      const opcode = reader.u8();
      const operand = opcode & 0x3f;
      const previous = this.location;
      switch (opcode & 0xc0) {
        case 0x40:
          this.location += operand * this.cie.codeAlignment;
          break;
        case 0x80:
          this.#row.rules.set(operand, { kind: 'offset', offset: reader.uleb() * this.cie.dataAlignment });
          break;
        case 0xc0:
          this.#restore(operand);
          break;
        default:
          if (!this.#advance(opcode, reader) && !this.#defineCfa(opcode, reader) && !this.#defineRule(opcode, reader))
            throw new SymbolError(`A call frame program uses the unknown instruction 0x${opcode.toString(16)}.`);
      }
      if (this.location !== previous && this.location > until) break;
    }
    return this.#row;
  }

  #restore(register: number): void {
    const rule = this.initial?.rules.get(register);
    if (rule) this.#row.rules.set(register, rule);
    else this.#row.rules.delete(register);
  }

  #advance(opcode: number, reader: ByteReader): boolean {
    const align = this.cie.codeAlignment;
    switch (opcode) {
      case Cfa.nop:
        return true;
      case Cfa.set_loc:
        this.location = reader.unsigned(this.cie.addressSize);
        return true;
      case Cfa.advance_loc1:
        this.location += reader.u8() * align;
        return true;
      case Cfa.advance_loc2:
        this.location += reader.u16() * align;
        return true;
      case Cfa.advance_loc4:
        this.location += reader.u32() * align;
        return true;
      case Cfa.remember_state:
        if (this.#remembered.length >= MAX_REMEMBERED)
          throw new SymbolError('A call frame program remembers too many states.');
        this.#remembered.push({ cfa: this.#row.cfa, rules: new Map(this.#row.rules) });
        return true;
      case Cfa.restore_state: {
        const state = this.#remembered.pop();
        if (!state) throw new SymbolError('A call frame program restores a state it did not remember.');
        this.#row.cfa = state.cfa;
        this.#row.rules = state.rules;
        return true;
      }
      case Cfa.GNU_args_size:
        reader.uleb();
        return true;
      default:
        return false;
    }
  }

  #defineCfa(opcode: number, reader: ByteReader): boolean {
    const data = this.cie.dataAlignment;
    const current = this.#row.cfa?.kind === 'register' ? this.#row.cfa : { register: 7, offset: 0 };
    switch (opcode) {
      case Cfa.def_cfa:
        this.#row.cfa = { kind: 'register', register: reader.uleb(), offset: reader.uleb() };
        return true;
      case Cfa.def_cfa_sf:
        this.#row.cfa = { kind: 'register', register: reader.uleb(), offset: reader.sleb() * data };
        return true;
      case Cfa.def_cfa_register:
        this.#row.cfa = { kind: 'register', register: reader.uleb(), offset: current.offset };
        return true;
      case Cfa.def_cfa_offset:
        this.#row.cfa = { kind: 'register', register: current.register, offset: reader.uleb() };
        return true;
      case Cfa.def_cfa_offset_sf:
        this.#row.cfa = { kind: 'register', register: current.register, offset: reader.sleb() * data };
        return true;
      case Cfa.def_cfa_expression:
        this.#row.cfa = { kind: 'expression', expression: reader.block(reader.uleb()) };
        return true;
      default:
        return false;
    }
  }

  #defineRule(opcode: number, reader: ByteReader): boolean {
    if (opcode < Cfa.offset_extended || opcode > Cfa.GNU_negative_offset_extended) return false;
    const register = reader.uleb();
    const rule = this.#rule(opcode, reader);
    if (rule === 'restore') this.#restore(register);
    else if (rule) this.#row.rules.set(register, rule);
    return rule !== undefined;
  }

  #rule(opcode: number, reader: ByteReader): RegisterRule | 'restore' | undefined {
    const data = this.cie.dataAlignment;
    switch (opcode) {
      case Cfa.offset_extended:
        return { kind: 'offset', offset: reader.uleb() * data };
      case Cfa.offset_extended_sf:
        return { kind: 'offset', offset: reader.sleb() * data };
      case Cfa.GNU_negative_offset_extended:
        return { kind: 'offset', offset: -reader.uleb() * data };
      case Cfa.val_offset:
        return { kind: 'value-offset', offset: reader.uleb() * data };
      case Cfa.val_offset_sf:
        return { kind: 'value-offset', offset: reader.sleb() * data };
      case Cfa.restore_extended:
        return 'restore';
      case Cfa.undefined:
        return { kind: 'undefined' };
      case Cfa.same_value:
        return { kind: 'same' };
      case Cfa.register:
        return { kind: 'register', register: reader.uleb() };
      case Cfa.expression:
        return { kind: 'expression', expression: reader.block(reader.uleb()) };
      case Cfa.val_expression:
        return { kind: 'value-expression', expression: reader.block(reader.uleb()) };
      default:
        return undefined;
    }
  }
}
