/**
 * VM-entry checks. A full pass takes tens of microseconds, so a VMCS remembers in its region that the rows over fields that only
 * VMWRITE changes have passed, and what the fields that hypervisors write before entries held then. A VMRESUME looks again at the rows
 * over the latter if one of them has changed, and always at those over RIP and over memory.
 */
import type { CpuContext } from '../../cpu/context.ts';
import { RFLAGS_ARITHMETIC } from '../../cpu/control-bits.ts';
import type { CheckFailure } from '../api.ts';
import { Field, type FieldName, fieldName, vmcsField } from '../fields.ts';
import { REMEMBERED, slotOf, type CurrentVmcs } from '../vmcs.ts';
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

/** Encodings whose VMWRITE leaves the remembered checks as good as they were; no check is about the host's RSP, which hypervisors write before every entry. */
export const SETTLED_WRITES: ReadonlySet<number> = new Set(
  [...EVERY_ENTRY, 'hostRsp' as const].map((name) => Field[name]),
);

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

const isUnsteady = (row: CheckRow): boolean => row.memory === true || row.fields.includes('guestRip');
const UNSTEADY: Readonly<Record<CheckGroup, readonly CheckRow[]>> = {
  controls: VOLATILE.controls.filter(isUnsteady),
  host: VOLATILE.host.filter(isUnsteady),
  guest: VOLATILE.guest.filter(isUnsteady),
};

/** No row is about the arithmetic flags. */
const CHECKED_RFLAGS = ~RFLAGS_ARITHMETIC;
/** Words in the region, each with a mask, that the volatile rows but the unsteady ones depend on. */
export const WATCHED = Int32Array.from(
  [
    ...new Set(
      Object.values(VOLATILE).flatMap((rows) => rows.filter((row) => !isUnsteady(row)).flatMap((row) => row.fields)),
    ),
  ].flatMap((name) => {
    const word = slotOf(Field[name]) >>> 2;
    const low = [word, name === 'guestRflags' ? CHECKED_RFLAGS : -1];
    return vmcsField(Field[name])!.bits === 64 ? [...low, word + 1, -1] : low;
  }),
);

/** The words are what they were at the last entry. */
function steady(vmcs: CurrentVmcs): boolean {
  const { u32 } = vmcs.mem;
  const region = vmcs.region() >>> 2;
  for (let at = 0, kept = region + (REMEMBERED >>> 2); at < WATCHED.length; at += 2, kept++)
    if (((u32[region + WATCHED[at]!]! ^ u32[kept]!) & WATCHED[at + 1]!) !== 0) return false;
  return true;
}

/** All checks have passed. */
export function rememberChecks(vmcs: CurrentVmcs): void {
  const { u32 } = vmcs.mem;
  const region = vmcs.region() >>> 2;
  for (let at = 0, kept = region + (REMEMBERED >>> 2); at < WATCHED.length; at += 2, kept++)
    u32[kept] = u32[region + WATCHED[at]!]!;
  vmcs.checked = true;
  vmcs.touched();
}

/** All rows by group, for documents and tests. */
export const ENTRY_CHECKS = ALL;

export interface Violation extends CheckFailure {
  /** Exit qualification of the failed entry. */
  readonly qualification: number;
}

/** The rows that an entry has to look at. */
export type Look = Readonly<Record<CheckGroup, readonly CheckRow[]>>;

export function lookOf(vmcs: CurrentVmcs): Look {
  if (!vmcs.checked) return ALL;
  return steady(vmcs) ? UNSTEADY : VOLATILE;
}
/** Nothing has changed since `rememberChecks`. */
export const isSettled = (look: Look): boolean => look === UNSTEADY;

/** Violated checks of a group, in SDM order. */
export function violatedGroup(
  context: CpuContext,
  vmcs: CurrentVmcs,
  group: CheckGroup,
  look: Look = lookOf(vmcs),
): readonly Violation[] {
  const state = new CheckState(context, vmcs);
  return violatedRows(state, look[group]).map((row) => violation(state, group, row));
}

/** Those of the rows that do not hold. */
export function violatedRows(state: CheckState, rows: readonly CheckRow[]): readonly CheckRow[] {
  return rows.filter((row) => !row.holds(state));
}

/** The first row of a group that does not hold; all that an entry asks. */
export function firstViolated(
  context: CpuContext,
  vmcs: CurrentVmcs,
  group: CheckGroup,
  look: Look,
): CheckRow | undefined {
  const rows = look[group];
  if (rows.length === 0) return undefined;
  const state = new CheckState(context, vmcs);
  for (const row of rows) if (!row.holds(state)) return row;
  return undefined;
}

function violation(state: CheckState, group: CheckGroup, row: CheckRow): Violation {
  return {
    id: row.id,
    group,
    section: `SDM 3C ${row.section}`,
    wants: row.wants,
    found: row.fields.map((field) => `${fieldName(Field[field])} 0x${state.b(field).toString(16)}`).join(', '),
    fields: row.fields.map((field) => Field[field]),
    ...(row.because ? { because: row.because(state) } : {}),
    qualification: row.qualification ?? 0,
  };
}
