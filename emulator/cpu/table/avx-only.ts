/** What AVX, AVX2 and F16C have that SSE does not: broadcasts, permutations, masks, gathers, half precision (SDM 1 5.13, 5.14). */
import { ALL, row } from './build.ts';
import type { OpcodeRow } from './row.ts';
import { vex } from './vex-rows.ts';

const BOTH = { narrow: 'avx', wide: 'avx' } as const;
const BOTH2 = { narrow: 'avx2', wide: 'avx2' } as const;
const W0 = { w: 0 } as const;
const W1 = { w: 1 } as const;
/** VEX.256 alone. */
const WIDE = { prefix: '66', sizes: [32], feature: 'avx', vex: 'L1', w: 0 } as const;
const WIDE2 = { ...WIDE, feature: 'avx2' } as const;
const F16C = { prefix: '66', feature: 'f16c', w: 0 } as const;

const broadcasts: readonly OpcodeRow[] = [
  ...vex('0F 38 18 /r', 'vbroadcastss', 'Vx Md', { ...BOTH, ...W0 }),
  ...vex('0F 38 18 /r', 'vbroadcastss', 'Vx Uss', { ...BOTH2, ...W0 }),
  row('0F 38 19 /r', 'vbroadcastsd', 'Vqq Mq', WIDE),
  row('0F 38 19 /r', 'vbroadcastsd', 'Vqq Usd', WIDE2),
  row('0F 38 1A /r', 'vbroadcastf128', 'Vqq Mdq', WIDE),
  row('0F 38 5A /r', 'vbroadcasti128', 'Vqq Mdq', WIDE2),
  ...vex('0F 38 58 /r', 'vpbroadcastd', 'Vx Wss', { ...BOTH2, ...W0 }),
  ...vex('0F 38 59 /r', 'vpbroadcastq', 'Vx Wsd', { ...BOTH2, ...W0 }),
  ...vex('0F 38 78 /r', 'vpbroadcastb', 'Vx Wss', { ...BOTH2, ...W0 }),
  ...vex('0F 38 79 /r', 'vpbroadcastw', 'Vx Wss', { ...BOTH2, ...W0 }),
];

const permutations: readonly OpcodeRow[] = [
  ...vex('0F 38 0C /r', 'vpermilps', 'Vx Hx Wx', { ...BOTH, ...W0 }),
  ...vex('0F 38 0D /r', 'vpermilpd', 'Vx Hx Wx', { ...BOTH, ...W0 }),
  ...vex('0F 3A 04 /r', 'vpermilps', 'Vx Wx Ib', { ...BOTH, ...W0 }),
  ...vex('0F 3A 05 /r', 'vpermilpd', 'Vx Wx Ib', { ...BOTH, ...W0 }),
  row('0F 3A 06 /r', 'vperm2f128', 'Vqq Hqq Wqq Ib', WIDE),
  row('0F 3A 46 /r', 'vperm2i128', 'Vqq Hqq Wqq Ib', WIDE2),
  row('0F 3A 18 /r', 'vinsertf128', 'Vqq Hqq Wx Ib', WIDE),
  row('0F 3A 38 /r', 'vinserti128', 'Vqq Hqq Wx Ib', WIDE2),
  row('0F 3A 19 /r', 'vextractf128', 'Wx Vqq Ib', WIDE),
  row('0F 3A 39 /r', 'vextracti128', 'Wx Vqq Ib', WIDE2),
  row('0F 38 16 /r', 'vpermps', 'Vqq Hqq Wqq', WIDE2),
  row('0F 38 36 /r', 'vpermd', 'Vqq Hqq Wqq', WIDE2),
  row('0F 3A 00 /r', 'vpermq', 'Vqq Wqq Ib', { ...WIDE2, w: 1 }),
  row('0F 3A 01 /r', 'vpermpd', 'Vqq Wqq Ib', { ...WIDE2, w: 1 }),
  ...vex('0F 3A 02 /r', 'vpblendd', 'Vx Hx Wx Ib', { ...BOTH2, ...W0 }),
  ...vex('0F 38 45 /r', 'vpsrlvd', 'Vx Hx Wx', { ...BOTH2, ...W0 }),
  ...vex('0F 38 45 /r', 'vpsrlvq', 'Vx Hx Wx', { ...BOTH2, ...W1 }),
  ...vex('0F 38 46 /r', 'vpsravd', 'Vx Hx Wx', { ...BOTH2, ...W0 }),
  ...vex('0F 38 47 /r', 'vpsllvd', 'Vx Hx Wx', { ...BOTH2, ...W0 }),
  ...vex('0F 38 47 /r', 'vpsllvq', 'Vx Hx Wx', { ...BOTH2, ...W1 }),
];

const masks: readonly OpcodeRow[] = [
  ...vex('0F 38 0E /r', 'vtestps', 'Vx Wx', { ...BOTH, ...W0, writes: ALL }),
  ...vex('0F 38 0F /r', 'vtestpd', 'Vx Wx', { ...BOTH, ...W0, writes: ALL }),
  ...vex('0F 38 2C /r', 'vmaskmovps', 'Vx Hx Mdq', { ...BOTH, ...W0 }),
  ...vex('0F 38 2D /r', 'vmaskmovpd', 'Vx Hx Mdq', { ...BOTH, ...W0 }),
  ...vex('0F 38 2E /r', 'vmaskmovps', 'Mdq Hx Vx', { ...BOTH, ...W0 }),
  ...vex('0F 38 2F /r', 'vmaskmovpd', 'Mdq Hx Vx', { ...BOTH, ...W0 }),
  ...vex('0F 38 8C /r', 'vpmaskmovd', 'Vx Hx Mdq', { ...BOTH2, ...W0 }),
  ...vex('0F 38 8C /r', 'vpmaskmovq', 'Vx Hx Mdq', { ...BOTH2, ...W1 }),
  ...vex('0F 38 8E /r', 'vpmaskmovd', 'Mdq Hx Vx', { ...BOTH2, ...W0 }),
  ...vex('0F 38 8E /r', 'vpmaskmovq', 'Mdq Hx Vx', { ...BOTH2, ...W1 }),
];

/** A gather of `op`: destination, memory, index and mask of VEX.128 and of VEX.256. */
function gather(opcode: string, op: string, w: 0 | 1, narrow: string, wide: string): OpcodeRow[] {
  const rest = { prefix: '66', feature: 'avx2', w } as const;
  return [
    row(`0F 38 ${opcode} /r`, op, narrow, { ...rest, sizes: [16], vex: 'L0' }),
    row(`0F 38 ${opcode} /r`, op, wide, { ...rest, sizes: [32], vex: 'L1' }),
  ];
}
const NARROW_GATHER = 'Vx Mx Kx Hx';
const gathers: readonly OpcodeRow[] = [['90', '92', 'd'] as const, ['91', '93', 'q'] as const].flatMap(
  ([integer, float, index]) => {
    const wideIndex = index === 'd' ? 'Kx' : 'Kqq';
    const doublewords = index === 'd' ? 'Vqq Mx Kqq Hqq' : 'Vx Mx Kqq Hx';
    const quadwords = `Vqq Mx ${wideIndex} Hqq`;
    return [
      ...gather(integer, `vpgather${index}d`, 0, NARROW_GATHER, doublewords),
      ...gather(integer, `vpgather${index}q`, 1, NARROW_GATHER, quadwords),
      ...gather(float, `vgather${index}ps`, 0, NARROW_GATHER, doublewords),
      ...gather(float, `vgather${index}pd`, 1, NARROW_GATHER, quadwords),
    ];
  },
);

export const avxOnly: readonly OpcodeRow[] = [
  ...broadcasts,
  ...permutations,
  ...masks,
  ...gathers,
  row('0F 77', 'vzeroupper', '', { prefix: 'NP', feature: 'avx', vex: 'L0' }),
  row('0F 77', 'vzeroall', '', { prefix: 'NP', feature: 'avx', vex: 'L1' }),
  row('0F 38 13 /r', 'vcvtph2ps', 'Vx Wsd', { ...F16C, sizes: [16], vex: 'L0' }),
  row('0F 38 13 /r', 'vcvtph2ps', 'Vqq Wx', { ...F16C, sizes: [32], vex: 'L1' }),
  row('0F 3A 1D /r', 'vcvtps2ph', 'Wsd Vx Ib', { ...F16C, sizes: [16], vex: 'L0' }),
  row('0F 3A 1D /r', 'vcvtps2ph', 'Wx Vqq Ib', { ...F16C, sizes: [32], vex: 'L1' }),
];
