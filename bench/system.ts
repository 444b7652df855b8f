/**
 * `npm run bench:system [-- --rounds N] [--against FOLDER] [loop ...]`: nanoseconds of each thing that leaves straight-line code, by the loops of
 * bench/system/paths.c, in this engine, in another build of it (the repository at FOLDER), natively and in qemu-x86_64 (loops of Linux mode), in one
 * run. Runs are interleaved; the median counts, of processor time of N turns less that of N / 4, so that
 * neither start-up nor warming up is in it.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const build = join(root, 'build/bench');
const program = join(build, 'paths');
/** Processor seconds that the turns of a run should take. */
const AIM = 0.8;

interface Peer {
  readonly name: string;
  readonly command: readonly string[];
  readonly dune: boolean;
}

function compile(): void {
  mkdirSync(build, { recursive: true });
  const flags = ['-O2', '-std=gnu11', '-static', '-fno-pie', '-no-pie', '-mno-red-zone', '-I', root];
  const sources = [join(root, 'bench/system/paths.c'), join(root, 'libdune/libdune.a'), '-lpthread'];
  const gcc = spawnSync('gcc', [...flags, ...sources, '-o', program], { encoding: 'utf8' });
  if (gcc.status !== 0) throw new Error(`gcc failed:\n${gcc.stderr}`);
}

/** Loops by name, in the order of the table in paths.c, and whether they need Dune mode. */
function loops(): [name: string, dune: boolean][] {
  const source = readFileSync(join(root, 'bench/system/paths.c'), 'utf8');
  return [...source.matchAll(/\{"(\w+)", \w+, ([01])\}/g)].map(([, name, dune]) => [name!, dune === '1']);
}

function peers(against: string | undefined): Peer[] {
  const engine = (name: string, folder: string): Peer => ({
    name,
    command: [process.execPath, join(folder, 'bin/dune-debug.mjs'), 'run'],
    dune: true,
  });
  const list = [engine('dune-debug', root)];
  if (against) list.push(engine('other build', resolve(against)));
  if (spawnSync('qemu-x86_64', ['--version']).status === 0)
    list.push({ name: 'qemu-x86_64', command: ['qemu-x86_64'], dune: false });
  list.push({ name: 'native', command: [], dune: false });
  return list;
}

/** Processor seconds of a run: other programs on the machine matter less to them than to the clock. */
function measure(peer: Peer, loop: string, turns: number): number {
  const command = [...peer.command, program, loop, String(turns)];
  const timed = 'TIMEFORMAT="cpu %3U %3S"; time "$@"';
  const { status, stderr, stdout } = spawnSync('bash', ['-c', timed, 'bash', ...command], { encoding: 'utf8' });
  const [, user, system] = /^cpu ([\d.]+) ([\d.]+)$/m.exec(stderr) ?? [];
  if (status !== 0 || !/^E /m.test(stdout)) throw new Error(`${peer.name} ${loop}: status ${status}\n${stderr}`);
  return Number(user) + Number(system);
}

/** How many turns take about `AIM` seconds. */
function calibrate(peer: Peer, loop: string): number {
  const idle = measure(peer, loop, 0);
  for (let turns = 10_000; ; turns *= 5) {
    const seconds = measure(peer, loop, turns) - idle;
    if (seconds > AIM / 4) return Math.ceil((turns * AIM) / seconds);
  }
}

const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1]!;

const args = process.argv.slice(2);
function option(name: string): string | undefined {
  const at = args.indexOf(name);
  return at < 0 ? undefined : args.splice(at, 2)[1];
}
const rounds = Number(option('--rounds') ?? 5);
const all = peers(option('--against'));
compile();
const chosen = loops().filter(([name]) => args.length === 0 || args.includes(name));
console.log(`${'ns a turn'.padEnd(12)}${all.map(({ name }) => name.padStart(14)).join('')}`);
const results: Record<string, Record<string, number>> = {};
for (const [loop, dune] of chosen) {
  const here = all.filter((peer) => peer.dune || !dune);
  const turns = new Map<Peer, number>();
  for (const peer of here) turns.set(peer, calibrate(peer, loop));
  const times = new Map<Peer, number[]>(here.map((peer) => [peer, []]));
  for (let round = 0; round < rounds; round++)
    for (const peer of here) {
      const count = turns.get(peer)!;
      times
        .get(peer)!
        .push(((measure(peer, loop, count) - measure(peer, loop, count >> 2)) / (count - (count >> 2))) * 1e9);
    }
  const row = Object.fromEntries(here.map((peer) => [peer.name, median(times.get(peer)!)]));
  results[loop] = row;
  console.log(`${loop.padEnd(12)}${all.map(({ name }) => (row[name]?.toFixed(0) ?? '').padStart(14)).join('')}`);
}
writeFileSync(join(build, 'system.json'), `${JSON.stringify(results, null, 2)}\n`);
