/** This engine in the measuring process itself, by its Machine API: for what the command line has no options for. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadAssets } from '../../debug-adapter/hosting/node/assets.ts';
import { nodeHostFiles } from '../../debug-adapter/hosting/node/host-files.ts';
import type { Machine, MachineOptions } from '../../emulator/machine/api.ts';
import { createMachine } from '../../emulator/machine/machine.ts';
import { root } from './programs.ts';

const MEGABYTE = 1024 * 1024;
const SLICE = 1e6;

export class Run {
  readonly machine: Machine;
  #text = '';

  constructor(program: string, args: readonly string[], options: Partial<MachineOptions> = {}) {
    this.machine = createMachine(loadAssets(join(root, 'dist')), {
      program: { path: program, image: new Uint8Array(readFileSync(program)) },
      args,
      env: [],
      cwd: root,
      grants: [],
      files: nodeHostFiles,
      syscalls: 'modern',
      physBits: 46,
      cpus: 1,
      memory: 512 * MEGABYTE,
      seed: 1,
      aslr: false,
      output: (_, data) => void (this.#text += Buffer.from(data).toString('latin1')),
      ...options,
    });
  }
  get text(): string {
    return this.#text;
  }
  /** Runs on, at most so far; whether the program has ended, which must be with status 0. */
  run(instructions: number): boolean {
    const stop = this.machine.run(instructions);
    if (stop.kind === 'budget') return false;
    if (stop.kind === 'exited' && stop.status === 0) return true;
    throw new Error(`the program stopped: ${JSON.stringify(stop.kind)}\n${this.#text}`);
  }
  /** To the line that begins the timed region. */
  begin(): this {
    while (!/^B .*\n/m.test(this.#text))
      if (this.machine.run(SLICE).kind === 'exited') throw new Error('the program has no timed region');
    return this;
  }
}

/** Processor seconds of this process, all threads, that something takes. */
export function cpuOf(work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

/** Processor seconds of the timed region of a program. */
export function regionSeconds(program: string, args: readonly string[], prepare?: (machine: Machine) => void): number {
  const run = new Run(program, args);
  prepare?.(run.machine);
  run.begin();
  return cpuOf(() => {
    while (!run.run(50e6));
  });
}
