/**
 * VM-entry checks. A full pass takes tens of microseconds, so a VMCS remembers in its region that the rows over fields that only
 * VMWRITE changes have passed; a VMRESUME then looks only at the rows over fields that hypervisors write before every entry.
 */
import type { CpuContext } from '../../cpu/context.ts';
import type { CheckFailure } from '../api.ts';
import { Field, type FieldName, fieldName } from '../fields.ts';
import type { CurrentVmcs } from '../vmcs.ts';
import { controlChecks } from './controls.ts';
import { guestChecks } from './guest.ts';
import { hostChecks } from './host.ts';
import { type CheckRow, CheckState } from './row.ts';

export type CheckGroup = 'controls' | 'host' | 'guest';

/** Fields written before many entries: their rows are looked at by every entry. */
const EVERY_ENTRY: ReadonlySet<FieldName> = new Set<FieldName>([
  'guestRip',
  'guestRsp',
  'guestRflags',
  'guestInterruptStatus',
  'guestInterruptibility',
  'guestActivity',
  'guestPendingDebugExceptions',
  'entryInterruptionInformation',
  'entryExceptionErrorCode',
  'entryInstructionLength',
]);

/** Encodings whose VMWRITE leaves the remembered checks as good as they were. */
export const SETTLED_WRITES: ReadonlySet<number> = new Set([...EVERY_ENTRY].map((name) => Field[name]));

const ALL: Readonly<Record<CheckGroup, readonly CheckRow[]>> = {
  controls: controlChecks,
  host: hostChecks,
  guest: guestChecks,
};

const isVolatile = (row: CheckRow): boolean =>
  row.memory === true || row.fields.some((field) => EVERY_ENTRY.has(field));
const VOLATILE: Readonly<Record<CheckGroup, readonly CheckRow[]>> = {
  controls: controlChecks.filter(isVolatile),
  host: hostChecks.filter(isVolatile),
  guest: guestChecks.filter(isVolatile),
};

/** All rows by group, for documents and tests. */
export const ENTRY_CHECKS = ALL;

export interface Violation extends CheckFailure {
  /** Exit qualification of the failed entry. */
  readonly qualification: number;
}

const NONE: readonly Violation[] = [];

/** Violated checks of a group, in SDM order. */
export function violatedGroup(context: CpuContext, vmcs: CurrentVmcs, group: CheckGroup): readonly Violation[] {
  const rows = vmcs.checked ? VOLATILE[group] : ALL[group];
  const state = new CheckState(context, vmcs);
  let failures: Violation[] | undefined;
  for (const row of rows) {
    if (row.holds(state)) continue;
    (failures ??= []).push(violation(state, group, row));
  }
  return failures ?? NONE;
}

function violation(state: CheckState, group: CheckGroup, row: CheckRow): Violation {
  return {
    id: row.id,
    group,
    section: `SDM 3C ${row.section}`,
    wants: row.wants,
    found: row.fields.map((field) => `${fieldName(Field[field])} 0x${state.b(field).toString(16)}`).join(', '),
    fields: row.fields.map((field) => Field[field]),
    qualification: row.qualification ?? 0,
  };
}
