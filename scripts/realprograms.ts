/**
 * `npm run realprograms [-- [--interpret | --translate] [--cpu MODEL] [--limit SECONDS] [NAME...]]`: fetches, builds and runs real programs on the host and in the emulator,
 * interpreted and translated, and compares what they print. See docs/realprograms.md.
 */
import { difference, runEmulated, runOnHost } from '../test/real/compare.ts';
import { PROGRAMS } from '../test/real/programs.ts';
import type { RealRun } from '../test/real/programs.ts';

const words = process.argv.slice(2);
const cpuAt = words.indexOf('--cpu');
const cpu = cpuAt < 0 ? [] : words.splice(cpuAt, 2);
const limitAt = words.indexOf('--limit');
/** Milliseconds a run may take; absent: as compare.ts says. */
const limit = limitAt < 0 ? undefined : 1000 * Number(words.splice(limitAt, 2)[1]);
const backEnds = [
  ...(words.includes('--translate') ? [] : [{ name: 'interpreted', options: ['--no-translate'] }]),
  ...(words.includes('--interpret') ? [] : [{ name: 'translated', options: [] }]),
];
const filters = words.filter((word) => !word.startsWith('--'));
/** A filter names a program ("perl") or runs of it ("perl t/op/sort"). */
const wantedProgram = (name: string): boolean =>
  filters.length === 0 || filters.some((filter) => filter.split(' ')[0] === name);
const wantedRun = (program: string, run: RealRun): boolean =>
  filters.length === 0 || filters.some((filter) => filter === program || run.name.startsWith(filter));

const column = (text: string, width: number): string => text.padStart(width);
let failures = 0;

function row(run: RealRun): void {
  const native = runOnHost(run, limit);
  const cells = [run.name.padEnd(28), column(native.seconds.toFixed(2), 9)];
  const complaints: string[] = [];
  for (const { name, options } of backEnds) {
    const emulated = runEmulated(run, [...options, ...cpu], limit);
    const differs = difference(run, emulated, native);
    const mips = emulated.instructions / emulated.seconds / 1e6;
    cells.push(column(emulated.seconds.toFixed(2), 9), column(mips.toFixed(0), 6), differs ? ' DIFFERS' : '    same');
    if (differs) complaints.push(`    ${name}: ${differs}`);
    if (differs) failures++;
    else if (name === backEnds.at(-1)!.name) cells.push(column((emulated.instructions / 1e6).toFixed(0), 9));
  }
  console.log([cells.join(' '), ...complaints].join('\n'));
}

console.log(
  `${'seconds, MIPS'.padEnd(28)} ${column('host', 9)} ${backEnds.map(({ name }) => column(name, 25)).join(' ')} ${column('Minsn', 9)}`,
);
for (const program of PROGRAMS.filter(({ name }) => wantedProgram(name))) {
  try {
    program
      .prepare()
      .filter((run) => wantedRun(program.name, run))
      .forEach(row);
  } catch (error) {
    failures++;
    console.log(`${program.name.padEnd(28)} cannot be had: ${(error as Error).message}`);
  }
}
process.exitCode = failures ? 1 : 0;
