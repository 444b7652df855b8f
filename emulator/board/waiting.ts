/**
 * PAUSE: a hint that the program waits. Other processors go first; a lone one that does nothing but PAUSE in a loop lets time pass in ever larger steps, up to the next
 * timer, so that waiting for a million ticks takes a few thousand instructions.
 */
import type { CpuContext } from '../cpu/context.ts';
import type { Cpus } from './cpus.ts';

export interface WaitingState {
  /** PAUSEs with few instructions between them, and the instruction count at the last one. */
  streak: number;
  last: number;
}

/** Cycles that a PAUSE takes on processors since Skylake (Intel optimization manual 2.6.4). */
const PAUSE_CYCLES = 140;
/** More instructions than this between two PAUSEs are no waiting loop. */
const LOOP = 64;
/** PAUSEs in a row after which a step doubles, and how often it does. */
const PATIENCE = 16;
const DOUBLINGS = 12;

export class Waiting {
  state: WaitingState = { streak: 0, last: 0 };

  constructor(
    readonly context: CpuContext,
    readonly cpus: Cpus,
  ) {}

  pause(): void {
    const { context, state, cpus } = this;
    const { retired } = context.engine;
    state.streak = retired - state.last <= LOOP ? state.streak + 1 : 0;
    state.last = retired;
    if (cpus.all.length > 1) {
      context.addCycles(PAUSE_CYCLES);
      cpus.yield();
      return;
    }
    const { current } = cpus;
    const left = Math.min(current.apic.expires(), cpus.board.timer().expires()) - cpus.cycles(current);
    const step = PAUSE_CYCLES << Math.min(DOUBLINGS, Math.floor(state.streak / PATIENCE));
    context.addCycles(Math.max(PAUSE_CYCLES, Math.min(step, left)));
    if (left !== Infinity) cpus.replan();
  }
}
