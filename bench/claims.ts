/**
 * `npm run bench:claims [-- name ...]`: what the engine is said to do beside being fast, each measured in a run of its own. Prints the numbers
 * beside the limits; the exit status is 1 if one is beyond its limit.
 */
import { spawn } from 'node:child_process';
import { parseArgs } from 'node:util';
import { join } from 'node:path';
import { cpuOf, regionSeconds, Run } from './harness/in-process.ts';
import { HELLO, benchProgram, build, compile, FLAGS, KERNEL_PROGRAMS, programNames, root } from './harness/programs.ts';
import { residentBytes } from './harness/cpu-time.ts';
import { median, USER } from './harness/report.ts';
import { Lines, measure, measureWhole, type Whole } from './harness/session.ts';
import { nmFunctions } from './harness/symbols.ts';

const MEGABYTE = 1024 * 1024;
const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '3' },
    /** Instructions of the longest run of `growth`. */
    most: { type: 'string', default: '1e10' },
    /** Thousands of calls of `cold`. */
    calls: { type: 'string', default: '10000' },
  },
});
const rounds = Number(options.rounds);
const engine = [process.execPath, join(root, 'bin/dune-debug.mjs'), 'run', '--stats'];

let failed = false;
function say(what: string, value: number, unit: string, limit?: { most: number } | { least: number }): void {
  const beyond = limit && ('most' in limit ? value > limit.most : value < limit.least);
  failed ||= beyond === true;
  const bound = limit ? ('most' in limit ? `   at most ${limit.most}` : `   at least ${limit.least}`) : '';
  console.log(`${what.padEnd(58)} ${value.toPrecision(4).padStart(9)} ${unit}${bound}${beyond ? '   BEYOND' : ''}`);
}
const claim = (name: string): string => compile(join(root, 'bench/claims', `${name}.c`), join(build, 'claims', name));

/** 20 MB of code of which nothing is hot, and with a head as real programs have it. */
async function cold(): Promise<void> {
  await besideUser(claim('cold'), '20 MB of code, nothing in it hot', { least: 150 });
  const source = join(root, 'bench/claims/cold.c');
  await besideUser(
    compile(source, join(build, 'claims/cold-zipf'), [...FLAGS, '-DZIPF']),
    '20 MB, calls by a Zipf law',
  );
}
async function besideUser(program: string, what: string, limit?: { least: number }): Promise<void> {
  const work = [options.calls, 'sync'];
  const own: number[] = [];
  const user: number[] = [];
  let instructions = 0;
  for (let round = 0; round < rounds; round++) {
    const region = await measure([...engine, program, ...work]);
    instructions = region.stats!.instructions;
    own.push(region.cpu);
    user.push((await measure([USER, program, ...work])).cpu);
  }
  say(what, instructions / median(own) / 1e6, 'MIPS', limit);
  say(`the same in ${USER}`, instructions / median(user) / 1e6, 'MIPS');
}

/** From start to end of a static hello, less what the host's JavaScript engine takes to start and end. */
async function start(): Promise<void> {
  const hello: Whole[] = [];
  const bare: Whole[] = [];
  // The first run keeps what V8 compiled.
  for (let round = 0; round <= 3 * rounds; round++) {
    hello.push(await measureWhole([...engine, benchProgram(HELLO)]));
    bare.push(await measureWhole([process.execPath, '-e', '0']));
  }
  const time = (runs: readonly Whole[], of: (run: Whole) => number): number => median(runs.slice(1).map(of)) * 1000;
  const cpu = (run: Whole): number => run.cpu;
  const wall = (run: Whole): number => run.wall;
  say('static hello, processor time beside node alone', time(hello, cpu) - time(bare, cpu), 'ms', { most: 150 });
  say('the same, wall time', time(hello, wall) - time(bare, wall), 'ms');
}

/** Time against instructions: a straight line, whatever the length of a run. */
function growth(): Promise<void> {
  const run = new Run(benchProgram('alu'), ['1000000000000']).begin();
  const most = Number(options.most);
  const step = most / 20;
  run.run(step / 10);
  const points: { x: number; y: number }[] = [];
  let y = 0;
  for (let x = step; x <= most; x += step) {
    y += cpuOf(() => run.run(step));
    points.push({ x: x / 1e9, y });
  }
  // Least squares through the origin.
  const slope = points.reduce((sum, p) => sum + p.x * p.y, 0) / points.reduce((sum, p) => sum + p.x * p.x, 0);
  const worst = Math.max(...points.map((p) => Math.abs(p.y - slope * p.x) / (slope * p.x)));
  const half = points[points.length / 2 - 1]!;
  const last = points.at(-1)!;
  say(`seconds a billion instructions, to ${most.toExponential()}`, slope, 's');
  say('largest residual of the line', worst * 100, '%');
  say('second half by first half', (last.y - half.y) / half.y, '', { most: 1.15 });
  say('memory at the end', residentBytes(process.pid).now / MEGABYTE, 'MB');
  return Promise.resolve();
}

/** What a snapshot costs with a gigabyte in memory, and what snapshots cost a program. */
function snapshots(): Promise<void> {
  const pages = 100;
  const run = new Run(claim('resident'), [String(pages)], { memory: 1280 * MEGABYTE }).begin();
  const first = cpuOf(() => run.machine.snapshot());
  say('first snapshot, 1 GB resident', first * 1000, 'ms');
  const kept = [];
  const times: number[] = [];
  const before = residentBytes(process.pid).now;
  for (let n = 0; n < 50; n++) {
    run.run(1e6);
    times.push(cpuOf(() => kept.push(run.machine.snapshot())));
  }
  say(`next snapshots, ${pages} pages written`, median(times) * 1000, 'ms', { most: first * 100 });
  say('memory a snapshot', (residentBytes(process.pid).now - before) / kept.length / MEGABYTE, 'MB', { most: 2 });
  const ratios = ['alu', 'hash', 'qsort', 'records'].map((name) => {
    const program = benchProgram(name);
    const plain: number[] = [];
    const saved: number[] = [];
    for (let round = 0; round < rounds; round++)
      for (const save of round % 2 ? [true, false] : [false, true]) {
        const timed = new Run(program, ['x1'], { memory: 1280 * MEGABYTE }).begin();
        timed.run(50e6);
        const keep = [timed.machine.snapshot()];
        (save ? saved : plain).push(
          cpuOf(() => {
            for (let n = 0; n < 12; n++) {
              timed.run(50e6);
              if (save) keep.push(timed.machine.snapshot());
            }
          }),
        );
      }
    return median(saved) / median(plain);
  });
  say('a snapshot every 50 million instructions', (median(ratios) - 1) * 100, '%', { most: 5 });
  return Promise.resolve();
}

/** Memory of the command: small programs, large guests, code made for ever. */
async function memory(): Promise<void> {
  const hello = await peak([...engine, '--memory', '3072', benchProgram('alu'), '1000']);
  say('peak memory of a small program, guest of 3 GB', hello / MEGABYTE, 'MB', { most: 400 });
  const jit = claim('jit');
  const short = await peak([...engine, jit, '5']);
  const long = await peak([...engine, jit, '50']);
  say('peak memory, 5,000 functions made and overwritten', short / MEGABYTE, 'MB');
  say('peak memory, 50,000 functions', long / MEGABYTE, 'MB', { most: 400 + 64 });
}
async function peak(command: readonly string[]): Promise<number> {
  const child = spawn(command[0]!, [...command.slice(1), 'sync'], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = new Lines(child.stdout);
  await lines.next(/^B [^\n]*\n/m);
  child.stdin.write('\n');
  await lines.next(/^E [^\n]*\n/m);
  const resident = residentBytes(child.pid!);
  child.stdin.end('\n');
  await new Promise((resolve) => child.on('close', resolve));
  return resident.peak;
}

/** 69 GB mapped by 4 KB entries in Dune mode, beside the same loop native. */
async function map(): Promise<void> {
  const source = join(root, 'bench/claims/fullmap.c');
  const library = [join(root, 'libdune/libdune.a')];
  const dune = compile(source, join(build, 'claims/fullmap-dune'), [...FLAGS, '-DDUNE', `-I${root}`], library);
  const native = claim('fullmap');
  const own: number[] = [];
  const host: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const region = await measure([...engine, dune, '1', 'sync']);
    own.push(region.cpu);
    host.push((await measure([native, '1', 'sync'])).cpu);
    if (round === 0) console.log(`  ${JSON.stringify(region.stats)}`);
  }
  say('69 GB mapped, 18 million entries, native', median(host) * 1000, 'ms');
  say('the same in Dune mode', median(own) * 1000, 'ms');
  say('times native', median(own) / median(host), '', { most: 3 });
}

/** 100 breakpoints where the program does not come by. */
function breakpoints(): Promise<void> {
  const ratios: number[] = [];
  for (const name of programNames().filter((each) => !(each in KERNEL_PROGRAMS))) {
    const program = benchProgram(name);
    const places = nmFunctions(program, /^(_IO_w|_nl_|__gconv)/).slice(0, 100);
    const times: { with: number[]; without: number[] } = { with: [], without: [] };
    for (let round = 0; round < rounds; round++)
      for (const which of round % 2 ? (['with', 'without'] as const) : (['without', 'with'] as const))
        times[which].push(
          regionSeconds(program, ['x0.25'], (machine) => {
            if (which === 'with') machine.setBreakpoints(new Set(places));
          }),
        );
    const ratio = Math.min(...times.with) / Math.min(...times.without);
    ratios.push(ratio);
    say(`${name} with ${places.length} breakpoints, by without`, ratio, '');
  }
  say('median of them', median(ratios), '', { most: 1.05 });
  return Promise.resolve();
}

const CLAIMS: Readonly<Record<string, () => Promise<void>>> = {
  start,
  cold,
  growth,
  snapshots,
  memory,
  map,
  breakpoints,
};
for (const name of positionals.length > 0 ? positionals : Object.keys(CLAIMS)) {
  const run = CLAIMS[name];
  if (!run) throw new Error(`there is no claim ${name}; there are: ${Object.keys(CLAIMS).join(', ')}`);
  console.log(`\n${name}`);
  await run();
}
process.exitCode = failed ? 1 : 0;
