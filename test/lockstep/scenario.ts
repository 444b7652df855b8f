/** Random scenarios, and running them in lock step. */
import { RunStop } from '../../emulator/cpu/engine-api.ts';
import { Random } from '../isa/support/random.ts';
import { contents, fill } from '../isa/fuzz/values.ts';
import { CodeWriter, MXCSR_VALUE, randomRights } from './code.ts';
import { CODE_PAGES, DATA_FRAMES, DATA_PAGES, DATA_WINDOW, EVERYTHING_ALLOWED, PAGE } from './guest.ts';
import type { Guest } from './guest.ts';
import { difference } from './machines.ts';
import type { Machines } from './machines.ts';

/** Instructions after which a scenario is long enough. */
const LONGEST = 60_000;
const MOST_SLICES = 60;
/** Last pages of the data window: stack and variables. */
const OWN_PAGES = 2;
const FIRST_EXTERNAL = 0x30;
const NO_EXCEPTIONS = 0x1f80;

function dataEntries(random: Random): bigint[] {
  return Array.from({ length: DATA_PAGES }, (_, page) => {
    const frame = BigInt(DATA_FRAMES + page * PAGE);
    return frame | (page >= DATA_PAGES - OWN_PAGES || !random.oneIn(3) ? EVERYTHING_ALLOWED : randomRights(random));
  });
}

export function guestOf(random: Random): Guest {
  const ring = random.oneIn(2) ? 0 : 3;
  const code = new CodeWriter(random, ring).program(3 + random.below(14), 2 + random.below(30));
  // As the code, with some immediates and displacements changed: still code, mostly.
  const otherCode = code.slice();
  for (let changes = random.below(40); changes > 0; changes--) otherCode[random.below(CODE_PAGES * PAGE)]! ^= 1;
  const data = new Uint8Array(DATA_PAGES * PAGE);
  const view = new DataView(data.buffer);
  for (let at = 0; at < (DATA_PAGES - OWN_PAGES) * PAGE; at += 64) fill(random, view, at, 64, contents(random));
  view.setUint32(MXCSR_VALUE - DATA_WINDOW, NO_EXCEPTIONS, true);
  return { ring, code, otherCode, data, dataEntries: [dataEntries(random), dataEntries(random)] };
}

export interface Outcome {
  readonly instructions: number;
  readonly slices: number;
  readonly interrupts: number;
  /** How a machine differed from the interpreted one, and in which slice. */
  readonly mismatch?: string;
  readonly slice?: number;
  /** Instructions of that slice. */
  readonly length?: number;
}

/**
 * @param last a slice that is cut short, to so many instructions, after which the scenario is over
 */
export function runScenario(machines: Machines, seed: number, last?: { slice: number; length: number }): Outcome {
  const random = new Random(seed);
  const guest = guestOf(random);
  const cuts = new Random(seed ^ 0x5bd1e995);
  const [interpreted, translated, cut] = machines;
  for (const machine of machines) machine.start(guest);
  const { engine } = interpreted.context;
  let interrupts = 0;
  for (let slice = 0; slice < MOST_SLICES && engine.retired < LONGEST; slice++) {
    for (let events = random.oneIn(3) ? 1 + random.below(2) : 0; events > 0; events--, interrupts++) {
      const vector = random.oneIn(8) ? undefined : FIRST_EXTERNAL + random.below(16);
      for (const machine of machines)
        if (vector === undefined) machine.raiseNmi();
        else machine.raise(vector);
    }
    const whole = 1 + Math.floor((random.next() / 2 ** 32) ** 4 * 12_000);
    const length = last?.slice === slice ? last.length : whole;
    const stop = interpreted.run(length);
    const others = [translated.run(length), cut.runCut(length, cuts)];
    const outcome = { instructions: engine.retired, slices: slice + 1, interrupts };
    for (const [index, machine] of [translated, cut].entries()) {
      const differs =
        others[index] === stop
          ? difference(interpreted, machine)
          : `stopped by ${others[index]}, interpreted by ${stop}`;
      if (differs) return { ...outcome, mismatch: `${machine.name}: ${differs}`, slice, length };
    }
    if (stop === RunStop.Halted || stop === RunStop.Fruitless || last?.slice === slice) return outcome;
  }
  return { instructions: engine.retired, slices: MOST_SLICES, interrupts };
}
