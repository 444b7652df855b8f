/** Every source file of the program. */
import type { DebugProtocol } from '@vscode/debugprotocol';
import { protocolSource } from '../frames.ts';
import { defineRequest } from '../request.ts';

export const loadedSources = defineRequest<object, DebugProtocol.LoadedSourcesResponse['body']>({
  command: 'loadedSources',
  capabilities: { supportsLoadedSourcesRequest: true },
  run: ({ debuggee }) => ({ sources: debuggee.images.sources().map((path) => protocolSource(debuggee, path)) }),
});
