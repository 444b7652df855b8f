/** `dune/vmcs`: every field, the VM-entry checks that would fail now, and what exits, as lists. */
import type { Machine, VmcsRegionInfo } from '../../../emulator/machine/api.ts';
import type { CheckFailure } from '../../../emulator/vmx/api.ts';
import { hex } from '../../presentation/tables.ts';
import type { VmcsArguments, VmcsCheckBody, VmcsResponse } from '../../protocol.ts';
import { defineRequest } from '../../request.ts';

const NONE: VmcsResponse = { fields: [], checks: [], lists: [] };

export const vmcs = defineRequest<VmcsArguments, VmcsResponse>({
  command: 'dune/vmcs',
  run({ debuggee }, { threadId, which = 'current' }) {
    debuggee.requireStopped();
    const { machine } = debuggee;
    const fields = machine.vmcs(threadId, which);
    const region = machine.vmcsRegion(threadId, which);
    if (!fields || !region) return { ...NONE, message: missing(machine, threadId) };
    const entry = which === 'current' ? machine.vmEntry(threadId) : undefined;
    return {
      title: titleOf(region),
      shadow: region.link && { hpa: hex(region.link.hpa), inUse: region.link.inUse },
      fields: fields.map(({ encoding, name, group, bits, value, writable, text, parts }) => ({
        encoding,
        name,
        group,
        bits,
        value: hex(value),
        writable,
        text,
        parts: (parts ?? []).map(({ name: part, value: stands, meaning, hi, lo, fixed }) => ({
          name: part,
          value: hex(stands),
          meaning,
          bit: writable && hi !== undefined && hi === lo ? hi : undefined,
          fixed: fixed === undefined ? undefined : hex(fixed),
        })),
      })),
      entry: entry && { state: entry.state, headline: entry.headline },
      checks: (entry?.checks ?? []).map(checkBody),
      lists: which === 'current' ? machine.exitLists(threadId).map(({ rows, fields: involved, ...list }) => ({ ...list, fields: [...involved], rows: [...rows] })) : [],
    }; // prettier-ignore
  },
});

function missing(machine: Machine, threadId: number): string {
  return machine.vmcsRegion(threadId)
    ? 'The VMCS link pointer names no shadow VMCS.'
    : 'This thread has no VMCS: it has not entered VMX non-root operation.';
}

function titleOf({ hpa, launched, shadow }: VmcsRegionInfo): string {
  return `${shadow ? 'shadow VMCS' : 'VMCS'} at hpa:${hex(hpa)}, ${launched ? 'launched' : 'clear'}`;
}

export function checkBody({ fields, ...check }: CheckFailure): VmcsCheckBody {
  return { ...check, fields: [...fields] };
}
