/** POPCNT, LZCNT, BMI1 and BMI2 (SDM 1 5.1.16). Without their features LZCNT and TZCNT decode as BSR and BSF (bits.ts). */
import { ALL, row } from './build.ts';
import type { OpcodeRow } from './row.ts';

const BMI1 = { feature: 'bmi1', vex: 'L0' } as const;
const BMI2 = { feature: 'bmi2', vex: 'L0' } as const;

export const bmi: readonly OpcodeRow[] = [
  row('0F B8 /r', 'popcnt', 'Gv Ev', { prefix: 'F3', feature: 'popcnt', writes: ALL }),
  row('0F BC /r', 'tzcnt', 'Gv Ev', { prefix: 'F3', feature: 'bmi1', writes: ALL }),
  row('0F BD /r', 'lzcnt', 'Gv Ev', { prefix: 'F3', feature: 'lzcnt', writes: ALL }),

  row('0F 38 F2 /r', 'andn', 'Gy By Ey', { ...BMI1, prefix: 'NP', writes: ALL }),
  row('0F 38 F3 /1', 'blsr', 'By Ey', { ...BMI1, prefix: 'NP', writes: ALL }),
  row('0F 38 F3 /2', 'blsmsk', 'By Ey', { ...BMI1, prefix: 'NP', writes: ALL }),
  row('0F 38 F3 /3', 'blsi', 'By Ey', { ...BMI1, prefix: 'NP', writes: ALL }),
  row('0F 38 F7 /r', 'bextr', 'Gy Ey By', { ...BMI1, prefix: 'NP', writes: ALL }),

  row('0F 38 F5 /r', 'bzhi', 'Gy Ey By', { ...BMI2, prefix: 'NP', writes: ALL }),
  row('0F 38 F5 /r', 'pdep', 'Gy By Ey', { ...BMI2, prefix: 'F2' }),
  row('0F 38 F5 /r', 'pext', 'Gy By Ey', { ...BMI2, prefix: 'F3' }),
  row('0F 38 F6 /r', 'mulx', 'Gy By Ey', { ...BMI2, prefix: 'F2' }),
  row('0F 38 F7 /r', 'shlx', 'Gy Ey By', { ...BMI2, prefix: '66' }),
  row('0F 38 F7 /r', 'shrx', 'Gy Ey By', { ...BMI2, prefix: 'F2' }),
  row('0F 38 F7 /r', 'sarx', 'Gy Ey By', { ...BMI2, prefix: 'F3' }),
  row('0F 3A F0 /r', 'rorx', 'Gy Ey Ib', { ...BMI2, prefix: 'F2' }),
];
