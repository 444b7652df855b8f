/** One statement, calls included; or one instruction. */
import type { DebugProtocol } from '@vscode/debugprotocol';
import { stepPlan } from '../execution/step-plan.ts';
import { defineRequest } from '../request.ts';

export const next = defineRequest<DebugProtocol.NextArguments>({
  command: 'next',
  capabilities: { supportsSteppingGranularity: true },
  run: ({ debuggee }, args) => debuggee.runner.start(stepPlan(debuggee, args.threadId, 'over', args.granularity)),
});
