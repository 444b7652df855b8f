/** Rows for entry checks, written from the table of their violations: each alone, through VMLAUNCH and through VMRESUME. */
import { type Changes, VIOLATIONS } from '../../emulator/vmx/checks/violations.ts';
import { ENTRY_CHECKS } from '../../emulator/vmx/checks/index.ts';

const ALL_ONES = 0xffff_ffff_ffff_ffffn;

/** A change as field & keep | bits: all changes are of that kind. */
function changes(fields: Changes): string {
  return Object.entries(fields)
    .map(([field, change]) => {
      const [bits, most] = typeof change === 'bigint' ? [change, change] : [change(0n), change(ALL_ONES)];
      return `change ${field}, ${most & ~bits}, ${bits}`;
    })
    .join('\n');
}

/** What must follow: an error number, or a failed entry whose host goes on. */
function verdict(ids: readonly string[]): string {
  const violated = (group: keyof typeof ENTRY_CHECKS): boolean =>
    ENTRY_CHECKS[group].some(({ id }) => ids.includes(id));
  if (violated('controls')) return 'refused E_EntryControls';
  if (violated('host')) return 'refused E_EntryHostState';
  const first = ENTRY_CHECKS.guest.find(({ id }) => ids.includes(id))!;
  return `fails_check ${first.qualification ?? 0}`;
}

export function checkRows(): string {
  return VIOLATIONS.map(([id, fields, also = []]) => {
    const wrong = changes(fields);
    const follows = verdict([id, ...also]);
    return [
      `row "${id}"`,
      wrong,
      'resume',
      follows,
      'root "call fresh_vmcs"',
      'run "nop"',
      'passes',
      wrong,
      'resume',
      follows,
    ].join('\n');
  }).join('\n');
}
