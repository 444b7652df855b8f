/** The whole machine in lock step: with translation and without, the same output, events, stops and state, wherever run() is cut. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { traceLine } from '../../cli/trace.ts';
import type { MachineOptions } from '../../emulator/machine/api.ts';
import { EXAMPLES } from '../dune/support.ts';
import { example, start, traceOf } from './support.ts';

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
const built = join(root, 'dist/test-translation');
const EAGER = { threshold: 20, batch: 4, mostSteps: 1 };

/** Programs of bench/, with little work. */
const BENCHMARKS = {
  alu: 1000,
  bytecode: 1,
  fib: 1,
  float: 1,
  hash: 1,
  json: 1,
  lz: 1,
  matmul: 1,
  qsort: 1,
  records: 1,
  sha: 1,
  stream: 1,
  sysc: 200,
  text: 1,
  trap: 2,
};

function compile(name: string): string {
  mkdirSync(built, { recursive: true });
  const program = join(built, name);
  const source = join(root, 'bench/programs', `${name}.c`);
  execFileSync('gcc', ['-O2', '-std=gnu11', '-static', '-fno-pie', '-no-pie', source, '-o', program, '-lm']);
  return program;
}

function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Runs both until they end or have executed so many instructions; at some slices, the translated one goes back to a snapshot first. */
function lockStep(path: string, args: readonly string[], most: number): void {
  const next = random(7);
  const begin = (options: Partial<MachineOptions>) => {
    const run = start(path, { args, ...options });
    return { ...run, events: traceOf(run.machine) };
  };
  const interpreted = begin({ translate: false });
  const translated = begin({ translate: EAGER });
  for (let slice = 0; interpreted.machine.stats().instructions < most; slice++) {
    const instructions = 1 + Math.floor(next() ** 3 * 30_000);
    const stops = [interpreted, translated].map(({ machine }) => machine.run(instructions));
    const where = `slice ${slice}, after ${interpreted.machine.stats().instructions} instructions`;
    assert.deepEqual(stops[1], stops[0], where);
    assert.deepEqual(translated.machine.stats(), interpreted.machine.stats(), where);
    if (slice % 16 === 0) {
      for (const { machine } of [interpreted, translated]) machine.restore(machine.snapshot());
      assert.equal(translated.machine.digest(), interpreted.machine.digest(), where);
    }
    if (stops[0]!.kind === 'input') for (const { machine } of [interpreted, translated]) machine.input(null);
    else if (stops[0]!.kind !== 'budget') break;
  }
  assert.equal(translated.text(), interpreted.text());
  assert.equal(translated.events.map(traceLine).join(''), interpreted.events.map(traceLine).join(''));
  assert.equal(translated.machine.digest(), interpreted.machine.digest());
}

describe('translation makes no difference', () => {
  for (const name of EXAMPLES) it(`to ${name}`, () => lockStep(example(name), [], 300_000));
  for (const [name, work] of Object.entries(BENCHMARKS))
    it(`to the benchmark ${name}`, () => lockStep(compile(name), [String(work)], 300_000));
});
