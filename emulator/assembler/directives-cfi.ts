/** Directives of call-frame information. */
import type { Assembler } from './assembler.ts';
import { CFA } from './cfi.ts';
import type { EncodedReference, Frame } from './cfi.ts';
import type { Cursor } from './cursor.ts';
import type { Directive } from './directives.ts';
import { DWARF_REGISTERS } from './dwarf-registers.ts';
import { parseExpression } from './expression.ts';
import { positionOf } from './source.ts';

/** A name with or without `%`, or a DWARF number. */
function register(assembler: Assembler, cursor: Cursor): number {
  cursor.skip();
  const start = cursor.at;
  const name = /^%?(st\(\d\)|[a-z][\w.]*)/i.exec(cursor.text.slice(cursor.at));
  const number = name ? DWARF_REGISTERS.get(name[1]!.toLowerCase()) : undefined;
  if (name && number !== undefined) {
    cursor.at += name[0].length;
    return number;
  }
  if (cursor.peek() === '%') cursor.fail('this register has no DWARF number', start);
  return whole(assembler, cursor);
}
function whole(assembler: Assembler, cursor: Cursor): number {
  const start = cursor.at;
  const value = assembler.absolute(cursor);
  if (value < -(1n << 31n) || value >= 1n << 31n) cursor.fail(`${value} does not fit in 32 bits`, start);
  return Number(value);
}

type Operand = typeof register;
type Call<T extends readonly Operand[]> = (frame: Frame, ...values: { [K in keyof T]: number }) => void;
/** A directive with operands between commas. */
function of<const T extends readonly Operand[]>(operands: T, act: Call<T>): Directive {
  return (assembler, cursor) => {
    const frame = assembler.frames.current;
    const values = operands.map((operand, index) => {
      if (index > 0) cursor.expect(',');
      return operand(assembler, cursor);
    });
    cursor.end();
    act(frame, ...(values as { [K in keyof T]: number }));
  };
}

/** `encoding, expression`; the encoding 255 (DW_EH_PE_omit) takes it back. */
function encoded(put: (frame: Frame, value: EncodedReference | undefined) => void): Directive {
  return (assembler, cursor) => {
    const frame = assembler.frames.current;
    cursor.skip();
    const start = cursor.at;
    const encoding = whole(assembler, cursor);
    if (encoding === 0xff) {
      cursor.end();
      return put(frame, undefined);
    }
    // Application (bits 6:4): absolute or PC-relative; bit 7: indirect.
    if (encoding < 0 || encoding > 0xff || !SIZES.has(encoding & 15) || ![0, 0x10].includes(encoding & 0x70))
      cursor.fail(`${encoding} is not an encoding of references that is known here`, start);
    cursor.expect(',');
    const expression = parseExpression(cursor, assembler);
    cursor.end();
    put(frame, { encoding, expression });
  };
}
/** Bytes by the format in an encoding's low four bits: absptr, udata and sdata of 2, 4, 8. */
export const SIZES: ReadonlyMap<number, 2 | 4 | 8> = new Map([
  [0, 8], [2, 2], [3, 4], [4, 8], [8, 8], [0xa, 2], [0xb, 4], [0xc, 8],
]); // prettier-ignore

const procedures: Readonly<Record<string, Directive>> = {
  cfi_sections: (assembler, cursor) => {
    const wanted = { ehFrame: false, debugFrame: false };
    while (!cursor.done) {
      const start = cursor.at;
      const name = cursor.name('`.eh_frame` or `.debug_frame`');
      if (name === '.eh_frame') wanted.ehFrame = true;
      else if (name === '.debug_frame') wanted.debugFrame = true;
      else cursor.fail(`expected \`.eh_frame\` or \`.debug_frame\`, found \`${name}\``, start);
      cursor.take(',');
    }
    assembler.frames.wanted = wanted;
  },
  cfi_startproc: (assembler, cursor, statement) => {
    const isSimple = cursor.word('simple');
    cursor.end();
    const frame = assembler.frames.begin(positionOf(statement));
    if (!isSimple) frame.begin();
  },
  cfi_endproc: (assembler, cursor) => {
    cursor.end();
    assembler.frames.end();
  },
};

export const cfiDirectives: Readonly<Record<string, Directive>> = {
  ...procedures,
  cfi_def_cfa: of([register, whole], (frame, base, offset) => frame.defineCfa(base, offset)),
  cfi_def_cfa_register: of([register], (frame, base) => frame.defineCfaRegister(base)),
  cfi_def_cfa_offset: of([whole], (frame, offset) => frame.defineCfaOffset(offset)),
  cfi_adjust_cfa_offset: of([whole], (frame, by) => frame.adjustCfaOffset(by)),
  cfi_offset: of([register, whole], (frame, saved, offset) => frame.offset(saved, offset)),
  cfi_rel_offset: of([register, whole], (frame, saved, offset) => frame.relativeOffset(saved, offset)),
  cfi_val_offset: of([register, whole], (frame, saved, offset) => frame.valueOffset(saved, offset)),
  cfi_register: of([register, register], (frame, saved, holds) => frame.register(saved, holds)),
  cfi_restore: of([register], (frame, saved) => frame.restore(saved)),
  cfi_undefined: of([register], (frame, saved) => frame.rule(CFA.undefined, saved)),
  cfi_same_value: of([register], (frame, saved) => frame.rule(CFA.sameValue, saved)),
  cfi_remember_state: of([], (frame) => frame.remember()),
  cfi_restore_state: of([], (frame) => frame.restoreState()),
  cfi_window_save: of([], (frame) => frame.windowSave()),
  cfi_return_column: of([register], (frame, column) => {
    frame.returnColumn = column;
  }),
  cfi_signal_frame: of([], (frame) => {
    frame.isSignalFrame = true;
  }),
  cfi_personality: encoded((frame, value) => {
    frame.personality = value;
  }),
  cfi_lsda: encoded((frame, value) => {
    frame.lsda = value;
  }),
  cfi_escape: (assembler, cursor) => {
    const frame = assembler.frames.current;
    const bytes: number[] = [];
    do bytes.push(whole(assembler, cursor) & 255);
    while (cursor.take(','));
    cursor.end();
    frame.escape(bytes);
  },
};
