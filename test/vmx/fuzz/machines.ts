/**
 * One scenario on three machines that must agree in counts and in their digest after every slice: interpreted; translated; translated by other thresholds, where each
 * slice is done twice from a snapshot.
 */
import type { Machine, MachineOptions, Snapshot, StopReason } from '../../../emulator/machine/api.ts';
import { Random } from '../../isa/support/random.ts';
import { type Assembled } from '../../support/assemble.ts';
import { bootKernel } from '../kernel.ts';
import { fuzzImage } from './image.ts';
import { SCRIPT, type Scenario, randomScenario } from './scenario.ts';

const SLICES = 3;
/** Instructions after which the kernel is at its row, at most; it is looked at so often. */
const BOOT_STEP = 500;
const TRANSLATE: readonly MachineOptions['translate'][] = [
  false,
  { threshold: 2, batch: 2, modules: 40, mostSteps: 2 },
  { threshold: 5, batch: 1, modules: 1000, mostSteps: 1 },
];

export interface Outcome {
  readonly instructions: number;
  /** VM exits, and entries that failed. */
  readonly exits: number;
  readonly failures: number;
  /** What differs, or went wrong in the host. */
  readonly problem?: string;
}

export class FuzzMachines {
  readonly #image: Assembled = fuzzImage(SCRIPT);
  readonly #machines: readonly Machine[];
  readonly #pristine: readonly Snapshot[];
  readonly #booted: number;
  /** VM exits by reason. */
  readonly reasons = new Map<string, number>();

  constructor() {
    this.#machines = TRANSLATE.map((translate) => bootKernel(this.#image, { translate }));
    for (const machine of this.#machines) this.#boot(machine);
    this.#booted = this.#machines[0]!.stats().instructions;
    this.#pristine = this.#machines.map((machine) => machine.snapshot());
    this.#machines[0]!.events.subscribe(['vm-exit'], ({ facts }) => {
      const reason = String(facts['reason']);
      this.reasons.set(reason, (this.reasons.get(reason) ?? 0) + 1);
    });
  }

  #boot(machine: Machine): void {
    const row = BigInt(this.#image.symbols.get('row')!);
    while (machine.readMemory(1, 'hpa', row, 8).every((byte) => byte === 0)) {
      const stop = machine.run(BOOT_STEP);
      if (stop.kind !== 'budget') throw new Error(`the hypervisor does not start: ${JSON.stringify(stop)}`);
    }
  }

  run(seed: number): Outcome {
    const random = new Random(seed);
    const scenario = randomScenario(random, this.#image);
    const begin = this.#exits();
    let problem: string | undefined;
    try {
      problem = this.#lockStep(scenario);
    } catch (error) {
      problem = error instanceof Error ? (error.stack ?? error.message) : String(error);
    }
    const end = this.#exits();
    const instructions = this.#machines[0]!.stats().instructions - this.#booted;
    const counts = { instructions, exits: end.all - begin.all, failures: end.failed - begin.failed };
    return problem === undefined ? counts : { ...counts, problem };
  }

  #exits(): { readonly all: number; readonly failed: number } {
    let all = 0;
    let failed = 0;
    for (const [reason, count] of this.reasons) {
      all += count;
      if (reason.startsWith('ENTRY_FAILURE')) failed += count;
    }
    return { all, failed };
  }

  #lockStep({ memory, instructions }: Scenario): string | undefined {
    this.#machines.forEach((machine, index) => {
      machine.restore(this.#pristine[index]!);
      for (const [address, bytes] of memory) machine.writeMemory(1, 'hpa', BigInt(address), bytes);
    });
    const [first, ...others] = this.#machines;
    const length = Math.ceil(instructions / SLICES);
    for (let slice = 0; slice < SLICES; slice++) {
      const wanted = runSlice(first!, length);
      for (const [index, machine] of others.entries()) {
        const twice = index === 1;
        const saved = twice ? machine.snapshot() : undefined;
        for (let turn = 0; turn < (twice ? 2 : 1); turn++) {
          if (turn > 0) machine.restore(saved!);
          const found = runSlice(machine, length);
          if (found !== wanted)
            return `slice ${slice} of machine ${index + 2}, turn ${turn + 1}: ${found}; interpreted ${wanted}`;
        }
      }
      if (!wanted.startsWith('budget')) return undefined;
    }
    return undefined;
  }
}

/** How it stopped, what it has counted, its digest. */
function runSlice(machine: Machine, instructions: number): string {
  const before = machine.stats().instructions;
  const stop = machine.run(instructions);
  const { instructions: after, cycles } = machine.stats();
  if (after - before > instructions) throw new Error(`${after - before} instructions in a budget of ${instructions}`);
  return `${words(stop)}, ${after} instructions, ${cycles} cycles, ${machine.digest()}`;
}
const words = (stop: StopReason): string => (stop.kind === 'exited' ? `exited with ${stop.status}` : stop.kind);
