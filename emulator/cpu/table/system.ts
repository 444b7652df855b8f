/** System instructions (SDM 1 5.20, 5.21), executed by cpu/system/. */
import { row, system, V } from './build.ts';
import type { OpcodeRow } from './row.ts';

const NP = { prefix: 'NP' } as const;

/** With REX.W (size 8) the x87 pointers are 64 bits wide. */
const XSAVE = [
  ['0F AE /4', 'xsave', 'xsave'],
  ['0F AE /5', 'xrstor', 'xsave'],
  ['0F AE /6', 'xsaveopt', 'xsaveopt'],
  ['0F C7 /4', 'xsavec', 'xsavec'],
  ['0F C7 /3', 'xrstors', 'xsaves'],
  ['0F C7 /5', 'xsaves', 'xsaves'],
] as const;

export const systemRows: readonly OpcodeRow[] = [
  system('F4', 'hlt'),
  system('FA', 'cli'),
  system('FB', 'sti'),
  system('E4', 'in', 'AL Ib', { sizes: [1] }),
  system('E5', 'in', 'eAX Ib', { sizes: [2, 4] }),
  system('EC', 'in', 'AL DX', { sizes: [1] }),
  system('ED', 'in', 'eAX DX', { sizes: [2, 4] }),
  system('E6', 'out', 'Ib AL', { sizes: [1] }),
  system('E7', 'out', 'Ib eAX', { sizes: [2, 4] }),
  system('EE', 'out', 'DX AL', { sizes: [1] }),
  system('EF', 'out', 'DX eAX', { sizes: [2, 4] }),

  system('0F 05', 'syscall', '', { only64: true }),
  system('0F 07', 'sysret', '', { sizes: [4, 8], only64: true }),
  system('0F 34', 'sysenter'),
  system('0F 35', 'sysexit', '', { sizes: [4, 8] }),
  system('0F A2', 'cpuid'),
  system('0F 31', 'rdtsc'),
  system('0F 33', 'rdpmc'),
  system('0F 01 F9', 'rdtscp'),
  system('0F 30', 'wrmsr'),
  system('0F 32', 'rdmsr'),
  system('0F 08', 'invd'),
  system('0F 09', 'wbinvd'),
  system('0F 06', 'clts'),
  system('0F AA', 'rsm', '', { writes: 'oszapc' }),

  system('0F 20 /r', 'mov_from_control', 'Ry Cy', { mnemonic: 'mov', sizes: [8], only64: true }),
  system('0F 20 /r', 'mov_from_control', 'Ry Cy', { mnemonic: 'mov', sizes: [4], invalid64: true }),
  system('0F 22 /r', 'mov_to_control', 'Cy Ry', { mnemonic: 'mov', sizes: [8], only64: true }),
  system('0F 22 /r', 'mov_to_control', 'Cy Ry', { mnemonic: 'mov', sizes: [4], invalid64: true }),
  system('0F 21 /r', 'mov_from_debug', 'Ry Dy', { mnemonic: 'mov', sizes: [8], only64: true }),
  system('0F 21 /r', 'mov_from_debug', 'Ry Dy', { mnemonic: 'mov', sizes: [4], invalid64: true }),
  system('0F 23 /r', 'mov_to_debug', 'Dy Ry', { mnemonic: 'mov', sizes: [8], only64: true }),
  system('0F 23 /r', 'mov_to_debug', 'Dy Ry', { mnemonic: 'mov', sizes: [4], invalid64: true }),

  system('0F 00 /0', 'sldt', 'Ev'),
  system('0F 00 /1', 'str', 'Ev'),
  system('0F 00 /2', 'lldt', 'Ew', { sizes: [2] }),
  system('0F 00 /3', 'ltr', 'Ew', { sizes: [2] }),
  system('0F 00 /4', 'verr', 'Ew', { sizes: [2], reads: 'osapc', writes: 'z' }),
  system('0F 00 /5', 'verw', 'Ew', { sizes: [2], reads: 'osapc', writes: 'z' }),
  system('0F 02 /r', 'lar', 'Gv Ew', { reads: 'osapc', writes: 'z' }),
  system('0F 03 /r', 'lsl', 'Gv Ew', { reads: 'osapc', writes: 'z' }),
  system('63 /r', 'arpl', 'Ew Gw', { sizes: [2], invalid64: true, reads: 'osapc', writes: 'z' }),
  system('0F 01 /0', 'sgdt', 'M'),
  system('0F 01 /1', 'sidt', 'M'),
  system('0F 01 /2', 'lgdt', 'M', { sizes: V }),
  system('0F 01 /3', 'lidt', 'M', { sizes: V }),
  system('0F 01 /4', 'smsw', 'Ev'),
  system('0F 01 /6', 'lmsw', 'Ew', { sizes: [2] }),
  system('0F 01 /7', 'invlpg', 'Mb', { sizes: [1] }),
  system('0F 01 F8', 'swapgs', '', { only64: true }),
  system('0F 01 C8', 'monitor', '', NP),
  system('0F 01 C9', 'mwait', '', NP),
  system('0F 01 CA', 'clac', '', { ...NP, feature: 'smap' }),
  system('0F 01 CB', 'stac', '', { ...NP, feature: 'smap' }),
  system('0F 01 EE', 'rdpkru', '', { ...NP, feature: 'pku' }),
  system('0F 01 EF', 'wrpkru', '', { ...NP, feature: 'pku' }),
  system('0F 01 D0', 'xgetbv', '', { ...NP, feature: 'xsave' }),
  system('0F 01 D1', 'xsetbv', '', { ...NP, feature: 'xsave' }),
  system('0F 38 82 /r', 'invpcid', 'Gy M', { prefix: '66', sizes: [8], only64: true, feature: 'invpcid' }),
  system('0F 38 82 /r', 'invpcid', 'Gy M', { prefix: '66', sizes: [4], invalid64: true, feature: 'invpcid' }),

  system('0F AE /0', 'rdfsbase', 'Ry', { prefix: 'F3', only64: true, feature: 'fsgsbase' }),
  system('0F AE /1', 'rdgsbase', 'Ry', { prefix: 'F3', only64: true, feature: 'fsgsbase' }),
  system('0F AE /2', 'wrfsbase', 'Ry', { prefix: 'F3', only64: true, feature: 'fsgsbase' }),
  system('0F AE /3', 'wrgsbase', 'Ry', { prefix: 'F3', only64: true, feature: 'fsgsbase' }),

  row('0F AE /0', 'fxsave', 'M', { prefix: 'NP', sizes: [4, 8] }),
  row('0F AE /1', 'fxrstor', 'M', { prefix: 'NP', sizes: [4, 8] }),
  row('0F AE /2', 'ldmxcsr', 'Md', { prefix: 'NP', sizes: [4] }),
  row('0F AE /3', 'stmxcsr', 'Md', { prefix: 'NP', sizes: [4] }),

  ...XSAVE.map(([encoding, op, feature]) => system(encoding, op, 'M', { ...NP, sizes: [4, 8], feature })),

  ...(['rdrand', 'rdseed'] as const).flatMap((op, index) => [
    system(`0F C7 /${6 + index}`, op, 'Rv', { prefix: 'NP', sizes: [4, 8], writes: 'oszapc', feature: op }),
    system(`0F C7 /${6 + index}`, op, 'Rv', { prefix: '66', sizes: [2, 8], writes: 'oszapc', feature: op }),
  ]),
];
