/** Event breakpoints as exception filters, each with an optional condition over the event's facts. */
import type { DebugProtocol } from '@vscode/debugprotocol';
import { EVENT_FILTERS } from '../breakpoints/event-filters.ts';
import { defineRequest } from '../request.ts';

export const setExceptionBreakpoints = defineRequest<
  DebugProtocol.SetExceptionBreakpointsArguments,
  DebugProtocol.SetExceptionBreakpointsResponse['body']
>({
  command: 'setExceptionBreakpoints',
  capabilities: {
    supportsExceptionFilterOptions: true,
    exceptionBreakpointFilters: EVENT_FILTERS.map((filter) => ({
      filter: filter.filter,
      label: filter.label,
      description: filter.description,
      default: filter.default ?? false,
      supportsCondition: true,
      conditionDescription: `e.g. ${filter.conditionExample}`,
    })),
  },
  run(session, args) {
    const plain = (args.filters ?? []).map((filter) => ({ filter }));
    const options = (args.filterOptions ?? []).map(({ filterId, condition }) => ({ filter: filterId, condition }));
    return { breakpoints: session.debuggee.eventBreakpoints.set('exceptions', [...plain, ...options]) };
  },
});
