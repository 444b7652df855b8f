/** `dune/fault`: all there is to say about the fault, exit or shutdown that the program stopped for. */
import { faultBody } from '../../presentation/faults.ts';
import type { FaultResponse } from '../../protocol.ts';
import { defineRequest } from '../../request.ts';

export const fault = defineRequest<object, FaultResponse>({
  command: 'dune/fault',
  run({ debuggee }) {
    debuggee.requireStopped();
    const outcome = debuggee.runner.lastOutcome;
    if (outcome?.kind !== 'event') return { message: 'The program did not stop because of a fault.' };
    const { event } = outcome;
    const report = debuggee.machine.faultReport(event);
    if (!report) return { message: `There is nothing to explain about: ${event.summary}` };
    return { fault: faultBody(debuggee, event.thread, event.mode, report) };
  },
});
