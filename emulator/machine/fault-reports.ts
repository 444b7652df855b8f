/** The report (describe/fault-report.ts) on what made the machine stop: an event, with the machine as it was left by it. */
import { Activity } from '../cpu/activity.ts';
import { ACCESS_KIND } from '../cpu/codes.ts';
import type { CpuContext, FaultRecord } from '../cpu/context.ts';
import type { Fault } from '../cpu/engine-api.ts';
import * as L from '../cpu/layout.ts';
import { vectorName } from '../cpu/system/fault.ts';
import {
  type Attempt,
  type FaultLink,
  type FaultReport,
  type Report,
  attemptOf,
  faultReport,
  firstAttempt,
  linkOf,
} from '../describe/fault-report.ts';
import { exceptionTitle } from '../describe/exceptions.ts';
import { ExitReason, exitReasonName } from '../vmx/exit-reasons.ts';
import { Field } from '../vmx/fields.ts';
import type { Explanation } from './api.ts';
import type { MachineEvent } from './events.ts';

/** Exit qualification of an EPT violation (SDM 3C table 28-7). */
const WRITE = 2n;
const FETCH = 4n;
const LINEAR_VALID = 0x80n;
const FINAL = 0x100n;
const HARDWARE_EXCEPTION = 3;

export function reportOf(
  context: CpuContext,
  event: MachineEvent,
  explanation: Explanation | undefined,
): FaultReport | undefined {
  switch (event.kind) {
    case 'page-fault':
    case 'exception':
      return ofException(context, event);
    case 'ept-violation':
    case 'vm-exit':
      return inGuest(context, () => ofExit(context, event));
    case 'stale-tlb':
      return ofStaleUse(context, event);
    case 'diagnostic':
      return explanation && ofAbnormalEnd(context, event, explanation);
    case 'signal':
      return explanation && ofChain(context, explanation.headline, event, explanation.advice);
    default:
      return undefined;
  }
}

/** Calls `look` with the guest's state in the CPU: an exit that could not be held has been taken. */
function inGuest<T>(context: CpuContext, look: () => T): T {
  const { mem, vmx, cpu } = context;
  if (cpu.nonRoot || !vmx.hasOtherLevel()) return look();
  const state = mem.bytes.slice(L.STATE, L.STATE + L.STATE_SIZE);
  const fault = mem.bytes.slice(L.FAULT_KIND, L.FAULT_QUALIFICATION + 8);
  try {
    vmx.showOtherLevel();
    return look();
  } finally {
    mem.bytes.set(state, L.STATE);
    mem.bytes.set(fault, L.FAULT_KIND);
  }
}

function ofException(context: CpuContext, event: MachineEvent): FaultReport {
  const chain = chainOf(context, event);
  const { fault } = chain.at(-1)!;
  const vector = fault.kind === 'exception' ? fault.vector : -1;
  return faultReport(context, {
    title: `${vectorName(vector)} ${exceptionTitle(vector)}`,
    headline: event.summary,
    chain: chain.map((record) => linkOf(context, record)),
    attempt: firstAttempt(chain),
  });
}

/** The event's exception, with what led to it if it came up in the delivery of another. */
function chainOf({ faultChain }: CpuContext, { facts, rip, cpl }: MachineEvent): readonly FaultRecord[] {
  const vector = Number(facts['vector']);
  const end = faultChain.findLastIndex(({ fault }) => fault.kind === 'exception' && fault.vector === vector);
  if (end >= 0) return faultChain.slice(0, end + 1);
  const fault: Fault = {
    kind: 'exception',
    vector,
    ...(facts['errorCode'] === undefined ? {} : { errorCode: Number(facts['errorCode']) }),
    ...(facts['gva'] === undefined ? {} : { gva: BigInt(facts['gva']) }),
    ...(facts['because'] === undefined ? {} : { because: String(facts['because']) }),
  };
  return [{ fault, rip, cpl }];
}

function ofChain(
  context: CpuContext,
  headline: string,
  event: MachineEvent,
  advice: string | undefined,
  title?: string,
): FaultReport | undefined {
  const { faultChain } = context;
  const last = faultChain.at(-1);
  if (!last) return undefined;
  const vector = last.fault.kind === 'exception' ? last.fault.vector : -1;
  return faultReport(context, {
    title: title ?? (vector < 0 ? event.summary : `${vectorName(vector)} ${exceptionTitle(vector)}`),
    headline,
    chain: faultChain.map((record) => linkOf(context, record)),
    attempt: firstAttempt(faultChain),
    advice,
  });
}

const TRIPLE_FAULT = 'triple fault';

function ofAbnormalEnd(context: CpuContext, event: MachineEvent, explanation: Explanation): FaultReport | undefined {
  const { headline, advice } = explanation;
  if (context.mem.get32(L.ACTIVITY) === Activity.Shutdown)
    return ofChain(context, headline, event, advice, TRIPLE_FAULT);
  if (context.vmx.vmptrst() < 0) return undefined;
  const report = inGuest(context, () => ofExit(context, event));
  return report && { ...report, headline, ...(advice === undefined ? {} : { advice }) };
}

/** By the information fields of the current VMCS. */
function ofExit(context: CpuContext, event: MachineEvent): FaultReport | undefined {
  const reason = Number(context.vmx.field(Field.exitReason)) & 0xffff;
  const made = EXITS[event.kind === 'ept-violation' ? ExitReason.EptViolation : reason]?.(context, event);
  return made && faultReport(context, { headline: event.summary, ...made });
}

const EXITS: Readonly<
  Record<number, (context: CpuContext, event: MachineEvent) => Omit<Report, 'headline'> | undefined>
> = {
  [ExitReason.EptViolation]: ofViolation,
  [ExitReason.EptMisconfiguration]: ofMisconfiguration,
  [ExitReason.TripleFault]: (context) => ({
    title: TRIPLE_FAULT,
    chain: context.faultChain.map((record) => linkOf(context, record)),
    attempt: firstAttempt(context.faultChain),
  }),
  [ExitReason.ExceptionOrNmi]: ofExceptionExit,
};

function ofViolation(context: CpuContext, event: MachineEvent): Omit<Report, 'headline'> {
  const { vmx } = context;
  const qualification = vmx.field(Field.exitQualification);
  const gva = BigInt(event.facts['gva'] ?? vmx.field(Field.guestLinearAddress));
  const access = qualification & FETCH ? 'execute' : qualification & WRITE ? 'write' : 'read';
  // Of a guest paging-structure entry it tells how that was used, not the page.
  const attempted = { gva, access: qualification & FINAL ? access : 'read', user: event.cpl === 3 } as const;
  return ofEptFault(context, event, ExitReason.EptViolation, qualification & LINEAR_VALID ? attempted : undefined);
}

/** Its exit tells the guest-physical address only; the linear one is on record. */
function ofMisconfiguration(context: CpuContext, event: MachineEvent): Omit<Report, 'headline'> {
  const fault = context.faultChain.at(-1)?.fault;
  const known = fault?.kind === 'ept-misconfiguration' && fault.access !== undefined;
  const attempt = known && {
    gva: fault.gva,
    access: ACCESSES[fault.access! & ACCESS_KIND]!,
    user: event.cpl === 3,
  };
  return ofEptFault(context, event, ExitReason.EptMisconfiguration, attempt || undefined);
}
const ACCESSES = ['read', 'write', 'execute'] as const;

function ofEptFault(
  context: CpuContext,
  event: MachineEvent,
  reason: number,
  attempt: Attempt | undefined,
): Omit<Report, 'headline'> {
  const title = reason === ExitReason.EptViolation ? 'EPT violation' : 'EPT misconfiguration';
  const link: FaultLink = {
    name: title,
    title: exitReasonName(reason),
    rip: event.rip,
    cpl: event.cpl,
    gpa: Number(event.facts['gpa'] ?? context.vmx.field(Field.guestPhysicalAddress)),
    ...(attempt ? { gva: attempt.gva } : {}),
  };
  const before = context.faultChain.slice(0, -1).map((record) => linkOf(context, record));
  return { title, chain: [...before, link], attempt };
}

function ofExceptionExit(context: CpuContext, event: MachineEvent): Omit<Report, 'headline'> | undefined {
  const { vmx } = context;
  const information = Number(vmx.field(Field.exitInterruptionInformation));
  if (((information >>> 8) & 7) !== HARDWARE_EXCEPTION) return undefined;
  const vector = information & 0xff;
  const fault: Fault = {
    kind: 'exception',
    vector,
    ...(information & 0x800 ? { errorCode: Number(vmx.field(Field.exitInterruptionErrorCode)) } : {}),
    ...(vector === 14 ? { gva: vmx.field(Field.exitQualification) } : {}),
  };
  const record = { fault, rip: event.rip, cpl: event.cpl };
  return {
    title: `${vectorName(vector)} ${exceptionTitle(vector)}, taken as a VM exit`,
    chain: [...context.faultChain.slice(0, -1), record].map((one) => linkOf(context, one)),
    attempt: attemptOf(fault),
  };
}

function ofStaleUse(context: CpuContext, event: MachineEvent): FaultReport | undefined {
  const use = context.mmu.lastStaleUse;
  if (!use) return undefined;
  const { gva, access } = event.facts;
  const attempt = { gva: BigInt(gva ?? 0), access: access as Attempt['access'], user: event.cpl === 3 };
  const report = faultReport(context, { title: 'stale TLB entry used', headline: event.summary, chain: [], attempt });
  return {
    ...report,
    tlbSummary: `the entry serves this access, though the tables have changed; missing: ${use.missing.join(', or ')}`,
  };
}
