/**
 * A conversation with a program under a peer: it prints its B and its E line and waits after each for a line (bench.h, "sync"), so that the CPU time
 * of the process that runs it is read while it stands still. How late the reader is then makes no difference.
 */
import { spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { cpuSeconds } from './cpu-time.ts';

/** The timed region of one run. */
export interface Region {
  /** Processor seconds of all threads of the peer. */
  readonly cpu: number;
  readonly wall: number;
  readonly checksum: string;
  /** What `--stats` printed, of this engine. */
  readonly stats: { instructions: number } | undefined;
}

/** Waits for lines of a stream that match a pattern. */
export class Lines {
  #text = '';
  #wanted: { pattern: RegExp; found: (match: RegExpExecArray) => void } | undefined;

  constructor(stream: Readable) {
    stream.on('data', (chunk: Buffer) => {
      this.#text += chunk.toString('latin1');
      this.#look();
    });
  }
  #look(): void {
    const match = this.#wanted?.pattern.exec(this.#text);
    if (!match) return;
    const { found } = this.#wanted!;
    this.#wanted = undefined;
    this.#text = this.#text.slice(match.index + match[0].length);
    found(match);
  }
  next(pattern: RegExp): Promise<RegExpExecArray> {
    return new Promise((found) => {
      this.#wanted = { pattern, found };
      this.#look();
    });
  }
  /** What has come and was not asked for. */
  get rest(): string {
    return this.#text;
  }
}

/** The B line, the work, the E line, of a program that runs in the process `pid`. */
export async function timedRegion(
  lines: Lines,
  input: Writable,
  pid: number,
): Promise<{ cpu: number; wall: number; checksum: string }> {
  await lines.next(/^B [^\n]*\n/m);
  const cpu = cpuSeconds(pid);
  const wall = performance.now();
  input.write('\n');
  const end = await lines.next(/^E \S+ \d+ ([0-9a-f]+) [^\n]*\n/m);
  const region = {
    cpu: cpuSeconds(pid) - cpu,
    wall: (performance.now() - wall) / 1000,
    checksum: end[1]!,
  };
  input.write('\n');
  return region;
}

/** Runs a command to its end; the program it runs must be one of bench/programs, with "sync". */
export async function measure(command: readonly string[]): Promise<Region> {
  const child = spawn(command[0]!, command.slice(1), { stdio: 'pipe' });
  child.stdin.on('error', () => {});
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
  const failed = async (): Promise<never> => {
    throw new Error(`${command.join(' ')}: status ${await ended} before its end\n${errors}`);
  };
  const region = await Promise.race([timedRegion(new Lines(child.stdout), child.stdin, child.pid!), failed()]);
  const status = await ended;
  if (status !== 0) throw new Error(`${command.join(' ')}: status ${status}\n${errors}`);
  const stats = /^\{.*\}$/m.exec(errors)?.[0];
  return { ...region, stats: stats ? JSON.parse(stats) : undefined };
}

/** Processor and wall seconds. */
export interface Whole {
  readonly cpu: number;
  readonly wall: number;
}
/** A command from start to end; bash says the times to the millisecond. */
export async function measureWhole(command: readonly string[]): Promise<Whole> {
  const shell = ['-c', 'TIMEFORMAT="%3R %3U %3S"; time "$@" >/dev/null', 'bash', ...command];
  const child = spawn('bash', shell, { stdio: ['ignore', 'ignore', 'pipe'] });
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
  const status = await new Promise((resolve) => child.on('close', resolve));
  const times = /([\d.]+) ([\d.]+) ([\d.]+)\s*$/.exec(errors);
  if (status !== 0 || !times) throw new Error(`${command.join(' ')}: status ${String(status)}\n${errors}`);
  return { wall: Number(times[1]), cpu: Number(times[2]) + Number(times[3]) };
}
