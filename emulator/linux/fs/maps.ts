/** /proc/self/maps and its rows. */
import type { Process } from '../state.ts';
import { permissions } from '../vma.ts';
import type { Vma } from '../vma.ts';

export interface MapRow {
  readonly start: bigint;
  readonly end: bigint;
  readonly permissions: string;
  readonly offset: number;
  readonly name: string;
}

export function memoryMapRows(process: Process): MapRow[] {
  return process.mm.vmas.map((vma) => ({
    start: BigInt(vma.start),
    end: BigInt(vma.end),
    permissions: permissions(vma),
    offset: vma.inode ? vma.offset : 0,
    name: areaName(vma),
  }));
}

export function areaName(vma: Vma): string {
  if (vma.name) return vma.name;
  if (vma.huge) return '/anon_hugepage (deleted)';
  return vma.inode?.path ?? '';
}

/** `start-end perms offset dev inode   path` as show_map_vma prints it (the path begins in column 74). */
export function memoryMapText(process: Process): string {
  return process.mm.vmas
    .map((vma) => {
      const hex = (value: number, width: number): string => value.toString(16).padStart(width, '0');
      const device = vma.inode ? '08:01' : '00:00';
      const offset = vma.inode ? vma.offset : 0;
      const head = `${hex(vma.start, 8)}-${hex(vma.end, 8)} ${permissions(vma)} ${hex(offset, 8)} ${device} ${vma.inode?.id ?? 0} `;
      const name = areaName(vma);
      return name ? `${head.padEnd(73)}${name}\n` : `${head}\n`;
    })
    .join('');
}
