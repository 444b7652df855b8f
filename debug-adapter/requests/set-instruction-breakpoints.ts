/** Breakpoints on addresses, from the disassembly view. */
import type { DebugProtocol } from '@vscode/debugprotocol';
import { defineRequest } from '../request.ts';

export const setInstructionBreakpoints = defineRequest<
  DebugProtocol.SetInstructionBreakpointsArguments,
  DebugProtocol.SetInstructionBreakpointsResponse['body']
>({
  command: 'setInstructionBreakpoints',
  capabilities: { supportsInstructionBreakpoints: true },
  run(session, args) {
    const { debuggee } = session;
    const made = session.breakpoints.setInstructions(args.breakpoints ?? []);
    return { breakpoints: made.map((breakpoint) => session.breakpoints.protocol(debuggee, breakpoint)) };
  },
});
