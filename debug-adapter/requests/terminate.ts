/** Ends the program. */
import type { DebugProtocol } from '@vscode/debugprotocol';
import { defineRequest } from '../request.ts';

export const terminate = defineRequest<DebugProtocol.TerminateArguments>({
  command: 'terminate',
  capabilities: { supportsTerminateRequest: true },
  run(session) {
    session.launched?.runner.stop();
    session.event('terminated');
  },
});
