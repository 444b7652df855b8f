/** What the adapter can do: the union of what its requests say. */
import type { DebugProtocol } from '@vscode/debugprotocol';
import { defineRequest, type Request } from '../request.ts';

type Arguments = DebugProtocol.InitializeRequestArguments;

export function initialize(
  capabilities: () => DebugProtocol.Capabilities,
): Request<Arguments, DebugProtocol.Capabilities> {
  return defineRequest<Arguments, DebugProtocol.Capabilities>({
    command: 'initialize',
    run(session, args) {
      session.client = args;
      return capabilities();
    },
  });
}
