/** `dune/events`: the log. Answered while the program runs, too. */
import { eventBody } from '../../presentation/events.ts';
import type { EventsArguments, EventsResponse } from '../../protocol.ts';
import { defineRequest } from '../../request.ts';

export const events = defineRequest<EventsArguments, EventsResponse>({
  command: 'dune/events',
  run({ debuggee }, { kinds, since, limit }) {
    const found = debuggee.log.select(new Set(kinds), since, limit);
    return { events: found.map((event) => eventBody(debuggee, event)), next: debuggee.log.next };
  },
});
