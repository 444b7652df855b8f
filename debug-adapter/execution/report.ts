/** Tells the client why the program stopped or ended. */
import type { DebugProtocol } from '@vscode/debugprotocol';
import type { Explanation } from '../../emulator/machine/api.ts';
import type { Debuggee } from '../debuggee.ts';
import type { Outcome } from './plan.ts';

type StoppedBody = DebugProtocol.StoppedEvent['body'];

export function reportOutcome(debuggee: Debuggee, outcome: Outcome): void {
  const { session } = debuggee;
  if (outcome.kind === 'exited') return reportExit(debuggee, outcome);
  const body: StoppedBody = { ...describeStop(outcome), threadId: outcome.thread, allThreadsStopped: true };
  if (outcome.kind === 'breakpoint' && outcome.note) session.console(outcome.note, 'important');
  session.event('stopped', body);
}

function describeStop(
  outcome: Exclude<Outcome, { kind: 'exited' }>,
): Pick<StoppedBody, 'reason' | 'description' | 'text' | 'hitBreakpointIds'> {
  switch (outcome.kind) {
    case 'breakpoint': {
      const reason = outcome.what === 'source' ? 'breakpoint' : `${outcome.what} breakpoint`;
      return { reason, hitBreakpointIds: [...outcome.ids] };
    }
    case 'event':
      return { reason: 'exception', description: outcome.label, text: outcome.event.summary };
    case 'deadlock':
      return {
        reason: 'pause',
        description: 'Deadlock',
        text: 'Every thread waits, and nothing can ever wake one.',
      };
    default:
      return { reason: outcome.kind };
  }
}

function reportExit(debuggee: Debuggee, outcome: Extract<Outcome, { kind: 'exited' }>): void {
  const { session } = debuggee;
  session.console(`The program ended with exit code ${outcome.status}.`);
  session.event('exited', { exitCode: outcome.status });
  session.event('terminated', {});
}

export function explanationText({ headline, details, advice }: Explanation): string {
  return [headline, ...details.map((line) => `  ${line}`), ...(advice ? [`  ${advice}`] : [])].join('\n');
}
