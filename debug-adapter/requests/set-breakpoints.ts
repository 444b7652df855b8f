/** Source breakpoints, with conditions, hit counts and log messages. */
import type { DebugProtocol } from '@vscode/debugprotocol';
import { defineRequest, RequestError } from '../request.ts';

export const setBreakpoints = defineRequest<
  DebugProtocol.SetBreakpointsArguments,
  DebugProtocol.SetBreakpointsResponse['body']
>({
  command: 'setBreakpoints',
  capabilities: {
    supportsConditionalBreakpoints: true,
    supportsHitConditionalBreakpoints: true,
    supportsLogPoints: true,
  },
  run(session, args) {
    const { debuggee } = session;
    const path = args.source?.path;
    if (typeof path !== 'string')
      throw new RequestError('Breakpoints can only be set in source files that have a path.');
    const wanted = args.breakpoints ?? args.lines?.map((line) => ({ line })) ?? [];
    if (!Array.isArray(wanted) || wanted.some(({ line }) => !Number.isInteger(line)))
      throw new RequestError('A breakpoint needs a line number.');
    const made = session.breakpoints.setSource(path, wanted);
    return { breakpoints: made.map((breakpoint) => session.breakpoints.protocol(debuggee, breakpoint)) };
  },
});
