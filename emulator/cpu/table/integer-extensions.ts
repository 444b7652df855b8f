/** MOVBE, ADX, RDPID, and hints on cache lines (SDM 1 5.1). */
import { ALL, row, system } from './build.ts';
import type { OpcodeRow } from './row.ts';

/** 66 gives the operand size, as ever; F2 makes it CRC32, F3 is refused. */
const MOVBE = [
  { prefix: 'NP', sizes: [4, 8], feature: 'movbe' },
  { prefix: '66', sizes: [2, 8], feature: 'movbe' },
] as const;

export const integerExtensions: readonly OpcodeRow[] = [
  ...MOVBE.flatMap((rest) => [row('0F 38 F0 /r', 'movbe', 'Gv Mv', rest), row('0F 38 F1 /r', 'movbe', 'Mv Gv', rest)]),
  row('0F 38 F6 /r', 'adcx', 'Gy Ey', { prefix: '66', feature: 'adx', reads: ALL, writes: 'c' }),
  row('0F 38 F6 /r', 'adox', 'Gy Ey', { prefix: 'F3', feature: 'adx', reads: ALL, writes: 'o' }),
  row('0F AE /7', 'clflushopt', 'Mb', { prefix: '66', feature: 'clflushopt' }),
  row('0F AE /6', 'clwb', 'Mb', { prefix: '66', feature: 'clwb' }),
  system('0F C7 /7', 'rdpid', 'Ry', { prefix: 'F3', sizes: [8], only64: true, feature: 'rdpid' }),
  system('0F C7 /7', 'rdpid', 'Ry', { prefix: 'F3', sizes: [4], invalid64: true, feature: 'rdpid' }),
];
