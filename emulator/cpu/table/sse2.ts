/** SSE2: double precision, conversions, 128-bit integers (SDM 1 5.6). */
import { row } from './build.ts';
import type { OpcodeRow } from './row.ts';

const PD = { prefix: '66', sizes: [16], feature: 'sse2' } as const;
const SD = { prefix: 'F2', sizes: [8], feature: 'sse2' } as const;
const F3 = { prefix: 'F3', sizes: [16], feature: 'sse2' } as const;
const NP = { prefix: 'NP', sizes: [16], feature: 'sse2' } as const;
const COMPARE = { prefix: '66', sizes: [8], feature: 'sse2', writes: 'oszapc' } as const;
const hot = true;

function arithmetic(opcode: string, name: string, rest: Partial<OpcodeRow> = {}): OpcodeRow[] {
  return [
    row(`0F ${opcode} /r`, `${name}pd`, 'Vx Wx', { ...PD, ...rest }),
    row(`0F ${opcode} /r`, `${name}sd`, 'Vx Wsd', { ...SD, ...rest }),
  ];
}

/** Packed integer operations that exist for MMX registers under the same opcode (there: mmx.ts). */
export const packedInteger: readonly (readonly [opcode: string, op: string])[] = [
  ['60', 'punpcklbw'], ['61', 'punpcklwd'], ['62', 'punpckldq'], ['63', 'packsswb'],
  ['64', 'pcmpgtb'], ['65', 'pcmpgtw'], ['66', 'pcmpgtd'], ['67', 'packuswb'],
  ['68', 'punpckhbw'], ['69', 'punpckhwd'], ['6A', 'punpckhdq'], ['6B', 'packssdw'],
  ['74', 'pcmpeqb'], ['75', 'pcmpeqw'], ['76', 'pcmpeqd'],
  ['D1', 'psrlw'], ['D2', 'psrld'], ['D3', 'psrlq'], ['D4', 'paddq'], ['D5', 'pmullw'],
  ['D8', 'psubusb'], ['D9', 'psubusw'], ['DA', 'pminub'], ['DB', 'pand'],
  ['DC', 'paddusb'], ['DD', 'paddusw'], ['DE', 'pmaxub'], ['DF', 'pandn'],
  ['E0', 'pavgb'], ['E1', 'psraw'], ['E2', 'psrad'], ['E3', 'pavgw'], ['E4', 'pmulhuw'], ['E5', 'pmulhw'],
  ['E8', 'psubsb'], ['E9', 'psubsw'], ['EA', 'pminsw'], ['EB', 'por'],
  ['EC', 'paddsb'], ['ED', 'paddsw'], ['EE', 'pmaxsw'], ['EF', 'pxor'],
  ['F1', 'psllw'], ['F2', 'pslld'], ['F3', 'psllq'], ['F4', 'pmuludq'], ['F5', 'pmaddwd'], ['F6', 'psadbw'],
  ['F8', 'psubb'], ['F9', 'psubw'], ['FA', 'psubd'], ['FB', 'psubq'],
  ['FC', 'paddb'], ['FD', 'paddw'], ['FE', 'paddd'],
]; // prettier-ignore

/** Shifts by an immediate: opcode, ModRM.reg, name. */
export const shiftImmediate: readonly (readonly [encoding: string, op: string])[] = [
  ['71 /2', 'psrlw'], ['71 /4', 'psraw'], ['71 /6', 'psllw'],
  ['72 /2', 'psrld'], ['72 /4', 'psrad'], ['72 /6', 'pslld'],
  ['73 /2', 'psrlq'], ['73 /6', 'psllq'],
]; // prettier-ignore

const HOT_INTEGER = new Set([
  'pxor',
  'por',
  'pand',
  'pandn',
  'pcmpeqb',
  'pcmpeqd',
  'pminub',
  'paddd',
  'paddq',
  'punpcklbw',
  'punpcklwd',
  'punpckldq',
]);

export const sse2: readonly OpcodeRow[] = [
  row('0F 10 /r', 'movupd', 'Vx Wx', PD),
  row('0F 11 /r', 'movupd', 'Wx Vx', PD),
  row('0F 10 /r', 'movsd', 'Vx Wsd', { ...SD, hot }),
  row('0F 11 /r', 'movsd', 'Wsd Vx', { ...SD, hot }),
  row('0F 12 /r', 'movlpd', 'Vx Mq', { ...PD, sizes: [8] }),
  row('0F 13 /r', 'movlpd', 'Mq Vx', { ...PD, sizes: [8] }),
  row('0F 14 /r', 'unpcklpd', 'Vx Wx', { ...PD, hot }),
  row('0F 15 /r', 'unpckhpd', 'Vx Wx', PD),
  row('0F 16 /r', 'movhpd', 'Vx Mq', { ...PD, sizes: [8] }),
  row('0F 17 /r', 'movhpd', 'Mq Vx', { ...PD, sizes: [8] }),
  row('0F 28 /r', 'movapd', 'Vx Wx', { ...PD, hot }),
  row('0F 29 /r', 'movapd', 'Wx Vx', PD),
  row('0F 2B /r', 'movntpd', 'Mdq Vx', PD),
  row('0F 50 /r', 'movmskpd', 'Gd Ux', { ...PD, sizes: [4] }),

  row('0F 2A /r', 'cvtsi2sd', 'Vx Ey', { ...SD, sizes: [4, 8], hot }),
  row('0F 2C /r', 'cvttsd2si', 'Gy Wsd', { ...SD, sizes: [4, 8], hot }),
  row('0F 2D /r', 'cvtsd2si', 'Gy Wsd', { ...SD, sizes: [4, 8] }),
  row('0F 2A /r', 'cvtpi2pd', 'Vx Qq', { ...PD, sizes: [8] }),
  row('0F 2C /r', 'cvttpd2pi', 'Pq Wx', PD),
  row('0F 2D /r', 'cvtpd2pi', 'Pq Wx', PD),
  row('0F 5A /r', 'cvtps2pd', 'Vx Wsd', { ...NP, sizes: [8] }),
  row('0F 5A /r', 'cvtpd2ps', 'Vx Wx', PD),
  row('0F 5A /r', 'cvtss2sd', 'Vx Wss', { prefix: 'F3', sizes: [4], feature: 'sse2', hot }),
  row('0F 5A /r', 'cvtsd2ss', 'Vx Wsd', { ...SD, hot }),
  row('0F 5B /r', 'cvtdq2ps', 'Vx Wx', NP),
  row('0F 5B /r', 'cvtps2dq', 'Vx Wx', PD),
  row('0F 5B /r', 'cvttps2dq', 'Vx Wx', F3),
  row('0F E6 /r', 'cvttpd2dq', 'Vx Wx', PD),
  row('0F E6 /r', 'cvtdq2pd', 'Vx Wsd', { ...F3, sizes: [8] }),
  row('0F E6 /r', 'cvtpd2dq', 'Vx Wx', { prefix: 'F2', sizes: [16], feature: 'sse2' }),
  row('0F 2E /r', 'ucomisd', 'Vx Wsd', { ...COMPARE, hot }),
  row('0F 2F /r', 'comisd', 'Vx Wsd', { ...COMPARE, hot }),

  ...arithmetic('51', 'sqrt', { hot }),
  row('0F 54 /r', 'andpd', 'Vx Wx', { ...PD, hot }),
  row('0F 55 /r', 'andnpd', 'Vx Wx', PD),
  row('0F 56 /r', 'orpd', 'Vx Wx', PD),
  row('0F 57 /r', 'xorpd', 'Vx Wx', { ...PD, hot }),
  ...arithmetic('58', 'add', { hot }),
  ...arithmetic('59', 'mul', { hot }),
  ...arithmetic('5C', 'sub', { hot }),
  ...arithmetic('5D', 'min'),
  ...arithmetic('5E', 'div', { hot }),
  ...arithmetic('5F', 'max'),
  row('0F C2 /r', 'cmppd', 'Vx Wx Ib', PD),
  row('0F C2 /r', 'cmpsd', 'Vx Wsd Ib', SD),
  row('0F C6 /r', 'shufpd', 'Vx Wx Ib', PD),

  row('0F 6E /r', 'movd_to_xmm', 'Vx Ey', { ...PD, mnemonic: 'movd', sizes: [4, 8], hot }),
  row('0F 7E /r', 'movd_from_xmm', 'Ey Vx', { ...PD, mnemonic: 'movd', sizes: [4, 8], hot }),
  row('0F 7E /r', 'movq', 'Vx Wsd', { ...F3, sizes: [8], hot }),
  row('0F D6 /r', 'movq', 'Wsd Vx', { ...PD, sizes: [8], hot }),
  row('0F D6 /r', 'movq2dq', 'Vx Nq', { ...F3, sizes: [8] }),
  row('0F D6 /r', 'movdq2q', 'Pq Ux', { ...SD, sizes: [8] }),
  row('0F 6F /r', 'movdqa', 'Vx Wx', { ...PD, hot }),
  row('0F 7F /r', 'movdqa', 'Wx Vx', { ...PD, hot }),
  row('0F 6F /r', 'movdqu', 'Vx Wx', { ...F3, hot }),
  row('0F 7F /r', 'movdqu', 'Wx Vx', { ...F3, hot }),
  row('0F E7 /r', 'movntdq', 'Mdq Vx', PD),
  row('0F F7 /r', 'maskmovdqu', 'Vx Ux Xdi', PD),
  row('0F D7 /r', 'pmovmskb', 'Gd Ux', { ...PD, sizes: [4], hot }),
  row('0F 70 /r', 'pshufd', 'Vx Wx Ib', { ...PD, hot }),
  row('0F 70 /r', 'pshufhw', 'Vx Wx Ib', F3),
  row('0F 70 /r', 'pshuflw', 'Vx Wx Ib', { prefix: 'F2', sizes: [16], feature: 'sse2' }),
  row('0F C4 /r', 'pinsrw', 'Vx Ew Ib', PD),
  row('0F C5 /r', 'pextrw', 'Gd Ux Ib', { ...PD, sizes: [4] }),
  row('0F 6C /r', 'punpcklqdq', 'Vx Wx', { ...PD, hot }),
  row('0F 6D /r', 'punpckhqdq', 'Vx Wx', PD),
  row('0F 73 /3', 'psrldq', 'Ux Ib', PD),
  row('0F 73 /7', 'pslldq', 'Ux Ib', PD),
  ...packedInteger.map(([opcode, op]) => row(`0F ${opcode} /r`, op, 'Vx Wx', { ...PD, hot: HOT_INTEGER.has(op) })),
  ...shiftImmediate.map(([encoding, op]) => row(`0F ${encoding}`, op, 'Ux Ib', PD)),
];
