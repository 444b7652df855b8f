/** One statement, into functions that have lines and into trap handlers; or one instruction. */
import type { DebugProtocol } from '@vscode/debugprotocol';
import { stepPlan } from '../execution/step-plan.ts';
import { defineRequest } from '../request.ts';

export const stepIn = defineRequest<DebugProtocol.StepInArguments>({
  command: 'stepIn',
  run: ({ debuggee }, args) => debuggee.runner.start(stepPlan(debuggee, args.threadId, 'in', args.granularity)),
});
