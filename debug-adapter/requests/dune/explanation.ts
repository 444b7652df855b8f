/** `dune/explanation`: why a thread's last abnormal stop happened. */
import type { ExplanationResponse } from '../../protocol.ts';
import { defineRequest } from '../../request.ts';

export const explanation = defineRequest<{ threadId: number }, ExplanationResponse>({
  command: 'dune/explanation',
  run({ debuggee }, { threadId }) {
    const found = debuggee.machine.explanation(threadId);
    return { explanation: found && { headline: found.headline, details: [...found.details], advice: found.advice } };
  },
});
