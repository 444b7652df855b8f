/** Which plan a step request asks for. */
import type { DebugProtocol } from '@vscode/debugprotocol';
import type { Debuggee } from '../debuggee.ts';
import { requireThread } from '../threads.ts';
import type { Plan } from './plan.ts';
import { StepInstructionPlan } from './step-instruction.ts';
import { stepOutPlan } from './step-out.ts';
import { StepPlan, type StepKind } from './step.ts';

export function stepPlan(
  debuggee: Debuggee,
  thread: number,
  kind: StepKind | 'out',
  granularity: DebugProtocol.SteppingGranularity = 'statement',
): Plan {
  debuggee.requireStopped();
  requireThread(debuggee, thread);
  debuggee.runner.stoppedThread = thread;
  if (kind === 'out') return stepOutPlan(debuggee, thread);
  if (granularity === 'instruction') return new StepInstructionPlan(debuggee, thread, kind === 'over');
  const rip = debuggee.machine.readRegister(thread, 'rip') ?? 0n;
  // Where there are no lines a statement is an instruction.
  if (!debuggee.images.source(thread, rip)) return new StepInstructionPlan(debuggee, thread, kind === 'over');
  return new StepPlan(debuggee, thread, kind);
}
