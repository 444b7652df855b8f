/** SSE: packed and scalar single precision, MXCSR, cache control (SDM 1 5.5). MMX-register additions of SSE are in mmx.ts. */
import { row } from './build.ts';
import type { OpcodeRow } from './row.ts';

const PS = { prefix: 'NP', sizes: [16], feature: 'sse' } as const;
const SS = { prefix: 'F3', sizes: [4], feature: 'sse' } as const;
const COMPARE = { prefix: 'NP', sizes: [4], feature: 'sse', writes: 'oszapc' } as const;
const hot = true;

/** Packed and scalar forms of one arithmetic operation. */
function arithmetic(opcode: string, name: string, rest: Partial<OpcodeRow> = {}): OpcodeRow[] {
  return [
    row(`0F ${opcode} /r`, `${name}ps`, 'Vx Wx', { ...PS, ...rest }),
    row(`0F ${opcode} /r`, `${name}ss`, 'Vx Wss', { ...SS, ...rest }),
  ];
}

export const sse: readonly OpcodeRow[] = [
  row('0F 10 /r', 'movups', 'Vx Wx', { ...PS, hot }),
  row('0F 11 /r', 'movups', 'Wx Vx', { ...PS, hot }),
  row('0F 10 /r', 'movss', 'Vx Wss', { ...SS, hot }),
  row('0F 11 /r', 'movss', 'Wss Vx', { ...SS, hot }),
  row('0F 12 /r', 'movlps', 'Vx Mq', { ...PS, sizes: [8] }),
  row('0F 12 /r', 'movhlps', 'Vx Ux', PS),
  row('0F 13 /r', 'movlps', 'Mq Vx', { ...PS, sizes: [8] }),
  row('0F 14 /r', 'unpcklps', 'Vx Wx', PS),
  row('0F 15 /r', 'unpckhps', 'Vx Wx', PS),
  row('0F 16 /r', 'movhps', 'Vx Mq', { ...PS, sizes: [8] }),
  row('0F 16 /r', 'movlhps', 'Vx Ux', PS),
  row('0F 17 /r', 'movhps', 'Mq Vx', { ...PS, sizes: [8] }),
  row('0F 28 /r', 'movaps', 'Vx Wx', { ...PS, hot }),
  row('0F 29 /r', 'movaps', 'Wx Vx', { ...PS, hot }),
  row('0F 2B /r', 'movntps', 'Mdq Vx', PS),
  row('0F 50 /r', 'movmskps', 'Gd Ux', { ...PS, sizes: [4] }),

  row('0F 2A /r', 'cvtsi2ss', 'Vx Ey', { ...SS, sizes: [4, 8] }),
  row('0F 2C /r', 'cvttss2si', 'Gy Wss', { ...SS, sizes: [4, 8] }),
  row('0F 2D /r', 'cvtss2si', 'Gy Wss', { ...SS, sizes: [4, 8] }),
  row('0F 2A /r', 'cvtpi2ps', 'Vx Qq', { ...PS, sizes: [8] }),
  row('0F 2C /r', 'cvttps2pi', 'Pq Wsd', { ...PS, sizes: [8] }),
  row('0F 2D /r', 'cvtps2pi', 'Pq Wsd', { ...PS, sizes: [8] }),
  row('0F 2E /r', 'ucomiss', 'Vx Wss', COMPARE),
  row('0F 2F /r', 'comiss', 'Vx Wss', COMPARE),

  ...arithmetic('51', 'sqrt'),
  ...arithmetic('52', 'rsqrt'),
  ...arithmetic('53', 'rcp'),
  row('0F 54 /r', 'andps', 'Vx Wx', { ...PS, hot }),
  row('0F 55 /r', 'andnps', 'Vx Wx', PS),
  row('0F 56 /r', 'orps', 'Vx Wx', PS),
  row('0F 57 /r', 'xorps', 'Vx Wx', { ...PS, hot }),
  ...arithmetic('58', 'add', { hot }),
  ...arithmetic('59', 'mul', { hot }),
  ...arithmetic('5C', 'sub', { hot }),
  ...arithmetic('5D', 'min'),
  ...arithmetic('5E', 'div', { hot }),
  ...arithmetic('5F', 'max'),
  row('0F C2 /r', 'cmpps', 'Vx Wx Ib', PS),
  row('0F C2 /r', 'cmpss', 'Vx Wss Ib', SS),
  row('0F C6 /r', 'shufps', 'Vx Wx Ib', PS),
];
