/** Why an event breakpoint stopped: the event decoded, the table entry that refused, and the explanation of an abnormal stop. */
import type { MachineEvent } from '../../emulator/machine/events.ts';
import type { DebugProtocol } from '@vscode/debugprotocol';
import type { Debuggee } from '../debuggee.ts';
import { explanationText } from '../execution/report.ts';
import { factText } from '../presentation/events.ts';
import { walkResult } from '../../emulator/mmu/walk-text.ts';
import { accessOfFault } from '../presentation/walk.ts';
import { defineRequest, RequestError } from '../request.ts';

export const exceptionInfo = defineRequest<
  DebugProtocol.ExceptionInfoArguments,
  DebugProtocol.ExceptionInfoResponse['body']
>({
  command: 'exceptionInfo',
  capabilities: { supportsExceptionInfoRequest: true },
  run({ debuggee }, args) {
    debuggee.requireStopped();
    const outcome = debuggee.runner.lastOutcome;
    if (outcome?.kind !== 'event' || outcome.thread !== args.threadId)
      throw new RequestError('This thread did not stop because of an event.');
    const { event } = outcome;
    const explanation = debuggee.machine.explanation(args.threadId);
    const facts = Object.entries(event.facts).map(([name, value]) => `${name} = ${factText(name, value)}`);
    const refused = refusal(debuggee, event);
    const text = explanation ? explanationText(explanation) : [...refused, ...facts].join('\n');
    return {
      exceptionId: event.kind,
      description: explanation ? `${event.summary}\n${text}` : event.summary,
      breakMode: 'always',
      details: { message: event.summary, typeName: outcome.label, stackTrace: text },
    };
  },
});

/** For a held page fault: what the walk of the address comes to, for the access the error code names. */
function refusal(debuggee: Debuggee, { kind, facts, thread }: MachineEvent): string[] {
  if (kind !== 'page-fault' || typeof facts.gva !== 'bigint') return [];
  const { access, user } = accessOfFault(Number(facts.errorCode ?? 0));
  const walk = debuggee.machine.walk(thread, facts.gva, access, user);
  return [`${access} of gva:0x${facts.gva.toString(16)}: ${walkResult(walk)}`];
}
