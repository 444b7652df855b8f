/** Running until the present function, handler or inlined copy is left. */
import type { Debuggee } from '../debuggee.ts';
import type { CodeFrame } from '../frames.ts';
import { RequestError } from '../request.ts';
import { levelOf } from '../presentation/modes.ts';
import { breakpointAt, commonOutcome } from './arrivals.ts';
import type { Plan, Progress } from './plan.ts';
import { RunTo } from './run-to.ts';

/** Throws RequestError if there is no frame to go back to. */
export function stepOutPlan(debuggee: Debuggee, thread: number): Plan {
  const code = debuggee.stacks.frames(thread, 0, 8).frames.filter((frame): frame is CodeFrame => frame.kind === 'code');
  const [inner, outer] = code;
  if (!inner || !outer) throw new RequestError('This is the outermost frame: there is nothing to step out to.');
  if (inner.scope.frame === outer.scope.frame) return new LeaveInlined(debuggee, thread, inner);
  const level = levelOf(debuggee.machine.thread(outer.thread)?.mode);
  // Out of a guest is to its hypervisor, at the next VM exit; a guest is nothing that a hypervisor returns to.
  if (outer.thread !== inner.thread && level === 'guest')
    throw new RequestError('This is the outermost frame: there is nothing to step out to.');
  const rsp = outer.scope.frame.registers[7]?.value;
  if (rsp === undefined)
    throw new RequestError("The caller's stack pointer is not known, so stepping out is not possible.");
  return new StepOut(new RunTo(debuggee, thread, new Set([outer.pc]), rsp, level));
}

class StepOut implements Plan {
  constructor(readonly run: RunTo) {}

  slice(milliseconds: number): Progress {
    const progress = this.run.slice(milliseconds);
    return progress === 'arrived' ? { kind: 'step', thread: this.run.thread } : progress;
  }
  end(): void {
    this.run.end();
  }
}

/** An inlined copy has no return address: single steps until its code is left, not counting what it calls. */
class LeaveInlined implements Plan {
  readonly #stack: bigint;
  readonly #instance;

  constructor(
    readonly debuggee: Debuggee,
    readonly thread: number,
    inner: CodeFrame,
  ) {
    this.#stack = inner.scope.frame.registers[7]?.value ?? 0n;
    this.#instance = inner.scope.instance?.die;
  }

  slice(milliseconds: number): Progress {
    const { machine, session, images } = this.debuggee;
    const end = session.host.now() + milliseconds;
    do {
      const outcome = commonOutcome(this.debuggee, machine.stepInstruction(this.thread));
      if (outcome) return outcome;
      const rip = machine.readRegister(this.thread, 'rip')!;
      const hit = breakpointAt(this.debuggee, this.thread, rip);
      if (hit) return hit;
      if (machine.readRegister(this.thread, 'rsp')! < this.#stack) continue;
      const chain = images.at(this.thread, rip)?.inlineChain(rip) ?? [];
      if (!chain.some(({ die }) => die === this.#instance)) return { kind: 'step', thread: this.thread };
    } while (session.host.now() < end);
    return 'more';
  }
}
