/** `dune/setVmcsField` */
import { parseNumber } from '../../presentation/registers.ts';
import type { SetVmcsFieldArguments } from '../../protocol.ts';
import { defineRequest } from '../../request.ts';

export const setVmcsField = defineRequest<SetVmcsFieldArguments>({
  command: 'dune/setVmcsField',
  run(session, { threadId, encoding, value }) {
    session.debuggee.requireStopped();
    session.debuggee.machine.writeVmcs(threadId, encoding, parseNumber(value));
    session.event('invalidated', { areas: ['all'] });
  },
});
