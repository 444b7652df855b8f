/** What the tests of the core share: loading dist/core.wasm, random numbers with a seed, and programs compiled for the host CPU. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const here = import.meta.dirname;

export interface LoadedCore<Exports> {
  readonly exports: Exports;
  readonly view: DataView;
  readonly bytes: Uint8Array;
}

/** The core alone, with a memory of its own and imports that do nothing. */
export async function loadCore<Exports>(): Promise<LoadedCore<Exports>> {
  const path = process.env['DUNE_CORE'] ?? join(here, '../../dist/core.wasm');
  const memory = new WebAssembly.Memory({ initial: 0x200, maximum: 0x10000 });
  const module = await WebAssembly.compile(readFileSync(path));
  const imports: Record<string, Record<string, WebAssembly.ImportValue>> = {};
  for (const { module: from, name, kind } of WebAssembly.Module.imports(module)) {
    (imports[from] ??= {})[name] = kind === 'memory' ? memory : () => 0;
  }
  const instance = await WebAssembly.instantiate(module, imports);
  return {
    exports: instance.exports as unknown as Exports,
    view: new DataView(memory.buffer),
    bytes: new Uint8Array(memory.buffer),
  };
}

/** SEED of the environment, or one from the clock; tests print it when they fail. */
export function chooseSeed(): number {
  return Number(process.env['SEED'] ?? Date.now() % 1e9);
}

/** How many random cases: FP_CASES of the environment, or what the suite has time for. */
export function chooseCount(usual: number): number {
  return Number(process.env['FP_CASES'] ?? usual);
}

/** Uniform 32-bit numbers. */
export function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    let x = state;
    x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
    x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
    return (x ^ (x >>> 16)) >>> 0;
  };
}

/** Compiles a C file that stands beside the tests, feeds it, and returns its output; undefined where the host cannot. */
export function askHost(source: string, input: Buffer): Buffer | undefined {
  if (process.arch !== 'x64' || spawnSync('gcc', ['--version']).status !== 0) return undefined;
  const directory = mkdtempSync(join(tmpdir(), 'oracle-'));
  try {
    const program = join(directory, 'oracle');
    execFileSync('gcc', ['-O1', '-o', program, join(here, source)]);
    const run = spawnSync(program, { input, maxBuffer: 1 << 29 });
    assert.equal(run.status, 0);
    return run.stdout;
  } finally {
    rmSync(directory, { recursive: true });
  }
}
