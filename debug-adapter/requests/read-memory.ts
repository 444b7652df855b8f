/** Memory of any of the three spaces. */
import type { DebugProtocol } from '@vscode/debugprotocol';
import { toBase64 } from '../presentation/base64.ts';
import { parseMemoryReference, prefixOf, viewer } from '../presentation/spaces.ts';
import { defineRequest, RequestError } from '../request.ts';

/** Bytes of one answer at most. */
const MOST = 1 << 20;

export const readMemory = defineRequest<DebugProtocol.ReadMemoryArguments, DebugProtocol.ReadMemoryResponse['body']>({
  command: 'readMemory',
  capabilities: { supportsReadMemoryRequest: true },
  run({ debuggee }, args) {
    debuggee.requireStopped();
    const place = parseMemoryReference(String(args.memoryReference));
    if (!place)
      throw new RequestError(
        `'${args.memoryReference}' is not an address: write 0x1000, gva:0x1000, gpa:0x1000 or hpa:0x1000.`,
      );
    const address = place.address + BigInt(Math.trunc(args.offset ?? 0));
    const count = Math.min(MOST, Math.max(0, Math.trunc(args.count) || 0));
    const shown = `${prefixOf(place)}0x${BigInt.asUintN(64, address).toString(16)}`;
    const data =
      address < 0n
        ? new Uint8Array(0)
        : debuggee.machine.readMemory(
            viewer(debuggee, debuggee.runner.stoppedThread, place),
            place.space,
            address,
            count,
          );
    return { address: shown, data: toBase64(data), unreadableBytes: count - data.length };
  },
});
