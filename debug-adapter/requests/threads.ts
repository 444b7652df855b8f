/** Linux threads, or processors of a board, each with its mode and ring. */
import type { DebugProtocol } from '@vscode/debugprotocol';
import { MODE_NAMES } from '../presentation/modes.ts';
import { defineRequest } from '../request.ts';

export const threads = defineRequest<object, DebugProtocol.ThreadsResponse['body']>({
  command: 'threads',
  run({ debuggee }) {
    const alive = debuggee.machine.threads().filter(({ state }) => state !== 'exited');
    return {
      threads: alive.map(({ id, name, mode, cpl }) => ({
        id,
        name: `${mode === 'linux' || mode === 'dune' ? `${name} ${id}` : name} (${MODE_NAMES[mode]}, ring ${cpl})`,
      })),
    };
  },
});
