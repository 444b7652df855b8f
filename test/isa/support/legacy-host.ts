/** Runs 16- and 32-bit cases on the host CPU, through host-legacy.c. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { baseOf, codeAddress, WINDOW_BYTES, withExit } from './legacy-case.ts';
import type { LegacyCase, LegacyOutcome } from './legacy-case.ts';

const source = join(import.meta.dirname, 'host-legacy.c');
const directory = join(import.meta.dirname, '../../../dist/test-isa');
const program = join(directory, 'host-legacy');

const CODE_MAX = 128;
const CODE_AT = 16 * 4;
const WINDOW_AT = CODE_AT + CODE_MAX;
const CASE_BYTES = WINDOW_AT + WINDOW_BYTES;
const OUTCOME_WINDOW = 14 * 4;
const OUTCOME_BYTES = OUTCOME_WINDOW + WINDOW_BYTES;
const NO_LDT = 2;

function build(): void {
  if (existsSync(program) && statSync(program).mtimeMs > statSync(source).mtimeMs) return;
  mkdirSync(directory, { recursive: true });
  execFileSync('gcc', ['-O1', '-Wall', '-fcf-protection=none', '-o', program, source]);
}

/** Why 16- and 32-bit code cannot be run here, or undefined. */
export function whyNoLegacyHost(): string | undefined {
  build();
  const { status } = spawnSync(program, { input: '' });
  if (status === NO_LDT) return 'the kernel has no modify_ldt';
  return status === 0 ? undefined : 'the host program cannot run';
}

function encode(cases: readonly LegacyCase[]): Uint8Array {
  const bytes = new Uint8Array(cases.length * CASE_BYTES);
  const view = new DataView(bytes.buffer);
  cases.forEach((test, index) => {
    const at = index * CASE_BYTES;
    const code = withExit(test);
    const address = codeAddress(index);
    const { gpr, eflags, cs, ss, ds, es } = test;
    const words = [...gpr, eflags, cs, ss, ds, es, address - baseOf(cs), address, code.length];
    words.forEach((word, place) => view.setUint32(at + place * 4, word, true));
    bytes.set(code, at + CODE_AT);
    bytes.set(test.window, at + WINDOW_AT);
  });
  return bytes;
}

export function runOnLegacyHost(cases: readonly LegacyCase[]): LegacyOutcome[] {
  build();
  const { stdout, status, stderr } = spawnSync(program, {
    input: encode(cases),
    maxBuffer: cases.length * OUTCOME_BYTES + 4096,
  });
  const done = stdout.length / OUTCOME_BYTES;
  if (status !== 0 || done !== cases.length)
    throw new Error(
      `host program: status ${status}, ${done} of ${cases.length} outcomes; next was ${cases[Math.floor(done)]?.name}. ${stderr.toString()}`,
    );
  return cases.map((_, index) => {
    const view = new DataView(stdout.buffer, stdout.byteOffset + index * OUTCOME_BYTES, OUTCOME_BYTES);
    const word = (place: number): number => view.getUint32(place * 4, true);
    return {
      vector: word(0) | 0,
      error: word(1),
      eip: word(2),
      gpr: new Uint32Array(8).map((_, register) => word(3 + register)),
      eflags: word(11),
      ds: word(12) & 0xffff,
      es: word(13) & 0xffff,
      window: Uint8Array.from(stdout.subarray(index * OUTCOME_BYTES + OUTCOME_WINDOW, (index + 1) * OUTCOME_BYTES)),
    };
  });
}
