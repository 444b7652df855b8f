/** MMX, and the SSE and SSE2 instructions on MMX registers (SDM 1 5.4, 5.5.5, 5.6.3). */
import { row } from './build.ts';
import { packedInteger, shiftImmediate } from './sse2.ts';
import type { OpcodeRow } from './row.ts';

const MMX = { prefix: 'NP', sizes: [8], feature: 'mmx' } as const;
/** Of the shared opcodes, those that read 4 bytes of a memory source. */
const LOW_HALF = new Set(['punpcklbw', 'punpcklwd', 'punpckldq']);

/** Where SSE2 has an operation of the same name, the MMX one is called `<name>_mmx`. */
export const mmx: readonly OpcodeRow[] = [
  row('0F 77', 'emms', '', MMX),
  row('0F 6E /r', 'movd_to_mmx', 'Pq Ey', { ...MMX, mnemonic: 'movd', sizes: [4, 8] }),
  row('0F 7E /r', 'movd_from_mmx', 'Ey Pq', { ...MMX, mnemonic: 'movd', sizes: [4, 8] }),
  row('0F 6F /r', 'movq_mmx', 'Pq Qq', { ...MMX, mnemonic: 'movq' }),
  row('0F 7F /r', 'movq_mmx', 'Qq Pq', { ...MMX, mnemonic: 'movq' }),
  row('0F E7 /r', 'movntq', 'Mq Pq', MMX),
  row('0F F7 /r', 'maskmovq', 'Pq Nq Xdi', MMX),
  row('0F D7 /r', 'pmovmskb_mmx', 'Gd Nq', { ...MMX, mnemonic: 'pmovmskb', sizes: [4] }),
  row('0F 70 /r', 'pshufw', 'Pq Qq Ib', MMX),
  row('0F C4 /r', 'pinsrw_mmx', 'Pq Ew Ib', { ...MMX, mnemonic: 'pinsrw' }),
  row('0F C5 /r', 'pextrw_mmx', 'Gd Nq Ib', { ...MMX, mnemonic: 'pextrw', sizes: [4] }),
  ...packedInteger.map(([opcode, op]) =>
    row(`0F ${opcode} /r`, `${op}_mmx`, LOW_HALF.has(op) ? 'Pq Qd' : 'Pq Qq', { ...MMX, mnemonic: op }),
  ),
  ...shiftImmediate.map(([encoding, op]) => row(`0F ${encoding}`, `${op}_mmx`, 'Nq Ib', { ...MMX, mnemonic: op })),
];
