/** Checks of the guest's segment registers (SDM 3C 27.3.1.2). Those of virtual-8086 mode take the place of all but the selectors' and those of TR and LDTR. */
import { Entry, Secondary } from '../controls.ts';
import { Field, type FieldName } from '../fields.ts';
import { type CheckRow, type CheckState } from './row.ts';
import { CR0_PE, RFLAGS_VM } from '../../cpu/control-bits.ts';
import {
  RIGHTS_DB as DB,
  RIGHTS_G as G,
  RIGHTS_L as L,
  RIGHTS_PRESENT as P,
  RIGHTS_S as S,
  RIGHTS_TYPE as TYPE,
  RIGHTS_UNUSABLE as UNUSABLE,
} from '../../cpu/segment-rights.ts';

const SECTION = '27.3.1.2';

/** Accessed, writable, expanding up: what CS holds in real mode. */
const DATA_TYPE = 3;
const RESERVED = 0xfffe_0f00;
const TI = 4;

const SEGMENTS = ['Cs', 'Ss', 'Ds', 'Es', 'Fs', 'Gs'] as const;
const DATA = ['Ds', 'Es', 'Fs', 'Gs'] as const;
type Name = (typeof SEGMENTS)[number] | 'Ldtr' | 'Tr';

const selector = (name: Name): FieldName => `guest${name}Selector`;
const base = (name: Name): FieldName => `guest${name}Base`;
const limit = (name: Name): FieldName => `guest${name}Limit`;
const rights = (name: Name): FieldName => `guest${name}AccessRights`;

/** CS and TR are always usable. */
const usable = (s: CheckState, name: Name): boolean => name === 'Cs' || (s.n(rights(name)) & UNUSABLE) === 0;
const virtual = (s: CheckState): boolean => (s.n('guestRflags') & RFLAGS_VM) !== 0;
const unrestricted = (s: CheckState): boolean => s.secondary(Secondary.UnrestrictedGuest);
const type = (s: CheckState, name: Name): number => s.n(rights(name)) & TYPE;
const dpl = (s: CheckState, name: Name): number => (s.n(rights(name)) >> 5) & 3;
const rpl = (s: CheckState, name: Name): number => s.n(selector(name)) & 3;
const long = (s: CheckState): boolean => s.entry(Entry.Ia32eGuest);

function check(
  name: Name,
  part: string,
  wants: string,
  fields: readonly FieldName[],
  holds: (s: CheckState) => boolean,
): CheckRow {
  return { id: `guest.${name.toLowerCase()}.${part}`, section: SECTION, wants, fields, holds };
}
/** As `check`, for a segment that may be unusable. */
function whenUsable(
  name: Name,
  part: string,
  wants: string,
  fields: readonly FieldName[],
  holds: (s: CheckState) => boolean,
): CheckRow {
  return check(name, part, wants, fields, (s) => !usable(s, name) || holds(s));
}
/** Of a row about one of the six segments: it says nothing in virtual-8086 mode. RFLAGS is not among the fields: see `changesRows`. */
function outsideVirtual(row: CheckRow): CheckRow {
  const { holds } = row;
  return { ...row, holds: (s) => virtual(s) || holds(s) };
}
/** Whether a VMWRITE of guest RFLAGS makes other rows count for the segments: then all are looked at again, though RFLAGS is written before many entries. */
export function changesRows(encoding: number, old: number, value: bigint): boolean {
  return encoding === Field.guestRflags && ((old ^ Number(value & 0xffff_ffffn)) & RFLAGS_VM) !== 0;
}

const virtual8086: readonly CheckRow[] = SEGMENTS.flatMap((name) => {
  const row = (part: string, wants: string, field: FieldName, holds: (s: CheckState) => boolean): CheckRow =>
    check(name, `virtual.${part}`, wants, [field, selector(name)], (s) => !virtual(s) || holds(s));
  return [
    row('base', 'the selector times 16 in virtual-8086 mode', base(name), (s) => {
      return s.b(base(name)) === BigInt(s.n(selector(name)) << 4);
    }),
    row('limit', 'FFFFh in virtual-8086 mode', limit(name), (s) => s.n(limit(name)) === 0xffff),
    row('rights', 'F3h in virtual-8086 mode', rights(name), (s) => s.n(rights(name)) === 0xf3),
  ];
});

const selectors: readonly CheckRow[] = [
  check('Tr', 'selector', 'TI 0', [selector('Tr')], (s) => (s.n(selector('Tr')) & TI) === 0),
  whenUsable('Ldtr', 'selector', 'TI 0', [selector('Ldtr'), rights('Ldtr')], (s) => (s.n(selector('Ldtr')) & TI) === 0),
  check(
    'Ss',
    'selector',
    'RPL equal to that of CS, but for unrestricted guests and virtual-8086 mode',
    [selector('Ss'), selector('Cs'), 'secondaryControls'],
    (s) => virtual(s) || unrestricted(s) || rpl(s, 'Ss') === rpl(s, 'Cs'),
  ),
];

const below4g = (name: Name): CheckRow =>
  whenUsable(name, 'base', 'bits 63:32 clear', [base(name), rights(name)], (s) => s.b(base(name)) >> 32n === 0n);
const canonicalBase = (name: Name): CheckRow =>
  check(name, 'base', 'a canonical address', [base(name)], (s) => s.canonical(base(name)));

const bases: readonly CheckRow[] = [
  canonicalBase('Tr'),
  canonicalBase('Fs'),
  canonicalBase('Gs'),
  whenUsable('Ldtr', 'base', 'a canonical address', [base('Ldtr'), rights('Ldtr')], (s) => s.canonical(base('Ldtr'))),
  below4g('Cs'),
  below4g('Ss'),
  below4g('Ds'),
  below4g('Es'),
];

const types: readonly CheckRow[] = [
  check(
    'Cs',
    'rights.type',
    'accessed code: type 9, 11, 13 or 15; for an unrestricted guest also 3',
    [rights('Cs'), 'secondaryControls'],
    (s) => (type(s, 'Cs') & 9) === 9 || (unrestricted(s) && type(s, 'Cs') === DATA_TYPE),
  ),
  whenUsable(
    'Ss',
    'rights.type',
    'accessed writable data: type 3 or 7',
    [rights('Ss')],
    (s) => type(s, 'Ss') === 3 || type(s, 'Ss') === 7,
  ),
  ...DATA.map((name) =>
    whenUsable(name, 'rights.type', 'accessed, and readable if code', [rights(name)], (s) => {
      const value = type(s, name);
      return (value & 1) !== 0 && ((value & 8) === 0 || (value & 2) !== 0);
    }),
  ),
];

const system = SEGMENTS.map((name) =>
  whenUsable(name, 'rights.s', 'S set', [rights(name)], (s) => (s.n(rights(name)) & S) !== 0),
);

const privileges: readonly CheckRow[] = [
  check(
    'Cs',
    'rights.dpl',
    'the DPL of SS; not above it for conforming code; 0 for data in CS',
    [rights('Cs'), rights('Ss')],
    (s) => {
      if (type(s, 'Cs') === DATA_TYPE) return dpl(s, 'Cs') === 0;
      return type(s, 'Cs') >= 12 ? dpl(s, 'Cs') <= dpl(s, 'Ss') : dpl(s, 'Cs') === dpl(s, 'Ss');
    },
  ),
  check(
    'Ss',
    'rights.dpl',
    'the RPL of its selector, but for unrestricted guests; 0 with data in CS and in real mode',
    [rights('Ss'), selector('Ss'), rights('Cs'), 'guestCr0', 'secondaryControls'],
    (s) => {
      if (!unrestricted(s) && dpl(s, 'Ss') !== rpl(s, 'Ss')) return false;
      return dpl(s, 'Ss') === 0 || (type(s, 'Cs') !== DATA_TYPE && (s.n('guestCr0') & CR0_PE) !== 0);
    },
  ),
  ...DATA.map((name) =>
    whenUsable(
      name,
      'rights.dpl',
      'not below the RPL of its selector, but for unrestricted guests',
      [rights(name), selector(name), 'secondaryControls'],
      (s) => unrestricted(s) || type(s, name) > 11 || dpl(s, name) >= rpl(s, name),
    ),
  ),
];

const present = (name: Name): CheckRow =>
  whenUsable(name, 'rights.p', 'present', [rights(name)], (s) => (s.n(rights(name)) & P) !== 0);
const reservedBits = (name: Name): CheckRow =>
  whenUsable(
    name,
    'rights.reserved',
    'bits 11:8 and 31:17 clear',
    [rights(name)],
    (s) => (s.n(rights(name)) & RESERVED) === 0,
  );
/** Limits in units of 4 KB end in FFFh; those that fit 20 bits need no G. */
const granularity = (name: Name): CheckRow =>
  whenUsable(
    name,
    'rights.g',
    'G clear unless limit bits 11:0 are ones, set if limit bits 31:20 are not 0',
    [rights(name), limit(name)],
    (s) => {
      const value = s.n(limit(name));
      const g = (s.n(rights(name)) & G) !== 0;
      return g ? (value & 0xfff) === 0xfff : value >>> 20 === 0;
    },
  );

const common = SEGMENTS.flatMap((name) => [present(name), reservedBits(name), granularity(name)]);

const mode: CheckRow = check('Cs', 'rights.db', 'D/B clear in 64-bit code', [rights('Cs'), 'entryControls'], (s) => {
  return !long(s) || (s.n(rights('Cs')) & L) === 0 || (s.n(rights('Cs')) & DB) === 0;
});

const taskRegister: readonly CheckRow[] = [
  check(
    'Tr',
    'rights.type',
    'a busy TSS: type 11; outside IA-32e mode also 3',
    [rights('Tr'), 'entryControls'],
    (s) => {
      return type(s, 'Tr') === 11 || (!long(s) && type(s, 'Tr') === 3);
    },
  ),
  check('Tr', 'rights.s', 'S clear', [rights('Tr')], (s) => (s.n(rights('Tr')) & S) === 0),
  check('Tr', 'rights.usable', 'usable', [rights('Tr')], (s) => (s.n(rights('Tr')) & UNUSABLE) === 0),
  present('Tr'),
  reservedBits('Tr'),
  granularity('Tr'),
];

const localTable: readonly CheckRow[] = [
  whenUsable('Ldtr', 'rights.type', 'an LDT: type 2', [rights('Ldtr')], (s) => type(s, 'Ldtr') === 2),
  whenUsable('Ldtr', 'rights.s', 'S clear', [rights('Ldtr')], (s) => (s.n(rights('Ldtr')) & S) === 0),
  present('Ldtr'),
  reservedBits('Ldtr'),
  granularity('Ldtr'),
];

export const segmentChecks: readonly CheckRow[] = [
  ...selectors,
  ...virtual8086,
  ...bases,
  ...[...types, ...system, ...privileges, ...common, mode].map(outsideVirtual),
  ...taskRegister,
  ...localTable,
];
