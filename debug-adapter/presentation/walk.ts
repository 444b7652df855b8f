/** Walks as bodies of the protocol. */
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
    memoryType: found.memoryType && { ...found.memoryType },
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
