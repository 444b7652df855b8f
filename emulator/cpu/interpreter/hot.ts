/**
 * What gets a place in the interpreter's switch: most forms whose table row says `hot`, fused pairs, variants without flags.
 *
 * The switch is one function, so its size costs compile time and, past some five hundred handlers, speed; everything else is a function of its own,
 * reached through the table.
 */
import type { Form } from '../emitter.ts';
import type { Addressing } from '../records.ts';

const words = (text: string): ReadonlySet<string> => new Set(text.split(' '));

/** The conditional jump, as far as pairs go. */
export const FUSED_JUMP = 'jcc';

/** Worth it in registers only. */
const IN_REGISTERS = words('shl shr sar rol ror neg not setcc cmovcc adc sbb bt mul imul1 div idiv bsf bsr xchg');
/** Slow by nature, so that the call does not matter. */
const CALLED = words('movs stos cmpxchg divps divpd sqrtpd sqrtsd addps mulps subps cvtss2sd cvtsd2ss bswap');
/** Worth a variant with an index register. */
const INDEXED = words(
  'mov movzx8 movzx16 movsx8 movsx16 movsxd lea add sub cmp movss movsd movups movdqu movaps movdqa addsd subsd mulsd jmp_indirect call_indirect',
);
/** O NO P NP are rare. */
const RARE_CONDITIONS = [0, 1, 10, 11];

/** Whether a hot form is placed in the switch for this addressing ('g' where it has no memory operand). */
export function inSwitch(form: Form, addressing: Addressing): boolean {
  if (CALLED.has(form.op)) return false;
  if (addressing !== 'g' && IN_REGISTERS.has(form.op)) return false;
  if (addressing === 'x' && !INDEXED.has(form.op)) return false;
  return form.op === FUSED_JUMP || form.condition === undefined || !RARE_CONDITIONS.includes(form.condition);
}

/** Ops that read flags only to keep those that they do not write: with dead flags they read none. */
const PRESERVE_FLAGS = new Set(['inc', 'dec', 'rol', 'ror', 'shl', 'shr', 'sar', 'bt', 'bsf', 'bsr']);

/** A form's `row` as far as flags go. */
export interface FlagUse {
  readonly op: string;
  readonly reads?: string;
  readonly writes?: string;
}

/** Whether the instruction can be executed without its flags when they are dead. */
export function canDropFlags(row: FlagUse): boolean {
  return row.writes !== undefined && (row.reads === undefined || PRESERVE_FLAGS.has(row.op));
}

/** Has a variant without flags in the switch. */
const FLAGLESS_OPS = new Set([
  'add',
  'sub',
  'and',
  'or',
  'xor',
  'shl',
  'shr',
  'sar',
  'rol',
  'ror',
  'inc',
  'dec',
  'imul2',
  'imul3',
  'neg',
]);
export function hasFlaglessHandler(form: Form, row: FlagUse): boolean {
  return FLAGLESS_OPS.has(form.op) && form.size >= 4 && canDropFlags(row) && form.operands[0]?.kind !== 'memory';
}

/** O NO B AE E NE BE A S NS P NP L GE LE G */
const AFTER_COMPARE = [2, 3, 4, 5, 6, 7, 12, 13, 14, 15];
const AFTER_TEST = [4, 5, 8, 9, 14, 15];
const ZERO_OR_NOT = [4, 5];

/** Conditions of the jumps that are fused with this instruction before them. */
export function fusedConditions(form: Form): readonly number[] {
  const kinds = form.operands.map((operand) => operand.kind[0]).join('');
  if (form.size === 2) return [];
  switch (form.op) {
    case 'cmp':
      if (form.size === 1)
        return kinds === 'gi' || kinds === 'mi' ? AFTER_COMPARE.slice(0, 6) : kinds === 'gg' ? ZERO_OR_NOT : [];
      return kinds === 'mi' ? ZERO_OR_NOT : AFTER_COMPARE;
    case 'test':
      if (kinds === 'gg') return form.size === 1 ? ZERO_OR_NOT : AFTER_TEST;
      return kinds === 'gi' && form.size === 1 ? ZERO_OR_NOT : [];
    case 'sub':
    case 'add':
      return kinds === 'gi' && form.size >= 4 ? ZERO_OR_NOT : [];
    case 'and':
    case 'dec':
      return kinds[0] === 'g' && kinds[1] !== 'm' && form.size >= 4 ? ZERO_OR_NOT : [];
    default:
      return [];
  }
}
