/**
 * What a user waits for, through the built adapter over DAP: F5 to the first stop, a step, a pause of an endless loop, and the adapter's memory with
 * the whole address space of a Dune process mapped. Prints the numbers beside the limits; the exit status is 1 if one is above its limit.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client } from '../scripts/start/client.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const adapter = join(root, 'dist/adapter.mjs');
const built = join(root, 'dist/bench');
const ROUNDS = 5;
const STEPS = 40;

let failed = false;
const line = (what: string, value: number, unit: string): string =>
  `${what.padEnd(46)} ${value.toFixed(0).padStart(6)} ${unit}`;
function report(what: string, value: number, limit: number, unit: string): void {
  const over = value >= limit;
  failed ||= over;
  console.log(`${line(what, value, unit)}   limit ${limit}${over ? '   OVER' : ''}`);
}
/** What has no limit: the slowest of many says more of what else the machine does. */
function tell(what: string, value: number, unit: string): void {
  console.log(line(what, value, unit));
}
const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1]!;

function compile(name: string, source: string): string {
  mkdirSync(built, { recursive: true });
  const path = join(built, name);
  writeFileSync(`${path}.c`, source);
  execFileSync('gcc', ['-g', '-O1', '-static', '-o', path, `${path}.c`], { stdio: 'inherit' });
  return path;
}

/** Launches as VS Code does; `arm` sets breakpoints before the program runs. */
async function launch(
  program: string,
  arm: (client: Client) => Promise<unknown>,
  args: string[] = [],
): Promise<Client> {
  const client = new Client(process.execPath, [adapter]);
  await client.request('initialize', { adapterID: 'dune', linesStartAt1: true, columnsStartAt1: true });
  const launched = client.request('launch', { program, args, cwd: root });
  await Promise.race([client.event('initialized'), launched]);
  await arm(client);
  await client.request('configurationDone');
  await launched;
  return client;
}
const stopOnMain = (client: Client): Promise<unknown> =>
  client.request('setFunctionBreakpoints', { breakpoints: [{ name: 'main' }] });

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

/** The thread that stopped, with its stack and variables fetched as the editor does. */
async function show(client: Client): Promise<number> {
  const { body } = await client.event('stopped');
  const { threadId } = body as { threadId: number };
  const { stackFrames } = await client.request('stackTrace', { threadId, levels: 20 });
  const frameId = (stackFrames as { id: number }[])[0]!.id;
  const { scopes } = await client.request('scopes', { frameId });
  const [locals] = scopes as { variablesReference: number }[];
  if (locals) await client.request('variables', { variablesReference: locals.variablesReference });
  return threadId;
}

async function firstStopAndSteps(): Promise<void> {
  const starts: number[] = [];
  const steps: number[] = [];
  const instructions: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    let client!: Client;
    let threadId = 0;
    starts.push(
      await timed(async () => {
        client = await launch(join(root, 'examples/hello/hello'), stopOnMain);
        threadId = await show(client);
      }),
    );
    for (let step = 0; step < STEPS / ROUNDS; step++) {
      steps.push(await timed(() => Promise.all([show(client), client.request('next', { threadId })])));
      const granularity = 'instruction';
      instructions.push(
        await timed(() => Promise.all([show(client), client.request('stepIn', { threadId, granularity })])),
      );
    }
    await client.close();
  }
  report('F5 to first stop on examples/hello, median', median(starts), 2000, 'ms');
  report('step over a line, median', median(steps), 50, 'ms');
  tell('step over a line, slowest', steps.at(-1)!, 'ms');
  report('step one instruction, median', median(instructions), 50, 'ms');
  tell('step one instruction, slowest', instructions.at(-1)!, 'ms');
}

async function pause(): Promise<void> {
  const program = compile('endless', 'volatile long count;\nint main(void) {\n    for (;;) count++;\n}\n');
  const client = await launch(program, () => Promise.resolve());
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    await new Promise((resolve) => setTimeout(resolve, 300));
    let threadId = 0;
    times.push(
      await timed(async () => {
        const stopped = show(client);
        await client.request('pause', { threadId: 0 });
        threadId = await stopped;
      }),
    );
    await client.request('continue', { threadId });
  }
  await client.close();
  report('pause of an endless loop, median', median(times), 200, 'ms');
  tell('pause of an endless loop, slowest', times.at(-1)!, 'ms');
}

/** Kilobytes in memory, and at most so far, of a process (Linux). */
function residentOf(pid: number): { now: number; peak: number } | undefined {
  const path = `/proc/${pid}/status`;
  if (!existsSync(path)) return undefined;
  const field = (name: string): number =>
    Number(new RegExp(`${name}:\\s+(\\d+)`).exec(readFileSync(path, 'utf8'))?.[1]);
  return { now: field('VmRSS'), peak: field('VmHWM') };
}

async function memory(what: string, program: string): Promise<void> {
  const client = await launch(program, () => Promise.resolve());
  let resident = residentOf(client.pid);
  const start = performance.now();
  const timer = setInterval(() => (resident = residentOf(client.pid) ?? resident), 20);
  await client.next(['exited', 'terminated']);
  resident = residentOf(client.pid) ?? resident;
  clearInterval(timer);
  if (resident) report(`adapter's peak memory, ${what}`, resident.peak / 1024, 500, 'MB');
  console.log(`  (it ran ${((performance.now() - start) / 1000).toFixed(1)} s)`);
  await client.close();
}

/** The program that maps as the public library does: 18 million page-table entries. */
function fullMap(): string {
  const path = join(built, 'public');
  const flags = ['-g', '-O1', '-mno-red-zone', '-static', '-fno-pie', '-no-pie'];
  execFileSync('gcc', [...flags, '-o', path, join(root, 'test/dune/public.c')], { stdio: 'inherit' });
  return path;
}

await firstStopAndSteps();
await pause();
await memory('examples/hello', join(root, 'examples/hello/hello'));
await memory('69 GB mapped by 4 KB entries', fullMap());
process.exitCode = failed ? 1 : 0;
