/** `dune-debug run`: the headless runner. The program's standard streams and exit code pass through. */
import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { resolve } from 'node:path';
import { loadAssets } from '../debug-adapter/hosting/node/assets.ts';
import { nodeHostFiles } from '../debug-adapter/hosting/node/host-files.ts';
import type { Machine, StopReason } from '../emulator/machine/api.ts';
import { EVENT_KINDS, type EventKind, type MachineEvent } from '../emulator/machine/events.ts';
import { createMachine } from '../emulator/machine/machine.ts';
import { parseRunOptions, runHelp, UsageError, type RunOptions } from './options.ts';

/** Exit status when --max-instructions runs out, as timeout(1) has it. */
const STATUS_LIMIT = 124;
/** Exit status for a program that cannot be launched, as a shell has it. */
const STATUS_CANNOT_RUN = 126;
const STATUS_USAGE = 2;

/** Returns the process's exit status. */
export function run(argv: readonly string[]): number {
  const started = performance.now();
  let options: RunOptions;
  let machine: Machine;
  try {
    options = parseRunOptions(argv);
    if (options.help) {
      process.stdout.write(runHelp());
      return 0;
    }
    machine = launch(options);
  } catch (error) {
    console.error(`dune-debug: ${(error as Error).message}`);
    return error instanceof UsageError ? STATUS_USAGE : STATUS_CANNOT_RUN;
  }
  // What the emulator cannot do for the program: unknown system calls, bytes that are no instruction, misuse of /dev/dune.
  machine.events.subscribe(['diagnostic'], ({ summary, facts }) => {
    if (!facts.abnormal) console.error(`dune-debug: ${summary}`);
  });
  const closeTrace = options.trace ? trace(machine, options.trace) : () => {};
  const stop = runToEnd(machine, options.maxInstructions);
  closeTrace();
  explain(machine);
  if (options.stats) {
    const wallMilliseconds = Math.round(performance.now() - started);
    console.error(JSON.stringify({ ...machine.stats(), wallMilliseconds }));
  }
  return status(stop);
}

function launch(options: RunOptions): Machine {
  const path = resolve(options.program);
  const image = nodeHostFiles.readFile(path);
  if (!image) throw new Error(`${options.program}: no such file, or it cannot be read.`);
  return createMachine(loadAssets(), {
    program: { path, image },
    args: options.args,
    env: options.env,
    cwd: process.cwd(),
    grants: options.grants.map(({ path, write }) => ({ path: resolve(path), write })),
    files: nodeHostFiles,
    syscalls: options.strict ? 'strict' : 'modern',
    physBits: options.physBits,
    cpus: options.cpus,
    memory: options.memory,
    seed: options.seed,
    aslr: false,
    output: (fd, data) => writeAll(fd, data),
  });
}

function writeAll(fd: number, data: Uint8Array): void {
  for (let at = 0; at < data.length;)
    try {
      at += writeSync(fd, data, at);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
    }
}

function runToEnd(machine: Machine, maxInstructions: number): StopReason {
  for (;;) {
    const left = maxInstructions - machine.stats().instructions;
    if (left <= 0) return { kind: 'budget' };
    const stop = machine.run(Math.min(left, 1e9));
    if (stop.kind === 'input') machine.input(readInput());
    else if (stop.kind !== 'budget') return stop;
  }
}

/** What standard input has now, or null at its end. */
function readInput(): Uint8Array | null {
  const buffer = new Uint8Array(65536);
  for (;;)
    try {
      const bytes = readSync(0, buffer);
      return bytes === 0 ? null : buffer.slice(0, bytes);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return null;
    }
}

function status(stop: StopReason): number {
  if (stop.kind === 'exited') return stop.status;
  if (stop.kind === 'budget') return STATUS_LIMIT;
  console.error('dune-debug: every thread of the program waits, and nothing can wake one (deadlock).');
  return 1;
}

/** Every abnormal stop explains itself. */
function explain(machine: Machine): void {
  for (const [thread, why] of machine.explanations()) {
    console.error(`dune-debug: thread ${thread}: ${why.headline}`);
    for (const line of why.details) console.error(`  ${line}`);
    if (why.advice) console.error(`  ${why.advice}`);
  }
}

/** Returns the function that ends the trace. */
function trace(machine: Machine, { kinds, file }: { kinds: string[]; file: string | undefined }): () => void {
  const wanted = kinds.includes('all') ? EVENT_KINDS : (kinds as EventKind[]);
  for (const kind of wanted)
    if (!EVENT_KINDS.includes(kind))
      throw new UsageError(`--trace knows no kind "${kind}"; there are: ${EVENT_KINDS.join(', ')}.`);
  const fd = file ? openSync(file, 'w') : 2;
  const unsubscribe = machine.events.subscribe(wanted, (event) => writeAll(fd, Buffer.from(traceLine(event))));
  return () => {
    unsubscribe();
    if (file) closeSync(fd);
  };
}

/** One JSON line; 64-bit numbers as 0x strings. */
export function traceLine(event: MachineEvent): string {
  return `${JSON.stringify(event, (_key, value) => (typeof value === 'bigint' ? `0x${value.toString(16)}` : value))}\n`;
}
