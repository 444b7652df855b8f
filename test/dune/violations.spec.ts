/**
 * EPT violations served in the core (core/page-supply.ts, core/page-lease.ts) against those that TypeScript serves: the same state wherever run() is cut, with
 * snapshots between, and whether or not somebody listens.
 */
import assert from 'node:assert/strict';
import { SUPPLY_NONE } from '../../emulator/cpu/codes.ts';
import type { CoreExports } from '../../emulator/cpu/context.ts';
import { assemble } from '../../emulator/machine/assemble.ts';
import { type MachineExtra, type MachineSnapshot, Snapshots } from '../../emulator/machine/snapshots.ts';
import { assets, has, optionsFor } from '../linux/support.ts';
import { buildExamples, compile } from './support.ts';

const SEED = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
const MEMORY = 64 << 20;
const ROUNDS = 120;
const NOTHING: MachineExtra = { exits: {}, lastThread: 0, standing: undefined };

/** How many violations the core has served: one by one; by leases; as far as the VM exit. */
interface Served {
  single: number;
  leased: number;
  exited: number;
}

/** The machine without what cli and debugger need of it. */
class Subject {
  readonly #parts;
  readonly #snapshots: Snapshots;
  readonly served: Served = { single: 0, leased: 0, exited: 0 };
  out = '';
  exits = 0;

  constructor(program: string, how: 'quick' | 'slow' | 'listening', seed: number, translate: boolean) {
    const options = optionsFor(program, [String(seed), String(ROUNDS)], { memory: MEMORY, translate });
    const output = (_fd: 1 | 2, data: Uint8Array): void => void (this.out += Buffer.from(data).toString());
    const parts = assemble(assets(), { ...options, output });
    this.#parts = parts;
    const { context, kernel } = parts;
    this.#snapshots = new Snapshots(context, kernel);
    context.onVmExit = (_, times = 1) => void (this.exits += times);
    if (how === 'listening') context.events.subscribe(['ept-violation'], () => {});
    const { core } = context;
    const replaced: Partial<CoreExports> =
      how === 'slow'
        ? { supplyPage: () => SUPPLY_NONE }
        : { supplyPage: (region) => this.#noted(core.supplyPage(region)) };
    const serveLeased = (): number => {
      const next = core.serveLeased();
      if (next !== 0) this.served.leased++;
      return next;
    };
    for (const owner of [context, context.engine])
      (owner as { core: CoreExports }).core = { ...core, ...replaced, serveLeased };
    kernel.start();
  }
  #noted(served: number): number {
    if (served !== SUPPLY_NONE) this.served[served === 1 ? 'exited' : 'single']++;
    return served;
  }

  /** False when the program has ended. */
  run(instructions: number): boolean {
    const { engine } = this.#parts.context;
    const end = engine.retired + instructions;
    while (engine.retired < end) {
      if (this.#parts.kernel.schedule() !== 'run') return false;
      engine.run(Math.min(end - engine.retired, this.#parts.kernel.quantum()));
    }
    return true;
  }
  get facts(): object {
    const { engine } = this.#parts.context;
    return {
      retired: engine.retired,
      cycles: this.#parts.context.cycles(),
      rip: this.#parts.context.cpu.rip,
      exits: this.exits,
    };
  }
  digest(): string {
    return this.#snapshots.digest();
  }
  save(): MachineSnapshot {
    return this.#snapshots.save(NOTHING);
  }
  load(snapshot: MachineSnapshot): void {
    this.#snapshots.load(snapshot);
  }
}

describe('EPT violations served in the core', function () {
  let program: string;
  before(function () {
    if (!has('gcc')) return this.skip();
    buildExamples();
    program = compile('violations', true);
  });

  let seed = SEED;
  /** 0 to n - 1. */
  function below(n: number): number {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return Math.floor((seed / 2 ** 32) * n);
  }

  /** Step by step; the quick one sometimes goes back to where it was some steps ago. */
  function lockStep(quick: Subject, slow: Subject): void {
    let before: { snapshot: MachineSnapshot; retired: number; exits: number } | undefined;
    for (let step = 0, going = true; going; step++) {
      const instructions = 1 + (below(4) === 0 ? below(50) : below(12_000));
      going = slow.run(instructions);
      const facts = slow.facts as { retired: number };
      if (before && below(3) === 0) {
        quick.load(before.snapshot);
        quick.exits = before.exits;
        quick.run(facts.retired - before.retired);
        before = undefined;
      } else quick.run(instructions);
      const where = `step ${step} of seed ${SEED}`;
      assert.deepEqual(quick.facts, facts, where);
      if (step % 24 === 0) assert.equal(quick.digest(), slow.digest(), where);
      if (!before && below(6) === 0) {
        before = { snapshot: quick.save(), retired: facts.retired, exits: quick.exits };
        slow.save();
      }
    }
    assert.equal(quick.out, slow.out);
    assert.equal(quick.digest(), slow.digest());
  }

  for (const how of ['slow', 'listening'] as const)
    it(`leave the state that others leave (${how}, seed ${SEED})`, function () {
      this.timeout(180_000);
      const quick = new Subject(program, 'quick', SEED, true);
      lockStep(quick, new Subject(program, how, SEED, false));
      assert.match(quick.out, /^[0-9a-f]+\n$/);
      for (const [what, least] of [
        ['single', 300],
        ['leased', 300],
        ['exited', 1],
      ] as const)
        assert.ok(quick.served[what] >= least, `${what}: ${quick.served[what]}`);
    });
});
