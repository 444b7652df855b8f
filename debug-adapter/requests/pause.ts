/** Stops at the next slice. */
import type { DebugProtocol } from '@vscode/debugprotocol';
import { defineRequest } from '../request.ts';

export const pause = defineRequest<DebugProtocol.PauseArguments>({
  command: 'pause',
  run({ debuggee }) {
    if (debuggee.runner.running) debuggee.runner.pause();
  },
});
