/** Integer arithmetic and logic (SDM 1 5.1.2, 5.1.4). */
import { ALL, row, V } from './build.ts';
import type { OpcodeRow } from './row.ts';

const hot = true;
const lock = true;

/** The eight operations that share the 00-3F and 80-83 layout. */
function binary(op: string, index: number, flags: Partial<OpcodeRow>): OpcodeRow[] {
  const hex = (low: number) => (index * 8 + low).toString(16).toUpperCase().padStart(2, '0');
  const destination = op === 'cmp' ? flags : { ...flags, lock };
  return [
    row(`${hex(0)} /r`, op, 'Eb Gb', { ...destination, hot }),
    row(`${hex(1)} /r`, op, 'Ev Gv', { ...destination, hot }),
    row(`${hex(2)} /r`, op, 'Gb Eb', { ...flags, hot }),
    row(`${hex(3)} /r`, op, 'Gv Ev', { ...flags, hot }),
    row(hex(4), op, 'AL Ibs', { ...flags, hot }),
    row(hex(5), op, 'rAX Iz', { ...flags, hot }),
    row(`80 /${index}`, op, 'Eb Ibs', { ...destination, hot }),
    row(`81 /${index}`, op, 'Ev Iz', { ...destination, hot }),
    row(`82 /${index}`, op, 'Eb Ibs', { ...destination, invalid64: true }),
    row(`83 /${index}`, op, 'Ev Ibs', { ...destination, hot }),
  ];
}

export const arithmetic: readonly OpcodeRow[] = [
  ...binary('add', 0, { writes: ALL }),
  ...binary('or', 1, { writes: ALL }),
  ...binary('adc', 2, { reads: 'c', writes: ALL }),
  ...binary('sbb', 3, { reads: 'c', writes: ALL }),
  ...binary('and', 4, { writes: ALL }),
  ...binary('sub', 5, { writes: ALL }),
  ...binary('xor', 6, { writes: ALL }),
  ...binary('cmp', 7, { writes: ALL }),

  row('84 /r', 'test', 'Eb Gb', { writes: ALL, hot }),
  row('85 /r', 'test', 'Ev Gv', { writes: ALL, hot }),
  row('A8', 'test', 'AL Ibs', { writes: ALL, hot }),
  row('A9', 'test', 'rAX Iz', { writes: ALL, hot }),
  row('F6 /0', 'test', 'Eb Ibs', { writes: ALL, hot }),
  row('F6 /1', 'test', 'Eb Ibs', { writes: ALL }),
  row('F7 /0', 'test', 'Ev Iz', { writes: ALL, hot }),
  row('F7 /1', 'test', 'Ev Iz', { writes: ALL }),

  // INC and DEC keep CF: their lazy flags hold it, so they read it.
  row('40+r', 'inc', 'Zv', { reads: 'c', writes: 'oszap', invalid64: true, sizes: [2, 4] }),
  row('48+r', 'dec', 'Zv', { reads: 'c', writes: 'oszap', invalid64: true, sizes: [2, 4] }),
  row('FE /0', 'inc', 'Eb', { reads: 'c', writes: 'oszap', lock }),
  row('FE /1', 'dec', 'Eb', { reads: 'c', writes: 'oszap', lock }),
  row('FF /0', 'inc', 'Ev', { reads: 'c', writes: 'oszap', lock, hot }),
  row('FF /1', 'dec', 'Ev', { reads: 'c', writes: 'oszap', lock, hot }),

  row('F6 /2', 'not', 'Eb', { lock }),
  row('F7 /2', 'not', 'Ev', { lock, hot }),
  row('F6 /3', 'neg', 'Eb', { writes: ALL, lock }),
  row('F7 /3', 'neg', 'Ev', { writes: ALL, lock, hot }),

  // One-operand forms write the accumulator pair.
  row('F6 /4', 'mul', 'Eb', { writes: ALL }),
  row('F7 /4', 'mul', 'Ev', { writes: ALL, hot }),
  row('F6 /5', 'imul1', 'Eb', { mnemonic: 'imul', writes: ALL }),
  row('F7 /5', 'imul1', 'Ev', { mnemonic: 'imul', writes: ALL, hot }),
  // Division leaves the flags (undefined by the SDM) alone.
  row('F6 /6', 'div', 'Eb'),
  row('F7 /6', 'div', 'Ev', { hot }),
  row('F6 /7', 'idiv', 'Eb'),
  row('F7 /7', 'idiv', 'Ev', { hot }),
  row('0F AF /r', 'imul2', 'Gv Ev', { mnemonic: 'imul', writes: ALL, hot }),
  row('69 /r', 'imul3', 'Gv Ev Iz', { mnemonic: 'imul', writes: ALL, hot }),
  row('6B /r', 'imul3', 'Gv Ev Ibs', { mnemonic: 'imul', writes: ALL, hot }),

  row('98', 'cbw', '', { sizes: V, hot }),
  row('99', 'cwd', '', { sizes: V, hot }),

  row('0F C0 /r', 'xadd', 'Eb Gb', { writes: ALL, lock }),
  row('0F C1 /r', 'xadd', 'Ev Gv', { writes: ALL, lock }),
  row('0F B0 /r', 'cmpxchg', 'Eb Gb', { writes: ALL, lock }),
  row('0F B1 /r', 'cmpxchg', 'Ev Gv', { writes: ALL, lock, hot }),
  row('0F C7 /1', 'cmpxchg8b', 'My', { reads: 'oszap', writes: 'z', lock, sizes: [4, 8], mnemonic: 'cmpxchg8b' }),

  row('27', 'daa', '', { reads: 'ac', writes: ALL, invalid64: true }),
  row('2F', 'das', '', { reads: 'ac', writes: ALL, invalid64: true }),
  row('37', 'aaa', '', { reads: 'a', writes: ALL, invalid64: true }),
  row('3F', 'aas', '', { reads: 'a', writes: ALL, invalid64: true }),
  row('D4', 'aam', 'Ib', { writes: ALL, invalid64: true }),
  row('D5', 'aad', 'Ib', { writes: ALL, invalid64: true }),
];
