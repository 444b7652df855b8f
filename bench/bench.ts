/**
 * `npm run bench [-- --rounds N] [-- program ...]`: MIPS of the programs of bench/programs in this engine, beside qemu-x86_64 (if
 * present) and native, in one run. Runs are interleaved; the median counts. The timed region lies between the lines
 * "B" and "E" that a program prints, stamped as they leave the process; instructions of the region are this engine's exact
 * count with the work minus the count without.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const build = join(root, 'build/bench');

/** Units of work for an interpreter to take one or two seconds; the programs' own defaults are for native speed. */
const WORK: Readonly<Record<string, number>> = {
  alu: 1800000,
  stream: 12,
  fib: 100,
  sha: 60,
  matmul: 25,
  qsort: 12,
  sysc: 200000,
  trap: 200,
};

interface Peer {
  readonly name: string;
  readonly command: (program: string, work: number) => string[];
}

interface Region {
  /** Seconds between the B and the E line. */
  readonly seconds: number;
  readonly checksum: string;
  readonly stats: { instructions: number } | undefined;
}

function peers(): Peer[] {
  const engine = (program: string, work: number): string[] => [
    process.execPath,
    join(root, 'bin/dune-debug.mjs'),
    'run',
    '--stats',
    program,
    String(work),
  ];
  const list: Peer[] = [{ name: 'dune-debug', command: engine }];
  if (spawnSync('qemu-x86_64', ['--version']).status === 0)
    list.push({ name: 'qemu-x86_64', command: (program, work) => ['qemu-x86_64', program, String(work)] });
  list.push({ name: 'native', command: (program, work) => [program, String(work)] });
  return list;
}

function compile(name: string): string {
  const program = join(build, name);
  const flags = ['-O2', '-std=gnu11', '-static', '-fno-pie', '-no-pie'];
  const gcc = spawnSync('gcc', [...flags, join(root, 'bench/programs', `${name}.c`), '-o', program], {
    encoding: 'utf8',
  });
  if (gcc.status !== 0) throw new Error(`gcc failed on ${name}.c:\n${gcc.stderr}`);
  return program;
}

function measure(command: string[]): Promise<Region> {
  return new Promise((resolve, reject) => {
    const child = spawn(command[0]!, command.slice(1), { stdio: ['ignore', 'pipe', 'pipe'] });
    let begin = 0;
    let end = 0;
    let text = '';
    let errors = '';
    child.stdout.on('data', (chunk: Buffer) => {
      const now = performance.now();
      text += chunk.toString();
      if (!begin && /^B /m.test(text)) begin = now;
      if (!end && /^E /m.test(text)) end = now;
    });
    child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
    child.on('close', (status) => {
      const checksum = /^E \S+ \d+ ([0-9a-f]+)/m.exec(text)?.[1];
      if (status !== 0 || !checksum) return reject(new Error(`${command.join(' ')}: status ${status}\n${errors}`));
      const stats = /^\{.*\}$/m.exec(errors)?.[0];
      resolve({ seconds: (end - begin) / 1000, checksum, stats: stats ? JSON.parse(stats) : undefined });
    });
  });
}

const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1]!;

async function benchmark(name: string, rounds: number): Promise<Record<string, number>> {
  const program = compile(name);
  const work = WORK[name] ?? 1;
  const all = peers();
  const idle = await measure(all[0]!.command(program, 0));
  const times = new Map<string, number[]>(all.map((peer) => [peer.name, []]));
  let instructions = 0;
  const checksums = new Set<string>();
  for (let round = 0; round < rounds; round++)
    for (const peer of all) {
      const region = await measure(peer.command(program, work));
      times.get(peer.name)!.push(region.seconds);
      checksums.add(region.checksum);
      if (region.stats) instructions = region.stats.instructions - idle.stats!.instructions;
    }
  if (checksums.size !== 1) throw new Error(`${name}: results differ: ${[...checksums].join(' ')}`);
  const row: Record<string, number> = { instructions };
  for (const [peer, seconds] of times) row[peer] = instructions / median(seconds) / 1e6;
  return row;
}

const args = process.argv.slice(2);
const at = args.indexOf('--rounds');
const rounds = at < 0 ? 5 : Number(args.splice(at, 2)[1]);
mkdirSync(build, { recursive: true });
const names = readdirSync(join(root, 'bench/programs')).filter((file) => /\.c$/.test(file) && file !== 'hello.c');
const chosen = args.length > 0 ? args : names.map((file) => basename(file, '.c'));

const results: Record<string, Record<string, number>> = {};
console.log(
  `${'program'.padEnd(10)}${'instructions'.padStart(14)}${peers()
    .map(({ name }) => `${name} MIPS`.padStart(18))
    .join('')}`,
);
for (const name of chosen) {
  const row = (results[name] = await benchmark(name, rounds));
  const mips = peers().map((peer) => row[peer.name]!.toFixed(0).padStart(18));
  console.log(`${name.padEnd(10)}${row.instructions!.toLocaleString('en').padStart(14)}${mips.join('')}`);
}
writeFileSync(join(build, 'bench.json'), `${JSON.stringify(results, null, 2)}\n`);
