/** The client leaves: the machine goes with it. */
import type { DebugProtocol } from '@vscode/debugprotocol';
import { defineRequest } from '../request.ts';

export const disconnect = defineRequest<DebugProtocol.DisconnectArguments>({
  command: 'disconnect',
  run(session) {
    session.launched?.runner.stop();
    session.launched = undefined;
  },
});
