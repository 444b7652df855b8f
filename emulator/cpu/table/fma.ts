/** FMA (SDM 1 5.15): three orders of operands, packed and scalar, single and double precision. */
import { row } from './build.ts';
import type { OpcodeRow } from './row.ts';
import { vex } from './vex-rows.ts';

/** Names of the operations and their opcode in the order 132; packed and scalar where there are both. */
export const FMA_PACKED = [
  ['vfmaddsub', 0x96],
  ['vfmsubadd', 0x97],
  ['vfmadd', 0x98],
  ['vfmsub', 0x9a],
  ['vfnmadd', 0x9c],
  ['vfnmsub', 0x9e],
] as const;
export const FMA_SCALAR = [
  ['vfmadd', 0x99],
  ['vfmsub', 0x9b],
  ['vfnmadd', 0x9d],
  ['vfnmsub', 0x9f],
] as const;
/** Which operands are multiplied, and which is added; distance of opcodes from the first. */
export const FMA_ORDERS = [
  ['132', 0x00],
  ['213', 0x10],
  ['231', 0x20],
] as const;

const encoding = (opcode: number): string => `0F 38 ${opcode.toString(16).toUpperCase()} /r`;
const SCALAR = { prefix: '66', feature: 'fma', vex: 'LIG' } as const;

export const fma: readonly OpcodeRow[] = FMA_ORDERS.flatMap(([order, distance]) => [
  ...FMA_PACKED.flatMap(([name, first]) => [
    ...vex(encoding(first + distance), `${name}${order}ps`, 'Vx Hx Wx', { narrow: 'fma', wide: 'fma', w: 0 }),
    ...vex(encoding(first + distance), `${name}${order}pd`, 'Vx Hx Wx', { narrow: 'fma', wide: 'fma', w: 1 }),
  ]),
  ...FMA_SCALAR.flatMap(([name, first]) => [
    row(encoding(first + distance), `${name}${order}ss`, 'Vx Hx Wss', { ...SCALAR, sizes: [4], w: 0 }),
    row(encoding(first + distance), `${name}${order}sd`, 'Vx Hx Wsd', { ...SCALAR, sizes: [8], w: 1 }),
  ]),
]);
