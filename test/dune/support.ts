/** Builds the C programs of this folder and the examples, runs them in the emulator, and compares with what is written down. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { MachineOptions } from '../../emulator/machine/api.ts';
import { start, type Run } from '../linux/support.ts';

export const here = dirname(fileURLToPath(import.meta.url));
export const root = join(here, '../..');
const built = join(root, 'dist/test-dune');

export const EXAMPLES = [
  'hello',
  'pagefault',
  'syscalls',
  'rings',
  'pcid',
  'fork-threads',
  'signals',
  'ept-violation',
  'triple-fault',
  'cr-write',
  'rdmsr',
] as const;

/** Builds libdune and every example; the path of one. */
export function buildExamples(): void {
  execFileSync('make', ['-s', '-C', join(root, 'examples')], { stdio: 'pipe' });
}
export function example(name: string): string {
  return join(root, 'examples', name, name);
}

const FLAGS = ['-g', '-O1', '-mno-red-zone', '-Wall', '-Wextra', '-Werror', '-static', '-fno-pie', `-I${root}`];

/** Compiles a program of this folder, with libdune if asked; returns its path. */
export function compile(name: string, libdune = false, compiler = 'gcc'): string {
  const source = compiler.endsWith('++') ? `${name}.cpp` : `${name}.c`;
  const libraries = libdune ? [join(root, 'libdune/libdune.a'), '-lpthread'] : [];
  const standard = compiler.endsWith('++') ? ['-std=c++17'] : [];
  return build(compiler, `${name}-${compiler}`, [...FLAGS, ...standard, join(here, source), ...libraries]);
}

/** Compiles a program without C library, at an address of its own. */
export function compileImage(name: string): string {
  const flags = ['-O1', '-nostdlib', '-static', '-fno-pie', '-fno-stack-protector', '-Wl,-Ttext-segment=0x70000000'];
  return build('gcc', name, [...flags, join(here, `${name}.c`)]);
}

/** By this run of the tests: the library may have changed since the last. */
const fresh = new Set<string>();
function build(compiler: string, name: string, args: readonly string[]): string {
  const output = join(built, name);
  if (fresh.has(output)) return output;
  mkdirSync(built, { recursive: true });
  execFileSync(compiler, ['-o', output, ...args], { stdio: 'pipe' });
  fresh.add(output);
  return output;
}

/** Output, error output and exit status of a run, as one text. */
export function transcript(run: Run): string {
  const errors = run.err ? `--- stderr ---\n${run.err}` : '';
  return `${run.out}${errors}--- exit status ${run.status} ---\n`;
}

/** What a run prints, and what the diagnostics say, but for explanations of abnormal ends. */
export function observe(program: string, options: Partial<MachineOptions> = {}): { out: string; told: string[] } {
  const collect = { out: '', err: '' };
  const machine = start(program, [], options, collect);
  const told: string[] = [];
  machine.events.subscribe(['diagnostic'], (event) => {
    if (!event.facts['abnormal']) told.push(event.summary);
  });
  machine.input(null);
  machine.run(RUN_LIMIT);
  return { out: collect.out, told };
}
const RUN_LIMIT = 400_000_000;

/** A missing golden is written; a mismatch leaves `.actual` beside it; BLESS=1 accepts what comes. */
export function compareWithGolden(path: string, text: string): void {
  const actual = `${path}.actual`;
  if (!existsSync(path) || process.env['BLESS']) {
    writeFileSync(path, text);
    rmSync(actual, { force: true });
    return;
  }
  const golden = readFileSync(path, 'utf8');
  if (golden === text) return rmSync(actual, { force: true });
  writeFileSync(actual, text);
  assert.equal(text, golden);
}
