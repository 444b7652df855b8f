/** One instruction, or one call. */
import type { Debuggee } from '../debuggee.ts';
import { breakpointAt, commonOutcome } from './arrivals.ts';
import type { Plan, Progress } from './plan.ts';
import { RunTo } from './run-to.ts';

export class StepInstructionPlan implements Plan {
  #running: RunTo | undefined;

  constructor(
    readonly debuggee: Debuggee,
    readonly thread: number,
    readonly over: boolean,
  ) {
    if (!over) return;
    const { machine } = debuggee;
    const rip = machine.readRegister(thread, 'rip') ?? 0n;
    const [instruction] = machine.disassemble(thread, rip, 1);
    if (!instruction || !/^call\b/.test(instruction.text)) return;
    const next = rip + BigInt(instruction.bytes.length);
    this.#running = new RunTo(debuggee, thread, new Set([next]), machine.readRegister(thread, 'rsp') ?? 0n);
  }

  slice(milliseconds: number): Progress {
    if (this.#running) {
      const progress = this.#running.slice(milliseconds);
      return progress === 'arrived' ? { kind: 'step', thread: this.thread } : progress;
    }
    const reason = this.debuggee.machine.stepInstruction(this.thread);
    const outcome = commonOutcome(this.debuggee, reason);
    if (outcome) return outcome;
    const rip = this.debuggee.machine.readRegister(this.thread, 'rip');
    return (
      (rip !== undefined && breakpointAt(this.debuggee, this.thread, rip)) || { kind: 'step', thread: this.thread }
    );
  }

  end(): void {
    this.#running?.end();
  }
}
