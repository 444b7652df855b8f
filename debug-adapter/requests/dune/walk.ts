/** `dune/walk`: the whole walk of an address. */
import { describeEntry, entryName } from '../../../emulator/mmu/entries.ts';
import { walkResult, walkText } from '../../../emulator/mmu/walk-text.ts';
import { evaluate } from '../../expressions/evaluate.ts';
import { spaceAddress, viewer } from '../../presentation/spaces.ts';
import { hex } from '../../presentation/tables.ts';
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
    return {
      gva: hex(gva),
      gpa: found.gpa === undefined ? undefined : hex(found.gpa),
      hpa: found.hpa === undefined ? undefined : hex(found.hpa),
      result: walkResult(found),
      ok: found.result.kind === 'ok',
      steps: found.steps.map((step) => ({
        table: step.table,
        level: step.level,
        forGuestLevel: step.forGuestLevel,
        name: entryName(step),
        gpa: hex(step.gpa),
        hpa: hex(step.hpa),
        entry: hex(step.entry),
        flags: describeEntry(step, step.entry).flags,
        outcome: step.outcome,
      })),
      text: walkText(found),
    };
  },
});
