/** Shorthand for writing table rows. */
import type { OpcodeRow } from './row.ts';

/** All six arithmetic flags. */
export const ALL = 'oszapc';
/** The register and memory sizes of an ordinary integer instruction. */
export const V = [2, 4, 8] as const;

type Rest = Omit<OpcodeRow, 'encoding' | 'op' | 'operands'>;

/** Sizes a row exists in, as its operand codes say: v and z follow the operand size, y is 4 or 8, everything else is fixed. */
function sizesOf(operands: readonly string[]): readonly number[] {
  if (operands.some((code) => /^([EGZIMO]v|[EG]z|eAX|rAX|Iz)$/.test(code))) return V;
  if (operands.some((code) => /^[BEGMR]y$/.test(code))) return [4, 8];
  if (operands.some((code) => /^([EGZMO]b|AL)$/.test(code))) return [1];
  return [0];
}

/** One row; `operands` is a list separated by spaces, `sizes` follow from it unless given. */
export function row(encoding: string, op: string, operands = '', rest: Rest = {}): OpcodeRow {
  const codes = operands === '' ? [] : operands.split(' ');
  return { encoding, op, operands: codes, sizes: sizesOf(codes), ...rest };
}

/** A row executed by cpu/system/. */
export function system(encoding: string, op: string, operands = '', rest: Rest = {}): OpcodeRow {
  return row(encoding, op, operands, { system: true, branch: 'system', ...rest });
}
