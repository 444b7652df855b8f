/**
 * `npm run conformance -- [options] KERNEL...`: boots Multiboot kernels that print PASS, FAIL and SKIP on their serial port (kvm-unit-tests and their like), several at
 * a time, and prints a table. Kernels are built elsewhere; nothing of them is part of this project.
 */
import { parseArgs } from 'node:util';
import { casesOf, machineKey, type Case } from './conformance/cases.ts';
import { table, verdict } from './conformance/report.ts';
import { Worker, type Result } from './conformance/run-case.ts';

const HELP = `npm run conformance -- [options] KERNEL...

Boots each kernel headless on the bare board, once for each --append, and prints a table of results.

  --append TEXT    command line; may be given several times
  --config FILE    a kvm-unit-tests unittests.cfg beside the kernels: every section of it, or those named in place of KERNEL
  --memory MB      physical memory (default 128)
  --cpus N         logical processors (default 1)
  --cpu MODEL      what CPUID presents
  --env NAME=VALUE the kernel's environment (a module of lines); may be given several times
  --timeout S      seconds for each (default 120)
  --jobs N         how many at a time (default 2)
  --fresh          a process of its own for each boot, with nothing left of the one before
  --failures       print the lines of checks that failed
  --logs DIR       keep what each printed
`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    append: { type: 'string', multiple: true },
    config: { type: 'string' },
    memory: { type: 'string', default: '128' },
    cpus: { type: 'string', default: '1' },
    cpu: { type: 'string' },
    env: { type: 'string', multiple: true },
    timeout: { type: 'string', default: '120' },
    jobs: { type: 'string', default: '2' },
    fresh: { type: 'boolean', default: false },
    failures: { type: 'boolean', default: false },
    logs: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});

async function main(): Promise<number> {
  const cases = values.help
    ? []
    : casesOf({
        kernels: positionals,
        appends: values.append ?? [''],
        config: values.config,
        memory: Number(values.memory),
        cpus: Number(values.cpus),
        cpu: values.cpu,
        env: values.env ?? [],
      });
  if (cases.length === 0) {
    console.log(HELP);
    return values.help ? 0 : 2;
  }
  const results = await runAll(cases);
  console.log(table(results));
  if (values.failures)
    for (const { name, failures } of results) for (const line of failures) console.log(`${name}: ${line}`);
  return results.every((result) => ['clean', 'better than expected', 'skipped'].includes(verdict(result))) ? 0 : 1;
}

/** Cases of one kernel on one machine follow each other, so that they share what was made for it. */
function order(cases: readonly Case[]): number[] {
  const keys = [...new Set(cases.map(machineKey))];
  const rank = (index: number): number => keys.indexOf(machineKey(cases[index]!));
  return [...cases.keys()].sort((a, b) => rank(a) - rank(b) || a - b);
}

async function runAll(cases: readonly Case[]): Promise<Result[]> {
  const results: Result[] = [];
  const waiting = order(cases);
  const limits = { timeout: Number(values.timeout), logs: values.logs, fresh: values.fresh };
  const work = async (): Promise<void> => {
    const worker = new Worker(limits);
    for (let index = waiting.shift(); index !== undefined; index = waiting.shift()) {
      const result = await worker.run(cases[index]!);
      results[index] = result;
      console.error(`${result.name}: ${verdict(result)}`);
    }
    worker.end();
  };
  await Promise.all(Array.from({ length: Number(values.jobs) }, work));
  return results;
}

process.exitCode = await main();
