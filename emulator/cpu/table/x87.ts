/** x87 (SDM 1 5.2). `size` is that of a memory operand, 0 for stack operands. */
import { ALL, row } from './build.ts';
import type { OpcodeRow } from './row.ts';

/** D8, DA, DC, DE share these, by ModRM.reg. */
const ARITHMETIC = ['add', 'mul', 'com', 'comp', 'sub', 'subr', 'div', 'divr'] as const;

function arithmetic(name: string, index: number): OpcodeRow[] {
  const modrm = (base: number) => (0xc0 + base * 8).toString(16).toUpperCase();
  const rows = [
    row(`D8 /${index}`, `f${name}`, 'Md', { sizes: [4] }),
    row(`DC /${index}`, `f${name}`, 'Mq', { sizes: [8] }),
    row(`DA /${index}`, `fi${name}`, 'Md', { sizes: [4] }),
    row(`DE /${index}`, `fi${name}`, 'Mw', { sizes: [2] }),
    row(`D8 ${modrm(index)}+i`, `f${name}`, 'st0 sti'),
  ];
  if (name === 'com' || name === 'comp') return rows;
  // With ST(i) as destination, SUB and SUBR (and DIV and DIVR) change places (SDM 2A FSUB, table of opcodes).
  const swapped = index >= 4 ? index ^ 1 : index;
  return [
    ...rows,
    row(`DC ${modrm(swapped)}+i`, `f${name}`, 'sti st0'),
    row(`DE ${modrm(swapped)}+i`, `f${name}p`, 'sti st0'),
  ];
}

const CMOV = ['b', 'e', 'be', 'u', 'nb', 'ne', 'nbe', 'nu'];

export const x87: readonly OpcodeRow[] = [
  ...ARITHMETIC.flatMap((name, index) => arithmetic(name, index)),
  row('DC D0+i', 'fcom', 'st0 sti'),
  row('DC D8+i', 'fcomp', 'st0 sti'),
  row('DE D0+i', 'fcomp', 'st0 sti'),
  row('DE D9', 'fcompp'),

  row('D9 /0', 'fld', 'Md', { sizes: [4] }),
  row('DD /0', 'fld', 'Mq', { sizes: [8] }),
  row('DB /5', 'fld', 'Mt', { sizes: [10] }),
  row('D9 C0+i', 'fld', 'sti'),
  row('D9 /2', 'fst', 'Md', { sizes: [4] }),
  row('DD /2', 'fst', 'Mq', { sizes: [8] }),
  row('DD D0+i', 'fst', 'sti'),
  row('D9 /3', 'fstp', 'Md', { sizes: [4] }),
  row('DD /3', 'fstp', 'Mq', { sizes: [8] }),
  row('DB /7', 'fstp', 'Mt', { sizes: [10] }),
  row('DD D8+i', 'fstp', 'sti'),
  row('D9 D8+i', 'fstpnce', 'sti'),
  row('DF D0+i', 'fstp', 'sti'),
  row('DF D8+i', 'fstp', 'sti'),
  row('D9 C8+i', 'fxch', 'sti'),
  row('DD C8+i', 'fxch', 'sti'),
  row('DF C8+i', 'fxch', 'sti'),

  row('DF /0', 'fild', 'Mw', { sizes: [2] }),
  row('DB /0', 'fild', 'Md', { sizes: [4] }),
  row('DF /5', 'fild', 'Mq', { sizes: [8] }),
  row('DF /2', 'fist', 'Mw', { sizes: [2] }),
  row('DB /2', 'fist', 'Md', { sizes: [4] }),
  row('DF /3', 'fistp', 'Mw', { sizes: [2] }),
  row('DB /3', 'fistp', 'Md', { sizes: [4] }),
  row('DF /7', 'fistp', 'Mq', { sizes: [8] }),
  row('DF /1', 'fisttp', 'Mw', { sizes: [2], feature: 'sse3' }),
  row('DB /1', 'fisttp', 'Md', { sizes: [4], feature: 'sse3' }),
  row('DD /1', 'fisttp', 'Mq', { sizes: [8], feature: 'sse3' }),
  row('DF /4', 'fbld', 'Mt', { sizes: [10] }),
  row('DF /6', 'fbstp', 'Mt', { sizes: [10] }),

  ...CMOV.map((condition, index) =>
    row(
      `${index < 4 ? 'DA' : 'DB'} ${(0xc0 + (index & 3) * 8).toString(16).toUpperCase()}+i`,
      `fcmov${condition}`,
      'st0 sti',
      { reads: ALL },
    ),
  ),
  row('DB E8+i', 'fucomi', 'st0 sti', { writes: ALL }),
  row('DB F0+i', 'fcomi', 'st0 sti', { writes: ALL }),
  row('DF E8+i', 'fucomip', 'st0 sti', { writes: ALL }),
  row('DF F0+i', 'fcomip', 'st0 sti', { writes: ALL }),
  row('DD E0+i', 'fucom', 'st0 sti'),
  row('DD E8+i', 'fucomp', 'st0 sti'),
  row('DA E9', 'fucompp'),

  ...(
    [
      ['D0', 'fnop'], ['E0', 'fchs'], ['E1', 'fabs'], ['E4', 'ftst'], ['E5', 'fxam'],
      ['E8', 'fld1'], ['E9', 'fldl2t'], ['EA', 'fldl2e'], ['EB', 'fldpi'], ['EC', 'fldlg2'], ['ED', 'fldln2'], ['EE', 'fldz'],
      ['F0', 'f2xm1'], ['F1', 'fyl2x'], ['F2', 'fptan'], ['F3', 'fpatan'], ['F4', 'fxtract'], ['F5', 'fprem1'],
      ['F6', 'fdecstp'], ['F7', 'fincstp'], ['F8', 'fprem'], ['F9', 'fyl2xp1'], ['FA', 'fsqrt'], ['FB', 'fsincos'],
      ['FC', 'frndint'], ['FD', 'fscale'], ['FE', 'fsin'], ['FF', 'fcos'],
    ] as const
  ).map(([modrm, op]) => row(`D9 ${modrm}`, op)), // prettier-ignore

  row('D9 /4', 'fldenv', 'M', { sizes: [2, 4] }),
  row('D9 /5', 'fldcw', 'Mw', { sizes: [2] }),
  row('D9 /6', 'fnstenv', 'M', { sizes: [2, 4] }),
  row('D9 /7', 'fnstcw', 'Mw', { sizes: [2] }),
  row('DD /4', 'frstor', 'M', { sizes: [2, 4] }),
  row('DD /6', 'fnsave', 'M', { sizes: [2, 4] }),
  row('DD /7', 'fnstsw', 'Mw', { sizes: [2] }),
  row('DF E0', 'fnstsw', 'AX', { sizes: [2] }),
  row('DD C0+i', 'ffree', 'sti'),
  row('DF C0+i', 'ffreep', 'sti'),
  row('DB E0', 'fneni'),
  row('DB E1', 'fndisi'),
  row('DB E2', 'fnclex'),
  row('DB E3', 'fninit'),
  row('DB E4', 'fnsetpm'),
  row('9B', 'fwait', '', { mnemonic: 'wait' }),
];
