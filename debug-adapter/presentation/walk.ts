/** A page walk in words. */
import { walkLines } from '../../emulator/dune/walk-text.ts';
import type { Walk } from '../../emulator/mmu/api.ts';

const hex = (value: bigint | number): string => `0x${value.toString(16)}`;

/** One line: what came of it. */
export function walkResult(walk: Walk): string {
  const { result } = walk;
  switch (result.kind) {
    case 'ok': {
      const size = walk.pageSize ? `, ${pageSizeText(walk.pageSize)} page` : '';
      return `gpa:${hex(walk.gpa ?? 0)} hpa:${hex(walk.hpa ?? 0)}${size}`;
    }
    case 'page-fault':
      return `page fault, error code ${hex(result.errorCode)}: ${result.reason}`;
    case 'ept-violation':
      return `EPT violation, qualification ${hex(result.qualification)}: ${result.reason}`;
    case 'ept-misconfiguration':
      return `EPT misconfiguration: ${result.reason}`;
    case 'no-memory':
      return 'no physical memory there';
  }
}

export function walkText(walk: Walk): string[] {
  return [...walkLines(walk), `  → ${walkResult(walk)}`];
}

export function pageSizeText(bytes: number): string {
  return bytes >= 1 << 30
    ? `${bytes / (1 << 30)} GB`
    : bytes >= 1 << 20
      ? `${bytes / (1 << 20)} MB`
      : `${bytes / 1024} KB`;
}

/** What a page-fault error code says was attempted (SDM 3A 4.7). */
export function accessOfFault(errorCode: number): { access: 'read' | 'write' | 'execute'; user: boolean } {
  const access = errorCode & 16 ? 'execute' : errorCode & 2 ? 'write' : 'read';
  return { access, user: (errorCode & 4) !== 0 };
}
