/** `dune/vmcs`: every field, and the VM-entry checks that would fail now. */
import { hex } from '../../presentation/tables.ts';
import type { VmcsArguments, VmcsResponse } from '../../protocol.ts';
import { defineRequest } from '../../request.ts';

export const vmcs = defineRequest<VmcsArguments, VmcsResponse>({
  command: 'dune/vmcs',
  run({ debuggee }, { threadId }) {
    debuggee.requireStopped();
    const fields = debuggee.machine.vmcs(threadId);
    if (!fields) return { message: 'This thread has no VMCS: it has not entered Dune mode.', fields: [], checks: [] };
    return {
      fields: fields.map(({ encoding, name, group, bits, value, writable, text, parts }) => ({
        encoding,
        name,
        group,
        bits,
        value: hex(value),
        writable,
        text,
        parts: (parts ?? []).map((part) => ({ name: part.name, value: hex(part.value), meaning: part.meaning })),
      })),
      checks: debuggee.machine.entryChecks(threadId).map(({ id, section, wants, found, fields: involved }) => ({
        id,
        section,
        wants,
        found,
        fields: [...involved],
      })),
    };
  },
});
