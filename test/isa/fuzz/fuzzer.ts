/** Batches of random cases on the host and in both back-ends. */
import { Random } from '../support/random.ts';
import { Batch } from './batch.ts';
import { Comparer } from './compare.ts';
import type { Difference } from './compare.ts';
import { EmulatedCpu } from './emulated.ts';
import type { BackEnd } from './emulated.ts';
import type { Form } from './forms.ts';
import { Inputs } from './inputs.ts';
import * as F from './layout.ts';
import type { Patch } from './layout.ts';
import { sequence, single } from './program.ts';
import type { Program } from './program.ts';
import { contents, fill } from './values.ts';

/** Most cases of a batch. */
const CASES = 16384;
/** States that each program is run from. */
const STATES = 16;
/** Runs of a program that make the translator's mind up. */
const WARM = 3;
const LONGEST_SEQUENCE = 30;

export interface Mismatch {
  readonly backEnd: BackEnd;
  readonly program: Program;
  readonly state: Uint8Array;
  readonly patches: readonly Patch[];
  readonly pages: Uint8Array;
  readonly differences: readonly Difference[];
}

export interface Totals {
  cases: number;
  programs: number;
  faults: number;
  /** Cases whose memory was not compared, since too much of it changed. */
  overflows: number;
  readonly perForm: Map<string, number>;
}

export class Fuzzer {
  readonly #batch = new Batch(CASES);
  readonly #comparer = new Comparer(this.#batch);
  readonly #cpus: readonly EmulatedCpu[];
  readonly #random: Random;
  readonly #inputs: Inputs;
  /** Forms in a random order, each as often as the others. */
  #order: Form[] = [];
  readonly totals: Totals = { cases: 0, programs: 0, faults: 0, overflows: 0, perForm: new Map() };

  constructor(
    readonly forms: readonly Form[],
    seed: number,
    backEnds: readonly BackEnd[],
    readonly states = STATES,
  ) {
    this.#random = new Random(seed);
    this.#inputs = new Inputs(this.#random);
    this.#cpus = backEnds.map((backEnd) => new EmulatedCpu(backEnd));
  }
  dispose(): void {
    this.#batch.dispose();
  }
  /** Regions that the translator has made. */
  get regions(): number {
    return this.#cpus.reduce((sum, cpu) => sum + cpu.regions, 0);
  }

  /** About `most` cases at most; what differed. */
  round(most: number): Mismatch[] {
    const batch = this.#batch;
    batch.clear();
    this.#fillPages();
    for (let left = Math.min(most, CASES); left > 0; left = Math.min(most, CASES) - batch.cases)
      this.#addProgram(Math.min(this.states, left));
    batch.run();
    this.totals.cases += batch.cases;
    this.totals.programs += batch.programs.length;
    for (let i = 0; i < batch.cases; i++) {
      if (batch.vector(i) !== F.NO_VECTOR) this.totals.faults++;
      if (batch.overflowed(i)) this.totals.overflows++;
    }
    return this.#cpus.flatMap((cpu) => this.#compare(cpu));
  }

  #fillPages(): void {
    const random = this.#random;
    this.#batch.pages.fill(0);
    F.RIGHTS.forEach((right, page) => {
      for (let at = 0; right !== F.Right.None && at < F.PAGE; at += 64)
        fill(random, this.#batch.pagesView, page * F.PAGE + at, 64, contents(random));
    });
    this.#comparer.pagesChanged();
  }

  #addProgram(cases: number): void {
    const random = this.#random;
    const batch = this.#batch;
    const program = random.oneIn(2)
      ? sequence(random, this.forms, batch.nextAddress, random.oneIn(3) ? LONGEST_SEQUENCE : 6)
      : this.#single();
    if (!program || program.instructions.length === 0) return;
    batch.addProgram(program);
    const name = program.form?.name ?? 'sequences';
    this.totals.perForm.set(name, (this.totals.perForm.get(name) ?? 0) + cases);
    for (let i = 0; i < cases; i++) {
      this.#inputs.make(program);
      batch.addCase(program, this.#inputs.state, this.#inputs.patches);
    }
  }
  #single(): Program | undefined {
    const random = this.#random;
    if (this.#order.length === 0) this.#order = [...this.forms];
    const at = random.below(this.#order.length);
    const form = this.#order[at]!;
    this.#order[at] = this.#order.at(-1)!;
    this.#order.pop();
    return single(random, form, this.#batch.nextAddress);
  }

  #compare(cpu: EmulatedCpu): Mismatch[] {
    const batch = this.#batch;
    cpu.load(batch);
    if (cpu.backEnd === 'translator') this.#warm(cpu);
    const found: Mismatch[] = [];
    for (let i = 0; i < batch.cases; i++) {
      const differences = this.#comparer.run(cpu, i, cpu.backEnd === 'interpreter' && (i & 15) === 15);
      if (!differences) continue;
      const program = batch.programOf[i]!;
      const patches = batch.patches(i).map(({ address, bytes }) => ({ address, bytes: bytes.slice() }));
      found.push({
        backEnd: cpu.backEnd,
        program,
        state: batch.state(i).slice(),
        patches,
        pages: batch.pages.slice(),
        differences,
      });
    }
    return found;
  }
  /** Makes every program hot that runs to its end. */
  #warm(cpu: EmulatedCpu): void {
    const batch = this.#batch;
    let program: Program | undefined;
    let runs = 0;
    for (let i = 0; i < batch.cases; i++) {
      if (batch.programOf[i] !== program) [program, runs] = [batch.programOf[i], 0];
      if (runs === WARM || batch.vector(i) !== F.NO_VECTOR) continue;
      runs++;
      cpu.run(batch.state(i), batch.patches(i));
      cpu.pages.set(batch.pages);
    }
  }
}
