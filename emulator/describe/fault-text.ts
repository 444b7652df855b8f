/** A fault report in a few lines: what `exceptionInfo` and terminals show of it. */
import { rightsSentence } from '../mmu/rights.ts';
import type { FaultLink, FaultReport } from './fault-report.ts';

const hex = (value: bigint | number): string => `0x${value.toString(16)}`;

export function faultLines({ chain, walk, tlb, tlbSummary, advice }: FaultReport): string[] {
  const lines = chain.map((link, index) => `${chain.length > 1 ? `${index + 1}. ` : ''}${linkInWords(link)}`);
  if (walk) {
    lines.push(
      `${walk.access} of gva:${hex(walk.gva)} by ring ${walk.user ? '3' : '0'}, ${walk.paging}: ${walk.result}`,
    );
    const rights = rightsSentence(walk.rights);
    if (rights) lines.push(rights);
    lines.push(`TLB: ${tlbSummary}`);
  }
  for (const { stale, summary, change } of tlb) {
    if (!stale) continue;
    lines.push(`stale: ${summary}`);
    if (change)
      lines.push(
        `changed by ${change.byInstruction ? 'the instruction' : 'a write for the code'} at ${hex(change.rip)}: hpa:${hex(change.hpa)} ${hex(change.old)} → ${hex(change.new)}`,
      );
  }
  if (advice) lines.push(advice);
  return lines;
}

/** "#PF(0x2) not present, write, supervisor mode, at rip 0x..., ring 0; not delivered: ...". */
function linkInWords({ name, errorCode, errorText, rip, cpl, gva, gpa, because, failed }: FaultLink): string {
  const code = errorCode === undefined ? '' : `(${hex(errorCode)})`;
  const words = [
    [`${name}${code}`, errorText].filter(Boolean).join(' '),
    gva === undefined ? '' : `gva:${hex(gva)}`,
    gpa === undefined ? '' : `gpa:${hex(gpa)}`,
    `at rip ${hex(rip)}, ring ${cpl}`,
    because ?? '',
  ];
  return `${words.filter(Boolean).join(', ')}${failed ? `; not delivered: ${failed}` : ''}`;
}
