/**
 * All there is to say about a fault, an exit for one, or a shutdown, for one screen: what was attempted, the walk with the entry that refused, the rights wanted and given,
 * what the TLB held, and the chain of faults.
 */
import type { CpuContext, FaultRecord } from '../cpu/context.ts';
import type { Fault } from '../cpu/engine-api.ts';
import * as L from '../cpu/layout.ts';
import { vectorName } from '../cpu/system/fault.ts';
import type { TlbEntryDetails, Walk, WalkStep } from '../mmu/api.ts';
import { describeEntry, entryName } from '../mmu/entries.ts';
import { eptLevels, pagingMode } from '../mmu/modes.ts';
import { type RightRow, effectiveRights } from '../mmu/rights.ts';
import { walkResult } from '../mmu/walk-text.ts';
import { BITS, bitsInWords } from './bits.ts';
import { exceptionTitle } from './exceptions.ts';
import { BITS_64 } from '../cpu/control-bits-64.ts';

const { CR4_PKE } = BITS_64;

export interface FaultReport {
  /** "#PF page fault", "EPT violation", "triple fault". */
  readonly title: string;
  /** One sentence. */
  readonly headline: string;
  /** First fault first; the last one is what is reported. */
  readonly chain: readonly FaultLink[];
  /** Of the first fault that has an address. */
  readonly walk?: WalkReport;
  /** Cached translations of the address, in every context. */
  readonly tlb: readonly TlbEntryDetails[];
  /** In one sentence. */
  readonly tlbSummary: string;
  /** Registers that decide: CR0, CR3, CR4, EFER, RFLAGS, EPTP, PKRU. */
  readonly controls: readonly ControlRow[];
  readonly advice?: string;
}

export interface FaultLink {
  /** "#PF", "EPT violation". */
  readonly name: string;
  readonly title: string;
  readonly errorCode?: number;
  /** Its bits in words. */
  readonly errorText?: string;
  readonly rip: bigint;
  readonly cpl: number;
  readonly gva?: bigint;
  readonly gpa?: number;
  /** Which check refused. */
  readonly because?: string;
  /** Why it could not be delivered: what its delivery touched, and what that met. */
  readonly failed?: string;
  /** What the walk of its address comes to, if it has one. */
  readonly result?: string;
}

export interface WalkReport {
  readonly gva: bigint;
  readonly access: Walk['access'];
  readonly user: boolean;
  /** "4-level paging under EPT". */
  readonly paging: string;
  readonly levels: readonly WalkLevel[];
  readonly gpa?: number;
  readonly hpa?: number;
  readonly result: string;
  readonly ok: boolean;
  readonly rights: readonly RightRow[];
}

/** A guest entry with the walk of the EPT that led to it; or, at the end, the EPT walk of the page itself or of the entry that was not reached. */
export interface WalkLevel {
  /** "PML4E", "page". */
  readonly name: string;
  readonly entry?: WalkEntry;
  readonly ept: readonly WalkEntry[];
}

export interface WalkEntry {
  readonly name: string;
  readonly gpa: number;
  readonly hpa: number;
  readonly value: bigint;
  readonly flags: string;
  readonly target?: number;
  readonly outcome: WalkStep['outcome'];
  /** It ended the walk, or refused the access. */
  readonly refused: boolean;
}

export interface ControlRow {
  readonly name: string;
  readonly value: bigint;
  readonly text: string;
}

/** What is asked of an address: an access that was made. */
export interface Attempt {
  readonly gva: bigint;
  readonly access: Walk['access'];
  readonly user: boolean;
}

export interface Report {
  readonly title: string;
  readonly headline: string;
  readonly chain: readonly FaultLink[];
  readonly attempt?: Attempt | undefined;
  readonly advice?: string | undefined;
}

/** In the context of the fault: its CR3, its EPT and so on are in the CPU. */
export function faultReport(context: CpuContext, { attempt, advice, ...rest }: Report): FaultReport {
  const tlb = attempt ? context.mmu.translations(attempt.gva) : [];
  return {
    ...rest,
    ...(attempt ? { walk: reportWalk(context, attempt) } : {}),
    tlb,
    tlbSummary: attempt ? tlbSummary(tlb) : 'no address was translated',
    controls: controls(context),
    ...(advice === undefined ? {} : { advice }),
  };
}

export function reportWalk({ mem, mmu }: CpuContext, { gva, access, user }: Attempt): WalkReport {
  const walk = mmu.walk(gva, access, user);
  const mode = pagingMode(mem);
  const guest = mode === 'none' ? 'no paging' : `${mode} paging`;
  return {
    gva: walk.gva,
    access,
    user,
    paging: guest + EPT_BELOW[eptLevels(mem)],
    levels: levelsOf(walk),
    ...(walk.gpa === undefined ? {} : { gpa: walk.gpa }),
    ...(walk.hpa === undefined ? {} : { hpa: walk.hpa }),
    result: walkResult(walk),
    ok: walk.result.kind === 'ok',
    rights: effectiveRights(mem, walk),
  };
}

function levelsOf({ steps }: Walk): WalkLevel[] {
  const levels: WalkLevel[] = [];
  let ept: WalkEntry[] = [];
  for (const step of steps) {
    if (step.table === 'ept') {
      ept.push(entryOf(step));
      continue;
    }
    levels.push({ name: entryName(step), entry: entryOf(step), ept });
    ept = [];
  }
  const last = steps.at(-1);
  if (ept.length === 0 || !last) return levels;
  const name = last.forGuestLevel === 0 ? 'page' : entryName({ table: 'guest', level: last.forGuestLevel });
  return [...levels, { name, ept }];
}

function entryOf(step: WalkStep): WalkEntry {
  const { flags, kind, target } = describeEntry(step, step.entry);
  const { gpa, hpa, entry, outcome } = step;
  return {
    name: entryName(step),
    gpa,
    hpa,
    value: entry,
    flags,
    ...(kind === 'not-present' ? {} : { target }),
    outcome,
    refused: outcome !== 'table' && outcome !== 'leaf',
  };
}

function tlbSummary(found: readonly TlbEntryDetails[]): string {
  const here = found.find(({ bank }) => bank.current);
  const others = found.length - (here ? 1 : 0);
  const elsewhere =
    others === 0 ? '' : `; ${others} other context${others === 1 ? '' : 's'} ha${others === 1 ? 's' : 've'} one cached`;
  if (!here)
    return `no cached translation of the page in this context: the tables were walked (a fault drops what there was)${elsewhere}`;
  if (here.stale)
    return `the page is cached in this context, and stale: accesses that the entry allows are served by it${elsewhere}`;
  return `the page is cached in this context, as the tables say${elsewhere}`;
}

function controls({ mem, cpu, core }: CpuContext): ControlRow[] {
  const rflags = BigInt((mem.get32(L.SYSTEM_FLAGS) | core.arithmeticFlags() | 2) >>> 0);
  const rows: ControlRow[] = [
    { name: 'CR0', value: cpu.cr0, text: bitsInWords(BITS.cr0, cpu.cr0) },
    { name: 'CR3', value: cpu.cr3, text: '' },
    { name: 'CR4', value: cpu.cr4, text: bitsInWords(BITS.cr4, cpu.cr4) },
    { name: 'EFER', value: cpu.efer, text: bitsInWords(BITS.efer, cpu.efer) },
    { name: 'RFLAGS', value: rflags, text: bitsInWords(BITS.rflags, rflags) },
  ];
  if (cpu.cr4 & CR4_PKE) rows.push({ name: 'PKRU', value: BigInt(mem.get32(L.PKRU)), text: '' });
  const eptp = mem.get64(L.EPTP);
  if (eptp !== 0n) {
    const text = [eptLevels(mem) === 5 ? '5 levels' : '', eptp & EPTP_AD ? 'accessed and dirty flags on' : ''];
    rows.push({ name: 'EPTP', value: eptp, text: text.filter(Boolean).join(', ') });
  }
  return rows;
}
const EPTP_AD = 0x40n;
const EPT_BELOW = { 0: '', 4: ' under EPT', 5: ' under 5-level EPT' } as const;

const FAULT_NAMES: Readonly<Record<Exclude<Fault['kind'], 'exception'>, string>> = {
  'ept-violation': 'EPT violation',
  'ept-misconfiguration': 'EPT misconfiguration',
  'log-full': 'page-modification log full',
  'sub-page-event': 'sub-page-permission event',
  'apic-access': 'access to the APIC-access page',
};

export function linkOf(context: CpuContext, record: FaultRecord): FaultLink {
  const { fault, rip, cpl, failed } = record;
  const common = { rip, cpl, ...(failed === undefined ? {} : { failed }) };
  if (fault.kind !== 'exception') {
    const name = FAULT_NAMES[fault.kind];
    return { ...common, name, title: name, gva: fault.gva, gpa: fault.gpa };
  }
  const { vector, errorCode, gva, because } = fault;
  const attempt = attemptOf(fault);
  return {
    ...common,
    name: vectorName(vector),
    title: exceptionTitle(vector),
    ...(errorCode === undefined ? {} : { errorCode, errorText: errorCodeInWords(vector, errorCode) }),
    ...(gva === undefined ? {} : { gva }),
    ...(because === undefined ? {} : { because }),
    ...(attempt ? { result: walkResult(context.mmu.walk(attempt.gva, attempt.access, attempt.user)) } : {}),
  };
}

const PAGE_FAULT = 14;
const PF_WRITE = 2;
const PF_USER = 4;
const PF_FETCH = 16;

/** What a page fault was about. */
export function attemptOf(fault: Fault): Attempt | undefined {
  if (fault.kind !== 'exception' || fault.vector !== PAGE_FAULT || fault.gva === undefined) return undefined;
  return { gva: fault.gva, ...accessOfError(fault.errorCode ?? 0) };
}

/** What a page-fault error code says was attempted (SDM 3A 4.7). */
export function accessOfError(code: number): Pick<Attempt, 'access' | 'user'> {
  const access = code & PF_FETCH ? 'execute' : code & PF_WRITE ? 'write' : 'read';
  return { access, user: (code & PF_USER) !== 0 };
}

/** The first of a chain that is about an address. */
export function firstAttempt(chain: readonly FaultRecord[]): Attempt | undefined {
  for (const { fault } of chain) {
    const attempt = attemptOf(fault);
    if (attempt) return attempt;
  }
  return undefined;
}

const SELECTOR_VECTORS: ReadonlySet<number> = new Set([10, 11, 12, 13]);

/** Of #PF its bits, of faults of segments the selector (SDM 3A 6.13). */
function errorCodeInWords(vector: number, code: number): string {
  if (vector === PAGE_FAULT) {
    const words = [
      code & 1 ? 'the page is present, its rights refuse' : 'not present',
      code & PF_WRITE ? 'write' : code & PF_FETCH ? 'fetch' : 'read',
      code & PF_USER ? 'user mode' : 'supervisor mode',
    ];
    if (code & 8) words[0] = 'a reserved bit is set';
    if (code & 32) words.push('protection key');
    return words.join(', ');
  }
  if (!SELECTOR_VECTORS.has(vector) || code === 0) return '';
  const table = code & 2 ? 'IDT' : code & 4 ? 'LDT' : 'GDT';
  return `${table} entry ${code >> 3}${code & 1 ? ', met while delivering an event' : ''}`;
}
