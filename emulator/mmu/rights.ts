/** What rights a walk gives in effect, over all levels of both tables, and what decided (SDM 3A 4.6, 3C 29.3.3). */
import * as L from '../cpu/layout.ts';
import type { LinearMemory } from '../cpu/state.ts';
import type { Walk, WalkStep } from './api.ts';
import { EPT_ENTRY, PAGE_ENTRY, entryName } from './entries.ts';
import { isBeyondEpt } from './modes.ts';
import { CR0_WP, CR4_SMEP, CR4_SMAP, CR4_PKE, RFLAGS_AC } from '../cpu/control-bits.ts';

export interface RightRow {
  readonly right: 'read' | 'write' | 'execute';
  readonly wanted: boolean;
  readonly given: boolean;
  /** What refuses; for a right that is given, what it rests on if that is not plain. */
  readonly decidedBy: readonly string[];
}

const EXECUTE_USER = 0x400n;
const KEY_SHIFT = 59n;

interface Verdict {
  readonly refusals: string[];
  readonly notes: string[];
}

/** In the context in which the walk was made. Empty if the walk has not reached a page, or met an EPT entry that can never be valid. */
export function effectiveRights(mem: LinearMemory, walk: Walk): RightRow[] {
  const guest = walk.steps.filter(
    ({ table, paging, level }) => table === 'guest' && !(paging === 'PAE' && level === 3),
  );
  const reached = walk.steps.some(
    ({ table, outcome, level, paging }) =>
      table === 'guest' && (outcome === 'leaf' || (outcome === 'refused' && isLeaf({ level, paging }, walk))),
  );
  if ((guest.length > 0 && !reached) || walk.result.kind === 'ept-misconfiguration') return [];
  return (['read', 'write', 'execute'] as const).map((right) => {
    const verdict: Verdict = { refusals: [], notes: [] };
    if (guest.length > 0) guestVerdict(mem, walk, guest, right, verdict);
    eptVerdict(mem, walk, guest, right, verdict);
    const given = verdict.refusals.length === 0;
    return { right, wanted: right === walk.access, given, decidedBy: given ? verdict.notes : verdict.refusals };
  });
}

/** Whether a refused entry was the last of its walk: no other guest entry follows it. */
function isLeaf({ level }: Pick<WalkStep, 'level' | 'paging'>, { steps }: Walk): boolean {
  const last = steps.findLast(({ table }) => table === 'guest');
  return last?.level === level && (level === 1 || (last.entry & PAGE_ENTRY.large) !== 0n);
}

const without = (steps: readonly WalkStep[], bit: bigint): WalkStep | undefined =>
  steps.find(({ entry }) => !(entry & bit));

function guestVerdict(
  mem: LinearMemory,
  { user }: Walk,
  steps: readonly WalkStep[],
  right: RightRow['right'],
  { refusals, notes }: Verdict,
): void {
  const supervisorEntry = without(steps, PAGE_ENTRY.user);
  if (user && supervisorEntry)
    refusals.push(`U/S: ${entryName(supervisorEntry)} is the supervisor's, the access was made in ring 3`);
  if (!user && !supervisorEntry) supervisorOnUserPage(mem, right, { refusals, notes });
  if (right === 'write') {
    const readOnly = without(steps, PAGE_ENTRY.writable);
    const protects = user || (mem.get32(L.CR0) & CR0_WP) !== 0;
    if (readOnly && protects)
      refusals.push(`R/W: ${entryName(readOnly)} is read-only${user ? '' : ', and CR0.WP holds ring 0 to that'}`);
    else if (readOnly)
      notes.push(`${entryName(readOnly)} is read-only, but CR0.WP is 0: ring 0 may write all the same`);
  }
  if (right === 'execute') {
    const noExecute = steps.find(({ entry, paging }) => paging !== '32-bit' && (entry & PAGE_ENTRY.noExecute) !== 0n);
    if (noExecute) refusals.push(`NX: set in ${entryName(noExecute)}`);
  }
  if (!supervisorEntry) keyVerdict(mem, steps.at(-1)!, user, right, { refusals, notes });
}

function supervisorOnUserPage(mem: LinearMemory, right: RightRow['right'], { refusals, notes }: Verdict): void {
  const cr4 = mem.get32(L.CR4);
  if (right === 'execute') {
    if (cr4 & CR4_SMEP) refusals.push('SMEP: a user page, which ring 0 may not execute');
    return;
  }
  if (!(cr4 & CR4_SMAP)) return;
  if (mem.get32(L.SYSTEM_FLAGS) & RFLAGS_AC) notes.push('a user page: RFLAGS.AC lifts SMAP');
  else refusals.push('SMAP: a user page, which ring 0 may not touch while RFLAGS.AC is 0');
}

function keyVerdict(
  mem: LinearMemory,
  leaf: WalkStep,
  user: boolean,
  right: RightRow['right'],
  { refusals }: Verdict,
): void {
  const long = leaf.paging === '4-level' || leaf.paging === '5-level';
  if (!long || !(mem.get32(L.CR4) & CR4_PKE) || right === 'execute') return;
  const key = Number((leaf.entry >> KEY_SHIFT) & 15n);
  const denied = (mem.get32(L.PKRU) >>> (2 * key)) & 3;
  const protects = user || (mem.get32(L.CR0) & CR0_WP) !== 0;
  if (denied & 1) refusals.push(`PKRU: key ${key} denies access`);
  else if (denied & 2 && right === 'write' && protects) refusals.push(`PKRU: key ${key} denies writes`);
}

const EPT_RIGHTS = { read: EPT_ENTRY.read, write: EPT_ENTRY.write, execute: EPT_ENTRY.execute } as const;
const LETTERS = { read: 'R', write: 'W', execute: 'X' } as const;

/** Of the page's own translation. */
function eptVerdict(
  mem: LinearMemory,
  { steps }: Walk,
  guest: readonly WalkStep[],
  right: RightRow['right'],
  { refusals }: Verdict,
): void {
  const ept = steps.filter(({ table, forGuestLevel }) => table === 'ept' && forGuestLevel === 0);
  const userPage = !without(guest, PAGE_ENTRY.user);
  const byMode = right === 'execute' && (mem.get32(L.VMX_MODE) & L.VMX_MODE_BASED_EXECUTE) !== 0;
  const bit = byMode && userPage ? EXECUTE_USER : EPT_RIGHTS[right];
  const name = byMode
    ? userPage
      ? 'XU (execute for user-mode addresses)'
      : 'XS (execute for supervisor-mode addresses)'
    : LETTERS[right];
  const leaf = guest.at(-1);
  if (leaf && leaf.paging !== '32-bit' && isBeyondEpt(mem, leaf.entry & PAGE_ENTRY.address)) {
    refusals.push('the EPT has 4 levels, and the guest-physical address more than 48 bits');
    return;
  }
  for (const step of ept) {
    if (step.entry & bit) continue;
    refusals.push(`${entryName(step)} does not give ${name}`);
    return;
  }
}

/** "wanted: write; given: read (no write: R/W: PTE is read-only; no execute: NX: set in PDE)". */
export function rightsSentence(rows: readonly RightRow[]): string {
  if (rows.length === 0) return '';
  const given = rows.filter((row) => row.given).map(({ right }) => right);
  const refused = rows
    .filter((row) => !row.given)
    .map(({ right, decidedBy }) => `no ${right}: ${decidedBy.join(', ')}`);
  const wanted = rows.find((row) => row.wanted)?.right;
  return `rights wanted: ${wanted ?? 'none'}; given: ${given.join(', ') || 'none'}${refused.length > 0 ? ` (${refused.join('; ')})` : ''}`;
}
