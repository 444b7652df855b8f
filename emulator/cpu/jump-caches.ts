/** Which code context the jump cache of each TLB bank has been filled in: its records are for that alone. */
import { CODE_CONTEXTS, codeContext } from './fpu-traps.ts';
import type { CodeSegments } from './code-segments.ts';
import * as L from './layout.ts';
import type { LinearMemory } from './state.ts';

export class JumpCaches {
  readonly #contexts = new Int32Array(L.TLB_BANKS).fill(-1);

  constructor(
    private readonly mem: LinearMemory,
    private readonly flush: (bank: number) => void,
  ) {}

  /** The bank in force is to serve the context that the CPU state describes. */
  select(segments: CodeSegments | undefined): void {
    const { mem } = this;
    const bank = (mem.get32(L.JC_BASE) - L.JC) / L.JC_BANK_BYTES;
    const context = codeContext(mem) + (segments ? segments.id * CODE_CONTEXTS : 0);
    if (this.#contexts[bank] === context) return;
    if (this.#contexts[bank] !== -1) this.flush(bank);
    this.#contexts[bank] = context;
  }
}
