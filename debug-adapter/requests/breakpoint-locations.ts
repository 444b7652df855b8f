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
    const { all } = session.debuggee.images;
    const lines = all.flatMap((symbols) =>
      symbols.lines.linesWithCode(args.source?.path ?? '', args.line, args.endLine ?? args.line),
    );
    return { breakpoints: [...new Set(lines)].sort((a, b) => a - b).map((line) => ({ line })) };
  },
});
