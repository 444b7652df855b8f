/** What the adapter can do: the union of what its requests say. */
import type { DebugProtocol } from '@vscode/debugprotocol';
import { capabilities } from '../registry.ts';
import { defineRequest } from '../request.ts';

export const initialize = defineRequest<DebugProtocol.InitializeRequestArguments, DebugProtocol.Capabilities>({
  command: 'initialize',
  run(session, args) {
    session.client = args;
    return capabilities();
  },
});
