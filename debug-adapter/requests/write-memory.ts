/** Writes memory of any of the three spaces. */
import type { DebugProtocol } from '@vscode/debugprotocol';
import { fromBase64 } from '../presentation/base64.ts';
import { parseMemoryReference, viewer } from '../presentation/spaces.ts';
import { defineRequest, RequestError } from '../request.ts';

export const writeMemory = defineRequest<DebugProtocol.WriteMemoryArguments, DebugProtocol.WriteMemoryResponse['body']>(
  {
    command: 'writeMemory',
    capabilities: { supportsWriteMemoryRequest: true },
    run(session, args) {
      const { debuggee } = session;
      debuggee.requireStopped();
      const place = parseMemoryReference(String(args.memoryReference));
      if (!place) throw new RequestError(`'${args.memoryReference}' is not an address.`);
      const address = place.address + BigInt(Math.trunc(args.offset ?? 0));
      const data = fromBase64(String(args.data));
      const id = viewer(debuggee, debuggee.runner.stoppedThread, place);
      const written = debuggee.machine.writeMemory(id, place.space, address, data);
      if (written < data.length && !args.allowPartial)
        throw new RequestError(
          `Only ${written} of ${data.length} bytes at ${place.space}:0x${address.toString(16)} are memory.`,
        );
      debuggee.stacks.clear();
      session.event('invalidated', { areas: ['variables', 'stacks'] });
      return { bytesWritten: written };
    },
  },
);
