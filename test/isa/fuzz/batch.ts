/** A batch of cases in the files that harness.c reads and writes. */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readSync,
  closeSync,
  statSync,
  writeFileSync,
  rmSync,
  mkdtempSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as F from './layout.ts';
import type { Patch } from './layout.ts';
import type { Program } from './program.ts';
import { withExit } from './program.ts';

const SOURCE = join(import.meta.dirname, 'harness.c');
const DIRECTORY = join(import.meta.dirname, '../../../dist/test-isa');
const HARNESS = join(DIRECTORY, 'fuzz-harness');
const FLAGS = ['-O2', '-Wall', '-fPIE', '-pie', '-fcf-protection=none', '-fno-stack-protector', '-mno-red-zone'];
const SECONDS = 120_000;

function buildHarness(): void {
  if (existsSync(HARNESS) && statSync(HARNESS).mtimeMs > statSync(SOURCE).mtimeMs) return;
  mkdirSync(DIRECTORY, { recursive: true });
  execFileSync('gcc', [...FLAGS, '-o', HARNESS, SOURCE]);
}

const TESTS_AT = F.HEADER_BYTES + F.DATA_BYTES;

export class Batch {
  readonly #file: Uint8Array;
  readonly #view: DataView;
  readonly #directory = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'fuzz-'));
  readonly #outcomesFile: string;
  readonly programs: Program[] = [];
  /** Program of each case. */
  readonly programOf: Program[] = [];
  readonly code = new Uint8Array(F.CODE_BYTES);
  readonly outcomes: Uint8Array;
  readonly #outcomesView: DataView;

  constructor(readonly capacity: number) {
    buildHarness();
    this.#file = new Uint8Array(TESTS_AT + capacity * F.INPUT_BYTES);
    this.#view = new DataView(this.#file.buffer);
    this.outcomes = new Uint8Array(capacity * F.OUTPUT_BYTES);
    this.#outcomesView = new DataView(this.outcomes.buffer);
    this.#outcomesFile = join(this.#directory, 'outcomes');
    writeFileSync(this.#outcomesFile, new Uint8Array(capacity * F.OUTPUT_BYTES));
  }
  dispose(): void {
    rmSync(this.#directory, { recursive: true });
  }

  /** What the data pages hold before each case. */
  get pages(): Uint8Array {
    return this.#file.subarray(F.HEADER_BYTES, F.HEADER_BYTES + F.DATA_BYTES);
  }
  get codeBytes(): number {
    return this.programs.length * F.PROGRAM_STRIDE;
  }
  get cases(): number {
    return this.programOf.length;
  }
  get pagesView(): DataView {
    return new DataView(this.#file.buffer, F.HEADER_BYTES, F.DATA_BYTES);
  }

  clear(): void {
    this.programs.length = 0;
    this.programOf.length = 0;
  }
  /** Address of the next program. */
  get nextAddress(): number {
    return F.programAddress(this.programs.length);
  }
  addProgram(program: Program): void {
    this.code.set(withExit(program), program.address - F.CODE);
    this.programs.push(program);
  }
  addCase(program: Program, state: Uint8Array, patches: readonly Patch[]): void {
    const at = TESTS_AT + this.cases * F.INPUT_BYTES;
    this.programOf.push(program);
    this.#file.set(state, at);
    for (let i = 0; i < F.PATCHES; i++) {
      const patch = patches[i];
      const to = at + F.STATE_BYTES + i * F.PATCH_STRIDE;
      this.#view.setBigUint64(to, BigInt(patch?.address ?? 0), true);
      if (patch) this.#file.set(patch.bytes, to + 8);
    }
  }

  state(index: number): Uint8Array {
    const at = TESTS_AT + index * F.INPUT_BYTES;
    return this.#file.subarray(at, at + F.STATE_BYTES);
  }
  patches(index: number): Patch[] {
    const found: Patch[] = [];
    for (let i = 0; i < F.PATCHES; i++) {
      const at = TESTS_AT + index * F.INPUT_BYTES + F.STATE_BYTES + i * F.PATCH_STRIDE;
      const address = Number(this.#view.getBigUint64(at, true));
      if (address) found.push({ address, bytes: this.#file.subarray(at + 8, at + F.PATCH_STRIDE) });
    }
    return found;
  }

  /** Runs all cases on the host. */
  run(): void {
    this.#view.setBigUint64(0, BigInt(this.codeBytes), true);
    this.#view.setBigUint64(8, BigInt(this.cases), true);
    const casesFile = join(this.#directory, 'cases');
    writeFileSync(casesFile, this.#file.subarray(0, TESTS_AT + this.cases * F.INPUT_BYTES));
    appendFileSync(casesFile, this.code.subarray(0, this.codeBytes));
    const { status, signal, stderr } = spawnSync(HARNESS, [casesFile, this.#outcomesFile], {
      timeout: SECONDS,
      killSignal: 'SIGKILL',
    });
    if (status !== 0) throw new Error(`${HARNESS}: status ${status}, signal ${signal}. ${stderr?.toString()}`);
    const file = openSync(this.#outcomesFile, 'r');
    readSync(file, this.outcomes, 0, this.cases * F.OUTPUT_BYTES, 0);
    closeSync(file);
  }

  outcome(index: number): Uint8Array {
    const at = index * F.OUTPUT_BYTES;
    return this.outcomes.subarray(at, at + F.STATE_BYTES);
  }
  vector(index: number): number {
    return this.#outcomesView.getUint32(index * F.OUTPUT_BYTES + F.AT_VECTOR, true);
  }
  rip(index: number): number {
    return Number(this.#outcomesView.getBigUint64(index * F.OUTPUT_BYTES + F.AT_RIP, true));
  }
  /** More changed words than there is room for: memory cannot be compared. */
  overflowed(index: number): boolean {
    return this.#outcomesView.getUint32(index * F.OUTPUT_BYTES + F.AT_CHANGES, true) > F.MOST_CHANGES;
  }
  /** Brings data pages that hold what was there before the batch to what the host left. */
  applyChanges(index: number, pages: Uint8Array): void {
    const at = index * F.OUTPUT_BYTES + F.AT_CHANGES;
    const count = this.#outcomesView.getUint32(at, true);
    for (let i = 0; i < count; i++) {
      const from = at + 8 + i * 16;
      const offset = this.#outcomesView.getUint32(from, true) - F.DATA;
      for (let byte = 0; byte < 8; byte++) pages[offset + byte] = this.outcomes[from + 8 + byte]!;
    }
  }
  undoChanges(index: number, pages: Uint8Array): void {
    const at = index * F.OUTPUT_BYTES + F.AT_CHANGES;
    const count = this.#outcomesView.getUint32(at, true);
    const before = this.pages;
    for (let i = 0; i < count; i++) {
      const offset = this.#outcomesView.getUint32(at + 8 + i * 16, true) - F.DATA;
      for (let byte = 0; byte < 8; byte++) pages[offset + byte] = before[offset + byte]!;
    }
  }
}
