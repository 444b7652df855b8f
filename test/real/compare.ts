/** Runs a real program on the host and in the emulator, by its command line, and says whether they did the same. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import type { RealRun } from './programs.ts';
import { repository, work } from './workspace.ts';

/** Milliseconds. */
const NATIVE_LIMIT = 300_000;
const EMULATED_LIMIT = 1_800_000;
const MOST_OUTPUT = 1 << 28;

export interface Measured {
  readonly stdout: string;
  readonly stderr: string;
  readonly status: number | string;
  /** Of wall time. */
  readonly seconds: number;
  readonly instructions: number;
}

function measure(
  command: string,
  args: readonly string[],
  run: RealRun,
  timeout: number,
): Omit<Measured, 'instructions'> {
  const started = performance.now();
  const env = Object.fromEntries((run.env ?? []).map((pair) => pair.split(/=(.*)/s).slice(0, 2)));
  const done = spawnSync(command, args, {
    input: run.input ?? '',
    cwd: run.cwd ?? work,
    env: command === run.program ? env : process.env,
    encoding: 'latin1',
    timeout,
    maxBuffer: MOST_OUTPUT,
  });
  const seconds = (performance.now() - started) / 1000;
  const { stdout, stderr, status, signal } = done;
  return { stdout, stderr, status: status ?? signal ?? String(done.error), seconds };
}

export const runOnHost = (run: RealRun, limit = NATIVE_LIMIT): Measured => ({
  ...measure(run.program, run.args, run, limit),
  instructions: 0,
});

export function runEmulated(run: RealRun, options: readonly string[], limit = EMULATED_LIMIT): Measured {
  const environment = (run.env ?? []).flatMap((pair) => ['--env', pair]);
  const grants = [work, join(repository, 'test/real'), ...(run.grants ?? [])].flatMap((path) => ['--grant', path]);
  const cli = join(repository, 'dist/cli.mjs');
  const args = [
    cli,
    'run',
    '--stats',
    ...options,
    ...environment,
    ...grants,
    '--grant',
    '/tmp:rw',
    run.program,
    ...run.args,
  ];
  const measured = measure(process.execPath, args, run, limit);
  const lines = measured.stderr.split('\n');
  const stats = lines.find((line) => line.startsWith('{"instructions"'));
  const stderr = lines.filter((line) => line !== stats && !line.startsWith('dune-debug: ')).join('\n');
  const instructions = stats ? (JSON.parse(stats) as { instructions: number }).instructions : 0;
  return { ...measured, stderr, instructions };
}

/** The first line that differs; undefined if both did the same. */
export function difference(run: RealRun, ours: Measured, theirs: Measured): string | undefined {
  if (ours.status !== theirs.status)
    return `ended with ${ours.status}, on the host with ${theirs.status}: ${ours.stderr.slice(-300)}`;
  for (const stream of ['stdout', 'stderr'] as const) {
    const clean = (text: string): string[] => (run.blank ? text.replace(run.blank, '') : text).trimEnd().split('\n');
    const [mine, hosts] = [clean(ours[stream]), clean(theirs[stream])];
    const at = mine.findIndex((line, index) => line !== hosts[index]);
    if (at >= 0)
      return `${stream}, line ${at + 1}: "${mine[at]!.slice(0, 200)}", on the host "${(hosts[at] ?? '').slice(0, 200)}"`;
    if (mine.length !== hosts.length) return `${stream} has ${mine.length} lines, on the host ${hosts.length}`;
  }
  return undefined;
}
