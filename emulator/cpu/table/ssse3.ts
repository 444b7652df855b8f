/** SSSE3 (SDM 1 5.8), on XMM and on MMX registers; the latter are called `<name>_mmx`. */
import { row } from './build.ts';
import type { OpcodeRow } from './row.ts';

const XMM = { prefix: '66', sizes: [16], feature: 'ssse3' } as const;
const MMX = { prefix: 'NP', sizes: [8], feature: 'ssse3' } as const;

const operations: readonly (readonly [opcode: string, op: string])[] = [
  ['00', 'pshufb'],
  ['01', 'phaddw'],
  ['02', 'phaddd'],
  ['03', 'phaddsw'],
  ['04', 'pmaddubsw'],
  ['05', 'phsubw'],
  ['06', 'phsubd'],
  ['07', 'phsubsw'],
  ['08', 'psignb'],
  ['09', 'psignw'],
  ['0A', 'psignd'],
  ['0B', 'pmulhrsw'],
  ['1C', 'pabsb'],
  ['1D', 'pabsw'],
  ['1E', 'pabsd'],
];

export const ssse3: readonly OpcodeRow[] = [
  ...operations.map(([opcode, op]) => row(`0F 38 ${opcode} /r`, op, 'Vx Wx', XMM)),
  ...operations.map(([opcode, op]) => row(`0F 38 ${opcode} /r`, `${op}_mmx`, 'Pq Qq', { ...MMX, mnemonic: op })),
  row('0F 3A 0F /r', 'palignr', 'Vx Wx Ib', XMM),
  row('0F 3A 0F /r', 'palignr_mmx', 'Pq Qq Ib', { ...MMX, mnemonic: 'palignr' }),
];
