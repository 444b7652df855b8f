/** Why an event breakpoint stopped: the event decoded, the table entry that refused, and the explanation of an abnormal stop. */
import type { DebugProtocol } from '@vscode/debugprotocol';
import { explanationText } from '../execution/report.ts';
import { factText } from '../presentation/events.ts';
import { faultLines } from '../../emulator/describe/fault-text.ts';
import type { MachineEvent } from '../../emulator/machine/events.ts';
import { checkInWords } from '../../emulator/vmx/checks/words.ts';
import type { Debuggee } from '../debuggee.ts';
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
    const report = debuggee.machine.faultReport(event);
    const facts = Object.entries(event.facts).map(([name, value]) => `${name} = ${factText(name, value)}`);
    const text = explanation
      ? explanationText(explanation).replace(`${event.summary}\n`, '')
      : [...violatedChecks(debuggee, event), ...(report ? faultLines(report) : []), ...facts].join('\n');
    return {
      exceptionId: event.kind,
      description: event.summary,
      breakMode: 'always',
      details: { message: event.summary, typeName: outcome.label, stackTrace: text },
    };
  },
});

/** Every check that a failed VM entry has violated. */
function violatedChecks({ machine }: Debuggee, { kind, thread }: MachineEvent): string[] {
  if (kind !== 'vm-entry-failure') return [];
  return (machine.vmEntry(thread)?.checks ?? []).map((check) => `${check.id}: ${checkInWords(check)}`);
}
