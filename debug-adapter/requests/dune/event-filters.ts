/** `dune/eventFilters`: the event breakpoints there are. */
import { EVENT_FILTERS } from '../../breakpoints/event-filters.ts';
import type { EventFiltersResponse } from '../../protocol.ts';
import { defineRequest } from '../../request.ts';

export const eventFilters = defineRequest<object, EventFiltersResponse>({
  command: 'dune/eventFilters',
  run: () => ({
    filters: EVENT_FILTERS.map(({ filter, parent, label, description, facts, conditionExample }) => ({
      filter,
      parent,
      label,
      description,
      facts: [...facts],
      conditionExample,
    })),
  }),
});
