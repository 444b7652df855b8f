/** `dune-debug run`: the headless runner. The program's standard streams and exit code pass through. */
import { readSync } from 'node:fs';
import { resolve } from 'node:path';
import { loadAssets } from '../debug-adapter/hosting/node/assets.ts';
import { nodeHostFiles } from '../debug-adapter/hosting/node/host-files.ts';
import { LaunchError } from '../emulator/linux/api.ts';
import type { Machine, StopReason } from '../emulator/machine/api.ts';
import { createMachine } from '../emulator/machine/machine.ts';
import { parseRunOptions, runHelp, UsageError, type RunOptions } from './options.ts';
import { openTrace } from './trace.ts';
import { writeAll } from './write-all.ts';

/** Exit status when --max-instructions runs out, as timeout(1) has it. */
const STATUS_LIMIT = 124;
/** Exit status for a program that cannot be launched, as a shell has it. */
const STATUS_CANNOT_RUN = 126;
const STATUS_USAGE = 2;

/** A command that runs a program: what it is called, what it does while and after the program runs. */
export interface RunCommand {
  parse(argv: readonly string[]): RunOptions;
  help(): string;
  /** Instructions after which `look` is called. */
  readonly slice: number;
  look?(machine: Machine, options: RunOptions): void;
  end?(machine: Machine): void;
}

export const RUN: RunCommand = { parse: parseRunOptions, help: runHelp, slice: 1e9 };

/** Returns the process's exit status. */
export function run(argv: readonly string[], command = RUN): number {
  const started = performance.now();
  let options: RunOptions;
  let machine: Machine;
  let closeTrace = (): void => {};
  try {
    options = command.parse(argv);
    if (options.help) {
      process.stdout.write(command.help());
      return 0;
    }
    machine = launch(options);
    if (options.trace) closeTrace = openTrace(machine, options.trace);
  } catch (error) {
    if (!(error instanceof UsageError || error instanceof LaunchError)) throw error;
    console.error(`dune-debug: ${error.message}`);
    return error instanceof UsageError ? STATUS_USAGE : STATUS_CANNOT_RUN;
  }
  // What the emulator cannot do for the program: unknown system calls, bytes that are no instruction, misuse of /dev/dune.
  machine.events.subscribe(['diagnostic'], ({ summary, facts }) => {
    if (!facts.abnormal) console.error(`dune-debug: ${summary}`);
  });
  const stop = runToEnd(machine, options, command);
  closeTrace();
  explain(machine);
  command.end?.(machine);
  if (options.stats) {
    const wallMilliseconds = Math.round(performance.now() - started);
    console.error(JSON.stringify({ ...machine.stats(), wallMilliseconds }));
  }
  return status(stop);
}

function launch(options: RunOptions): Machine {
  const path = resolve(options.program);
  const image = nodeHostFiles.readFile(path);
  if (!image) throw new LaunchError(unreadable(options.program, path));
  return createMachine(loadAssets(), {
    machine: options.machine,
    program: { path, image },
    args: options.args,
    env: options.env,
    cwd: process.cwd(),
    grants: options.grants.map(({ path, write }) => ({ path: resolve(path), write })),
    files: nodeHostFiles,
    syscalls: options.strict ? 'strict' : 'modern',
    physBits: options.physBits,
    cpus: options.cpus,
    cpuModel: options.cpu,
    memory: options.memory,
    seed: options.seed,
    aslr: false,
    translate: options.translate,
    output: (fd, data) => writeAll(fd, data),
  });
}

/** Why the program cannot be read, in one sentence. */
function unreadable(name: string, path: string): string {
  const stat = nodeHostFiles.stat(path);
  if (!stat) return `${name}: there is no such file.`;
  if (stat.type === 'directory') return `${name} is a directory; name the program in it.`;
  return `${name}: the file cannot be read; check its permissions.`;
}

function runToEnd(machine: Machine, options: RunOptions, command: RunCommand): StopReason {
  let next = command.slice;
  for (;;) {
    const { instructions } = machine.stats();
    const left = Math.min(options.maxInstructions, next) - instructions;
    if (instructions >= options.maxInstructions) return { kind: 'budget' };
    const stop = machine.run(left);
    if (stop.kind === 'input') machine.input(readInput());
    else if (stop.kind !== 'budget') return stop;
    if (machine.stats().instructions < next) continue;
    command.look?.(machine, options);
    next += command.slice;
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
