/** Basic VM-exit reasons (SDM 3C appendix C), and which information fields an exit with each reason writes (SDM 3C 28.2). */

export const ExitReason = {
  ExceptionOrNmi: 0,
  ExternalInterrupt: 1,
  TripleFault: 2,
  InitSignal: 3,
  StartupIpi: 4,
  IoSmi: 5,
  OtherSmi: 6,
  InterruptWindow: 7,
  NmiWindow: 8,
  TaskSwitch: 9,
  Cpuid: 10,
  Getsec: 11,
  Hlt: 12,
  Invd: 13,
  Invlpg: 14,
  Rdpmc: 15,
  Rdtsc: 16,
  Rsm: 17,
  Vmcall: 18,
  Vmclear: 19,
  Vmlaunch: 20,
  Vmptrld: 21,
  Vmptrst: 22,
  Vmread: 23,
  Vmresume: 24,
  Vmwrite: 25,
  Vmxoff: 26,
  Vmxon: 27,
  CrAccess: 28,
  MovDr: 29,
  IoInstruction: 30,
  Rdmsr: 31,
  Wrmsr: 32,
  EntryFailureGuestState: 33,
  EntryFailureMsrLoading: 34,
  Mwait: 36,
  MonitorTrapFlag: 37,
  Monitor: 39,
  Pause: 40,
  EntryFailureMachineCheck: 41,
  TprBelowThreshold: 43,
  ApicAccess: 44,
  VirtualizedEoi: 45,
  GdtrIdtrAccess: 46,
  LdtrTrAccess: 47,
  EptViolation: 48,
  EptMisconfiguration: 49,
  Invept: 50,
  Rdtscp: 51,
  PreemptionTimerExpired: 52,
  Invvpid: 53,
  Wbinvd: 54,
  Xsetbv: 55,
  ApicWrite: 56,
  Rdrand: 57,
  Invpcid: 58,
  Vmfunc: 59,
  Encls: 60,
  Rdseed: 61,
  PageModificationLogFull: 62,
  Xsaves: 63,
  Xrstors: 64,
  Pconfig: 65,
  SubPageEvent: 66,
  Umwait: 67,
  Tpause: 68,
  Loadiwkey: 69,
  Enclv: 70,
  EnqcmdPasid: 72,
  EnqcmdsPasid: 73,
  BusLock: 74,
  InstructionTimeout: 75,
  Seamcall: 76,
  Tdcall: 77,
  Rdmsrlist: 78,
  Wrmsrlist: 79,
  Urdmsr: 80,
  Uwrmsr: 81,
  RdmsrImmediate: 84,
  WrmsrnsImmediate: 85,
} as const;

/** Bit 31 of the exit reason: the VM entry itself failed. */
export const ENTRY_FAILURE = 0x8000_0000;

/** Information fields beyond the reason that an exit may write. */
export type InformationField = 'qualification' | 'gva' | 'gpa' | 'interruption' | 'length' | 'instruction';

export interface ExitReasonRow {
  readonly number: number;
  /** Constant, as conditions write it: 'EPT_VIOLATION'. */
  readonly name: string;
  /** When it happens. */
  readonly description: string;
  readonly fields: readonly InformationField[];
  /** RIP is saved after the instruction, not on it. */
  readonly trap?: true;
}

const row = (
  number: number,
  name: string,
  fields: readonly InformationField[],
  description: string,
  trap?: true,
): ExitReasonRow => (trap ? { number, name, description, fields, trap } : { number, name, description, fields });

const X = ExitReason;
const NONE: readonly InformationField[] = [];
const LENGTH: readonly InformationField[] = ['length'];
const QUALIFIED: readonly InformationField[] = ['qualification', 'length'];
const OPERAND: readonly InformationField[] = ['qualification', 'length', 'instruction'];

export const EXIT_REASONS: readonly ExitReasonRow[] = [
  row(
    X.ExceptionOrNmi,
    'EXCEPTION_NMI',
    ['qualification', 'interruption', 'length'],
    'an exception that the exception bitmap names, or an NMI',
  ),
  row(X.ExternalInterrupt, 'EXTERNAL_INTERRUPT', ['interruption'], 'an external interrupt arrived'),
  row(X.TripleFault, 'TRIPLE_FAULT', NONE, 'a fault while delivering a double fault'),
  row(X.InitSignal, 'INIT_SIGNAL', NONE, 'an INIT arrived'),
  row(X.StartupIpi, 'STARTUP_IPI', ['qualification'], 'a SIPI arrived while waiting for one'),
  row(X.IoSmi, 'IO_SMI', ['qualification', 'gva'], 'an SMI right after an I/O instruction'),
  row(X.OtherSmi, 'OTHER_SMI', NONE, 'an SMI'),
  row(
    X.InterruptWindow,
    'INTERRUPT_WINDOW',
    NONE,
    'the guest can take an interrupt, as interrupt-window exiting asked',
  ),
  row(X.NmiWindow, 'NMI_WINDOW', NONE, 'the guest can take an NMI, as NMI-window exiting asked'),
  row(X.TaskSwitch, 'TASK_SWITCH', QUALIFIED, 'a hardware task switch was attempted'),
  row(X.Cpuid, 'CPUID', LENGTH, 'CPUID (always exits)'),
  row(X.Getsec, 'GETSEC', LENGTH, 'GETSEC (always exits)'),
  row(X.Hlt, 'HLT', LENGTH, 'HLT with HLT exiting'),
  row(X.Invd, 'INVD', LENGTH, 'INVD (always exits)'),
  row(X.Invlpg, 'INVLPG', QUALIFIED, 'INVLPG with INVLPG exiting'),
  row(X.Rdpmc, 'RDPMC', LENGTH, 'RDPMC with RDPMC exiting'),
  row(X.Rdtsc, 'RDTSC', LENGTH, 'RDTSC with RDTSC exiting'),
  row(X.Rsm, 'RSM', LENGTH, 'RSM'),
  row(X.Vmcall, 'VMCALL', LENGTH, 'VMCALL (always exits)'),
  row(X.Vmclear, 'VMCLEAR', OPERAND, 'VMCLEAR (always exits)'),
  row(X.Vmlaunch, 'VMLAUNCH', LENGTH, 'VMLAUNCH (always exits)'),
  row(X.Vmptrld, 'VMPTRLD', OPERAND, 'VMPTRLD (always exits)'),
  row(X.Vmptrst, 'VMPTRST', OPERAND, 'VMPTRST (always exits)'),
  row(X.Vmread, 'VMREAD', OPERAND, 'VMREAD without VMCS shadowing'),
  row(X.Vmresume, 'VMRESUME', LENGTH, 'VMRESUME (always exits)'),
  row(X.Vmwrite, 'VMWRITE', OPERAND, 'VMWRITE without VMCS shadowing'),
  row(X.Vmxoff, 'VMXOFF', LENGTH, 'VMXOFF (always exits)'),
  row(X.Vmxon, 'VMXON', OPERAND, 'VMXON (always exits)'),
  row(
    X.CrAccess,
    'CR_ACCESS',
    ['qualification', 'gva', 'length'],
    'a control-register access that the controls do not allow',
  ),
  row(X.MovDr, 'MOV_DR', QUALIFIED, 'MOV to or from a debug register with MOV-DR exiting'),
  row(
    X.IoInstruction,
    'IO_INSTRUCTION',
    ['qualification', 'gva', 'length', 'instruction'],
    'an I/O instruction on an intercepted port',
  ),
  row(X.Rdmsr, 'RDMSR', LENGTH, 'RDMSR of an MSR that the bitmaps do not pass through'),
  row(X.Wrmsr, 'WRMSR', LENGTH, 'WRMSR of an MSR that the bitmaps do not pass through'),
  row(
    X.EntryFailureGuestState,
    'ENTRY_FAILURE_GUEST_STATE',
    ['qualification'],
    'VM entry failed: the guest-state area is invalid',
  ),
  row(
    X.EntryFailureMsrLoading,
    'ENTRY_FAILURE_MSR_LOADING',
    ['qualification'],
    'VM entry failed: an MSR could not be loaded',
  ),
  row(X.Mwait, 'MWAIT', QUALIFIED, 'MWAIT with MWAIT exiting'),
  row(
    X.MonitorTrapFlag,
    'MONITOR_TRAP_FLAG',
    NONE,
    'one guest instruction was executed under the monitor trap flag',
    true,
  ),
  row(X.Monitor, 'MONITOR', LENGTH, 'MONITOR with MONITOR exiting'),
  row(X.Pause, 'PAUSE', LENGTH, 'PAUSE with PAUSE exiting'),
  row(X.EntryFailureMachineCheck, 'ENTRY_FAILURE_MACHINE_CHECK', NONE, 'VM entry failed: machine check'),
  row(X.TprBelowThreshold, 'TPR_BELOW_THRESHOLD', NONE, 'the virtual TPR fell below the threshold', true),
  row(X.ApicAccess, 'APIC_ACCESS', QUALIFIED, 'an access to the APIC-access page'),
  row(X.VirtualizedEoi, 'VIRTUALIZED_EOI', ['qualification'], 'EOI of a vector that the EOI-exit bitmap names', true),
  row(X.GdtrIdtrAccess, 'GDTR_IDTR_ACCESS', OPERAND, 'LGDT, LIDT, SGDT or SIDT with descriptor-table exiting'),
  row(X.LdtrTrAccess, 'LDTR_TR_ACCESS', OPERAND, 'LLDT, LTR, SLDT or STR with descriptor-table exiting'),
  row(
    X.EptViolation,
    'EPT_VIOLATION',
    ['qualification', 'gva', 'gpa'],
    'the EPT does not map the guest-physical address, or not with the right needed',
  ),
  row(X.EptMisconfiguration, 'EPT_MISCONFIGURATION', ['gpa'], 'an EPT entry on the way can never be valid'),
  row(X.Invept, 'INVEPT', OPERAND, 'INVEPT (always exits)'),
  row(X.Rdtscp, 'RDTSCP', LENGTH, 'RDTSCP with RDTSC exiting'),
  row(X.PreemptionTimerExpired, 'PREEMPTION_TIMER_EXPIRED', NONE, 'the VMX-preemption timer counted down to 0'),
  row(X.Invvpid, 'INVVPID', OPERAND, 'INVVPID (always exits)'),
  row(X.Wbinvd, 'WBINVD', LENGTH, 'WBINVD with WBINVD exiting'),
  row(X.Xsetbv, 'XSETBV', LENGTH, 'XSETBV (always exits)'),
  row(X.ApicWrite, 'APIC_WRITE', ['qualification'], 'a virtualised APIC write that needs help', true),
  row(X.Rdrand, 'RDRAND', ['length', 'instruction'], 'RDRAND with RDRAND exiting'),
  row(X.Invpcid, 'INVPCID', OPERAND, 'INVPCID with INVLPG exiting'),
  row(X.Vmfunc, 'VMFUNC', LENGTH, 'VMFUNC of a function that is not enabled, or that failed'),
  row(X.Encls, 'ENCLS', LENGTH, 'ENCLS with its bit in the ENCLS-exiting bitmap'),
  row(X.Rdseed, 'RDSEED', ['length', 'instruction'], 'RDSEED with RDSEED exiting'),
  row(X.PageModificationLogFull, 'PML_FULL', ['qualification', 'gpa'], 'the page-modification log is full'),
  row(X.Xsaves, 'XSAVES', OPERAND, 'XSAVES of a component that the XSS-exiting bitmap names'),
  row(X.Xrstors, 'XRSTORS', OPERAND, 'XRSTORS of a component that the XSS-exiting bitmap names'),
  row(X.Pconfig, 'PCONFIG', LENGTH, 'PCONFIG with its bit in the PCONFIG-exiting bitmap'),
  row(X.SubPageEvent, 'SPP_EVENT', ['qualification', 'gva', 'gpa'], 'a sub-page permission miss or misconfiguration'),
  row(X.Umwait, 'UMWAIT', ['length', 'instruction'], 'UMWAIT with RDTSC exiting'),
  row(X.Tpause, 'TPAUSE', ['length', 'instruction'], 'TPAUSE with RDTSC exiting'),
  row(X.Loadiwkey, 'LOADIWKEY', ['length', 'instruction'], 'LOADIWKEY with LOADIWKEY exiting'),
  row(X.Enclv, 'ENCLV', LENGTH, 'ENCLV with its bit in the ENCLV-exiting bitmap'),
  row(X.EnqcmdPasid, 'ENQCMD_PASID', LENGTH, 'ENQCMD could not translate its PASID'),
  row(X.EnqcmdsPasid, 'ENQCMDS_PASID', LENGTH, 'ENQCMDS could not translate its PASID'),
  row(X.BusLock, 'BUS_LOCK', NONE, 'a bus lock was asserted', true),
  row(X.InstructionTimeout, 'INSTRUCTION_TIMEOUT', ['qualification'], 'no instruction boundary within the window'),
  row(X.Seamcall, 'SEAMCALL', LENGTH, 'SEAMCALL'),
  row(X.Tdcall, 'TDCALL', LENGTH, 'TDCALL'),
  row(X.Rdmsrlist, 'RDMSRLIST', LENGTH, 'RDMSRLIST of an intercepted MSR'),
  row(X.Wrmsrlist, 'WRMSRLIST', LENGTH, 'WRMSRLIST of an intercepted MSR'),
  row(X.Urdmsr, 'URDMSR', LENGTH, 'URDMSR of an intercepted MSR'),
  row(X.Uwrmsr, 'UWRMSR', LENGTH, 'UWRMSR of an intercepted MSR'),
  row(X.RdmsrImmediate, 'RDMSR_IMMEDIATE', LENGTH, 'RDMSR with an immediate, of an intercepted MSR'),
  row(X.WrmsrnsImmediate, 'WRMSRNS_IMMEDIATE', LENGTH, 'WRMSRNS with an immediate, of an intercepted MSR'),
];

const BY_NUMBER = new Map(EXIT_REASONS.map((reason) => [reason.number, reason]));

/** Row of an exit reason as field 4402h has it; undefined if the number is reserved. */
export function exitReason(reason: number): ExitReasonRow | undefined {
  return BY_NUMBER.get(reason & 0xffff);
}

/** 'EPT_VIOLATION', or 'REASON_n' for a reserved number. */
export function exitReasonName(reason: number): string {
  return exitReason(reason)?.name ?? `REASON_${reason & 0xffff}`;
}
