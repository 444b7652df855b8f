/** Running until a thread comes to an address with its stack at or above a level: out of a call, or back from a trap. */
import type { Debuggee } from '../debuggee.ts';
import { levelOf } from '../presentation/modes.ts';
import { commonOutcome } from './arrivals.ts';
import type { Progress } from './plan.ts';

export class RunTo {
  constructor(
    readonly debuggee: Debuggee,
    readonly thread: number,
    readonly addresses: ReadonlySet<bigint>,
    /** RSP must be at least this: a deeper recursion's arrival is not meant. */
    readonly stack: bigint,
    /** Level of VMX operation on a board: the other one may have other code there. */
    readonly level = levelOf(debuggee.machine.thread(thread)?.mode),
  ) {
    debuggee.session.breakpoints.setTemporary(addresses);
  }

  /** 'arrived', or as a plan's slice. */
  slice(milliseconds: number): Progress | 'arrived' {
    const reason = this.debuggee.runner.run(milliseconds);
    if (
      reason.kind === 'breakpoint' &&
      reason.thread === this.thread &&
      this.addresses.has(reason.gva) &&
      this.#isBack()
    ) {
      this.end();
      return 'arrived';
    }
    return commonOutcome(this.debuggee, reason) ?? 'more';
  }

  #isBack(): boolean {
    const { machine } = this.debuggee;
    if (this.level && levelOf(machine.thread(this.thread)?.mode) !== this.level) return false;
    return (machine.readRegister(this.thread, 'rsp') ?? 0n) >= this.stack;
  }

  end(): void {
    this.debuggee.session.breakpoints.setTemporary(new Set());
  }
}
