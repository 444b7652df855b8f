/** Walks as bodies of the protocol, and what a page-fault error code says was attempted. */
import type { Walk } from '../../emulator/mmu/api.ts';
import { describeEntry, entryName } from '../../emulator/mmu/entries.ts';
import { walkResult, walkText } from '../../emulator/mmu/walk-text.ts';
import type { WalkResponse } from '../protocol.ts';
import { hex } from './tables.ts';

export function walkResponse(found: Walk): WalkResponse {
  return {
    gva: hex(found.gva),
    gpa: found.gpa === undefined ? undefined : hex(found.gpa),
    hpa: found.hpa === undefined ? undefined : hex(found.hpa),
    result: walkResult(found),
    ok: found.result.kind === 'ok',
    steps: found.steps.map((step) => ({
      table: step.table,
      level: step.level,
      forGuestLevel: step.forGuestLevel,
      name: entryName(step),
      gpa: hex(step.gpa),
      hpa: hex(step.hpa),
      entry: hex(step.entry),
      flags: describeEntry(step, step.entry).flags,
      outcome: step.outcome,
    })),
    text: walkText(found),
  };
}

/** SDM 3A 4.7. */
export function accessOfFault(errorCode: number): { access: 'read' | 'write' | 'execute'; user: boolean } {
  const access = errorCode & 16 ? 'execute' : errorCode & 2 ? 'write' : 'read';
  return { access, user: (errorCode & 4) !== 0 };
}
