/** Boots in processes of their own, each of which does one case after the other; one that takes too long is killed with its process. */
import { type ChildProcess, fork } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Case } from './cases.ts';
import type { Boot } from './worker.ts';

const WORKER = fileURLToPath(new URL('worker.ts', import.meta.url));

export interface Result {
  readonly name: string;
  /** Checks that the kernel reports. */
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** Checks that the suite expects to fail, and that passed: kvm-unit-tests counts them as failures. */
  readonly unexpected: number;
  /** Lines of the failed ones and of the unexpected ones. */
  readonly failures: readonly string[];
  /** What the kernel left at the debug exit; undefined when it did not come that far. */
  readonly status: number | undefined;
  readonly timedOut: boolean;
  /** Why the processor shut down, if it did. */
  readonly crash: string | undefined;
  readonly instructions: number;
  readonly seconds: number;
}

export interface Limits {
  /** Seconds. */
  readonly timeout: number;
  /** Folder for what each printed. */
  readonly logs: string | undefined;
  /** A process of its own for each. */
  readonly fresh: boolean;
}

const NOTHING: Boot = { output: '', diagnostics: '', status: undefined, crash: undefined, instructions: NaN };

export class Worker {
  #process: ChildProcess | undefined;

  constructor(readonly limits: Limits) {}

  async run(one: Case): Promise<Result> {
    const { timeout, logs, fresh } = this.limits;
    const started = performance.now();
    const child = (this.#process ??= fork(WORKER, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] }));
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      child.kill('SIGKILL');
    }, timeout * 1000);
    const boot = await answer(child, one);
    clearTimeout(timer);
    if (fresh || child.exitCode !== null || child.signalCode !== null) this.end();
    const ended = boot ?? { ...NOTHING, crash: timedOut ? undefined : 'internal error: the emulator ended' };
    if (logs !== undefined) keep(logs, one.name, ended.output + ended.diagnostics);
    return resultOf(one.name, ended, timedOut, (performance.now() - started) / 1000);
  }

  end(): void {
    this.#process?.kill();
    this.#process = undefined;
  }
}

/** Undefined if the process ends first. */
function answer(child: ChildProcess, one: Case): Promise<Boot | undefined> {
  return new Promise((done) => {
    const ended = (): void => done(undefined);
    child.once('exit', ended);
    child.once('message', (boot) => {
      child.off('exit', ended);
      done(boot as Boot);
    });
    child.send(one);
  });
}

function keep(directory: string, name: string, text: string): void {
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, `${name.replace(/[^\w.-]+/g, '_')}.log`), text);
}

function resultOf(name: string, boot: Boot, timedOut: boolean, seconds: number): Result {
  const lines = boot.output.split(/\r?\n/);
  const starting = (word: string): string[] => lines.filter((line) => line.startsWith(`${word}:`));
  return {
    name,
    passed: starting('PASS').length,
    failed: starting('FAIL').length,
    skipped: starting('SKIP').length,
    unexpected: starting('XPASS').length,
    failures: [...starting('FAIL'), ...starting('XPASS')],
    status: boot.status,
    timedOut,
    crash: boot.crash,
    instructions: boot.instructions,
    seconds,
  };
}
