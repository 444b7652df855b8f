/** Loads the program into a fresh machine; it runs when the client has set its breakpoints (configurationDone). */
import { Debuggee } from '../debuggee.ts';
import { parseLaunch } from '../launch-options.ts';
import { defineRequest } from '../request.ts';

export const launch = defineRequest<object>({
  command: 'launch',
  async run(session, args) {
    session.launched?.runner.stop();
    session.launched = undefined;
    session.launched = await Debuggee.launch(session, parseLaunch(args));
    session.event('initialized');
  },
});
