/** Runs plans in slices of bounded wall time, so that `pause` and every other request is answered while the program runs. */
import type { StopReason } from '../../emulator/machine/api.ts';
import type { Debuggee } from '../debuggee.ts';
import type { LogEventBody } from '../protocol.ts';
import type { Output } from './output.ts';
import type { Outcome, Plan, Progress } from './plan.ts';
import { reportOutcome } from './report.ts';

/** Milliseconds of a slice: short enough for a pause, long enough for the engine. */
const SLICE = 20;
/** Milliseconds between two `dune/log` events while running. */
const LOG_INTERVAL = 300;
const FIRST_BUDGET = 1_000_000;
const LEAST_BUDGET = 100_000;
const MOST_BUDGET = 500_000_000;

export class Runner {
  #plan: Plan | undefined;
  #pausing = false;
  #budget = FIRST_BUDGET;
  #scheduled = false;
  #logged = 0;
  #loggedAt = 0;
  /** Set when the program is over. */
  exited: { status: number; signal?: number } | undefined;
  waitingForInput = false;
  /** Thread of the last stop: where a resume starts from. */
  stoppedThread = 0;
  /** The last stop, for exceptionInfo. */
  lastOutcome: Outcome | undefined;

  constructor(
    readonly debuggee: Debuggee,
    readonly output: Output,
  ) {}

  get running(): boolean {
    return this.#plan !== undefined;
  }

  /** Starts a plan after the answer to the present request has been sent. */
  start(plan: Plan): void {
    this.#plan = plan;
    this.#pausing = false;
    this.waitingForInput = false;
    this.debuggee.invalidate();
    this.#schedule();
  }

  pause(): void {
    this.#pausing = true;
    this.#schedule();
  }

  /** Input came: a program that waited for it goes on. */
  wake(): void {
    this.waitingForInput = false;
    this.#schedule();
  }

  /** No more slices; the program stays as it is. */
  stop(): void {
    this.#plan?.end?.();
    this.#plan = undefined;
  }

  /** Runs the machine for about `milliseconds`, with a budget learned from the slices before. */
  run(milliseconds: number): StopReason {
    const { machine, session } = this.debuggee;
    const before = machine.stats().instructions;
    const started = session.host.now();
    const reason = machine.run(this.#budget);
    const elapsed = Math.max(session.host.now() - started, 0.1);
    const done = machine.stats().instructions - before;
    // Only a slice that used its budget says how fast the machine is.
    if (reason.kind === 'budget') {
      const wanted = (done / elapsed) * milliseconds;
      this.#budget = Math.round(Math.min(MOST_BUDGET, Math.max(LEAST_BUDGET, Math.min(wanted, this.#budget * 4))));
    }
    return reason;
  }

  #schedule(): void {
    if (this.#scheduled || !this.#plan) return;
    this.#scheduled = true;
    this.debuggee.session.host.schedule(() => {
      this.#scheduled = false;
      this.#slice();
    });
  }

  #slice(): void {
    if (!this.#plan) return;
    if (this.#pausing) return this.#finish({ kind: 'pause', thread: this.debuggee.machine.currentThread() });
    let progress: Progress;
    try {
      progress = this.#plan.slice(SLICE);
    } catch (error) {
      this.debuggee.session.console(
        `The debugger failed: ${error instanceof Error ? error.message : String(error)}`,
        'important',
      );
      progress = { kind: 'pause', thread: this.debuggee.machine.currentThread() };
    }
    this.output.flush();
    if (progress === 'more') {
      this.#announceLog(false);
      return this.#schedule();
    }
    if (progress === 'input') {
      this.waitingForInput = true;
      this.#announceLog(true);
      return;
    }
    this.#finish(progress);
  }

  #finish(outcome: Outcome): void {
    this.stop();
    this.output.flush();
    if (outcome.kind === 'exited') this.exited = { status: outcome.status, signal: outcome.signal };
    else this.stoppedThread = outcome.thread;
    this.lastOutcome = outcome;
    this.debuggee.invalidate();
    this.#announceLog(true);
    reportOutcome(this.debuggee, outcome);
  }

  /** Tells the views that the log has grown. */
  #announceLog(always: boolean): void {
    const { log, session } = this.debuggee;
    if (log.next === this.#logged) return;
    const now = session.host.now();
    if (!always && now - this.#loggedAt < LOG_INTERVAL) return;
    this.#logged = log.next;
    this.#loggedAt = now;
    session.event('dune/log', { next: log.next } satisfies LogEventBody);
  }
}
