/** SSE3 (SDM 1 5.7). FISTTP is in x87.ts, MONITOR and MWAIT in system.ts. */
import { row } from './build.ts';
import type { OpcodeRow } from './row.ts';

const feature = 'sse3';
const PD = { prefix: '66', sizes: [16], feature } as const;
const PS = { prefix: 'F2', sizes: [16], feature } as const;
const F3 = { prefix: 'F3', sizes: [16], feature } as const;

export const sse3: readonly OpcodeRow[] = [
  row('0F D0 /r', 'addsubpd', 'Vx Wx', PD),
  row('0F D0 /r', 'addsubps', 'Vx Wx', PS),
  row('0F 7C /r', 'haddpd', 'Vx Wx', PD),
  row('0F 7C /r', 'haddps', 'Vx Wx', PS),
  row('0F 7D /r', 'hsubpd', 'Vx Wx', PD),
  row('0F 7D /r', 'hsubps', 'Vx Wx', PS),
  row('0F F0 /r', 'lddqu', 'Vx Mdq', PS),
  row('0F 12 /r', 'movddup', 'Vx Wsd', { ...PS, sizes: [8] }),
  row('0F 12 /r', 'movsldup', 'Vx Wx', F3),
  row('0F 16 /r', 'movshdup', 'Vx Wx', F3),
];
