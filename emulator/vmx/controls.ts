/** Bits of the VM-execution, VM-exit and VM-entry control fields (SDM 3C 25.6 to 25.8): names, meanings, and which this processor supports. */
import * as core from '../cpu/vm-controls.ts';
import { Field } from './fields.ts';

/** Pin-based, field 4000h. */
export const Pin = {
  ExternalInterruptExiting: 1 << 0,
  NmiExiting: core.PIN_NMI_EXITING,
  VirtualNmis: core.PIN_VIRTUAL_NMIS,
  PreemptionTimer: core.PIN_TIMER,
  ProcessPostedInterrupts: core.PIN_POSTED,
} as const;

/** Primary processor-based, field 4002h. */
export const Primary = {
  InterruptWindowExiting: core.PRIMARY_INTERRUPT_WINDOW,
  TscOffsetting: core.PRIMARY_TSC_OFFSETTING,
  HltExiting: 1 << 7,
  InvlpgExiting: 1 << 9,
  MwaitExiting: 1 << 10,
  RdpmcExiting: 1 << 11,
  RdtscExiting: 1 << 12,
  Cr3LoadExiting: 1 << 15,
  Cr3StoreExiting: 1 << 16,
  TertiaryControls: 1 << 17,
  Cr8LoadExiting: 1 << 19,
  Cr8StoreExiting: 1 << 20,
  TprShadow: core.PRIMARY_TPR_SHADOW,
  NmiWindowExiting: core.PRIMARY_NMI_WINDOW,
  MovDrExiting: 1 << 23,
  UnconditionalIoExiting: 1 << 24,
  IoBitmaps: 1 << 25,
  MonitorTrapFlag: core.PRIMARY_MONITOR_TRAP,
  MsrBitmaps: 1 << 28,
  MonitorExiting: 1 << 29,
  PauseExiting: 1 << 30,
  SecondaryControls: core.PRIMARY_SECONDARY_CONTROLS,
} as const;

/** Secondary processor-based, field 401Eh. */
export const Secondary = {
  ApicAccesses: core.SECONDARY_APIC_ACCESSES,
  Ept: core.SECONDARY_EPT,
  DescriptorTableExiting: 1 << 2,
  Rdtscp: 1 << 3,
  X2apicMode: 1 << 4,
  Vpid: core.SECONDARY_VPID,
  WbinvdExiting: 1 << 6,
  UnrestrictedGuest: 1 << 7,
  ApicRegisterVirtualization: 1 << 8,
  VirtualInterruptDelivery: core.SECONDARY_VIRTUAL_INTERRUPTS,
  PauseLoopExiting: 1 << 10,
  RdrandExiting: 1 << 11,
  Invpcid: 1 << 12,
  VmFunctions: 1 << 13,
  VmcsShadowing: 1 << 14,
  EnclsExiting: 1 << 15,
  RdseedExiting: 1 << 16,
  PageModificationLog: core.SECONDARY_LOG,
  EptViolationException: core.SECONDARY_VIOLATION_EXCEPTION,
  Xsaves: 1 << 20,
  ModeBasedExecute: core.SECONDARY_MODE_BASED_EXECUTE,
  SubPageWritePermissions: core.SECONDARY_SUB_PAGES,
  TscScaling: core.SECONDARY_TSC_SCALING,
} as const;

/** Tertiary processor-based, field 2034h of 64 bits. */
export const Tertiary = {
  LoadiwkeyExiting: 1 << 0,
  EnableHlat: 1 << 1,
  EptPagingWriteControl: 1 << 2,
  GuestPagingVerification: 1 << 3,
  IpiVirtualization: 1 << 4,
  VirtualizeSpecCtrl: 1 << 7,
} as const;

/** VM-exit, field 400Ch. */
export const Exit = {
  SaveDebugControls: core.EXIT_SAVE_DEBUG,
  Host64: core.EXIT_HOST_64,
  LoadPerfGlobalCtrl: 1 << 12,
  AcknowledgeInterrupt: 1 << 15,
  SavePat: core.EXIT_SAVE_PAT,
  LoadPat: core.EXIT_LOAD_PAT,
  SaveEfer: core.EXIT_SAVE_EFER,
  LoadEfer: core.EXIT_LOAD_EFER,
  SavePreemptionTimer: 1 << 22,
} as const;

/** VM-entry, field 4012h. */
export const Entry = {
  LoadDebugControls: core.ENTRY_LOAD_DEBUG,
  Ia32eGuest: core.ENTRY_IA32E,
  EntryToSmm: 1 << 10,
  DeactivateDualMonitor: 1 << 11,
  LoadPerfGlobalCtrl: 1 << 13,
  LoadPat: core.ENTRY_LOAD_PAT,
  LoadEfer: core.ENTRY_LOAD_EFER,
} as const;

export interface ControlBit {
  readonly bit: number;
  /** As the SDM has it. */
  readonly name: string;
  readonly meaning: string;
  readonly supported: boolean;
}

export interface ControlField {
  readonly encoding: number;
  readonly title: string;
  readonly bits: readonly ControlBit[];
  /** Bits that are 1 whatever software wants (the default-1 class), as the plain capability MSR reports. */
  readonly default1: number;
  /** The same for the TRUE capability MSR. */
  readonly trueDefault1: number;
}

const yes = (bit: number, name: string, meaning: string): ControlBit => ({ bit, name, meaning, supported: true });
const no = (bit: number, name: string, meaning: string): ControlBit => ({ bit, name, meaning, supported: false });

export const CONTROL_FIELDS: readonly ControlField[] = [
  {
    encoding: Field.pinBasedControls,
    title: 'pin-based',
    default1: 0x16,
    trueDefault1: 0x16,
    bits: [
      yes(0, 'external-interrupt exiting', 'external interrupts exit'),
      yes(3, 'NMI exiting', 'NMIs exit'),
      yes(5, 'virtual NMIs', 'blocking by NMI is tracked for the guest'),
      yes(6, 'activate VMX-preemption timer', 'a timer counts down in non-root operation and exits at 0'),
      yes(7, 'process posted interrupts', 'the notification vector delivers posted interrupts without an exit'),
    ],
  },
  {
    encoding: Field.primaryControls,
    title: 'primary processor-based',
    default1: 0x0401_e172,
    trueDefault1: 0x0400_6172,
    bits: [
      yes(2, 'interrupt-window exiting', 'exits as soon as the guest can take an interrupt'),
      yes(3, 'use TSC offsetting', 'the TSC offset is added to what the guest reads'),
      yes(7, 'HLT exiting', 'HLT exits'),
      yes(9, 'INVLPG exiting', 'INVLPG (and INVPCID) exit'),
      yes(10, 'MWAIT exiting', 'MWAIT exits'),
      yes(11, 'RDPMC exiting', 'RDPMC exits'),
      yes(12, 'RDTSC exiting', 'RDTSC and RDTSCP exit'),
      yes(15, 'CR3-load exiting', 'MOV to CR3 exits unless the value is a CR3-target value'),
      yes(16, 'CR3-store exiting', 'MOV from CR3 exits'),
      yes(17, 'activate tertiary controls', 'the tertiary controls are in force'),
      yes(19, 'CR8-load exiting', 'MOV to CR8 exits'),
      yes(20, 'CR8-store exiting', 'MOV from CR8 exits'),
      yes(21, 'use TPR shadow', 'CR8 is the TPR of the virtual-APIC page'),
      yes(22, 'NMI-window exiting', 'exits as soon as the guest can take an NMI'),
      yes(23, 'MOV-DR exiting', 'MOV to and from debug registers exits'),
      yes(24, 'unconditional I/O exiting', 'every I/O instruction exits'),
      yes(25, 'use I/O bitmaps', 'I/O instructions exit as the bitmaps say'),
      yes(27, 'monitor trap flag', 'exits after every guest instruction'),
      yes(28, 'use MSR bitmaps', 'RDMSR and WRMSR exit as the bitmaps say; without, always'),
      yes(29, 'MONITOR exiting', 'MONITOR exits'),
      yes(30, 'PAUSE exiting', 'PAUSE exits'),
      yes(31, 'activate secondary controls', 'the secondary controls are in force'),
    ],
  },
  {
    encoding: Field.secondaryControls,
    title: 'secondary processor-based',
    default1: 0,
    trueDefault1: 0,
    bits: [
      yes(0, 'virtualize APIC accesses', 'accesses to the APIC-access page are virtualised'),
      yes(1, 'enable EPT', 'guest-physical addresses go through the EPT'),
      yes(2, 'descriptor-table exiting', 'LGDT LIDT SGDT SIDT LLDT LTR SLDT STR exit'),
      yes(3, 'enable RDTSCP', 'RDTSCP does not raise #UD'),
      yes(4, 'virtualize x2APIC mode', 'x2APIC MSRs go to the virtual-APIC page'),
      yes(5, 'enable VPID', 'translations are tagged with the VPID'),
      yes(6, 'WBINVD exiting', 'WBINVD exits'),
      yes(7, 'unrestricted guest', 'the guest may run without paging or in real mode'),
      yes(8, 'APIC-register virtualization', 'reads of virtual APIC registers do not exit'),
      yes(9, 'virtual-interrupt delivery', 'virtual interrupts are evaluated and delivered without exits'),
      yes(10, 'PAUSE-loop exiting', 'long PAUSE loops exit'),
      yes(11, 'RDRAND exiting', 'RDRAND exits'),
      yes(12, 'enable INVPCID', 'INVPCID does not raise #UD'),
      yes(13, 'enable VM functions', 'VMFUNC is available'),
      yes(14, 'VMCS shadowing', 'VMREAD and VMWRITE may use a shadow VMCS'),
      no(15, 'enable ENCLS exiting', 'ENCLS exits as its bitmap says'),
      yes(16, 'RDSEED exiting', 'RDSEED exits'),
      yes(17, 'enable PML', 'writes are logged through dirty flags of the EPT'),
      yes(18, 'EPT-violation #VE', 'EPT violations may become #VE'),
      yes(20, 'enable XSAVES/XRSTORS', 'XSAVES and XRSTORS do not raise #UD'),
      yes(22, 'mode-based execute control for EPT', 'EPT execute rights for user and supervisor pages'),
      yes(23, 'sub-page write permissions for EPT', 'writes to 128-byte parts of pages that the EPT makes read-only'),
      yes(25, 'use TSC scaling', 'the TSC multiplier scales what the guest reads'),
    ],
  },
  {
    encoding: Field.tertiaryControls,
    title: 'tertiary processor-based',
    default1: 0,
    trueDefault1: 0,
    bits: [
      no(0, 'LOADIWKEY exiting', 'LOADIWKEY exits'),
      no(1, 'enable HLAT', 'hypervisor-managed linear-address translation'),
      no(2, 'EPT paging-write control', 'EPT entries let paging structures only be written by page walks'),
      no(3, 'guest-paging verification', 'EPT entries ask for paging structures that the EPT verifies'),
      yes(4, 'IPI virtualization', 'IPIs to virtual processors are posted without exits'),
      no(7, 'virtualize IA32_SPEC_CTRL', 'the guest sees IA32_SPEC_CTRL as its shadow has it'),
    ],
  },
  {
    encoding: Field.exitControls,
    title: 'VM-exit',
    default1: 0x0003_6dff,
    trueDefault1: 0x0003_6dfb,
    bits: [
      yes(2, 'save debug controls', 'DR7 and IA32_DEBUGCTL are saved'),
      yes(9, 'host address-space size', 'the host runs in 64-bit mode'),
      no(12, 'load IA32_PERF_GLOBAL_CTRL', 'IA32_PERF_GLOBAL_CTRL is loaded for the host'),
      yes(15, 'acknowledge interrupt on exit', 'the vector of an external interrupt is fetched and reported'),
      yes(18, 'save IA32_PAT', 'IA32_PAT of the guest is saved'),
      yes(19, 'load IA32_PAT', 'IA32_PAT of the host is loaded'),
      yes(20, 'save IA32_EFER', 'IA32_EFER of the guest is saved'),
      yes(21, 'load IA32_EFER', 'IA32_EFER of the host is loaded'),
      yes(22, 'save VMX-preemption timer value', 'the rest of the timer is saved'),
    ],
  },
  {
    encoding: Field.entryControls,
    title: 'VM-entry',
    default1: 0x11ff,
    trueDefault1: 0x11fb,
    bits: [
      yes(2, 'load debug controls', 'DR7 and IA32_DEBUGCTL of the guest are loaded'),
      yes(9, 'IA-32e mode guest', 'the guest runs in IA-32e mode'),
      no(10, 'entry to SMM', 'the guest runs in system-management mode'),
      no(11, 'deactivate dual-monitor treatment', 'default treatment of SMIs is restored'),
      no(13, 'load IA32_PERF_GLOBAL_CTRL', 'IA32_PERF_GLOBAL_CTRL of the guest is loaded'),
      yes(14, 'load IA32_PAT', 'IA32_PAT of the guest is loaded'),
      yes(15, 'load IA32_EFER', 'IA32_EFER of the guest is loaded'),
    ],
  },
];

const BY_ENCODING = new Map(CONTROL_FIELDS.map((field) => [field.encoding, field]));

export function controlField(encoding: number): ControlField | undefined {
  return BY_ENCODING.get(encoding);
}

/** A control as the SDM names it; undefined for a reserved bit. */
export function controlBitName(encoding: number, bit: number): string | undefined {
  return controlField(encoding)?.bits.find((one) => one.bit === bit)?.name;
}

/** The capability MSR of a control field, the TRUE one if there is one (SDM 3D A.3 to A.5). */
export const CAPABILITY_MSR: Readonly<Record<number, number>> = {
  [Field.pinBasedControls]: 0x48d,
  [Field.primaryControls]: 0x48e,
  [Field.secondaryControls]: 0x48b,
  [Field.tertiaryControls]: 0x492,
  [Field.exitControls]: 0x48f,
  [Field.entryControls]: 0x490,
};

/**
 * What a control field may hold, of the value of its capability MSR: bits that must be 1 in the low half, bits that may be 1 in the high half. All 64 bits of
 * IA32_VMX_PROCBASED_CTLS3 are such that may be 1 (SDM 3D A.3.4).
 */
export function allowedBits(encoding: number, capability: bigint): { readonly must: bigint; readonly may: bigint } {
  if (encoding === Field.tertiaryControls) return { must: 0n, may: capability };
  return { must: capability & 0xffff_ffffn, may: capability >> 32n };
}

/** The control as a feature that a processor model may lack: "vmx-enable-pml". Undefined for what every processor has or none. */
function featureOf({ default1 }: ControlField, { bit, name, supported }: ControlBit): string | undefined {
  if (!supported || (default1 >>> bit) & 1) return undefined;
  return `vmx-${name.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-')}`;
}

/** Every control that a model may lack, as a feature. */
export const CONTROL_FEATURES: readonly string[] = CONTROL_FIELDS.flatMap((field) =>
  field.bits.flatMap((bit) => featureOf(field, bit) ?? []),
);

/** Every bit that may be 1. @param lacking features that the processor does not have */
export function allowedOnes(field: ControlField, lacking: ReadonlySet<string> = NOTHING): number {
  const { bits, default1 } = field;
  const ones = bits.reduce((mask, bit) => {
    const feature = featureOf(field, bit);
    return bit.supported && !(feature && lacking.has(feature)) ? mask | (1 << bit.bit) : mask;
  }, 0);
  return (ones | default1) >>> 0;
}
const NOTHING: ReadonlySet<string> = new Set();
