/** Every field of the thread's VMCS, by group; bits decoded, writable, one by one where they are bits; what violates a VM-entry check is marked. */
import type { VmcsChoice, VmcsFieldInfo } from '../../emulator/machine/api.ts';
import type { CheckFailure } from '../../emulator/vmx/api.ts';
import { checkInWords } from '../../emulator/vmx/checks/words.ts';
import type { Debuggee } from '../debuggee.ts';
import { hexadecimal, parseNumber, partRow, replaceBits } from '../presentation/registers.ts';
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
    const { machine } = debuggee;
    const entry = machine.vmEntry(thread);
    const rows = [
      ...groupRows(debuggee, thread, 'current'),
      ...listRows(debuggee, thread),
      ...shadowRow(debuggee, thread),
    ];
    if (!entry) return rows;
    rows.push({
      name: 'VM-entry checks',
      value: entry.checks.length === 0 ? 'all hold' : entry.headline,
      children:
        entry.checks.length === 0
          ? undefined
          : { rows: () => entry.checks.map((check) => ({ name: check.id, value: checkInWords(check) })) },
    });
    return rows;
  },
};

function groupRows(debuggee: Debuggee, thread: number, which: VmcsChoice): VariableRow[] {
  const { machine } = debuggee;
  const members = (group: VmcsFieldInfo['group']): VmcsFieldInfo[] =>
    machine.vmcs(thread, which)?.filter((field) => field.group === group) ?? [];
  return GROUPS.map(({ group, name }) => ({
    name,
    value: `${members(group).length} fields`,
    children: {
      rows: () => {
        const checks = which === 'current' ? (machine.vmEntry(thread)?.checks ?? []) : [];
        return members(group).map((field) => fieldRow(debuggee, { thread, which, field, checks }));
      },
    },
  }));
}

/** The shadow VMCS that the link pointer names (SDM 3C 25.10). */
function shadowRow(debuggee: Debuggee, thread: number): VariableRow[] {
  const link = debuggee.machine.vmcsRegion(thread)?.link;
  if (!link) return [];
  return [
    {
      name: 'Shadow VMCS',
      value: `hpa:${hexadecimal(BigInt(link.hpa))}${link.inUse ? '' : ', not in use'}`,
      children: { rows: () => groupRows(debuggee, thread, 'shadow') },
    },
  ];
}

/** What exits, as lists. */
function listRows({ machine }: Debuggee, thread: number): VariableRow[] {
  const lists = machine.exitLists(thread);
  if (lists.length === 0) return [];
  return [
    {
      name: 'What exits',
      value: `${lists.filter(({ inEffect }) => inEffect).length} of ${lists.length} lists in effect`,
      children: {
        rows: () =>
          lists.map(({ title, because, rows, inEffect }) => ({
            name: title,
            value: `${inEffect ? '' : 'not in effect: '}${because}`,
            children: { rows: () => rows.map(({ text }, index) => ({ name: `${index}`, value: text })) },
          })),
      },
    },
  ];
}

interface ShownField {
  readonly thread: number;
  readonly which: VmcsChoice;
  readonly field: VmcsFieldInfo;
  readonly checks: readonly CheckFailure[];
}

function fieldRow({ machine }: Debuggee, { thread, which, field, checks }: ShownField): VariableRow {
  const shown = hexadecimal(field.value, field.bits);
  const { encoding, writable } = field;
  const violated = checks.filter(({ fields }) => fields.includes(encoding));
  const now = (): VmcsFieldInfo => machine.vmcs(thread, which)?.find((one) => one.encoding === encoding) ?? field;
  const write = (value: bigint): void => machine.writeVmcs(thread, encoding, value, which);
  const partRows = (): VariableRow[] => {
    const { parts = [], value } = now();
    const check = violated.map((one) => ({ name: `✗ ${one.id}`, value: checkInWords(one) }));
    return [...check, ...parts.map((part) => partRow(part, writable ? (bits) => write(replaceBits(value, part, bits)) : undefined))]; // prettier-ignore
  };
  const mark = violated.length > 0 ? '✗ ' : '';
  return {
    name: field.name,
    value: `${mark}${field.text ? `${shown} ${field.text}` : shown}`,
    type: `${encoding.toString(16).padStart(4, '0')}h, ${field.bits} bits`,
    children: (field.parts ?? []).length + violated.length > 0 ? { rows: partRows } : undefined,
    set: writable ? (text) => write(parseNumber(text.replace(/^\s*✗/, '').trim().split(/\s+/)[0] ?? '')) : undefined,
    hint: writable ? undefined : { attributes: ['readOnly'] },
  };
}
