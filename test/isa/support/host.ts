/** Runs cases on the host CPU, through host.c. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { caseAddress, CODE_STRIDE, FX_BYTES, HIGH_BYTES, MAX_CASES, WINDOW_BYTES, withExit } from './case.ts';
import type { Outcome, TestCase } from './case.ts';

const source = join(import.meta.dirname, 'host.c');
const directory = join(import.meta.dirname, '../../../dist/test-isa');
const program = join(directory, 'host');

const REGISTER_BYTES = 16 * 8 + 8 + FX_BYTES + HIGH_BYTES;
const CODE_AT = 16;
const REGISTERS_AT = CODE_AT + CODE_STRIDE;
const FX_AT = REGISTERS_AT + 17 * 8;
const CASE_BYTES = REGISTERS_AT + REGISTER_BYTES + WINDOW_BYTES;
const OUTCOME_BYTES = 8 + REGISTER_BYTES + WINDOW_BYTES;

const VECTORS: Record<number, number> = { 0: -1, 8: 0, 4: 6, 5: 3, 11: 13, 7: 17 };

/** Why there is no host to compare with, or undefined. */
export function whyNoHost(): string | undefined {
  if (process.platform !== 'linux' || process.arch !== 'x64') return 'the host is not x86-64 Linux';
  return spawnSync('gcc', ['--version']).status === 0 ? undefined : 'there is no gcc';
}

function build(): void {
  if (existsSync(program) && statSync(program).mtimeMs > statSync(source).mtimeMs) return;
  mkdirSync(directory, { recursive: true });
  execFileSync('gcc', ['-O1', '-Wall', '-fcf-protection=none', '-o', program, source]);
}

function encode(cases: readonly TestCase[]): Uint8Array {
  const bytes = new Uint8Array(cases.length * CASE_BYTES);
  const view = new DataView(bytes.buffer);
  cases.forEach((test, index) => {
    const at = index * CASE_BYTES;
    const code = withExit(test.code);
    view.setBigUint64(at, BigInt(caseAddress(index)), true);
    view.setBigUint64(at + 8, BigInt(code.length), true);
    bytes.set(code, at + CODE_AT);
    test.registers.gpr.forEach((value, register) => view.setBigUint64(at + REGISTERS_AT + register * 8, value, true));
    view.setBigUint64(at + REGISTERS_AT + 128, BigInt(test.registers.rflags), true);
    bytes.set(test.registers.fx, at + FX_AT);
    if (test.registers.high) bytes.set(test.registers.high, at + FX_AT + FX_BYTES);
    bytes.set(test.window, at + FX_AT + FX_BYTES + HIGH_BYTES);
  });
  return bytes;
}

function outcomeAt(bytes: Uint8Array, at: number): Outcome {
  const view = new DataView(bytes.buffer, bytes.byteOffset + at);
  const signal = Number(view.getBigUint64(0, true));
  const vector = VECTORS[signal];
  if (vector === undefined) throw new Error(`signal ${signal}`);
  const gpr = new BigUint64Array(16).map((_, register) => view.getBigUint64(8 + register * 8, true));
  const fx = bytes.slice(at + 144, at + 144 + FX_BYTES);
  const high = bytes.slice(at + 144 + FX_BYTES, at + 144 + FX_BYTES + HIGH_BYTES);
  const window = bytes.slice(at + 144 + FX_BYTES + HIGH_BYTES, at + OUTCOME_BYTES);
  return { vector, registers: { gpr, rflags: Number(view.getBigUint64(136, true)), fx, high }, window };
}

export function runOnHost(cases: readonly TestCase[]): Outcome[] {
  if (cases.length > MAX_CASES) throw new Error(`more than ${MAX_CASES} cases`);
  build();
  const { stdout, status, stderr } = spawnSync(program, {
    input: encode(cases),
    maxBuffer: cases.length * OUTCOME_BYTES + 4096,
  });
  if (status !== 0 || stdout.length !== cases.length * OUTCOME_BYTES)
    throw new Error(
      `host program: status ${status}, ${stdout.length / OUTCOME_BYTES} of ${cases.length} outcomes. ${stderr.toString()}`,
    );
  return cases.map((_, index) => outcomeAt(stdout, index * OUTCOME_BYTES));
}
