/**
 * A process that boots kernels one after the other. It keeps the machine of the last one, as it was before its first instruction: the next boot of the same kernel on the same
 * machine begins from that snapshot, with another command line. What the emulator decoded and translated, and V8 compiled, stays.
 */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { loadAssets } from '../../debug-adapter/hosting/node/assets.ts';
import { nodeHostFiles } from '../../debug-adapter/hosting/node/host-files.ts';
import { optimiseLate } from '../../debug-adapter/hosting/node/tiering.ts';
import type { Machine, Snapshot } from '../../emulator/machine/api.ts';
import { createMachine } from '../../emulator/machine/machine.ts';
import { type Case, machineKey } from './cases.ts';

/** What a boot leaves. */
export interface Boot {
  readonly output: string;
  /** Diagnostics and explanations, a line each. */
  readonly diagnostics: string;
  readonly status: number | undefined;
  /** Why the machine stopped other than by an exit that the kernel asked for. */
  readonly crash: string | undefined;
  readonly instructions: number;
}

const SLICE = 1e9;

class Booter {
  readonly #assets = loadAssets();
  #ready: { key: string; machine: Machine; start: Snapshot } | undefined;
  #output = '';
  #diagnostics = '';

  boot(one: Case): Boot {
    this.#output = this.#diagnostics = '';
    const machine = this.#prepared(one);
    machine.setArguments(one.append === '' ? [] : [one.append]);
    let stop = machine.run(SLICE);
    while (stop.kind === 'budget' || stop.kind === 'input') {
      if (stop.kind === 'input') machine.input(null);
      stop = machine.run(SLICE);
    }
    const explanations = [...machine.explanations().values()];
    for (const { headline, details } of explanations) this.#diagnostics += `${[headline, ...details].join('\n  ')}\n`;
    return {
      output: this.#output,
      diagnostics: this.#diagnostics,
      status: stop.kind === 'exited' ? stop.status : undefined,
      crash: stop.kind === 'deadlock' ? 'every processor waits (deadlock)' : explanations[0]?.headline,
      instructions: machine.stats().instructions,
    };
  }

  #prepared(one: Case): Machine {
    const key = machineKey(one);
    if (this.#ready?.key === key) {
      this.#ready.machine.restore(this.#ready.start);
      return this.#ready.machine;
    }
    this.#ready = undefined;
    const machine = this.#create(one);
    this.#ready = { key, machine, start: machine.snapshot() };
    return machine;
  }

  #create({ kernel, memory, cpus, cpu, env }: Case): Machine {
    const path = resolve(kernel);
    const machine = createMachine(this.#assets, {
      machine: 'bare',
      program: { path, image: readFileSync(path) },
      args: [],
      env,
      cwd: process.cwd(),
      grants: [],
      files: nodeHostFiles,
      syscalls: 'modern',
      physBits: 46,
      cpus,
      cpuModel: cpu,
      memory: memory * 1024 * 1024,
      seed: 1,
      aslr: false,
      output: (_fd, data) => (this.#output += Buffer.from(data).toString('latin1')),
    });
    machine.events.subscribe(['diagnostic'], ({ summary, facts }) => {
      if (!facts.abnormal) this.#diagnostics += `${summary}\n`;
    });
    return machine;
  }
}

optimiseLate();
const booter = new Booter();
process.on('message', (one: Case) => {
  let answer: Boot;
  try {
    answer = booter.boot(one);
  } catch (error) {
    const crash = error instanceof Error ? error.message : String(error);
    answer = { output: '', diagnostics: `${crash}\n`, status: undefined, crash, instructions: NaN };
  }
  process.send!(answer);
});
