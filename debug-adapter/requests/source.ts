/** The text of a source file that the client cannot read itself. */
import type { DebugProtocol } from '@vscode/debugprotocol';
import { defineRequest, RequestError } from '../request.ts';

export const source = defineRequest<DebugProtocol.SourceArguments, DebugProtocol.SourceResponse['body']>({
  command: 'source',
  run({ host, debuggee }, args) {
    const path = args.source?.path ?? '';
    // Only sources of the program: this is not a way to read other files.
    const local = debuggee.images.localSources().includes(path) ? path : undefined;
    const bytes = local === undefined ? undefined : host.files.readFile(local);
    if (!bytes)
      throw new RequestError(
        `The source file ${path || '(unnamed)'} is not on this machine: set "sourceMap" in the launch configuration.`,
      );
    return { content: new TextDecoder().decode(bytes), mimeType: 'text/x-c' };
  },
});
