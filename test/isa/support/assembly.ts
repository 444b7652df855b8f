/** Assembles a file of CASE ... END_CASE snippets (case.macros) with gcc. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { initialFx, MAX_CODE, WINDOW, WINDOW_BYTES } from './case.ts';
import type { TestCase } from './case.ts';

const directory = join(import.meta.dirname, '../../../dist/test-isa');
const INTERRUPTS_ENABLED = 0x202;
const RSP = 4;
const RDI = 7;

/** The tests of a file. They start with RSP in the middle of the window, RDI at its beginning, all else 0. */
export function assemble(source: string): TestCase[] {
  mkdirSync(directory, { recursive: true });
  const object = join(directory, `${basename(source, '.s')}.o`);
  const binary = `${object}.bin`;
  execFileSync('gcc', ['-c', '-I', join(import.meta.dirname, '..'), '-o', object, source]);
  execFileSync('objcopy', ['-O', 'binary', '-j', '.text', object, binary]);
  const text = new Uint8Array(readFileSync(binary));
  const labels = execFileSync('nm', ['-n', object], { encoding: 'utf8' })
    .split('\n')
    .flatMap((line) => /^([0-9a-f]+) T (test|end)\.(.*)$/.exec(line)?.slice(1) ?? [])
    .reduce<string[][]>((rows, field, index) => (index % 3 ? rows.at(-1)!.push(field) : rows.push([field]), rows), []);
  const tests: TestCase[] = [];
  labels.forEach(([at, kind, label], index) => {
    if (kind !== 'test') return;
    const end = labels.slice(index + 1).find((next) => next[1] === 'end');
    const [name, undefinedFlags] = label!.split('.') as [string, string];
    const code = text.subarray(parseInt(at!, 16), parseInt(end![0]!, 16));
    if (code.length > MAX_CODE) throw new Error(`${source}: ${name} is longer than ${MAX_CODE} bytes`);
    const gpr = new BigUint64Array(16);
    gpr[RSP] = BigInt(WINDOW + WINDOW_BYTES / 2);
    gpr[RDI] = BigInt(WINDOW);
    const registers = { gpr, rflags: INTERRUPTS_ENABLED, fx: initialFx() };
    tests.push({ name, code, registers, window: new Uint8Array(WINDOW_BYTES), undefinedFlags: Number(undefinedFlags) });
  });
  return tests;
}
