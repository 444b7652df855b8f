/** The table of results. */
import type { Result } from './run-case.ts';

/** What kernels leave that had to skip all they check: 77, or that without its lowest bit. */
const STATUS_SKIPPED: readonly (number | undefined)[] = [77, 77 >> 1];
/** What they leave that had a failing check, or one that passed although the suite expects the hypervisor it was written for to fail it. */
const STATUS_FAILED = 1;

export type Verdict = 'clean' | 'better than expected' | 'failing' | 'skipped' | 'hangs' | 'crashes';

export function verdict(result: Result): Verdict {
  if (result.timedOut) return 'hangs';
  if (result.crash !== undefined) return 'crashes';
  if (result.failed > 0) return 'failing';
  if (STATUS_SKIPPED.includes(result.status)) return 'skipped';
  if (result.status === 0) return 'clean';
  return result.status === STATUS_FAILED && result.unexpected > 0 ? 'better than expected' : 'failing';
}

/** Markdown. */
export function table(results: readonly Result[]): string {
  const rows = results.map((result) => [
    result.name,
    verdict(result),
    String(result.passed),
    String(result.failed),
    String(result.skipped),
    result.timedOut ? '' : String(result.status),
    Number.isNaN(result.instructions) ? '' : `${(result.instructions / 1e6).toFixed(1)} M`,
    result.seconds.toFixed(1),
    result.crash ?? '',
  ]);
  const head = ['test', 'verdict', 'pass', 'fail', 'skip', 'status', 'instructions', 'seconds', ''];
  const lines = [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`);
  const counts = new Map<Verdict, number>();
  for (const result of results) counts.set(verdict(result), (counts.get(verdict(result)) ?? 0) + 1);
  const sum = (key: 'passed' | 'failed' | 'skipped'): number => results.reduce((all, result) => all + result[key], 0);
  const words = [...counts].map(([word, count]) => `${count} ${word}`).join(', ');
  return `${lines.join('\n')}\n\n${results.length} kernels: ${words}. Checks: ${sum('passed')} passed, ${sum('failed')} failed, ${sum('skipped')} skipped.`;
}
