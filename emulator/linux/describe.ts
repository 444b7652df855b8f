/** What stands at an address, in words. */
import { areaName } from './fs/maps.ts';
import type { Process } from './state.ts';
import { findIndex, permissions } from './vma.ts';
import type { Vma } from './vma.ts';

export function describeAddress(process: Process, address: number): string {
  const { vmas } = process.mm;
  const at = findIndex(vmas, address);
  const vma = vmas[at];
  if (vma && vma.start <= address) return `0x${address.toString(16)} lies in ${describeArea(vma)}`;
  const below = vmas[at - 1];
  const around = [
    below && `${describeArea(below)} ends 0x${(address - below.end).toString(16)} bytes below`,
    vma && `${describeArea(vma)} begins 0x${(vma.start - address).toString(16)} bytes above`,
  ].filter((text) => text !== undefined);
  return `no mapping at 0x${address.toString(16)}${around.length > 0 ? `; ${around.join('; ')}` : ''}`;
}

export function describeArea(vma: Vma): string {
  return `0x${vma.start.toString(16)}-0x${vma.end.toString(16)} ${permissions(vma)} ${areaName(vma) || 'anonymous memory'}`;
}
