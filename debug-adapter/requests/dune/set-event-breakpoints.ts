/** `dune/setEventBreakpoints`: those of the view. */
import type { SetEventBreakpointsArguments, SetEventBreakpointsResponse } from '../../protocol.ts';
import { defineRequest } from '../../request.ts';

export const setEventBreakpoints = defineRequest<SetEventBreakpointsArguments, SetEventBreakpointsResponse>({
  command: 'dune/setEventBreakpoints',
  run: ({ debuggee }, { breakpoints }) => ({ breakpoints: debuggee.eventBreakpoints.set('view', breakpoints) }),
});
