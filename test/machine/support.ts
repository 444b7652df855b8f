/** Machines on the example programs, for tests. */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadAssets } from '../../debug-adapter/hosting/node/assets.ts';
import { nodeHostFiles } from '../../debug-adapter/hosting/node/host-files.ts';
import type { Machine, MachineOptions, StopReason } from '../../emulator/machine/api.ts';
import { EVENT_KINDS, type MachineEvent } from '../../emulator/machine/events.ts';
import { createMachine } from '../../emulator/machine/machine.ts';

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
let assets: ReturnType<typeof loadAssets> | undefined;

/** Path of a built example program. */
export function example(name: string): string {
  return join(root, 'examples', name, name);
}

export interface Run {
  readonly machine: Machine;
  /** What the program wrote so far. */
  text(): string;
}

/** A bare board with a kernel; its image is read from the path if it is not given. */
export function boot(path: string, options: Partial<MachineOptions> = {}): Run {
  return start(path, { machine: 'bare', memory: 32 << 20, ...options });
}

export function start(path: string, options: Partial<MachineOptions> = {}): Run {
  assets ??= loadAssets(join(root, 'dist'));
  const chunks: Uint8Array[] = [];
  const machine = createMachine(assets, {
    program: options.program ?? { path, image: new Uint8Array(readFileSync(path)) },
    args: [],
    env: [],
    cwd: '/',
    grants: [],
    files: nodeHostFiles,
    syscalls: 'modern',
    physBits: 46,
    cpus: 1,
    memory: 256 * 1024 * 1024,
    seed: 1,
    aslr: false,
    output: (_fd, data) => void chunks.push(data.slice()),
    ...options,
  });
  return { machine, text: () => Buffer.concat(chunks).toString() };
}

/** Runs to the end in slices of the given length. Throws if it has not ended after `limit` instructions. */
export function finish(machine: Machine, slice = () => 1e7, limit = 5e7): StopReason {
  for (let left = limit; left > 0;) {
    const instructions = slice();
    const stop = machine.run(instructions);
    if (stop.kind === 'input') machine.input(null);
    else if (stop.kind !== 'budget') return stop;
    left -= instructions;
  }
  throw new Error(`The program has not ended after ${limit} instructions.`);
}

export function traceOf(machine: Machine): MachineEvent[] {
  const events: MachineEvent[] = [];
  machine.events.subscribe(EVENT_KINDS, (event) => void events.push(event));
  return events;
}
