/** A stay in the interpreter, from a record to what neither the region translator nor the core knows how to do. */
import { EXIT_FAULT, EXIT_SUPPLIED } from './codes.ts';
import type { CoreExports } from './context.ts';
import * as L from './layout.ts';
import type { RegionTranslator } from './region/translator.ts';
import type { LinearMemory } from './state.ts';

export class Stay {
  /** The last one has served EPT violations by a lease (core/page-lease.ts). */
  served = false;
  /** How far the core has got with the one of EXIT_SUPPLIED: SUPPLY_*. */
  supplied = 0;

  constructor(
    private readonly mem: LinearMemory,
    private readonly core: () => CoreExports,
    private readonly enter: (record: number, budget: number) => number,
    private readonly translator: RegionTranslator | undefined,
  ) {}

  /** Answers EXIT_*; the budget that is left is at BUDGET. */
  run(record: number, budget: number): number {
    const { mem, translator } = this;
    mem.set32(L.LEASE_LAST, budget);
    this.served = false;
    let exit = this.enter(record, budget);
    for (;;) {
      const goesOn = translator?.goesOn(exit);
      if (exit === EXIT_FAULT && mem.get32(L.LEASE) !== 0) {
        const next = this.core().serveLeased();
        if (next === 0) return exit;
        this.served = true;
        if (next < 0) {
          this.supplied = -next;
          return EXIT_SUPPLIED;
        }
        exit = this.enter(next, mem.get32(L.BUDGET) | 0);
      } else if (goesOn) exit = this.enter(mem.get32(L.OP), mem.get32(L.BUDGET) | 0);
      else return exit;
    }
  }
}
