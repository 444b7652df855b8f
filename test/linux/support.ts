/** Builds the C programs of this folder and runs them on the host CPU and in the emulator. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadAssets } from '../../debug-adapter/hosting/node/assets.ts';
import { nodeHostFiles } from '../../debug-adapter/hosting/node/host-files.ts';
import type { Machine, MachineAssets, MachineOptions, StopReason } from '../../emulator/machine/api.ts';
import { createMachine } from '../../emulator/machine/machine.ts';

export const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '../..');
const built = join(root, 'dist/test-linux');

let loaded: MachineAssets | undefined;
export function assets(): MachineAssets {
  return (loaded ??= loadAssets(join(root, 'dist')));
}

/** The compiler is there? */
export function has(compiler: string): boolean {
  return spawnSync(compiler, ['--version']).status === 0;
}

/** Compiles `name`.c of this folder; returns the executable's path. */
export function compile(name: string, compiler: string, flags: readonly string[]): string {
  mkdirSync(built, { recursive: true });
  const source = join(here, `${name}.c`);
  const output = join(built, [name, compiler, ...flags].join('').replace(/[^\w.-]/g, '_'));
  if (!existsSync(output) || statSync(output).mtimeMs < statSync(source).mtimeMs)
    execFileSync(compiler, [...flags, '-o', output, source, '-lm', '-lpthread'], { stdio: 'pipe' });
  return output;
}

/** Names of a program's symbols by address, as nm lists them. */
export function symbolNames(program: string): ReadonlyMap<number, string[]> {
  const names = new Map<number, string[]>();
  for (const line of execFileSync('nm', [program], { encoding: 'utf8' }).split('\n')) {
    const [address, , name] = line.split(' ');
    if (name) names.set(parseInt(address!, 16), [...(names.get(parseInt(address!, 16)) ?? []), name]);
  }
  return names;
}

export interface Outcome {
  readonly out: string;
  readonly err: string;
  /** As a shell shows it. */
  readonly status: number;
}

export function runNative(program: string, args: readonly string[] = [], input = ''): Outcome {
  const result = spawnSync(program, args, { input, encoding: 'utf8', cwd: built });
  const signals: Record<string, number> = {
    SIGSEGV: 11,
    SIGFPE: 8,
    SIGILL: 4,
    SIGABRT: 6,
    SIGKILL: 9,
    SIGTRAP: 5,
    SIGBUS: 7,
  };
  return { out: result.stdout, err: result.stderr, status: result.status ?? 128 + (signals[result.signal ?? ''] ?? 0) };
}

export interface Run extends Outcome {
  readonly machine: Machine;
  readonly stop: StopReason;
}

/** Output goes nowhere, if nothing else is said. */
export function optionsFor(program: string, args: readonly string[], options: Partial<MachineOptions>): MachineOptions {
  return {
    program: { path: program, image: new Uint8Array(readFileSync(program)) },
    args,
    env: [],
    cwd: built,
    grants: [],
    files: nodeHostFiles,
    syscalls: 'modern',
    physBits: 46,
    cpus: 1,
    memory: 256 << 20,
    seed: 1,
    aslr: false,
    output: () => {},
    ...options,
  };
}

export function start(
  program: string,
  args: readonly string[],
  options: Partial<MachineOptions>,
  collect: { out: string; err: string },
): Machine {
  const decoder = new TextDecoder();
  const output = (fd: 1 | 2, data: Uint8Array): void => {
    if (fd === 1) collect.out += decoder.decode(data);
    else collect.err += decoder.decode(data);
  };
  return createMachine(assets(), optionsFor(program, args, { output, ...options }));
}

const LIMIT = 400_000_000;
export function runEmulated(
  program: string,
  args: readonly string[] = [],
  input = '',
  options: Partial<MachineOptions> = {},
): Run {
  const collect = { out: '', err: '' };
  const machine = start(program, args, options, collect);
  if (input) machine.input(new TextEncoder().encode(input));
  machine.input(null);
  if (process.env['TRACE'])
    machine.events.subscribe(['host-syscall', 'signal', 'process', 'diagnostic', 'exception'], (event) =>
      console.log(`${event.instructions} [${event.thread}] ${event.summary}`),
    );
  const stop = machine.run(LIMIT);
  return { ...collect, status: stop.kind === 'exited' ? stop.status : -1, machine, stop };
}
