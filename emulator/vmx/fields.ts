/**
 * The one table of VMCS fields (SDM 3C chapter 25, appendix B). Width, group and writability follow from the encoding:
 * bit 0 high half, 9:1 index, 11:10 group, 14:13 width.
 */

/** Fields of features that this processor does not have: VMREAD and VMWRITE refuse them (error 12). */
const ABSENT = 'absent';

type Row = readonly [encoding: number, title: string, section: string, absent?: typeof ABSENT];

const TABLE = {
  vpid: [0x0000, 'virtual-processor identifier (VPID)', '25.6.12'],
  postedInterruptNotificationVector: [0x0002, 'posted-interrupt notification vector', '25.6.8'],
  eptpIndex: [0x0004, 'EPTP index', '25.6.20'],
  hlatPrefixSize: [0x0006, 'HLAT prefix size', '25.6.22', ABSENT],
  lastPidPointerIndex: [0x0008, 'last PID-pointer index', '25.6.8'],
  guestEsSelector: [0x0800, 'guest ES selector', '25.4.1'],
  guestCsSelector: [0x0802, 'guest CS selector', '25.4.1'],
  guestSsSelector: [0x0804, 'guest SS selector', '25.4.1'],
  guestDsSelector: [0x0806, 'guest DS selector', '25.4.1'],
  guestFsSelector: [0x0808, 'guest FS selector', '25.4.1'],
  guestGsSelector: [0x080a, 'guest GS selector', '25.4.1'],
  guestLdtrSelector: [0x080c, 'guest LDTR selector', '25.4.1'],
  guestTrSelector: [0x080e, 'guest TR selector', '25.4.1'],
  guestInterruptStatus: [0x0810, 'guest interrupt status (RVI, SVI)', '25.4.2'],
  pmlIndex: [0x0812, 'PML index', '25.4.2'],
  hostEsSelector: [0x0c00, 'host ES selector', '25.5'],
  hostCsSelector: [0x0c02, 'host CS selector', '25.5'],
  hostSsSelector: [0x0c04, 'host SS selector', '25.5'],
  hostDsSelector: [0x0c06, 'host DS selector', '25.5'],
  hostFsSelector: [0x0c08, 'host FS selector', '25.5'],
  hostGsSelector: [0x0c0a, 'host GS selector', '25.5'],
  hostTrSelector: [0x0c0c, 'host TR selector', '25.5'],
  ioBitmapA: [0x2000, 'address of I/O bitmap A', '25.6.4'],
  ioBitmapB: [0x2002, 'address of I/O bitmap B', '25.6.4'],
  msrBitmaps: [0x2004, 'address of MSR bitmaps', '25.6.9'],
  exitMsrStoreAddress: [0x2006, 'VM-exit MSR-store address', '25.7.2'],
  exitMsrLoadAddress: [0x2008, 'VM-exit MSR-load address', '25.7.2'],
  entryMsrLoadAddress: [0x200a, 'VM-entry MSR-load address', '25.8.2'],
  executiveVmcsPointer: [0x200c, 'executive-VMCS pointer', '25.6.10'],
  pmlAddress: [0x200e, 'PML address', '25.6.17'],
  tscOffset: [0x2010, 'TSC offset', '25.6.5'],
  virtualApicAddress: [0x2012, 'virtual-APIC address', '25.6.8'],
  apicAccessAddress: [0x2014, 'APIC-access address', '25.6.8'],
  postedInterruptDescriptorAddress: [0x2016, 'posted-interrupt descriptor address', '25.6.8'],
  vmFunctionControls: [0x2018, 'VM-function controls', '25.6.14'],
  eptPointer: [0x201a, 'EPT pointer (EPTP)', '25.6.11'],
  eoiExitBitmap0: [0x201c, 'EOI-exit bitmap 0', '25.6.8'],
  eoiExitBitmap1: [0x201e, 'EOI-exit bitmap 1', '25.6.8'],
  eoiExitBitmap2: [0x2020, 'EOI-exit bitmap 2', '25.6.8'],
  eoiExitBitmap3: [0x2022, 'EOI-exit bitmap 3', '25.6.8'],
  eptpListAddress: [0x2024, 'EPTP-list address', '25.6.14'],
  vmreadBitmap: [0x2026, 'VMREAD-bitmap address', '25.6.15'],
  vmwriteBitmap: [0x2028, 'VMWRITE-bitmap address', '25.6.15'],
  virtualizationExceptionAddress: [0x202a, 'virtualization-exception information address', '25.6.18'],
  xssExitingBitmap: [0x202c, 'XSS-exiting bitmap', '25.6.19'],
  enclsExitingBitmap: [0x202e, 'ENCLS-exiting bitmap', '25.6.16', ABSENT],
  sppTablePointer: [0x2030, 'sub-page-permission-table pointer', '25.6.21'],
  tscMultiplier: [0x2032, 'TSC multiplier', '25.6.5'],
  tertiaryControls: [0x2034, 'tertiary processor-based VM-execution controls', '25.6.2'],
  pidPointerTableAddress: [0x2042, 'PID-pointer table address', '25.6.8'],
  guestPhysicalAddress: [0x2400, 'guest-physical address', '25.9.1'],
  vmcsLinkPointer: [0x2800, 'VMCS link pointer', '25.4.2'],
  guestDebugctl: [0x2802, 'guest IA32_DEBUGCTL', '25.4.1'],
  guestPat: [0x2804, 'guest IA32_PAT', '25.4.1'],
  guestEfer: [0x2806, 'guest IA32_EFER', '25.4.1'],
  guestPerfGlobalCtrl: [0x2808, 'guest IA32_PERF_GLOBAL_CTRL', '25.4.1', ABSENT],
  guestPdpte0: [0x280a, 'guest PDPTE 0', '25.4.2'],
  guestPdpte1: [0x280c, 'guest PDPTE 1', '25.4.2'],
  guestPdpte2: [0x280e, 'guest PDPTE 2', '25.4.2'],
  guestPdpte3: [0x2810, 'guest PDPTE 3', '25.4.2'],
  guestBndcfgs: [0x2812, 'guest IA32_BNDCFGS', '25.4.1', ABSENT],
  guestRtitCtl: [0x2814, 'guest IA32_RTIT_CTL', '25.4.1', ABSENT],
  guestPkrs: [0x2818, 'guest IA32_PKRS', '25.4.1', ABSENT],
  hostPat: [0x2c00, 'host IA32_PAT', '25.5'],
  hostEfer: [0x2c02, 'host IA32_EFER', '25.5'],
  hostPerfGlobalCtrl: [0x2c04, 'host IA32_PERF_GLOBAL_CTRL', '25.5', ABSENT],
  hostPkrs: [0x2c06, 'host IA32_PKRS', '25.5', ABSENT],
  pinBasedControls: [0x4000, 'pin-based VM-execution controls', '25.6.1'],
  primaryControls: [0x4002, 'primary processor-based VM-execution controls', '25.6.2'],
  exceptionBitmap: [0x4004, 'exception bitmap', '25.6.3'],
  pageFaultErrorCodeMask: [0x4006, 'page-fault error-code mask', '25.6.3'],
  pageFaultErrorCodeMatch: [0x4008, 'page-fault error-code match', '25.6.3'],
  cr3TargetCount: [0x400a, 'CR3-target count', '25.6.7'],
  exitControls: [0x400c, 'primary VM-exit controls', '25.7.1'],
  exitMsrStoreCount: [0x400e, 'VM-exit MSR-store count', '25.7.2'],
  exitMsrLoadCount: [0x4010, 'VM-exit MSR-load count', '25.7.2'],
  entryControls: [0x4012, 'VM-entry controls', '25.8.1'],
  entryMsrLoadCount: [0x4014, 'VM-entry MSR-load count', '25.8.2'],
  entryInterruptionInformation: [0x4016, 'VM-entry interruption-information field', '25.8.3'],
  entryExceptionErrorCode: [0x4018, 'VM-entry exception error code', '25.8.3'],
  entryInstructionLength: [0x401a, 'VM-entry instruction length', '25.8.3'],
  tprThreshold: [0x401c, 'TPR threshold', '25.6.8'],
  secondaryControls: [0x401e, 'secondary processor-based VM-execution controls', '25.6.2'],
  pleGap: [0x4020, 'PLE gap', '25.6.13'],
  pleWindow: [0x4022, 'PLE window', '25.6.13'],
  instructionError: [0x4400, 'VM-instruction error', '25.9.5'],
  exitReason: [0x4402, 'exit reason', '25.9.1'],
  exitInterruptionInformation: [0x4404, 'VM-exit interruption information', '25.9.2'],
  exitInterruptionErrorCode: [0x4406, 'VM-exit interruption error code', '25.9.2'],
  idtVectoringInformation: [0x4408, 'IDT-vectoring information', '25.9.3'],
  idtVectoringErrorCode: [0x440a, 'IDT-vectoring error code', '25.9.3'],
  exitInstructionLength: [0x440c, 'VM-exit instruction length', '25.9.4'],
  exitInstructionInformation: [0x440e, 'VM-exit instruction information', '25.9.4'],
  guestEsLimit: [0x4800, 'guest ES limit', '25.4.1'],
  guestCsLimit: [0x4802, 'guest CS limit', '25.4.1'],
  guestSsLimit: [0x4804, 'guest SS limit', '25.4.1'],
  guestDsLimit: [0x4806, 'guest DS limit', '25.4.1'],
  guestFsLimit: [0x4808, 'guest FS limit', '25.4.1'],
  guestGsLimit: [0x480a, 'guest GS limit', '25.4.1'],
  guestLdtrLimit: [0x480c, 'guest LDTR limit', '25.4.1'],
  guestTrLimit: [0x480e, 'guest TR limit', '25.4.1'],
  guestGdtrLimit: [0x4810, 'guest GDTR limit', '25.4.1'],
  guestIdtrLimit: [0x4812, 'guest IDTR limit', '25.4.1'],
  guestEsAccessRights: [0x4814, 'guest ES access rights', '25.4.1'],
  guestCsAccessRights: [0x4816, 'guest CS access rights', '25.4.1'],
  guestSsAccessRights: [0x4818, 'guest SS access rights', '25.4.1'],
  guestDsAccessRights: [0x481a, 'guest DS access rights', '25.4.1'],
  guestFsAccessRights: [0x481c, 'guest FS access rights', '25.4.1'],
  guestGsAccessRights: [0x481e, 'guest GS access rights', '25.4.1'],
  guestLdtrAccessRights: [0x4820, 'guest LDTR access rights', '25.4.1'],
  guestTrAccessRights: [0x4822, 'guest TR access rights', '25.4.1'],
  guestInterruptibility: [0x4824, 'guest interruptibility state', '25.4.2'],
  guestActivity: [0x4826, 'guest activity state', '25.4.2'],
  guestSmbase: [0x4828, 'guest SMBASE', '25.4.1'],
  guestSysenterCs: [0x482a, 'guest IA32_SYSENTER_CS', '25.4.1'],
  preemptionTimerValue: [0x482e, 'VMX-preemption timer value', '25.4.2'],
  hostSysenterCs: [0x4c00, 'host IA32_SYSENTER_CS', '25.5'],
  cr0Mask: [0x6000, 'CR0 guest/host mask', '25.6.6'],
  cr4Mask: [0x6002, 'CR4 guest/host mask', '25.6.6'],
  cr0Shadow: [0x6004, 'CR0 read shadow', '25.6.6'],
  cr4Shadow: [0x6006, 'CR4 read shadow', '25.6.6'],
  cr3Target0: [0x6008, 'CR3-target value 0', '25.6.7'],
  cr3Target1: [0x600a, 'CR3-target value 1', '25.6.7'],
  cr3Target2: [0x600c, 'CR3-target value 2', '25.6.7'],
  cr3Target3: [0x600e, 'CR3-target value 3', '25.6.7'],
  exitQualification: [0x6400, 'exit qualification', '25.9.1'],
  ioRcx: [0x6402, 'I/O RCX', '25.9.4'],
  ioRsi: [0x6404, 'I/O RSI', '25.9.4'],
  ioRdi: [0x6406, 'I/O RDI', '25.9.4'],
  ioRip: [0x6408, 'I/O RIP', '25.9.4'],
  guestLinearAddress: [0x640a, 'guest linear address', '25.9.1'],
  guestCr0: [0x6800, 'guest CR0', '25.4.1'],
  guestCr3: [0x6802, 'guest CR3', '25.4.1'],
  guestCr4: [0x6804, 'guest CR4', '25.4.1'],
  guestEsBase: [0x6806, 'guest ES base', '25.4.1'],
  guestCsBase: [0x6808, 'guest CS base', '25.4.1'],
  guestSsBase: [0x680a, 'guest SS base', '25.4.1'],
  guestDsBase: [0x680c, 'guest DS base', '25.4.1'],
  guestFsBase: [0x680e, 'guest FS base', '25.4.1'],
  guestGsBase: [0x6810, 'guest GS base', '25.4.1'],
  guestLdtrBase: [0x6812, 'guest LDTR base', '25.4.1'],
  guestTrBase: [0x6814, 'guest TR base', '25.4.1'],
  guestGdtrBase: [0x6816, 'guest GDTR base', '25.4.1'],
  guestIdtrBase: [0x6818, 'guest IDTR base', '25.4.1'],
  guestDr7: [0x681a, 'guest DR7', '25.4.1'],
  guestRsp: [0x681c, 'guest RSP', '25.4.1'],
  guestRip: [0x681e, 'guest RIP', '25.4.1'],
  guestRflags: [0x6820, 'guest RFLAGS', '25.4.1'],
  guestPendingDebugExceptions: [0x6822, 'guest pending debug exceptions', '25.4.2'],
  guestSysenterEsp: [0x6824, 'guest IA32_SYSENTER_ESP', '25.4.1'],
  guestSysenterEip: [0x6826, 'guest IA32_SYSENTER_EIP', '25.4.1'],
  guestSCet: [0x6828, 'guest IA32_S_CET', '25.4.1', ABSENT],
  guestSsp: [0x682a, 'guest SSP', '25.4.1', ABSENT],
  guestInterruptSspTable: [0x682c, 'guest IA32_INTERRUPT_SSP_TABLE_ADDR', '25.4.1', ABSENT],
  hostCr0: [0x6c00, 'host CR0', '25.5'],
  hostCr3: [0x6c02, 'host CR3', '25.5'],
  hostCr4: [0x6c04, 'host CR4', '25.5'],
  hostFsBase: [0x6c06, 'host FS base', '25.5'],
  hostGsBase: [0x6c08, 'host GS base', '25.5'],
  hostTrBase: [0x6c0a, 'host TR base', '25.5'],
  hostGdtrBase: [0x6c0c, 'host GDTR base', '25.5'],
  hostIdtrBase: [0x6c0e, 'host IDTR base', '25.5'],
  hostSysenterEsp: [0x6c10, 'host IA32_SYSENTER_ESP', '25.5'],
  hostSysenterEip: [0x6c12, 'host IA32_SYSENTER_EIP', '25.5'],
  hostRsp: [0x6c14, 'host RSP', '25.5'],
  hostRip: [0x6c16, 'host RIP', '25.5'],
  hostSCet: [0x6c18, 'host IA32_S_CET', '25.5', ABSENT],
  hostSsp: [0x6c1a, 'host SSP', '25.5', ABSENT],
  hostInterruptSspTable: [0x6c1c, 'host IA32_INTERRUPT_SSP_TABLE_ADDR', '25.5', ABSENT],
} as const satisfies Readonly<Record<string, Row>>;

export type FieldName = keyof typeof TABLE;
export type FieldGroup = 'control' | 'exit-information' | 'guest' | 'host';

export interface VmcsField {
  readonly encoding: number;
  readonly name: FieldName;
  /** As the SDM has it. */
  readonly title: string;
  readonly group: FieldGroup;
  readonly bits: 16 | 32 | 64;
  /** By VMWRITE. */
  readonly writable: boolean;
  /** Section of SDM volume 3C. */
  readonly section: string;
  /** Whether this processor has it. */
  readonly implemented: boolean;
}

/** Encodings by name. */
export const Field = Object.fromEntries(Object.entries(TABLE).map(([name, [encoding]]) => [name, encoding])) as {
  readonly [Name in FieldName]: (typeof TABLE)[Name][0];
};

const GROUPS: readonly FieldGroup[] = ['control', 'exit-information', 'guest', 'host'];
/** 16-bit, 64-bit, 32-bit, natural width. */
const WIDTHS = [16, 64, 32, 64] as const;

/** In encoding order. */
export const VMCS_FIELDS: readonly VmcsField[] = Object.entries<Row>(TABLE)
  .map(([name, [encoding, title, section, absent]]) => {
    const group = GROUPS[(encoding >> 10) & 3]!;
    return {
      encoding,
      name: name as FieldName,
      title,
      group,
      bits: WIDTHS[(encoding >> 13) & 3]!,
      writable: group !== 'exit-information',
      section,
      implemented: absent === undefined,
    };
  })
  .sort((a, b) => a.encoding - b.encoding);

const BY_ENCODING = new Map(VMCS_FIELDS.map((field) => [field.encoding, field]));

/** The field of an encoding, high-half accesses included; undefined if there is none. */
export function vmcsField(encoding: number): VmcsField | undefined {
  const field = BY_ENCODING.get(encoding & ~1);
  // Only fields of exactly 64 bits have a high half (SDM 3C 25.11.2).
  return encoding & 1 && ((encoding >> 13) & 3) !== 1 ? undefined : field;
}

/** Its name, or the encoding in words. */
export function fieldName(encoding: number): string {
  const field = vmcsField(encoding);
  return field ? field.title : `VMCS field 0x${encoding.toString(16)}`;
}
