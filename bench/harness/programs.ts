/** The benchmark programs: where they are, what they are for, how they are compiled. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url));
/** Everything that benchmarks make; not in the repository. */
export const build = join(root, 'build/bench');
const sources = join(root, 'bench/programs');

/** Programs that measure the way into the kernel and back: what counts is the time of an operation, not MIPS. */
export const KERNEL_PROGRAMS: Readonly<Record<string, string>> = { sysc: 'system call', trap: '100 traps' };
/** Run from start to end, for start-up time. */
export const HELLO = 'hello';

export function programNames(): string[] {
  return readdirSync(sources)
    .filter((file) => file.endsWith('.c'))
    .map((file) => basename(file, '.c'))
    .filter((name) => name !== HELLO);
}

export const FLAGS = ['-O2', '-std=gnu11', '-static', '-fno-pie', '-no-pie'];

/** Compiles a C file, unless the program is newer. */
export function compile(
  source: string,
  program: string,
  flags: readonly string[] = FLAGS,
  libraries: readonly string[] = ['-lm'],
): string {
  const header = join(sources, 'bench.h');
  const newest = Math.max(statSync(source).mtimeMs, statSync(header).mtimeMs);
  if (existsSync(program) && statSync(program).mtimeMs > newest) return program;
  mkdirSync(dirname(program), { recursive: true });
  const gcc = spawnSync('gcc', [...flags, source, '-I', sources, '-o', program, ...libraries], { encoding: 'utf8' });
  if (gcc.status !== 0) throw new Error(`gcc failed on ${source}:\n${gcc.stderr}`);
  return program;
}

export function benchProgram(name: string): string {
  return compile(join(sources, `${name}.c`), join(build, 'programs', name));
}
