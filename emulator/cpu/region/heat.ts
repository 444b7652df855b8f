/** How often blocks were executed, from the countdowns of their terminators (records.ts). */
import { TERMINATOR } from '../records.ts';
import type { LinearMemory } from '../state.ts';

export class Heat {
  /** By terminator whose countdown has begun again: executions when it ends. */
  readonly #ends = new Map<number, number>();

  /** @param countdown what the countdown of a new terminator is */
  constructor(
    readonly mem: LinearMemory,
    readonly countdown: number,
  ) {}

  /** Executions of the block with this terminator in the interpreter. */
  executed(terminator: number): number {
    const end = this.#ends.get(terminator) ?? this.countdown;
    return Math.max(0, end - this.mem.get32(terminator + TERMINATOR.countdown));
  }
  /** Hears of the block again after so many executions. */
  wait(terminator: number, executions: number): void {
    this.#ends.set(terminator, this.executed(terminator) + executions);
    this.mem.set32(terminator + TERMINATOR.countdown, executions);
  }
  clear(): void {
    this.#ends.clear();
  }
}
