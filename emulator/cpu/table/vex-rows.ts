/** Shorthand for VEX rows that exist in two widths. */
import { row } from './build.ts';
import type { OpcodeRow } from './row.ts';

/** Operand codes of VEX.256 in place of those of VEX.128. */
export const wider = (code: string): string => code.replace(/^([VWUHL])x$/, '$1qq').replace('Mdq', 'Mqq');

type Rest = Omit<OpcodeRow, 'encoding' | 'op' | 'operands'>;

/** A row of 128 bits, one of 256 with its operands made wider, or both: the feature of each. */
export function vex(
  encoding: string,
  op: string,
  operands: string,
  { narrow, wide, ...rest }: Rest & { readonly narrow?: string; readonly wide?: string },
): OpcodeRow[] {
  const codes = operands.split(' ');
  const made: OpcodeRow[] = [];
  if (narrow)
    made.push(row(encoding, op, operands, { prefix: '66', ...rest, sizes: [16], feature: narrow, vex: 'L0' }));
  if (wide)
    made.push(
      row(encoding, op, codes.map(wider).join(' '), { prefix: '66', ...rest, sizes: [32], feature: wide, vex: 'L1' }),
    );
  return made;
}
