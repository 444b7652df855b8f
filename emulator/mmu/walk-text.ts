/** A page walk in words. */
import type { EffectiveType, Walk } from './api.ts';
import { describeEntry, entryName } from './entries.ts';

const hex = (value: bigint | number): string => `0x${value.toString(16)}`;

/** The path through both tables, one line an entry. */
export function walkLines(walk: Walk): string[] {
  return walk.steps.map((step) => {
    const entry = `${hex(step.entry)}: ${describeEntry(step, step.entry).text}`;
    if (step.table === 'guest') return `  ${entryName(step)} at gpa:${hex(step.gpa)} = ${entry}`;
    const whose = step.forGuestLevel ? `the ${entryName({ table: 'guest', level: step.forGuestLevel })}` : 'the page';
    return `    ${entryName(step)} for ${whose} (gpa:${hex(step.gpa)}) = ${entry}`;
  });
}

/** One line: what came of it. */
export function walkResult(walk: Walk): string {
  const { result } = walk;
  switch (result.kind) {
    case 'ok': {
      const size = walk.pageSize ? `, ${sizeWords(walk.pageSize)} page` : '';
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

/** All in one line: the guest's entries with their flags, and where they lead. */
export function walkLine(walk: Walk): string {
  const entries = walk.steps
    .filter(({ table }) => table === 'guest')
    .map((step) => `${entryName(step)} ${describeEntry(step, step.entry).flags}`.trim());
  return [...entries, walkResult(walk)].join(' → ');
}

export function walkText(walk: Walk): string[] {
  const type = walk.memoryType ? [`  memory type ${typeWords(walk.memoryType)}`] : [];
  return [...walkLines(walk), `  → ${walkResult(walk)}`, ...type];
}

/** "WB: PTE chooses PAT0, which is WB". */
export function typeWords({ type, because }: EffectiveType): string {
  return `${type}: ${because}`;
}

/** 4096 as "4 KB". */
export function sizeWords(bytes: number): string {
  if (bytes >= 2 ** 30) return `${bytes / 2 ** 30} GB`;
  return bytes >= 2 ** 20 ? `${bytes / 2 ** 20} MB` : `${bytes / 1024} KB`;
}
