/** Every field of the thread's VMCS, by group; bits decoded, writable. */
import type { VmcsFieldInfo } from '../../emulator/machine/api.ts';
import type { Debuggee } from '../debuggee.ts';
import { hexadecimal, parseNumber, partRow } from '../presentation/registers.ts';
import type { VariableRow } from '../presentation/variable.ts';
import type { ScopeDefinition } from './scope.ts';

const GROUPS: readonly { readonly group: VmcsFieldInfo['group']; readonly name: string }[] = [
  { group: 'control', name: 'Controls' },
  { group: 'guest', name: 'Guest state' },
  { group: 'host', name: 'Host state' },
  { group: 'exit-information', name: 'Exit information' },
];

export const vmcs: ScopeDefinition = {
  name: 'VMCS',
  expensive: true,
  available: ({ machine }, { thread }) => machine.vmcs(thread) !== undefined,
  rows(debuggee, { thread }) {
    const checks = debuggee.machine.entryChecks(thread);
    const rows = GROUPS.map(({ group, name }): VariableRow => {
      const members = (): VmcsFieldInfo[] =>
        debuggee.machine.vmcs(thread)?.filter((field) => field.group === group) ?? [];
      return {
        name,
        value: `${members().length} fields`,
        children: { rows: () => members().map((field) => fieldRow(debuggee, thread, field)) },
      };
    });
    rows.push({
      name: 'VM-entry checks',
      value: checks.length === 0 ? 'all hold' : `${checks.length} violated`,
      children:
        checks.length === 0
          ? undefined
          : {
              rows: () =>
                checks.map(({ id, wants, found, section }) => ({
                  name: id,
                  value: `wants ${wants}; found ${found} (${section})`,
                })),
            },
    });
    return rows;
  },
};

function fieldRow({ machine }: Debuggee, thread: number, field: VmcsFieldInfo): VariableRow {
  const shown = hexadecimal(field.value, field.bits);
  const parts = field.parts ?? [];
  return {
    name: field.name,
    value: field.text ? `${shown} ${field.text}` : shown,
    type: `${field.encoding.toString(16).padStart(4, '0')}h, ${field.bits} bits`,
    children: parts.length > 0 ? { rows: () => parts.map((part) => partRow(part)) } : undefined,
    set: field.writable
      ? (text) => machine.writeVmcs(thread, field.encoding, parseNumber(text.trim().split(/\s+/)[0] ?? ''))
      : undefined,
    hint: field.writable ? undefined : { attributes: ['readOnly'] },
  };
}
