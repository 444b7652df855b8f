/** Branches, calls, no-operations, flag instructions (SDM 1 5.1.7, 5.1.10, 5.1.13). */
import { ALL, row, system } from './build.ts';
import type { OpcodeRow } from './row.ts';

const hot = true;
/** Near branches are 64 bits wide in 64-bit mode whatever the prefixes (Intel ignores 66). */
const NEAR = { sizes: [8], only64: true, hot } as const;
const NEAR_LEGACY = { sizes: [2, 4], invalid64: true } as const;

function near(
  encoding: string,
  op: string,
  operands: string,
  branch: OpcodeRow['branch'],
  rest: Partial<OpcodeRow> = {},
): OpcodeRow[] {
  return [
    row(encoding, op, operands, { ...NEAR, branch, ...rest }),
    row(encoding, op, operands, { ...NEAR_LEGACY, branch, ...rest, hot: false }),
  ];
}

/** LOOP and JCXZ use the count register of the address size, which is their `size`. */
const COUNTED = { sizes: [2, 4, 8], branch: 'conditional' } as const;

export const control: readonly OpcodeRow[] = [
  ...near('70+cc', 'jcc', 'Jb', 'conditional', { reads: ALL }),
  ...near('0F 80+cc', 'jcc', 'Jz', 'conditional', { reads: ALL }),
  ...near('EB', 'jmp', 'Jb', 'jump'),
  ...near('E9', 'jmp', 'Jz', 'jump'),
  ...near('E8', 'call', 'Jz', 'call'),
  ...near('FF /2', 'call_indirect', 'Ev', 'indirect', { mnemonic: 'call' }),
  ...near('FF /4', 'jmp_indirect', 'Ev', 'indirect', { mnemonic: 'jmp' }),
  ...near('C3', 'ret', '', 'return'),
  ...near('C2', 'ret', 'Iw', 'return', { hot: false }),
  row('E0', 'loopne', 'Jb', { ...COUNTED, reads: 'z' }),
  row('E1', 'loope', 'Jb', { ...COUNTED, reads: 'z' }),
  row('E2', 'loop', 'Jb', COUNTED),
  row('E3', 'jrcxz', 'Jb', COUNTED),

  row('90', 'nop', '', { hot }),
  row('90', 'pause', '', { prefix: 'F3' }),
  ...['18', '19', '1A', '1B', '1C', '1D', '1E', '1F'].map((low) =>
    row(`0F ${low} /r`, 'nop', '', { hot: low === '1F' }),
  ),
  row('0F 0D /r', 'nop', ''),
  row('0F AE E8+i', 'lfence', '', { prefix: 'NP' }),
  row('0F AE F0+i', 'mfence', '', { prefix: 'NP' }),
  row('0F AE F8+i', 'sfence', '', { prefix: 'NP' }),
  row('0F AE /7', 'clflush', 'Mb', { prefix: 'NP' }),

  row('F5', 'cmc', '', { reads: ALL, writes: 'c' }),
  row('F8', 'clc', '', { reads: 'oszap', writes: 'c' }),
  row('F9', 'stc', '', { reads: 'oszap', writes: 'c' }),
  row('FC', 'cld'),
  row('FD', 'std'),
  row('9E', 'sahf', '', { reads: 'o', writes: 'szapc' }),
  row('9F', 'lahf', '', { reads: 'szapc' }),
  row('D6', 'salc', '', { reads: 'c', invalid64: true }),

  row('0F 0B', 'ud2', '', { branch: 'system' }),
  row('0F B9 /r', 'ud1', '', { branch: 'system' }),
  row('0F FF /r', 'ud0', '', { branch: 'system' }),
  system('62 /r', 'bound', 'Gv M', { invalid64: true, sizes: [2, 4] }),

  system('CC', 'int3'),
  system('CD', 'int', 'Ib'),
  system('CE', 'into', '', { invalid64: true }),
  system('F1', 'int1'),
  system('CF', 'iret', '', { sizes: [2, 4, 8], writes: ALL }),
  system('CA', 'retf', 'Iw', { sizes: [2, 4, 8] }),
  system('CB', 'retf', '', { sizes: [2, 4, 8] }),
  system('FF /3', 'call_far', 'M', { mnemonic: 'call', sizes: [2, 4, 8] }),
  system('FF /5', 'jmp_far', 'M', { mnemonic: 'jmp', sizes: [2, 4, 8] }),
  system('9A', 'call_far', 'Ap', { mnemonic: 'call', sizes: [2, 4], invalid64: true }),
  system('EA', 'jmp_far', 'Ap', { mnemonic: 'jmp', sizes: [2, 4], invalid64: true }),
];
