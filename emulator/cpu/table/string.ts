/**
 * String instructions (SDM 1 5.1.8). X: DS (or override):rSI, Y: ES:rDI. Their semantics may look at the operands'
 * `addressSize`, which says how wide RCX, RSI and RDI are; `forms.ts` makes a form for each.
 */
import { ALL, row, system, V } from './build.ts';
import type { OpcodeRow } from './row.ts';

function both(low: string, high: string, op: string, operands: string, rest: Partial<OpcodeRow>): OpcodeRow[] {
  return [row(low, op, operands, { sizes: [1], ...rest }), row(high, op, operands, { sizes: V, ...rest })];
}

/** With a repeat count of 0 the flags stay. */
const COMPARE = { rep: 'repz', reads: ALL, writes: ALL } as const;
const PORT = { sizes: [2, 4] } as const;

export const string: readonly OpcodeRow[] = [
  ...both('A4', 'A5', 'movs', 'Y X', { rep: 'rep', hot: true }),
  ...both('AA', 'AB', 'stos', 'Y', { rep: 'rep', hot: true }),
  ...both('AC', 'AD', 'lods', 'X', { rep: 'rep' }),
  ...both('A6', 'A7', 'cmps', 'X Y', COMPARE),
  ...both('AE', 'AF', 'scas', 'Y', COMPARE),
  system('6C', 'ins', 'Y', { rep: 'rep', sizes: [1] }),
  system('6D', 'ins', 'Y', { rep: 'rep', ...PORT }),
  system('6E', 'outs', 'X', { rep: 'rep', sizes: [1] }),
  system('6F', 'outs', 'X', { rep: 'rep', ...PORT }),
];
