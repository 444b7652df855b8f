/** Breakpoints are set: the program may run. */
import { startProgram } from '../execution/start.ts';
import { defineRequest } from '../request.ts';

export const configurationDone = defineRequest({
  command: 'configurationDone',
  capabilities: { supportsConfigurationDoneRequest: true },
  run: (session) => startProgram(session.debuggee),
});
