/** To the caller, or to what a trap interrupted. */
import type { DebugProtocol } from '@vscode/debugprotocol';
import { stepPlan } from '../execution/step-plan.ts';
import { defineRequest } from '../request.ts';

export const stepOut = defineRequest<DebugProtocol.StepOutArguments>({
  command: 'stepOut',
  run: ({ debuggee }, args) => debuggee.runner.start(stepPlan(debuggee, args.threadId, 'out')),
});
