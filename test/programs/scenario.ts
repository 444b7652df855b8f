/**
 * One random program on the host and on three machines: interpreted; translated, at the same slices; translated by other thresholds, each slice in pieces, and gone back from
 * and done again from snapshots of all ages. Stops, counts and digests agree after the slices, what is printed agrees with the host.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { loadAssets } from '../../debug-adapter/hosting/node/assets.ts';
import { nodeHostFiles } from '../../debug-adapter/hosting/node/host-files.ts';
import type { Machine, MachineAssets, MachineOptions, Snapshot, StopReason } from '../../emulator/machine/api.ts';
import { createMachine } from '../../emulator/machine/machine.ts';
import { Random } from '../isa/support/random.ts';

const here = import.meta.dirname;
const root = join(here, '../..');
const built = join(root, 'dist/test-programs');
const LONGEST_SLICE = 60_000;
/** Instructions after which a program is taken to hang. */
const MOST_INSTRUCTIONS = 300_000_000;
const NATIVE_SECONDS = 60;
/** Microseconds between two alarms, at least: the host is not to do anything else. */
const NATIVE_INTERVAL = 2000;
const KEPT = 4;

interface Kind {
  readonly source: string;
  readonly flags: readonly string[];
  /** After the source. */
  readonly libraries: readonly string[];
  /** The host can run it. */
  readonly native: boolean;
  readonly actions: number;
  /** Bytes. */
  readonly memory: number;
}
export const KINDS: Readonly<Record<string, Kind>> = {
  linux: {
    source: 'program.c',
    flags: ['-mno-red-zone'],
    libraries: ['-lpthread'],
    native: true,
    actions: 14,
    memory: 64 << 20,
  },
  dune: {
    source: 'dune.c',
    flags: ['-mno-red-zone', '-no-pie', `-I${root}`],
    libraries: [join(root, 'libdune/libdune.a'), '-lpthread'],
    native: false,
    actions: 14,
    memory: 256 << 20,
  },
};

export function whyNot(): string | undefined {
  if (spawnSync('gcc', ['--version']).status !== 0) return 'there is no gcc';
  return /^flags.*\bavx2\b/m.test(readFileSync('/proc/cpuinfo', 'utf8')) ? undefined : 'the host has no AVX2';
}

function compile({ source, flags, libraries }: Kind): string {
  mkdirSync(built, { recursive: true });
  const output = join(built, source.replace('.c', ''));
  const sources = [source, 'jit.h'].map((name) => join(here, name));
  const made = existsSync(output) ? statSync(output).mtimeMs : 0;
  if (sources.some((path) => statSync(path).mtimeMs > made))
    execFileSync('gcc', ['-O2', '-static', ...flags, '-o', output, sources[0]!, ...libraries], { stdio: 'pipe' });
  return output;
}

let assets: MachineAssets | undefined;

/** A machine, and what the program has printed in the history that is in force. */
class Run {
  readonly machine: Machine;
  text = '';
  constructor(
    program: string,
    args: readonly string[],
    options: Partial<MachineOptions> & Pick<MachineOptions, 'memory'>,
  ) {
    const decoder = new TextDecoder();
    this.machine = createMachine((assets ??= loadAssets(join(root, 'dist'))), {
      program: { path: program, image: new Uint8Array(readFileSync(program)) },
      args,
      env: [],
      cwd: '/',
      grants: [],
      files: nodeHostFiles,
      syscalls: 'modern',
      physBits: 46,
      cpus: 1,
      seed: 1,
      aslr: false,
      output: (_fd, data) => void (this.text += decoder.decode(data)),
      ...options,
    });
    this.machine.input(null);
  }
  get instructions(): number {
    return this.machine.stats().instructions;
  }
}

interface Kept {
  readonly snapshot: Snapshot;
  readonly instructions: number;
  readonly digest: string;
  readonly text: string;
}

/** Runs in pieces, and goes back in time now and then. */
class Traveller {
  #kept: Kept[] = [];
  journeys = 0;
  constructor(
    readonly run: Run,
    readonly random: Random,
  ) {}

  /** To the end of a slice; what stops it, or what went wrong in words. */
  advance(instructions: number): StopReason | string {
    const { run, random } = this;
    const end = run.instructions + instructions;
    for (;;) {
      if (random.oneIn(12)) this.#keep();
      if (random.oneIn(20) && this.#kept.length > 0) {
        const wrong = this.#travel();
        if (wrong !== undefined) return wrong;
      }
      const left = end - run.instructions;
      const stop = run.machine.run(random.oneIn(2) ? left : 1 + random.below(left));
      if (stop.kind !== 'budget' || run.instructions >= end) return stop;
    }
  }
  #keep(): void {
    const { machine, text } = this.run;
    const kept = { snapshot: machine.snapshot(), instructions: this.run.instructions, digest: machine.digest(), text };
    if (this.#kept.length === KEPT) this.#kept.splice(this.random.below(KEPT), 1);
    this.#kept.push(kept);
  }
  /** Back to some snapshot, and forward again to where it was. */
  #travel(): string | undefined {
    const { run, random } = this;
    const { machine } = run;
    const now = { instructions: run.instructions, digest: machine.digest(), text: run.text };
    const from = random.pick(this.#kept);
    this.journeys++;
    machine.restore(from.snapshot);
    run.text = from.text;
    if (machine.digest() !== from.digest) return `restored at ${from.instructions}: another digest`;
    while (run.instructions < now.instructions) {
      const left = now.instructions - run.instructions;
      const stop = machine.run(random.oneIn(3) ? left : 1 + random.below(left));
      if (stop.kind !== 'budget') return `from ${from.instructions} to ${now.instructions}: ${stop.kind}`;
    }
    const what = `from ${from.instructions} forward to ${now.instructions}`;
    if (run.instructions !== now.instructions) return `${what}: ${run.instructions}`;
    if (run.text !== now.text)
      return `${what}: "${run.text.slice(from.text.length)}", at first "${now.text.slice(from.text.length)}"`;
    return machine.digest() === now.digest ? undefined : `${what}: another digest`;
  }
}

export interface Outcome {
  readonly instructions: number;
  readonly slices: number;
  /** Times a machine went back. */
  readonly journeys: number;
  readonly mismatch?: string;
}

const same = (one: unknown, other: unknown): boolean => JSON.stringify(one) === JSON.stringify(other);

function firstDifference(ours: string, theirs: string): string | undefined {
  if (ours === theirs) return undefined;
  const [mine, hosts] = [ours.split('\n'), theirs.split('\n')];
  const at = mine.findIndex((line, index) => line !== hosts[index]);
  return `action ${at + 1}: "${mine[at] ?? ''}", on the host "${hosts[at] ?? ''}"`;
}

export function runScenario(kindName: string, seed: number): Outcome {
  const kind = KINDS[kindName]!;
  const program = compile(kind);
  const random = new Random(seed);
  const args = [String(seed), String(kind.actions), String(20 + random.below(200))];
  const options = { memory: kind.memory, cpus: 1 + random.below(4), seed: random.next(), aslr: random.oneIn(2) };
  const interpreted = new Run(program, args, { ...options, translate: false });
  const translated = new Run(program, args, { ...options, translate: { threshold: 10, batch: 4, mostSteps: 1 } });
  const pieces = new Run(program, args, { ...options, translate: { threshold: 3, batch: 1, mostSteps: 2 } });
  const traveller = new Traveller(pieces, new Random(seed ^ 0x5bd1e995));
  let slices = 0;
  const outcome = (mismatch?: string): Outcome => {
    const { instructions } = interpreted;
    const found =
      mismatch === undefined ? {} : { mismatch: `slice ${slices}, ${instructions} instructions: ${mismatch}` };
    return { instructions, slices, journeys: traveller.journeys, ...found };
  };
  for (;;) {
    slices++;
    const length = 1 + Math.floor((random.next() / 2 ** 32) ** 3 * LONGEST_SLICE);
    const stop = interpreted.machine.run(length);
    const others = [translated.machine.run(length), traveller.advance(length)] as const;
    for (const [index, run] of [translated, pieces].entries()) {
      const name = index === 0 ? 'translated' : 'in pieces';
      const other = others[index]!;
      if (typeof other === 'string') return outcome(`${name}: ${other}`);
      if (!same(other, stop)) return outcome(`${name}: stopped by ${other.kind}, interpreted by ${stop.kind}`);
      const [ours, theirs] = [run.machine.stats(), interpreted.machine.stats()];
      if (!same(ours, theirs))
        return outcome(`${name}: ${JSON.stringify(ours)}, interpreted ${JSON.stringify(theirs)}`);
      if ((slices % 8 === 0 || stop.kind !== 'budget') && run.machine.digest() !== interpreted.machine.digest())
        return outcome(`${name}: another digest`);
      if (run.text !== interpreted.text) return outcome(`${name}: printed other things`);
    }
    if (stop.kind !== 'budget') {
      if (stop.kind !== 'exited' || stop.status !== 0)
        return outcome(`${JSON.stringify(stop)} ${interpreted.text.split('\n').slice(-3).join(' ')}`);
      break;
    }
    if (interpreted.instructions > MOST_INSTRUCTIONS) return outcome('does not end');
  }
  if (!kind.native) return outcome();
  const native = spawnSync(program, [args[0]!, args[1]!, String(NATIVE_INTERVAL)], {
    encoding: 'utf8',
    timeout: NATIVE_SECONDS * 1000,
  });
  return outcome(firstDifference(interpreted.text, native.stdout + native.stderr));
}
