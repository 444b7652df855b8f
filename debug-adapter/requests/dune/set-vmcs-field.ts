/** `dune/setVmcsField`: writes a field, or one bit of it, and tells what that does to the VM-entry checks. It refuses nothing that VMWRITE would take. */
import { parseNumber } from '../../presentation/registers.ts';
import type { SetVmcsFieldArguments, SetVmcsFieldResponse } from '../../protocol.ts';
import { defineRequest, RequestError } from '../../request.ts';
import { checkBody } from './vmcs.ts';

export const setVmcsField = defineRequest<SetVmcsFieldArguments, SetVmcsFieldResponse>({
  command: 'dune/setVmcsField',
  run(session, { threadId, encoding, value, bit, which }) {
    session.debuggee.requireStopped();
    const { machine } = session.debuggee;
    const given = parseNumber(value);
    const before = machine.vmEntry(threadId)?.checks ?? [];
    let written = given;
    if (bit !== undefined) {
      const stands = machine.vmcs(threadId, which)?.find((field) => field.encoding === encoding)?.value;
      if (stands === undefined) throw new RequestError(`There is no VMCS field 0x${encoding.toString(16)}.`);
      const mask = 1n << BigInt(bit);
      written = given === 0n ? stands & ~mask : stands | mask;
    }
    machine.writeVmcs(threadId, encoding, written, which);
    const entry = machine.vmEntry(threadId);
    session.event('invalidated', { areas: ['all'] });
    const key = (check: { id: string; entry?: number }): string => `${check.id} ${check.entry ?? ''}`;
    const known = new Set(before.map(key));
    const left = new Set((entry?.checks ?? []).map(key));
    return {
      entry: entry && { state: entry.state, headline: entry.headline },
      violated: (entry?.checks ?? []).filter((check) => !known.has(key(check))).map(checkBody),
      mended: before.filter((check) => !left.has(key(check))).map(({ id }) => id),
    };
  },
});
