/** Breakpoints on functions by name, also ones known by symbol alone. */
import type { DebugProtocol } from '@vscode/debugprotocol';
import { defineRequest } from '../request.ts';

export const setFunctionBreakpoints = defineRequest<
  DebugProtocol.SetFunctionBreakpointsArguments,
  DebugProtocol.SetFunctionBreakpointsResponse['body']
>({
  command: 'setFunctionBreakpoints',
  capabilities: { supportsFunctionBreakpoints: true },
  run(session, args) {
    const { debuggee } = session;
    const made = session.breakpoints.setFunctions(args.breakpoints ?? []);
    return { breakpoints: made.map((breakpoint) => session.breakpoints.protocol(debuggee, breakpoint)) };
  },
});
