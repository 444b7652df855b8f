/** Operands that carry nothing but a number: instructions share them, so that decoding makes none. */
import type { Operand } from './instruction.ts';

const numbered = <K extends string>(kind: K, count: number) =>
  Array.from({ length: count }, (_, register) => ({ kind, register }));
export const GPR: readonly Operand[] = numbered('gpr', 16);
export const HIGH_BYTE: readonly Operand[] = [4, 5, 6, 7].map((register) => ({
  kind: 'gpr',
  register: register - 4,
  high: true,
}));
export const XMM: readonly Operand[] = numbered('xmm', 16);
export const YMM: readonly Operand[] = numbered('ymm', 16);
export const MMX: readonly Operand[] = numbered('mmx', 8);
export const ST: readonly Operand[] = numbered('st', 8);
export const SEGMENT: readonly Operand[] = numbered('segment', 6);
export const CONTROL: readonly Operand[] = numbered('control', 16);
export const DEBUG: readonly Operand[] = numbered('debug', 8);
export const SMALL: readonly Operand[] = Array.from({ length: 384 }, (_, index) => ({
  kind: 'immediate',
  value: BigInt(index - 128),
}));
export const NO_OPERANDS: readonly Operand[] = [];
