/** Compiling the C programs of these tests. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = mkdtempSync(join(tmpdir(), 'dune-dap-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
const built = new Map<string, string>();

export function sourceOf(name: string): string {
  return fileURLToPath(new URL(`programs/${name}.c`, import.meta.url));
}

export function compile(name: string, ...flags: string[]): string {
  const key = [name, ...flags].join(' ');
  let path = built.get(key);
  if (!path) {
    path = join(folder, `${name}${built.size}`);
    execFileSync('gcc', ['-g', '-static', ...flags, sourceOf(name), '-o', path]);
    built.set(key, path);
  }
  return path;
}

/** The line whose text holds these words. */
export function lineOf(name: string, words: string): number {
  const at = readFileSync(sourceOf(name), 'utf8')
    .split('\n')
    .findIndex((line) => line.includes(words));
  if (at < 0) throw new Error(`${name}.c has no line with '${words}'`);
  return at + 1;
}
