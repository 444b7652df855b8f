/** Checks that a request may run the program. */
import type { Debuggee } from './debuggee.ts';
import { RequestError } from './request.ts';

/** Throws RequestError if the program is over or the thread is gone. */
export function requireThread(debuggee: Debuggee, thread: number | undefined): void {
  if (debuggee.runner.exited) throw new RequestError('The program has ended: restart it to run it again.');
  if (thread === undefined) return;
  const found = debuggee.machine.threads().find(({ id }) => id === thread);
  if (!found || found.state === 'exited') throw new RequestError(`There is no thread ${thread}.`);
}
