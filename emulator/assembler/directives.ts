/** Directives (GNU as manual, "Pseudo Ops" and "i386-Directives") by name. */
import type { Assembler } from './assembler.ts';
import type { Cursor } from './cursor.ts';
import { conditionDirectives } from './directives-conditions.ts';
import { dataDirectives } from './directives-data.ts';
import { lineDirectives } from './directives-lines.ts';
import { sectionDirectives } from './directives-sections.ts';
import { symbolDirectives } from './directives-symbols.ts';
import type { Statement } from './source.ts';

export type Directive = (assembler: Assembler, cursor: Cursor, statement: Statement) => void;

const ignored: Directive = (_assembler, cursor) => {
  cursor.at = cursor.text.length;
};

/** What changes nothing here: call-frame information is not made (unwinding is by frame pointers and symbols), listings are not printed. */
const IGNORED = [
  ...[
    'cfi_startproc',
    'cfi_endproc',
    'cfi_def_cfa',
    'cfi_def_cfa_offset',
    'cfi_def_cfa_register',
    'cfi_adjust_cfa_offset',
  ],
  ...[
    'cfi_offset',
    'cfi_rel_offset',
    'cfi_register',
    'cfi_restore',
    'cfi_undefined',
    'cfi_same_value',
    'cfi_remember_state',
  ],
  ...['cfi_restore_state', 'cfi_return_column', 'cfi_signal_frame', 'cfi_window_save', 'cfi_escape', 'cfi_personality'],
  ...[
    'cfi_lsda',
    'cfi_sections',
    'cfi_val_encoded_addr',
    'cfi_val_offset',
    'cfi_label',
    'cfi_inline_lsda',
    'cfi_personality_id',
  ],
  ...['title', 'sbttl', 'list', 'nolist', 'psize', 'eject', 'version', 'arch', 'att_mnemonic', 'intel_mnemonic'],
  ...[
    'sse_check',
    'operand_check',
    'addrsig',
    'addrsig_sym',
    'lcomm_align',
    'print',
    'altmacro',
    'noaltmacro',
    'appline',
  ],
];

export const DIRECTIVES: ReadonlyMap<string, Directive> = new Map<string, Directive>([
  ...IGNORED.map((name) => [`.${name}`, ignored] as const),
  ...Object.entries({
    ...dataDirectives,
    ...sectionDirectives,
    ...lineDirectives,
    ...symbolDirectives,
    ...conditionDirectives,
  }).map(([name, directive]) => [`.${name}`, directive] as const),
]);
