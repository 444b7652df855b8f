/**
 * `npm start [-- program [args]]`: builds everything, then debugs examples/hello (or the program) in the terminal, through the real
 * debug adapter over DAP: a source breakpoint, the first VM exit, the page fault the program provokes, and its end.
 */
import { existsSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { basename, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { compiler } from './build/programs.ts';
import { Client } from './start/client.ts';
import { Report } from './start/report.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const build = spawnSync(
  process.execPath,
  [join(root, 'node_modules/tsx/dist/cli.mjs'), join(root, 'scripts/build.ts')],
  {
    stdio: 'inherit',
  },
);
if (build.status !== 0) process.exit(build.status ?? 1);

const [given, ...args] = process.argv.slice(2);
const program = given ? resolve(given) : example();
const started = performance.now();
const client = new Client(process.execPath, [join(root, 'dist/adapter.mjs')]);
const report = new Report(client);
process.exitCode = await debug();
await client.close();

/** The hello that was just built, or the one that came with the project. */
function example(): string {
  const built = join(root, 'examples/hello/hello');
  if (compiler() && existsSync(built)) return built;
  const prebuilt = join(root, 'examples/prebuilt/hello');
  console.log(`No C compiler on this machine: debugging the prebuilt ${prebuilt}.`);
  return prebuilt;
}

/** Returns the program's exit code. */
async function debug(): Promise<number> {
  console.log(`\nDebugging ${program} over DAP\n`);
  await client.request('initialize', { adapterID: 'dune', linesStartAt1: true, columnsStartAt1: true });
  const launched = client.request('launch', { program, args, cwd: process.cwd() });
  // A launch that is refused never becomes initialized.
  await Promise.race([client.event('initialized'), launched]);
  await stopOnMain();
  await client.request('setExceptionBreakpoints', { filters: ['vm-exit', 'page-fault'] });
  await client.request('configurationDone');
  await launched;
  let sawExit = false;
  for (;;) {
    const event = await client.next(['stopped', 'exited', 'terminated']);
    if (event.event === 'exited') return report.end(event.body.exitCode as number);
    if (event.event === 'terminated') return report.end(1);
    const { threadId, reason } = event.body as { threadId: number; reason: string };
    if (report.isFirstStop) report.say(`first stop ${Math.round(performance.now() - started)} ms after launch`);
    await report.stop(threadId, event.body);
    if (reason === 'breakpoint') report.say('');
    const kind = event.body.text as string | undefined;
    if (!sawExit && /vm-exit|VM exit/.test(`${kind} ${event.body.description}`)) {
      sawExit = true;
      await client.request('setExceptionBreakpoints', { filters: ['page-fault'] });
    } else if (/page.fault/i.test(`${kind} ${event.body.description}`))
      await client.request('setExceptionBreakpoints', { filters: [] });
    await client.request('continue', { threadId });
  }
}

/** A breakpoint on the first line of main, set on the source line when the program has line information. */
async function stopOnMain(): Promise<void> {
  const source = `${program.replace(/^.*\/prebuilt\//, join(root, 'examples/prebuilt/'))}.c`;
  const answer = await client.request('setFunctionBreakpoints', { breakpoints: [{ name: 'main' }] });
  const [main] = answer.breakpoints as { verified: boolean; line?: number; source?: { path: string } }[];
  if (!main?.verified || !main.line || !main.source)
    return report.say(`${basename(program)}: no function main with line information`);
  const path = main.source.path ?? source;
  await client.request('setFunctionBreakpoints', { breakpoints: [] });
  const set = await client.request('setBreakpoints', { source: { path }, breakpoints: [{ line: main.line }] });
  const [breakpoint] = set.breakpoints as { verified: boolean; line: number }[];
  report.say(`breakpoint ${basename(path)}:${breakpoint?.line} ${breakpoint?.verified ? 'set' : 'NOT set'}`);
}
