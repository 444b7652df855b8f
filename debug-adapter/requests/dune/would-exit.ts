/** `dune/wouldExit`: whether an instruction or an access of the guest would exit, and what decides. */
import { askExit } from '../../presentation/exits.ts';
import type { WouldExitArguments, WouldExitResponse } from '../../protocol.ts';
import { defineRequest } from '../../request.ts';

export const wouldExit = defineRequest<WouldExitArguments, WouldExitResponse>({
  command: 'dune/wouldExit',
  run({ debuggee }, { threadId, question }) {
    debuggee.requireStopped();
    return askExit(debuggee, threadId, question, debuggee.stacks.top(threadId)?.scope);
  },
});
