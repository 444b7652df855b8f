/** Reads the trace the core's walker leaves at WALK, and says in words what refused an access. */
import * as L from '../cpu/layout.ts';
import {
  ACCESS_EXEC,
  ACCESS_IMPLICIT,
  ACCESS_READ,
  ACCESS_UNCHECKED,
  ACCESS_USER,
  ACCESS_WRITE,
  FAULT_EPT_MISCONFIG,
  FAULT_EPT_VIOLATION,
  FAULT_EXCEPTION,
  FAULT_NONE,
} from '../cpu/codes.ts';
import type { LinearMemory } from '../cpu/state.ts';
import type { Walk, WalkStep } from './api.ts';
import type { MmuCore } from './core.ts';
import { effectiveType } from './effective-type.ts';
import { EPT_ENTRY, PAGE_ENTRY, entryName } from './entries.ts';
import { misconfigurationOf, reservedBitsOf } from './entry-refusals.ts';
import { isBeyondEpt, isCanonicalIn, linearBits, pagingMode } from './modes.ts';
import { CR0_WP } from '../cpu/control-bits.ts';

const ACCESS = { read: ACCESS_READ, write: ACCESS_WRITE, execute: ACCESS_EXEC } as const;
const OUTCOMES = ['table', 'leaf', 'not-present', 'reserved-bit', 'misconfigured', 'no-memory'] as const;
const STEPS = L.WALK + 64;
const STEP_BYTES = 32;
const PF_KEY = 32;
const EXECUTE_USER = 0x400n;

/** The core's walk of an address in the current context. FAULT_* stay as they were: a fault may be waiting in them. */
export function traceWalk(
  mem: LinearMemory,
  core: MmuCore,
  gva: bigint,
  access: Walk['access'],
  user = mem.get32(L.CPL) === 3,
): Walk {
  const address = BigInt.asUintN(64, gva);
  const waiting = mem.bytes.slice(L.FAULT_KIND, L.FAULT_QUALIFICATION + 8);
  const atUser = mem.get32(L.CPL) === 3;
  const how = user === atUser ? 0 : user ? ACCESS_USER : ACCESS_IMPLICIT;
  const asked = { gva: address, access, user };
  if (!isCanonicalIn(linearBits(mem), address)) {
    return {
      ...asked,
      steps: [],
      result: {
        kind: 'page-fault',
        errorCode: 0,
        reason: 'the address is not canonical: #GP(0), or #SS(0) for a stack reference',
      },
    };
  }
  const kind = core.walkTrace(address, ACCESS[access] | how);
  const steps = readSteps(mem);
  const walk = { ...asked, ...finish(mem, asked, kind, steps) };
  const reached = kind === FAULT_NONE ? {} : reachedUnchecked(mem, core, address);
  mem.bytes.set(waiting, L.FAULT_KIND);
  return { ...walk, ...reached };
}

/** HPA of an address if every entry on the way is present, whatever rights they give; -1 otherwise. */
export function peek(mem: LinearMemory, core: MmuCore, gva: bigint): number {
  const waiting = mem.bytes.slice(L.FAULT_KIND, L.FAULT_QUALIFICATION + 8);
  const { hpa } = reachedUnchecked(mem, core, BigInt.asUintN(64, gva));
  mem.bytes.set(waiting, L.FAULT_KIND);
  return hpa ?? -1;
}

function reachedUnchecked(mem: LinearMemory, core: MmuCore, gva: bigint): Pick<Walk, 'gpa' | 'hpa' | 'pageSize'> {
  if (!isCanonicalIn(linearBits(mem), gva)) return {};
  if (core.walkTrace(gva, ACCESS_READ | ACCESS_UNCHECKED) !== FAULT_NONE) return {};
  return place(mem);
}

function place(mem: LinearMemory): { gpa: number; hpa: number; pageSize: number } {
  return {
    gpa: Number(mem.get64(L.WALK + 16)),
    hpa: Number(mem.get64(L.WALK + 24)),
    pageSize: 2 ** mem.get32(L.WALK + 8),
  };
}

function readSteps(mem: LinearMemory): WalkStep[] {
  const steps: WalkStep[] = [];
  const count = mem.get32(L.WALK);
  const paging = pagingMode(mem);
  for (let at = STEPS; at < STEPS + count * STEP_BYTES; at += STEP_BYTES) {
    steps.push({
      table: mem.bytes[at] === 1 ? 'ept' : 'guest',
      level: mem.bytes[at + 1]!,
      paging,
      forGuestLevel: mem.bytes[at + 2]!,
      outcome: OUTCOMES[mem.bytes[at + 3]!]!,
      gpa: Number(mem.get64(at + 8)),
      hpa: Number(mem.get64(at + 16)),
      entry: mem.get64(at + 24),
    });
  }
  return steps;
}

type Asked = Pick<Walk, 'gva' | 'access' | 'user'>;
type Finish = Omit<Walk, keyof Asked>;

function finish(mem: LinearMemory, asked: Asked, kind: number, steps: WalkStep[]): Finish {
  if (kind === FAULT_NONE) {
    const backed = mem.get32(L.WALK + 12) === 1;
    if (!backed) return { steps, ...place(mem), result: { kind: 'no-memory' } };
    return { steps, ...place(mem), memoryType: effectiveType(mem, steps), result: { kind: 'ok' } };
  }
  if (kind === FAULT_EXCEPTION) {
    const errorCode = mem.get32(L.FAULT_ERROR);
    const byKey = (errorCode & PF_KEY) !== 0;
    const refused = attribute(
      mem,
      steps,
      (step) => refusesGuest(mem, step, asked) ?? (byKey ? refusesByKey(mem, step) : undefined),
    );
    return { ...refused.found, result: { kind: 'page-fault', errorCode, reason: refused.reason } };
  }
  if (kind === FAULT_EPT_VIOLATION) {
    const qualification = mem.get64(L.FAULT_QUALIFICATION);
    const gpa = mem.get64(L.FAULT_GPA);
    if (isBeyondEpt(mem, gpa)) {
      const reason = `a guest-physical address of more than 48 bits (0x${gpa.toString(16)}), which an EPT of 4 levels does not translate`;
      return { steps, result: { kind: 'ept-violation', qualification, reason } };
    }
    const wanted = qualification & 7n;
    const last = steps.findLast((step) => step.table === 'ept')?.gpa;
    const fetchable = steps.every(
      (step) => step.gpa !== last || step.table === 'guest' || (step.entry & EPT_ENTRY.execute) !== 0n,
    );
    const byMode = (wanted & EPT_ENTRY.execute) !== 0n && fetchable;
    const refused = attribute(mem, steps, (step) => (step.gpa === last ? refusesEpt(step, wanted, byMode) : undefined));
    return { ...refused.found, result: { kind: 'ept-violation', qualification, reason: refused.reason } };
  }
  if (kind !== FAULT_EPT_MISCONFIG) throw new Error(`walk ended with unknown fault kind ${kind}`);
  const refused = attribute(mem, steps, () => undefined);
  return { ...refused.found, result: { kind: 'ept-misconfiguration', reason: refused.reason } };
}

/** Finds the entry that ended the walk. A right is refused by the first entry that does not give it. */
function attribute(
  mem: LinearMemory,
  steps: WalkStep[],
  refuses: (step: WalkStep) => string | undefined,
): { found: Pick<Finish, 'steps'>; reason: string } {
  const last = steps.at(-1);
  if (last && last.outcome !== 'leaf' && last.outcome !== 'table') {
    return { found: { steps }, reason: `${entryName(last)} ${endWords(mem, last)}` };
  }
  for (const [index, step] of steps.entries()) {
    const reason = refuses(step);
    if (!reason) continue;
    const marked = steps.with(index, { ...step, outcome: 'refused' });
    return { found: { steps: marked }, reason: `${entryName(step)} ${reason}` };
  }
  return { found: { steps }, reason: 'no entry gives the right' };
}

function endWords(mem: LinearMemory, step: WalkStep): string {
  const value = `0x${step.entry.toString(16)}`;
  switch (step.outcome) {
    case 'not-present':
      return `is not present (${value})`;
    case 'reserved-bit':
      return `has a reserved bit set (${value}): ${reservedBitsOf(mem, step).join('; ')}`;
    case 'misconfigured':
      return `can never be valid (${value}): ${misconfigurationOf(mem, step).join('; ')}`;
    default:
      return `lies outside memory, at HPA 0x${step.hpa.toString(16)}`;
  }
}

function refusesGuest(mem: LinearMemory, step: WalkStep, asked: Asked): string | undefined {
  if (step.table !== 'guest' || (step.paging === 'PAE' && step.level === 3)) return undefined;
  const gives = `gives ${rights(step)}`;
  const userPage = (step.entry & PAGE_ENTRY.user) !== 0n;
  if (asked.user && !userPage) return `${gives}; ring 3 needs U`;
  const protects = asked.user || (mem.get32(L.CR0) & CR0_WP) !== 0;
  if (asked.access === 'write' && protects && (step.entry & PAGE_ENTRY.writable) === 0n)
    return `${gives}; a write needs W`;
  if (asked.access === 'execute' && (step.entry & PAGE_ENTRY.noExecute) !== 0n)
    return `${gives}; a fetch needs NX clear`;
  if (asked.user || step.outcome !== 'leaf' || !userPage) return undefined;
  const cr4 = mem.get64(L.CR4);
  if (asked.access === 'execute' && (cr4 & 0x100000n) !== 0n)
    return `${gives}; SMEP forbids ring 0 to execute user pages`;
  if (asked.access !== 'execute' && (cr4 & 0x200000n) !== 0n)
    return `${gives}; SMAP forbids ring 0 to touch user pages`;
  return undefined;
}

function refusesByKey(mem: LinearMemory, step: WalkStep): string | undefined {
  if (step.table !== 'guest' || step.outcome !== 'leaf') return undefined;
  const key = Number((step.entry >> 59n) & 15n);
  const pkru = mem.get32(L.PKRU);
  const denies = (pkru >>> (2 * key)) & 1 ? 'access' : 'writes';
  return `has protection key ${key}, to which PKRU (0x${pkru.toString(16)}) denies ${denies}`;
}

function rights({ entry, paging }: WalkStep): string {
  const names = [entry & PAGE_ENTRY.writable ? 'R W' : 'R', entry & PAGE_ENTRY.user ? 'U' : 'S'];
  if (paging !== '32-bit') names.push(entry & PAGE_ENTRY.noExecute ? 'NX' : 'X');
  return names.join(' ');
}

/** @param byMode a fetch that bit 2 of every entry allows: mode-based execute control wants bit 10 of a user page's entries in its place */
function refusesEpt(step: WalkStep, wanted: bigint, byMode: boolean): string | undefined {
  if (step.table !== 'ept') return undefined;
  const missing = wanted & ~step.entry & EPT_ENTRY.rights;
  if (missing !== 0n) return `gives ${eptRights(step.entry)}; the access needs ${eptRights(wanted)}`;
  if (!byMode || step.entry & EXECUTE_USER) return undefined;
  return `gives ${eptRights(step.entry)} but no execution of user-mode addresses (bit 10), which mode-based execute control wants`;
}

function eptRights(bits: bigint): string {
  const names = [
    bits & EPT_ENTRY.read ? 'R' : '',
    bits & EPT_ENTRY.write ? 'W' : '',
    bits & EPT_ENTRY.execute ? 'X' : '',
  ];
  return names.filter(Boolean).join(' ') || 'nothing';
}
