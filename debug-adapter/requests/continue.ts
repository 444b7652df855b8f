import type { DebugProtocol } from '@vscode/debugprotocol';
import { ContinuePlan } from '../execution/continue.ts';
import { defineRequest } from '../request.ts';
import { requireThread } from '../threads.ts';

/** Runs all threads on. */
export const continue_ = defineRequest<DebugProtocol.ContinueArguments, DebugProtocol.ContinueResponse['body']>({
  command: 'continue',
  run({ debuggee }) {
    debuggee.requireStopped();
    requireThread(debuggee, undefined);
    debuggee.runner.start(new ContinuePlan(debuggee, debuggee.runner.stoppedThread));
    return { allThreadsContinued: true };
  },
});
