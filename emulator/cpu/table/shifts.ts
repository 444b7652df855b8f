/** Shifts and rotates (SDM 1 5.1.5). Counts of 0 (after masking) leave the flags alone; see `shiftByZero`. */
import { ALL, row, V } from './build.ts';
import type { OpcodeRow } from './row.ts';

const hot = true;

function shift(op: string, index: number, immediate: Partial<OpcodeRow>, byRegister: Partial<OpcodeRow>): OpcodeRow[] {
  return [
    row(`C0 /${index}`, op, 'Eb Ib', { ...immediate, sizes: [1] }),
    row(`C1 /${index}`, op, 'Ev Ib', immediate),
    row(`D0 /${index}`, op, 'Eb 1', { ...immediate, sizes: [1] }),
    row(`D1 /${index}`, op, 'Ev 1', immediate),
    row(`D2 /${index}`, op, 'Eb CL', { ...byRegister, sizes: [1] }),
    row(`D3 /${index}`, op, 'Ev CL', byRegister),
  ];
}

/** Rotates write CF and OF and keep the others. */
const ROTATE = { reads: 'szap', writes: 'oc' };
const ROTATE_CL = { reads: ALL, writes: 'oc' };
const ROTATE_CARRY = { reads: 'szapc', writes: 'oc' };
const SHIFT = { writes: ALL };
/** A count of 0 keeps the flags, so they are read. */
const SHIFT_CL = { reads: ALL, writes: ALL };

export const shifts: readonly OpcodeRow[] = [
  ...shift('rol', 0, { ...ROTATE, hot }, ROTATE_CL),
  ...shift('ror', 1, { ...ROTATE, hot }, ROTATE_CL),
  ...shift('rcl', 2, ROTATE_CARRY, ROTATE_CL),
  ...shift('rcr', 3, ROTATE_CARRY, ROTATE_CL),
  ...shift('shl', 4, { ...SHIFT, hot }, { ...SHIFT_CL, hot }),
  ...shift('shr', 5, { ...SHIFT, hot }, { ...SHIFT_CL, hot }),
  ...shift('shl', 6, SHIFT, SHIFT_CL),
  ...shift('sar', 7, { ...SHIFT, hot }, { ...SHIFT_CL, hot }),
  row('0F A4 /r', 'shld', 'Ev Gv Ib', SHIFT),
  row('0F A5 /r', 'shld', 'Ev Gv CL', SHIFT_CL),
  row('0F AC /r', 'shrd', 'Ev Gv Ib', SHIFT),
  row('0F AD /r', 'shrd', 'Ev Gv CL', SHIFT_CL),
];

/**
 * What the decoder makes of a shift or rotate whose masked immediate count is 0: the destination is read and written
 * (a 32-bit one is zero-extended), the flags stay. Has no encoding of its own.
 */
export const shiftByZero: OpcodeRow = { encoding: '', op: 'shift_by_zero', operands: ['Ev'], sizes: [1, ...V] };
