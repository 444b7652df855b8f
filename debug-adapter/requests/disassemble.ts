/** Instructions around an address, with symbols and lines. */
import type { DebugProtocol } from '@vscode/debugprotocol';
import { instructionsFrom } from '../presentation/disassembly.ts';
import { parseMemoryReference, viewer } from '../presentation/spaces.ts';
import { defineRequest, RequestError } from '../request.ts';

/** More than a screen, less than a denial of service. */
const MOST = 2_000;

export const disassemble = defineRequest<DebugProtocol.DisassembleArguments, DebugProtocol.DisassembleResponse['body']>(
  {
    command: 'disassemble',
    capabilities: { supportsDisassembleRequest: true },
    run({ debuggee }, args) {
      debuggee.requireStopped();
      const place = parseMemoryReference(String(args.memoryReference));
      if (!place || place.space !== 'gva') throw new RequestError(`'${args.memoryReference}' is not a linear address.`);
      const count = Math.min(MOST, Math.max(0, args.instructionCount | 0));
      const gva = BigInt.asUintN(64, place.address + BigInt(Math.trunc(args.offset ?? 0)));
      return {
        instructions: instructionsFrom(
          debuggee,
          viewer(debuggee, debuggee.runner.stoppedThread, place),
          gva,
          Math.trunc(args.instructionOffset ?? 0),
          count,
        ),
      };
    },
  },
);
