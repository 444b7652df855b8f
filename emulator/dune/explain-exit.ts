/** VM exits that the module does not handle: what the instruction wanted, and which rule stands against it. */
import type { FaultRecord } from '../cpu/context.ts';
import { GPR_TITLES } from '../cpu/register-names.ts';
import { msrName } from '../cpu/system/msrs.ts';
import { vectorName } from '../cpu/system/fault.ts';
import type { Fault } from '../cpu/engine-api.ts';
import type { Thread } from '../linux/api.ts';
import type { Explanation } from '../machine/api.ts';
import { ExitReason, exitReason, exitReasonName } from '../vmx/exit-reasons.ts';
import { Field } from '../vmx/fields.ts';
import { guestCpl, inGuest } from './guest-context.ts';
import { hex, type Dune } from './state.ts';
import { read } from './vcpu.ts';
import { walkLines } from '../mmu/walk-text.ts';

/** Names of the CR0 and CR4 bits (SDM 3A 2.5). */
const CR_BITS: Readonly<Record<number, Readonly<Record<number, string>>>> = {
  0: { 0: 'PE', 1: 'MP', 2: 'EM', 3: 'TS', 4: 'ET', 5: 'NE', 16: 'WP', 18: 'AM', 29: 'NW', 30: 'CD', 31: 'PG' },
  4: {
    0: 'VME',
    1: 'PVI',
    2: 'TSD',
    3: 'DE',
    4: 'PSE',
    5: 'PAE',
    6: 'MCE',
    7: 'PGE',
    8: 'PCE',
    9: 'OSFXSR',
    10: 'OSXMMEXCPT',
    11: 'UMIP',
    12: 'LA57',
    13: 'VMXE',
    14: 'SMXE',
    16: 'FSGSBASE',
    17: 'PCIDE',
    18: 'OSXSAVE',
    20: 'SMEP',
    21: 'SMAP',
    22: 'PKE',
  },
};

interface Finding {
  readonly headline: string;
  readonly details?: readonly string[];
  readonly advice?: string;
}

/** The rule for each reason that has more to it than its name. */
const RULES: Readonly<Record<number, (dune: Dune) => Finding>> = {
  [ExitReason.TripleFault]: tripleFault,
  [ExitReason.CrAccess]: controlRegister,
  [ExitReason.MovDr]: debugRegister,
  [ExitReason.Rdmsr]: readMsr,
  [ExitReason.ExceptionOrNmi]: exception,
  [ExitReason.Wbinvd]: () => ({
    headline: 'WBINVD: the module sets WBINVD exiting and handles none',
    advice: 'User code in Dune mode cannot flush the caches with it; use CLFLUSH.',
  }),
  [ExitReason.Invd]: () => ({ headline: 'INVD always exits, and the module does not handle it' }),
  [ExitReason.Xsetbv]: () => ({
    headline: 'XSETBV always exits: XCR0 is shared with Linux and cannot be changed from Dune mode',
  }),
  [ExitReason.TaskSwitch]: () => ({
    headline:
      'a hardware task switch (a far jump, call or IRET to a TSS, or a task gate): it always exits, and the module does not handle it',
  }),
  [ExitReason.EptMisconfiguration]: misconfiguration,
};

export function explainExit(dune: Dune, thread: Thread, reason: number): Explanation {
  const rip = read(dune, Field.guestRip);
  const name = exitReasonName(reason);
  const rule =
    RULES[reason] ??
    ((): Finding => ({ headline: `${exitReason(reason)?.description ?? name}; the module handles no such exit` }));
  const finding = rule(dune);
  return {
    headline: `${name}: ${finding.headline}`,
    details: [
      `exit reason ${reason} (${name}), qualification ${hex(read(dune, Field.exitQualification))}`,
      `ring ${guestCpl(dune)}, RIP ${hex(rip)}${instructionAt(dune, rip)}, thread ${thread.tid}`,
      ...(finding.details ?? []),
    ],
    ...(finding.advice === undefined ? {} : { advice: finding.advice }),
  };
}

/** WRMSR of anything but the interrupt command register stops the guest with the return code left as it was. */
export function explainWrmsr(msr: number, value: bigint): Explanation {
  const name = msrName(msr) ?? 'no MSR that this processor has';
  return {
    headline: `WRMSR of ${hex(msr)} (${name}): the MSR bitmap passes only FS_BASE, GS_BASE, the energy counters and the x2APIC EOI`,
    details: [
      `the value was ${hex(value)}`,
      'the module stops the guest without setting a return code: libdune sees ret = 0 (or the code of the exit before) and says "unknown exit"',
    ],
    advice: 'Bases of FS and GS can be written; everything else belongs to Linux.',
  };
}

function instructionAt(dune: Dune, rip: bigint): string {
  const bytes = inGuest(dune, () => {
    const instruction = dune.context.engine.decodeAt(rip);
    if (!instruction) return undefined;
    const code: string[] = [];
    for (let i = 0n; i < BigInt(instruction.length); i++) {
      const hpa = dune.context.mmu.peek(rip + i);
      if (hpa < 0) break;
      code.push(dune.context.physical.slice(hpa, 1)[0]!.toString(16).padStart(2, '0'));
    }
    return `: ${instruction.op} (${code.join(' ')})`;
  });
  return bytes ?? '';
}

/** The exit tells the guest-physical address only; the linear one is on record. The module never makes such an entry itself. */
function misconfiguration(dune: Dune): Finding {
  const gpa = hex(read(dune, Field.guestPhysicalAddress));
  const fault = dune.context.faultChain.at(-1)?.fault;
  const found =
    fault?.kind === 'ept-misconfiguration' && fault.access !== undefined
      ? inGuest(dune, () => dune.context.mmu.walk(fault.gva, 'read'))
      : undefined;
  const why =
    found?.result.kind === 'ept-misconfiguration'
      ? found.result.reason
      : 'an EPT entry holds what the processor does not allow';
  return {
    headline: `EPT misconfiguration at GPA ${gpa}: ${why}`,
    details: found ? walkLines(found) : [],
    advice: 'The module makes no such entry: it was written through the debugger, or over the tables by the program.',
  };
}

function controlRegister(dune: Dune): Finding {
  const qualification = Number(read(dune, Field.exitQualification));
  const register = qualification & 15;
  const kind = (qualification >> 4) & 3;
  if (kind === 2) return { headline: 'CLTS would clear CR0.TS, which the module owns' };
  if (kind === 3) return { headline: `LMSW ${hex(qualification >>> 16)} would change CR0, which the module owns` };
  const source = (qualification >> 8) & 15;
  const value = source === 4 ? read(dune, Field.guestRsp) : dune.context.cpu.gpr(source);
  const now = read(dune, register === 0 ? Field.cr0Shadow : Field.cr4Shadow);
  const changed = bitNames(register, now ^ value);
  return {
    headline: `MOV to CR${register} would change ${changed}: the module owns every bit of CR0 and CR4, any change exits`,
    details: [`CR${register} reads ${hex(now)}, ${GPR_TITLES[source]} held ${hex(value)}`],
    advice: 'CR3 and CR8 can be written in Dune mode; CR0 and CR4 stay as the module set them.',
  };
}

function bitNames(register: number, bits: bigint): string {
  const names: string[] = [];
  for (let bit = 0; bit < 64; bit++)
    if ((bits >> BigInt(bit)) & 1n) names.push(CR_BITS[register]?.[bit] ?? `bit ${bit}`);
  return names.join(', ');
}

function debugRegister(dune: Dune): Finding {
  const qualification = Number(read(dune, Field.exitQualification));
  const direction = qualification & 16 ? 'from' : 'to';
  return {
    headline: `MOV ${direction} DR${qualification & 7}: debug registers are not switched between Linux and the guest, so MOV-DR exiting is set and each use is fatal`,
  };
}

function readMsr(dune: Dune): Finding {
  const msr = Number(dune.context.cpu.gpr(1) & 0xffff_ffffn);
  const name = msrName(msr) ?? 'no MSR that this processor has';
  return {
    headline: `RDMSR of ${hex(msr)} (${name}): its bit in the MSR bitmap is set, and the module handles no RDMSR exit`,
    details: [
      'readable without an exit: FS_BASE c0000100, GS_BASE c0000101, RAPL_POWER_UNIT 606, PKG_ENERGY_STATUS 611, with APIC-register virtualisation the x2APIC ID 802',
    ],
    advice:
      'Read what you need in Linux mode before entering, or use an instruction that has no such check (RDTSC, RDFSBASE, RDGSBASE).',
  };
}

function exception(dune: Dune): Finding {
  const information = Number(read(dune, Field.exitInterruptionInformation));
  const vector = information & 0xff;
  return {
    headline: `${vectorName(vector)} exits (exception bitmap), so that a debugger of Linux mode can see it; the guest's own handler for it is never called`,
    advice: 'Without a debugger attached inside, Linux ends the process with SIGTRAP.',
  };
}

function tripleFault(dune: Dune): Finding {
  const { faultChain } = dune.context;
  const idtLimit = read(dune, Field.guestIdtrLimit);
  const idtBase = read(dune, Field.guestIdtrBase);
  const first = faultChain[0];
  const details = faultChain.map((record, index) => `${index + 1}. ${faultInWords(record)}`);
  details.push(
    `IDTR base ${hex(idtBase)}, limit ${hex(idtLimit)}${idtLimit === 0n && idtBase === 0n ? ': LIDT has not been executed' : ''}`,
    `GDTR base ${hex(read(dune, Field.guestGdtrBase))}, limit ${hex(read(dune, Field.guestGdtrLimit))}; TR ${hex(read(dune, Field.guestTrSelector))} base ${hex(read(dune, Field.guestTrBase))}, limit ${hex(read(dune, Field.guestTrLimit))}`,
    stackInWords(dune),
  );
  const cause = first ? faultInWords(first) : 'no fault is on record';
  if (idtBase === 0n && idtLimit === 0n)
    return {
      headline: `${cause}, before LIDT: there is no handler for any exception yet`,
      details,
      advice: 'Between VM entry and LIDT every exception is fatal. Let dune_enter() finish first.',
    };
  return { headline: `${cause}; its handler and the double-fault handler could not be entered`, details };
}

function faultInWords(record: FaultRecord): string {
  const where = `at RIP ${hex(record.rip)} in ring ${record.cpl}`;
  return `${faultName(record.fault)} ${where}${record.failed ? ` (not delivered: ${record.failed})` : ''}`;
}

function faultName(fault: Fault): string {
  if (fault.kind !== 'exception') return `${fault.kind} of GPA ${hex(fault.gpa)}`;
  const address = fault.gva === undefined ? '' : ` for address ${hex(fault.gva)}`;
  const error = fault.errorCode === undefined ? '' : `(${hex(fault.errorCode)})`;
  return `${vectorName(fault.vector)}${error}${address}${fault.because ? `: ${fault.because}` : ''}`;
}

function stackInWords(dune: Dune): string {
  const rsp = read(dune, Field.guestRsp);
  const walk = inGuest(dune, () => dune.context.mmu.walk(rsp - 8n, 'write', false));
  // What the EPT lacks, the module would fill in.
  if (walk.result.kind === 'ok' || walk.result.kind === 'ept-violation') return `RSP ${hex(rsp)}: writable`;
  const reason = 'reason' in walk.result ? walk.result.reason : walk.result.kind;
  return [`RSP ${hex(rsp)}: cannot be pushed to (${reason})`, ...walkLines(walk)].join('\n');
}
