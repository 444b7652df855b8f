/** Lines that have code. */
import type { DebugProtocol } from '@vscode/debugprotocol';
import { defineRequest } from '../request.ts';

export const breakpointLocations = defineRequest<
  DebugProtocol.BreakpointLocationsArguments,
  DebugProtocol.BreakpointLocationsResponse['body']
>({
  command: 'breakpointLocations',
  capabilities: { supportsBreakpointLocationsRequest: true },
  run(session, args) {
    const { main } = session.debuggee.images;
    const lines = main.lines.linesWithCode(args.source?.path ?? '', args.line, args.endLine ?? args.line);
    return { breakpoints: lines.map((line) => ({ line })) };
  },
});
