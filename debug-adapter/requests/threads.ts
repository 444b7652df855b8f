/** Linux threads, each with its mode and ring. */
import type { DebugProtocol } from '@vscode/debugprotocol';
import { defineRequest } from '../request.ts';

export const threads = defineRequest<object, DebugProtocol.ThreadsResponse['body']>({
  command: 'threads',
  run({ debuggee }) {
    const alive = debuggee.machine.threads().filter(({ state }) => state !== 'exited');
    return {
      threads: alive.map(({ id, name, mode, cpl }) => ({
        id,
        name: `${name} ${id} (${mode === 'dune' ? 'Dune' : 'Linux'}, ring ${cpl})`,
      })),
    };
  },
});
