/** `dune/setPageTableEntry`: writes one 8-byte entry. */
import { parseNumber } from '../../presentation/registers.ts';
import type { SetPageTableEntryArguments } from '../../protocol.ts';
import { defineRequest, RequestError } from '../../request.ts';

export const setPageTableEntry = defineRequest<SetPageTableEntryArguments>({
  command: 'dune/setPageTableEntry',
  run(session, { threadId, hpa, value, flush }) {
    const { debuggee } = session;
    debuggee.requireStopped();
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, BigInt.asUintN(64, parseNumber(value)), true);
    if (debuggee.machine.writeMemory(threadId, 'hpa', parseNumber(hpa), bytes) < 8)
      throw new RequestError(`There is no physical memory at ${hpa}.`);
    // Loading CR3 with itself drops what the TLB holds of it.
    const cr3 = flush ? debuggee.machine.readRegister(threadId, 'cr3') : undefined;
    if (cr3 !== undefined) debuggee.machine.writeRegister(threadId, 'cr3', cr3);
    debuggee.stacks.clear();
    session.event('invalidated', { areas: ['all'] });
  },
});
