/** The first run of a loaded program. */
import type { Debuggee } from '../debuggee.ts';
import { ContinuePlan } from './continue.ts';

export function startProgram(debuggee: Debuggee): void {
  const { machine, options, runner } = debuggee;
  const thread = machine.currentThread();
  runner.stoppedThread = thread;
  runner.start(options.stopOnEntry ? { slice: () => ({ kind: 'entry', thread }) } : new ContinuePlan(debuggee, thread));
}
