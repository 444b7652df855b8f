/**
 * `npm run bench [-- options] [-- program ...]`: the programs of bench/programs in this engine, beside qemu-x86_64 (user mode), qemu-system-x86_64
 * (software MMU, after `npm run bench:prepare`) and native, in one run, interleaved; the median of the rounds counts. Processor time of the process, so
 * that what else the machine does matters less. Results of all peers must agree.
 *
 *   --rounds N   (default 5)
 *   --scale N    N times the programs' own amount of work, which takes a peer about a second (default 1; 0.25: short runs)
 *   --work N     so many units of work instead: 1 shows that the harness works
 *   --peers LIST only these: dune-debug (always), qemu-system-x86_64, qemu-x86_64, native
 *   --out FOLDER where the report, its numbers and the picture go (default build/bench)
 *   --save       into docs/bench too
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { barChart } from './harness/chart.ts';
import { HELLO, KERNEL_PROGRAMS, benchProgram, build, programNames, root } from './harness/programs.ts';
import { QemuSystem, buildInitramfs, isPrepared } from './harness/qemu-system.ts';
import { ENGINE, NATIVE, SYSTEM, USER, median, report, series } from './harness/report.ts';
import type { ProgramResult, Results, StartResult } from './harness/report.ts';
import { measure, measureWhole, type Region } from './harness/session.ts';

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '5' },
    scale: { type: 'string', default: '1' },
    work: { type: 'string' },
    peers: { type: 'string', default: `${SYSTEM},${USER},${NATIVE}` },
    out: { type: 'string', default: build },
    save: { type: 'boolean', default: false },
  },
});
const rounds = Number(options.rounds);
const work = options.work ?? `x${options.scale}`;

const engine = [process.execPath, join(root, 'bin/dune-debug.mjs'), 'run', '--stats'];
const wanted = new Set(options.peers.split(','));
const hasUser = wanted.has(USER) && spawnSync(USER, ['--version']).status === 0;
const hasSystem = wanted.has(SYSTEM) && isPrepared();

type Samples = Map<string, Map<string, Region[]>>;
function add(samples: Samples, name: string, peer: string, region: Region): void {
  const byPeer = samples.get(name) ?? new Map<string, Region[]>();
  samples.set(name, byPeer);
  byPeer.set(peer, [...(byPeer.get(peer) ?? []), region]);
}

const starts = new Map<string, { cpu: number; wall: number }[]>();
const addStart = (what: string, sample: { cpu: number; wall: number }): void =>
  void starts.set(what, [...(starts.get(what) ?? []), sample]);

async function round(names: readonly string[], samples: Samples): Promise<void> {
  const system = hasSystem ? await QemuSystem.start() : undefined;
  if (system) addStart(`${SYSTEM}, boot to shell`, system.boot);
  try {
    for (const name of names) {
      const program = benchProgram(name);
      const args = [program, work, 'sync'];
      add(samples, name, ENGINE, await measure([...engine, ...args]));
      if (system) add(samples, name, SYSTEM, await system.measure(program, work));
      if (hasUser) add(samples, name, USER, await measure([USER, ...args]));
      if (wanted.has(NATIVE)) add(samples, name, NATIVE, await measure(args));
    }
    const hello = benchProgram(HELLO);
    addStart(`${ENGINE}, hello`, await measureWhole([...engine, hello]));
    if (system) addStart(`${SYSTEM}, hello from the shell`, await system.measureWhole(hello));
    if (hasUser) addStart(`${USER}, hello`, await measureWhole([USER, hello]));
    if (wanted.has(NATIVE)) addStart(`${NATIVE}, hello`, await measureWhole([hello]));
  } finally {
    system?.stop();
  }
}

async function resultOf(name: string, byPeer: ReadonlyMap<string, Region[]>): Promise<ProgramResult> {
  const checksums = new Set([...byPeer.values()].flat().map(({ checksum }) => checksum));
  if (checksums.size !== 1) throw new Error(`${name}: results differ: ${[...checksums].join(' ')}`);
  const idle = await measure([...engine, benchProgram(name), '0', 'sync']);
  const instructions = byPeer.get(ENGINE)![0]!.stats!.instructions - idle.stats!.instructions;
  const medians = (of: (region: Region) => number): Record<string, number> =>
    Object.fromEntries([...byPeer].map(([peer, regions]) => [peer, median(regions.map(of))]));
  return {
    name,
    instructions,
    cpu: medians(({ cpu }) => cpu),
    wall: medians(({ wall }) => wall),
    checksum: [...checksums][0]!,
  };
}

/** Operations of the programs that measure operations: the N of their B line, times how many each is. */
async function operations(): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const name of Object.keys(KERNEL_PROGRAMS)) {
    const { stdout } = spawnSync(benchProgram(name), [work], { encoding: 'utf8' });
    counts[name] = Number(/^B \S+ (\d+)/.exec(stdout)![1]);
  }
  return counts;
}

function write(results: Results, text: string): void {
  const chart = barChart({ title: 'Million instructions a second of processor time', ...series(results) });
  const folders = [options.out, ...(options.save ? [join(root, 'docs/bench')] : [])];
  for (const folder of folders) {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'results.json'), `${JSON.stringify(results, null, 2)}\n`);
    writeFileSync(join(folder, 'results.md'), `${text}\n`);
    writeFileSync(join(folder, 'mips.svg'), chart);
  }
  console.log(`\n${folders.map((folder) => join(folder, 'results.{json,md}, mips.svg')).join('\n')}`);
}

const names = positionals.length > 0 ? positionals : programNames();
if (hasSystem) buildInitramfs([...programNames(), HELLO].map(benchProgram));
else if (wanted.has(SYSTEM)) console.log(`Without ${SYSTEM}: "npm run bench:prepare" fetches what it needs.`);
const samples: Samples = new Map();
for (let n = 1; n <= rounds; n++) {
  process.stderr.write(`round ${n} of ${rounds}\n`);
  await round(names, samples);
}
const programs: ProgramResult[] = [];
for (const name of names) programs.push(await resultOf(name, samples.get(name)!));
const start: StartResult[] = [...starts].map(([what, list]) => ({
  what,
  cpu: median(list.map(({ cpu }) => cpu)),
  wall: median(list.map(({ wall }) => wall)),
}));
const results: Results = {
  date: new Date().toISOString().slice(0, 10),
  host: cpus()[0]?.model ?? '',
  rounds,
  programs,
  start,
};
const text = report(results, await operations());
console.log(text);
write(results, text);
