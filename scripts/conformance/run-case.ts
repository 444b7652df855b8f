/** One boot in a process of its own. */
import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Case } from './cases.ts';

const RUNNER = fileURLToPath(new URL('../../bin/dune-debug.mjs', import.meta.url));

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

export function runCase(one: Case, { timeout, logs }: { timeout: number; logs: string | undefined }): Promise<Result> {
  const started = performance.now();
  const settings = ['--memory', String(one.memory), '--cpus', String(one.cpus), ...(one.cpu ? ['--cpu', one.cpu] : [])];
  for (const line of one.env) settings.push('--env', line);
  const child = spawn(
    process.execPath,
    [RUNNER, 'run', '--machine', 'bare', '--stats', ...settings, '--append', one.append, one.kernel],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let output = '';
  let diagnostics = '';
  let timedOut = false;
  child.stdout.setEncoding('latin1').on('data', (text: string) => (output += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (diagnostics += text));
  const timer = setTimeout(() => {
    timedOut = true;
    child.kill('SIGKILL');
  }, timeout * 1000);
  return new Promise((resolve) => {
    child.on('close', (status) => {
      clearTimeout(timer);
      if (logs !== undefined) keep(logs, one.name, output + diagnostics);
      resolve(resultOf(one.name, { output, diagnostics, status, timedOut, started }));
    });
  });
}

function keep(directory: string, name: string, text: string): void {
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, `${name.replace(/[^\w.-]+/g, '_')}.log`), text);
}

interface Ending {
  readonly output: string;
  readonly diagnostics: string;
  readonly status: number | null;
  readonly timedOut: boolean;
  readonly started: number;
}

function resultOf(name: string, { output, diagnostics, status, timedOut, started }: Ending): Result {
  const lines = output.split(/\r?\n/);
  const starting = (word: string): string[] => lines.filter((line) => line.startsWith(`${word}:`));
  const crash = /^dune-debug: (?:thread \d+: )?(.*(?:shut down|internal error|deadlock).*)$/m.exec(diagnostics)?.[1];
  return {
    name,
    passed: starting('PASS').length,
    failed: starting('FAIL').length,
    skipped: starting('SKIP').length,
    unexpected: starting('XPASS').length,
    failures: [...starting('FAIL'), ...starting('XPASS')],
    status: status === null ? undefined : status,
    timedOut,
    crash,
    instructions: Number(/"instructions":(\d+)/.exec(diagnostics)?.[1] ?? NaN),
    seconds: (performance.now() - started) / 1000,
  };
}
