/** `dune/walk`: the whole walk of an address. */
import { evaluate } from '../../expressions/evaluate.ts';
import { spaceAddress, viewer } from '../../presentation/spaces.ts';
import { walkResponse } from '../../presentation/walk.ts';
import type { WalkArguments, WalkResponse } from '../../protocol.ts';
import { defineRequest, RequestError } from '../../request.ts';

export const walk = defineRequest<WalkArguments, WalkResponse>({
  command: 'dune/walk',
  run({ debuggee }, { threadId, address, access, user }) {
    debuggee.requireStopped();
    const scope = debuggee.stacks.top(threadId)?.scope;
    if (!scope) throw new RequestError(`There is no thread ${threadId}.`);
    const place = spaceAddress(address, scope);
    if (place && place.space !== 'gva') throw new RequestError(`'${address}' is not a linear address.`);
    const gva = place?.address ?? evaluate(address, scope).value.unsigned();
    const id = place ? viewer(debuggee, threadId, place) : threadId;
    const found = debuggee.machine.walk(id, gva, access ?? 'read', user);
    return walkResponse(found);
  },
});
