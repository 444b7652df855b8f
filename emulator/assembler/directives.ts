/** Directives (GNU as manual, "Pseudo Ops" and "i386-Directives") by name. */
import type { Assembler } from './assembler.ts';
import type { Cursor } from './cursor.ts';
import { cfiDirectives } from './directives-cfi.ts';
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

/** What changes nothing here: listings are not printed, the processor has what the table says. */
const IGNORED = [
  ...[
    'title',
    'sbttl',
    'list',
    'nolist',
    'psize',
    'eject',
    'version',
    'arch',
    'att_mnemonic',
    'intel_mnemonic',
    'print',
  ],
  ...['sse_check', 'operand_check', 'addrsig', 'addrsig_sym', 'lcomm_align', 'appline'],
];

export const DIRECTIVES: ReadonlyMap<string, Directive> = new Map<string, Directive>([
  ...IGNORED.map((name) => [`.${name}`, ignored] as const),
  ...Object.entries({
    ...dataDirectives,
    ...sectionDirectives,
    ...lineDirectives,
    ...cfiDirectives,
    ...symbolDirectives,
    ...conditionDirectives,
  }).map(([name, directive]) => [`.${name}`, directive] as const),
]);
