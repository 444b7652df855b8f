/** The same program again from its first instruction, in a fresh machine. */
import { Debuggee } from '../debuggee.ts';
import { startProgram } from '../execution/start.ts';
import { parseLaunch } from '../launch-options.ts';
import { defineRequest } from '../request.ts';

export const restart = defineRequest<{ arguments?: object }>({
  command: 'restart',
  capabilities: { supportsRestartRequest: true },
  async run(session, args) {
    const old = session.debuggee;
    old.runner.stop();
    const debuggee = await Debuggee.launch(session, args.arguments ? parseLaunch(args.arguments) : old.options);
    debuggee.eventBreakpoints.adopt(old.eventBreakpoints);
    session.launched = debuggee;
    session.breakpoints.restart();
    startProgram(debuggee);
  },
});
