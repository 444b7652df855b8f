/** A page walk in lines. */
import type { Walk } from '../mmu/api.ts';
import { describeEptEntry, describePageTableEntry, entryName } from '../mmu/entries.ts';
import { hex } from './state.ts';

/** The path through both tables, one line an entry. */
export function walkLines(walk: Walk): string[] {
  return walk.steps.map((step) => {
    const described =
      step.table === 'ept' ? describeEptEntry(step.entry, step.level) : describePageTableEntry(step.entry, step.level);
    if (step.table === 'guest')
      return `  ${entryName(step)} at gpa:${hex(step.gpa)} = ${hex(step.entry)}: ${described.text}`;
    const whose = step.forGuestLevel ? `the ${entryName({ table: 'guest', level: step.forGuestLevel })}` : 'the page';
    return `    ${entryName(step)} for ${whose} (gpa:${hex(step.gpa)}) = ${hex(step.entry)}: ${described.text}`;
  });
}
