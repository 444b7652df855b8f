/** Fault reports and TLB entries as bodies of the protocol. */
import type { FaultLink, FaultReport, WalkEntry, WalkReport } from '../../emulator/describe/fault-report.ts';
import type { TableChange, TlbBank, TlbEntry, TlbEntryDetails } from '../../emulator/mmu/api.ts';
import { faultLines } from '../../emulator/describe/fault-text.ts';
import { isStale, rightsOf } from '../../emulator/mmu/tlb-listing.ts';
import { sizeWords } from '../../emulator/mmu/walk-text.ts';
import type { ExecutionMode } from '../../emulator/machine/api.ts';
import type { Debuggee } from '../debuggee.ts';
import type {
  CodePlace,
  FaultBody,
  FaultLinkBody,
  TlbBankBody,
  TlbDetailsBody,
  TlbEntryBody,
  WalkEntryBody,
  WalkReportBody,
} from '../protocol.ts';
import { hex } from './tables.ts';

const optional = (value: bigint | number | undefined): string | undefined =>
  value === undefined ? undefined : hex(value);

/** Symbol and source line of an address, as far as they are known. */
export function codePlace(debuggee: Debuggee, thread: number, rip: bigint, mode?: ExecutionMode): CodePlace {
  const known = debuggee.machine.threads().some(({ id }) => id === thread);
  const symbols = known ? debuggee.images.at(thread, rip, mode) : undefined;
  const position = symbols?.addressToSource(rip);
  const path = position && debuggee.images.localSource(position.path);
  return {
    rip: hex(rip),
    symbol: known ? debuggee.images.symbol(thread, rip, mode) : undefined,
    source: position && path ? { path, line: position.line } : undefined,
  };
}

export function faultBody(debuggee: Debuggee, thread: number, mode: ExecutionMode, report: FaultReport): FaultBody {
  const { title, headline, chain, walk, tlb, tlbSummary, controls, advice } = report;
  return {
    title,
    headline,
    chain: chain.map((link) => linkBody(link, codePlace(debuggee, thread, link.rip, mode))),
    walk: walk && walkBody(walk),
    tlb: tlb.map((details) => detailsBody(debuggee, thread, details)),
    tlbSummary,
    controls: controls.map(({ name, value, text }) => ({ name, value: hex(value), text })),
    advice,
    text: faultLines(report),
  };
}

function linkBody(
  { name, title, errorCode, errorText, cpl, gva, gpa, because, failed, result }: FaultLink,
  place: CodePlace,
): FaultLinkBody {
  return {
    name,
    title,
    errorCode: optional(errorCode),
    errorText,
    place,
    cpl,
    gva: optional(gva),
    gpa: optional(gpa),
    because,
    failed,
    result,
  };
}

export function walkBody({
  gva,
  access,
  user,
  paging,
  levels,
  gpa,
  hpa,
  result,
  ok,
  rights,
}: WalkReport): WalkReportBody {
  return {
    gva: hex(gva),
    access,
    user,
    paging,
    levels: levels.map(({ name, entry, ept }) => ({
      name,
      entry: entry && entryBody(entry),
      ept: ept.map(entryBody),
    })),
    gpa: optional(gpa),
    hpa: optional(hpa),
    result,
    ok,
    rights: rights.map((row) => ({ ...row, decidedBy: [...row.decidedBy] })),
  };
}

function entryBody({ name, gpa, hpa, value, flags, target, outcome, refused }: WalkEntry): WalkEntryBody {
  return { name, gpa: hex(gpa), hpa: hex(hpa), value: hex(value), flags, target: optional(target), outcome, refused };
}

export function bankBody({
  bank,
  current,
  cpu,
  vpid,
  eptp,
  pcid,
  cr3,
  user,
  rules,
}: TlbBank): Omit<TlbBankBody, 'entries' | 'stale'> {
  const tags = [
    `CPU ${cpu}`,
    eptp === 0n ? '' : `EPTP ${hex(eptp)}`,
    vpid === 0 ? '' : `VPID ${vpid}`,
    pcid === 0 ? '' : `PCID ${pcid}`,
    `CR3 ${hex(cr3)}`,
    user ? 'ring 3' : 'ring 0',
    rules.join(' '),
  ];
  return { bank, current, tags: tags.filter(Boolean).join(', ') };
}

export function tlbEntryBody(entry: TlbEntry): TlbEntryBody {
  return {
    bank: entry.bank,
    index: entry.index,
    gva: hex(entry.gva),
    hpa: hex(entry.hpa),
    pageSize: sizeWords(entry.pageSize),
    rights: rightsOf(entry),
    global: entry.global,
    differences: [...entry.differences],
    stale: isStale(entry),
  };
}

export function detailsBody(debuggee: Debuggee, thread: number, details: TlbEntryDetails): TlbDetailsBody {
  const { entry, bank, summary, missing, change, changed } = details;
  return {
    entry: tlbEntryBody(entry),
    tags: bankBody(bank).tags,
    current: bank.current,
    summary,
    changed,
    missing: [...missing],
    change: change && changeBody(debuggee, thread, change),
  };
}

function changeBody(debuggee: Debuggee, thread: number, change: TableChange): NonNullable<TlbDetailsBody['change']> {
  const { hpa, old, rip, mode, byInstruction, instructions } = change;
  const place = codePlace(debuggee, change.thread || thread, rip, mode as ExecutionMode);
  return { hpa: hex(hpa), old: hex(old), new: hex(change.new), place, byInstruction, instructions };
}
