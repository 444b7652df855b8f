/** AVX and AVX2 (SDM 1 5.13, 5.14): the VEX forms of SSE instructions, and the rows that need words of their own. */
import { row } from './build.ts';
import { crypto } from './crypto.ts';
import type { OpcodeRow } from './row.ts';
import { sse } from './sse.ts';
import { sse2 } from './sse2.ts';
import { sse3 } from './sse3.ts';
import { sse41, sse42 } from './sse4.ts';
import { ssse3 } from './ssse3.ts';
import { systemRows } from './system.ts';
import { vex, wider } from './vex-rows.ts';
import { VEX_OF_SSE } from './vex-of-sse.ts';
import type { VexFamily } from './vex-of-sse.ts';

const legacy = [...sse, ...sse2, ...sse3, ...ssse3, ...sse41, ...sse42, ...crypto, ...systemRows].filter(
  ({ prefix, operands = [] }) => prefix !== undefined && !operands.some((code) => /^[PQN]/.test(code)),
);

/** Features that a VEX form keeps from its SSE form; AVX comes on top (decode-table.ts). */
const KEPT = new Set(['aes', 'pclmulqdq']);

/** Operands with the additional source after the destination; a shift by an immediate names its destination by VEX.vvvv. */
function withFirst(operands: readonly string[]): string[] {
  const [destination, ...rest] = operands;
  return destination === 'Ux' ? ['Hx', 'Ux', ...rest] : [destination!, 'Hx', ...rest];
}

function vexRows(family: VexFamily, legacyRow: OpcodeRow): OpcodeRow[] {
  const { hot: _, operands: given = [], ...rest } = legacyRow;
  const isStore = given[0]!.startsWith('M') && given.length > 1;
  const operands = family.three && !isStore ? withFirst(given) : given;
  const mnemonic = legacyRow.mnemonic && `v${legacyRow.mnemonic}`;
  const narrow: OpcodeRow = {
    ...rest,
    op: `v${legacyRow.op}`,
    ...(mnemonic ? { mnemonic } : {}),
    operands,
    feature: KEPT.has(rest.feature!) ? rest.feature! : 'avx',
    vex: family.widths === 'ignored' ? 'LIG' : 'L0',
  };
  if (family.widths !== 'both') return [narrow];
  const wideOperands = family.wideOperands?.split(' ') ?? operands.map(wider);
  // Shifts by an immediate keep their operands' order.
  const shift = given[0] === 'Ux' ? operands.map(wider) : wideOperands;
  return [narrow, { ...narrow, operands: shift, sizes: [32], feature: family.wideFeature!, vex: 'L1' }];
}

const byOp = new Map<string, OpcodeRow[]>();
for (const legacyRow of legacy) byOp.set(legacyRow.op, [...(byOp.get(legacyRow.op) ?? []), legacyRow]);

const derived = VEX_OF_SSE.flatMap((family) =>
  family.ops.flatMap((op) => {
    const rows = byOp.get(op);
    if (!rows) throw new Error(`${op} is no SSE instruction`);
    return rows.flatMap((legacyRow) => vexRows(family, legacyRow));
  }),
);

const BOTH = { narrow: 'avx', wide: 'avx' } as const;
const PS = { prefix: 'NP' } as const;
const SS = { prefix: 'F3', feature: 'avx', vex: 'LIG' } as const;
const SD = { prefix: 'F2', feature: 'avx', vex: 'LIG' } as const;

export const avx: readonly OpcodeRow[] = [
  ...derived,
  // MOVSS and MOVSD merge two registers, or load, or store.
  row('0F 10 /r', 'vmovss', 'Vx Md', { ...SS, sizes: [4] }),
  row('0F 11 /r', 'vmovss', 'Md Vx', { ...SS, sizes: [4] }),
  row('0F 10 /r', 'vmovss', 'Vx Hx Ux', { ...SS, sizes: [4] }),
  row('0F 11 /r', 'vmovss', 'Ux Hx Vx', { ...SS, sizes: [4] }),
  row('0F 10 /r', 'vmovsd', 'Vx Mq', { ...SD, sizes: [8] }),
  row('0F 11 /r', 'vmovsd', 'Mq Vx', { ...SD, sizes: [8] }),
  row('0F 10 /r', 'vmovsd', 'Vx Hx Ux', { ...SD, sizes: [8] }),
  row('0F 11 /r', 'vmovsd', 'Ux Hx Vx', { ...SD, sizes: [8] }),
  // Sign masks and tests of both halves together.
  ...vex('0F 50 /r', 'vmovmskps', 'Gd Ux', { ...PS, ...BOTH }),
  ...vex('0F 50 /r', 'vmovmskpd', 'Gd Ux', BOTH),
  ...vex('0F D7 /r', 'vpmovmskb', 'Gd Ux', { narrow: 'avx', wide: 'avx2' }),
  ...vex('0F 38 17 /r', 'vptest', 'Vx Wx', { ...BOTH, writes: 'oszapc' }),
  // Blends by a fourth operand.
  ...vex('0F 3A 4A /r', 'vblendvps', 'Vx Hx Wx Lx', { ...BOTH, w: 0 }),
  ...vex('0F 3A 4B /r', 'vblendvpd', 'Vx Hx Wx Lx', { ...BOTH, w: 0 }),
  ...vex('0F 3A 4C /r', 'vpblendvb', 'Vx Hx Wx Lx', { narrow: 'avx', wide: 'avx2', w: 0 }),
];
