/** Running on: until a breakpoint, an event breakpoint or the end. */
import type { Debuggee } from '../debuggee.ts';
import { commonOutcome } from './arrivals.ts';
import type { Plan, Progress } from './plan.ts';

export class ContinuePlan implements Plan {
  #leaving: boolean;

  constructor(
    readonly debuggee: Debuggee,
    /** The thread that stands where it stopped: a breakpoint there is passed over. */
    readonly thread: number,
  ) {
    this.#leaving = standsOnBreakpoint(debuggee, thread);
  }

  slice(milliseconds: number): Progress {
    const { machine, runner } = this.debuggee;
    const reason = this.#leaving ? machine.stepInstruction(this.thread) : runner.run(milliseconds);
    this.#leaving = false;
    return commonOutcome(this.debuggee, reason) ?? 'more';
  }
}

export function standsOnBreakpoint({ machine, session }: Debuggee, thread: number): boolean {
  const state = machine.threads().find(({ id }) => id === thread)?.state;
  const rip =
    state === undefined || state === 'exited' || state === 'blocked' ? undefined : machine.readRegister(thread, 'rip');
  return rip !== undefined && session.breakpoints.at(rip).length > 0;
}
