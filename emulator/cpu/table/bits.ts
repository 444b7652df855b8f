/** Bit test and scan (SDM 1 5.1.6). SF, AF, OF, PF are undefined after BT*, all but ZF after BSF and BSR. */
import { ALL, row } from './build.ts';
import type { OpcodeRow } from './row.ts';

/** BT family: CF written, the rest kept. */
const CARRY = { reads: 'oszap', writes: 'c' };

export const bits: readonly OpcodeRow[] = [
  row('0F A3 /r', 'bt', 'Ev Gv', { ...CARRY, hot: true }),
  row('0F AB /r', 'bts', 'Ev Gv', { ...CARRY, lock: true }),
  row('0F B3 /r', 'btr', 'Ev Gv', { ...CARRY, lock: true }),
  row('0F BB /r', 'btc', 'Ev Gv', { ...CARRY, lock: true }),
  row('0F BA /4', 'bt', 'Ev Ib', { ...CARRY, hot: true }),
  row('0F BA /5', 'bts', 'Ev Ib', { ...CARRY, lock: true }),
  row('0F BA /6', 'btr', 'Ev Ib', { ...CARRY, lock: true }),
  row('0F BA /7', 'btc', 'Ev Ib', { ...CARRY, lock: true }),
  row('0F BC /r', 'bsf', 'Gv Ev', { writes: ALL, hot: true }),
  row('0F BD /r', 'bsr', 'Gv Ev', { writes: ALL, hot: true }),
];
