/** One instruction, with all that a repeated one repeats; or one call. */
import type { Debuggee } from '../debuggee.ts';
import { breakpointAt, commonOutcome } from './arrivals.ts';
import type { Plan, Progress } from './plan.ts';
import { RunTo } from './run-to.ts';

export class StepInstructionPlan implements Plan {
  #running: RunTo | undefined;
  /** Where a repeated instruction stands, which a step of the machine does only a part of. */
  readonly #repeated: bigint | undefined;

  constructor(
    readonly debuggee: Debuggee,
    readonly thread: number,
    readonly over: boolean,
  ) {
    const { machine } = debuggee;
    const rip = machine.readRegister(thread, 'rip') ?? 0n;
    const [instruction] = machine.disassemble(thread, rip, 1);
    if (instruction && /^rep/.test(instruction.text)) this.#repeated = rip;
    if (!over || !instruction || !/^call\b/.test(instruction.text)) return;
    const next = rip + BigInt(instruction.bytes.length);
    this.#running = new RunTo(debuggee, thread, new Set([next]), machine.readRegister(thread, 'rsp') ?? 0n);
  }

  slice(milliseconds: number): Progress {
    if (this.#running) {
      const progress = this.#running.slice(milliseconds);
      return progress === 'arrived' ? { kind: 'step', thread: this.thread } : progress;
    }
    const { machine, session } = this.debuggee;
    const end = session.host.now() + milliseconds;
    let rip: bigint | undefined;
    do {
      if (rip !== undefined && session.host.now() >= end) return 'more';
      const outcome = commonOutcome(this.debuggee, machine.stepInstruction(this.thread));
      if (outcome) return outcome;
      rip = machine.readRegister(this.thread, 'rip');
    } while (rip !== undefined && rip === this.#repeated);
    return (
      (rip !== undefined && breakpointAt(this.debuggee, this.thread, rip)) || { kind: 'step', thread: this.thread }
    );
  }

  end(): void {
    this.#running?.end();
  }
}
