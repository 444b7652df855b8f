/** Lines of example sources by what stands on them, so that tests survive edits. */
import { readFileSync } from 'node:fs';

/** 1-based number of the first line with a text. */
export function lineOf(path: string, text: string): number {
  const line = readFileSync(path, 'utf8')
    .split('\n')
    .findIndex((candidate) => candidate.includes(text));
  if (line < 0) throw new Error(`${path} has no line with ${text}`);
  return line + 1;
}
