/** For specs: for every VM-entry check, changes of the machine of the specs (vmx-test-support.ts) that violate it. */
import { Entry, Exit, Pin, Primary, Secondary, Tertiary } from '../controls.ts';
import type { FieldName } from '../fields.ts';
import { CR4_PCIDE } from '../../cpu/control-bits.ts';

const NOT_CANONICAL = 1n << 60n;
const TOO_WIDE = 1n << 45n;

/** A value, or a change of the value that stands there. */
export type Change = bigint | ((value: bigint) => bigint);
const set = (bits: number) => (value: bigint) => value | BigInt(bits >>> 0);
const clear = (bits: number) => (value: bigint) => value & ~BigInt(bits >>> 0);

export type Changes = Partial<Record<FieldName, Change>>;
/** Violations that cannot be had without others name them. */
type Case = readonly [id: string, changes: Changes, also?: readonly string[]];

/** A guest outside IA-32e mode, with PAE paging. */
const LEGACY: Changes = { entryControls: clear(Entry.Ia32eGuest), guestCr4: clear(CR4_PCIDE) };
/** A host that is not 64-bit, which the processor of the specs refuses. */
const NARROW_HOST: Changes = { ...LEGACY, exitControls: clear(Exit.Host64), hostCr4: clear(CR4_PCIDE) };
const NAMES = ['Cs', 'Ss', 'Ds', 'Es', 'Fs', 'Gs'] as const;
const selectorOf = (name: (typeof NAMES)[number]): bigint => (name === 'Cs' ? 0x10n : 0x18n);
const VIRTUAL_SEGMENTS: Changes = Object.fromEntries(
  NAMES.flatMap((name) => [
    [`guest${name}Base`, selectorOf(name) << 4n],
    [`guest${name}Limit`, 0xffffn],
    [`guest${name}AccessRights`, 0xf3n],
  ]),
);
/** A guest in virtual-8086 mode. */
const VIRTUAL: Changes = { ...LEGACY, ...VIRTUAL_SEGMENTS, guestRflags: 0x2_0002n };
const RING_3: Changes = {
  guestCsSelector: 0x13n,
  guestCsAccessRights: 0xa0fbn,
  guestSsSelector: 0x1bn,
  guestSsAccessRights: 0xc0f3n,
};
const LDTR: Changes = { guestLdtrAccessRights: 0x82n };
const SHADOW: Changes = {
  primaryControls: set(Primary.TprShadow | Primary.SecondaryControls),
  virtualApicAddress: 0x103000n,
};
const with2 = (bits: number): Changes => ({ secondaryControls: set(bits) });
const with3 = (bits: number): Changes => ({
  primaryControls: set(Primary.TertiaryControls),
  tertiaryControls: set(bits),
});
/** IPI virtualization, whose table is at 106000h. */
const IPIS: Changes = {
  ...SHADOW,
  primaryControls: set(Primary.TprShadow | Primary.SecondaryControls | Primary.TertiaryControls),
  tertiaryControls: set(Tertiary.IpiVirtualization),
  pidPointerTableAddress: 0x106008n,
  lastPidPointerIndex: 3n,
};
const POSTED: Changes = {
  ...SHADOW,
  ...with2(Secondary.VirtualInterruptDelivery),
  pinBasedControls: set(Pin.ProcessPostedInterrupts),
};
const withoutEpt =
  (bits: number): Change =>
  (value) =>
    (value | BigInt(bits)) & ~BigInt(Secondary.Ept);
const UNRESTRICTED = with2(Secondary.UnrestrictedGuest);

const single: readonly Case[] = [
  ['controls.pin.reserved', { pinBasedControls: clear(2) }],
  ['controls.primary.reserved', { primaryControls: set(1 << 18) }],
  ['controls.secondary.reserved', { secondaryControls: set(Secondary.EnclsExiting) }],
  ['controls.tertiary.reserved', with3(Tertiary.VirtualizeSpecCtrl)],
  ['controls.cr3-targets', { cr3TargetCount: 5n }],
  ['controls.io-bitmap-a', { primaryControls: set(Primary.IoBitmaps), ioBitmapA: 0x1001n }],
  ['controls.io-bitmap-b', { primaryControls: set(Primary.IoBitmaps), ioBitmapB: TOO_WIDE }],
  ['controls.msr-bitmaps', { msrBitmaps: 0x800n }],
  ['controls.virtual-apic', { primaryControls: set(Primary.TprShadow), virtualApicAddress: 0x103004n }],
  [
    'controls.tpr-threshold.reserved',
    { primaryControls: set(Primary.TprShadow), virtualApicAddress: 0x103000n, tprThreshold: 0x10n },
  ],
  [
    'controls.tpr-threshold.vtpr',
    { primaryControls: set(Primary.TprShadow), virtualApicAddress: 0x103000n, tprThreshold: 1n },
  ],
  ['controls.virtual-nmis', { pinBasedControls: clear(Pin.NmiExiting) }],
  ['controls.apic-without-shadow', { secondaryControls: set(Secondary.X2apicMode) }],
  ['controls.vpid', { vpid: 0n }],
  ['controls.eptp', { eptPointer: set(7) }],
  ['controls.exit.reserved', { exitControls: clear(1) }],
  ['controls.exit.msr-store', { exitMsrStoreCount: 1n, exitMsrStoreAddress: 8n }],
  ['controls.exit.msr-load', { exitMsrLoadCount: 1n, exitMsrLoadAddress: TOO_WIDE }],
  ['controls.entry.reserved', { entryControls: set(Entry.EntryToSmm) }],
  ['controls.injection.type', { entryInterruptionInformation: 0x8000_0120n }],
  ['controls.injection.vector', { entryInterruptionInformation: 0x8000_0320n }],
  ['controls.injection.error-code', { entryInterruptionInformation: 0x8000_030dn }],
  ['controls.injection.reserved', { entryInterruptionInformation: 0x8000_1306n }],
  [
    'controls.injection.error-code-bits',
    { entryInterruptionInformation: 0x8000_0b0dn, entryExceptionErrorCode: 0x1_0000n },
  ],
  ['controls.injection.length', { entryInterruptionInformation: 0x8000_0440n, entryInstructionLength: 16n }],
  ['controls.entry.msr-load', { entryMsrLoadCount: 1n, entryMsrLoadAddress: 4n }],

  ['host.cr0', { hostCr0: clear(0x20) }],
  ['host.cr4', { hostCr4: clear(0x2000) }],
  ['host.cr3', { hostCr3: TOO_WIDE }],
  ['host.sysenter-esp', { hostSysenterEsp: NOT_CANONICAL }],
  ['host.es.selector', { hostEsSelector: 0x1bn }],
  ['host.cs.null', { hostCsSelector: 0n }],
  ['host.tr.null', { hostTrSelector: 0n }],
  ['host.fs.base', { hostFsBase: NOT_CANONICAL }],
  ['host.idtr.base', { hostIdtrBase: NOT_CANONICAL }],
  ['host.pae', { hostCr4: clear(0x20) }],
  ['host.rip', { hostRip: NOT_CANONICAL }],

  ['guest.cr0', { guestCr0: clear(0x20) }],
  ['guest.cr4', { guestCr4: clear(0x2000) }],
  ['guest.cr3', { guestCr3: TOO_WIDE }],
  ['guest.dr7', { entryControls: set(Entry.LoadDebugControls), guestDr7: 1n << 32n }],
  ['guest.sysenter-eip', { guestSysenterEip: NOT_CANONICAL }],
  ['guest.efer', { entryControls: set(Entry.LoadEfer), guestEfer: 0xc01n }],
  ['guest.pat', { entryControls: set(Entry.LoadPat), guestPat: 2n }],
  ['guest.tr.selector', { guestTrSelector: 0x3cn }],
  ['guest.ss.selector', { guestCsSelector: 0x11n }],
  ['guest.cs.rights.type', { guestCsAccessRights: 0xa093n }],
  ['guest.ss.rights.type', { guestSsAccessRights: 0xc091n }],
  ['guest.cs.rights.db', { guestCsAccessRights: 0xe09bn }],
  ['guest.tr.rights.type', { guestTrAccessRights: 0x89n }],
  ['guest.ldtr.rights.type', { guestLdtrAccessRights: 0x83n }],
  ['guest.gdtr.base', { guestGdtrBase: NOT_CANONICAL }],
  ['guest.idtr.limit', { guestIdtrLimit: 0x1_0000n }],
  ['guest.rip', { guestRip: NOT_CANONICAL }],
  ['guest.rflags.reserved', { guestRflags: 0n }],
  ['guest.rflags.if', { entryInterruptionInformation: 0x8000_0030n }],
  ['guest.activity.state', { guestActivity: 4n }],
  ['guest.activity.injection', { guestActivity: 3n, entryInterruptionInformation: 0x8000_0306n }],
  ['guest.interruptibility.reserved', { guestInterruptibility: 0x20n }],
  ['guest.interruptibility.sti', { guestInterruptibility: 1n }],
  ['guest.interruptibility.smi', { guestInterruptibility: 4n }],
  ['guest.interruptibility.virtual-nmi', { guestInterruptibility: 8n, entryInterruptionInformation: 0x8000_0202n }],
  ['guest.pending-debug.reserved', { guestPendingDebugExceptions: 0x10n }],
  ['guest.pending-debug.step', { guestPendingDebugExceptions: 0x4000n, guestInterruptibility: 2n }],
  ['guest.link-pointer', { vmcsLinkPointer: 0x1000n }],
];

/** What every segment has. */
const segments: readonly Case[] = NAMES.flatMap((name): Case[] => {
  const id = `guest.${name.toLowerCase()}`;
  const rights: FieldName = `guest${name}AccessRights`;
  return [
    [`${id}.virtual.base`, { ...VIRTUAL, [`guest${name}Base`]: 0x1230n }],
    [`${id}.virtual.limit`, { ...VIRTUAL, [`guest${name}Limit`]: 0xfffen }],
    [`${id}.virtual.rights`, { ...VIRTUAL, [rights]: name === 'Ss' ? 0x80f3n : 0x93n }],
    [`${id}.base`, { [`guest${name}Base`]: name === 'Fs' || name === 'Gs' ? NOT_CANONICAL : 1n << 32n }],
    [`${id}.rights.s`, { [rights]: clear(0x10) }],
    [`${id}.rights.p`, { [rights]: clear(0x80) }],
    [`${id}.rights.reserved`, { [rights]: set(0x100) }],
    [`${id}.rights.g`, { [`guest${name}Limit`]: 0xffff_f000n }],
    ...(name === 'Cs' || name === 'Ss'
      ? []
      : ([
          [`${id}.rights.type`, { [rights]: 0xc092n }],
          [`${id}.rights.dpl`, { [`guest${name}Selector`]: 0x1bn }],
        ] as const)),
  ];
});

const more: readonly Case[] = [
  ['controls.nmi-window', { pinBasedControls: clear(Pin.VirtualNmis), primaryControls: set(Primary.NmiWindowExiting) }],
  ['controls.apic-access', { ...with2(Secondary.ApicAccesses), apicAccessAddress: 8n }],
  ['controls.x2apic-and-accesses', { ...SHADOW, ...with2(Secondary.ApicAccesses | Secondary.X2apicMode) }],
  [
    'controls.virtual-interrupts',
    { ...SHADOW, ...with2(Secondary.VirtualInterruptDelivery), pinBasedControls: clear(Pin.ExternalInterruptExiting) },
  ],
  ['controls.posted.delivery', { pinBasedControls: set(Pin.ProcessPostedInterrupts) }],
  ['controls.posted.vector', { ...POSTED, postedInterruptNotificationVector: 0x100n }],
  ['controls.posted.descriptor', { ...POSTED, postedInterruptDescriptorAddress: 0x20n }],
  ['controls.ipi.table', { ...IPIS, pidPointerTableAddress: 0x106004n }],
  ['controls.pml.ept', { secondaryControls: withoutEpt(Secondary.PageModificationLog) }],
  ['controls.unrestricted-guest.ept', { secondaryControls: withoutEpt(Secondary.UnrestrictedGuest) }],
  ['controls.mode-based-execute.ept', { secondaryControls: withoutEpt(Secondary.ModeBasedExecute) }],
  ['controls.sub-pages.ept', { secondaryControls: withoutEpt(Secondary.SubPageWritePermissions) }],
  ['controls.pml.address', { ...with2(Secondary.PageModificationLog), pmlAddress: 0x800n }],
  ['controls.sub-pages.table', { ...with2(Secondary.SubPageWritePermissions), sppTablePointer: TOO_WIDE }],
  ['controls.functions.reserved', { ...with2(Secondary.VmFunctions), vmFunctionControls: 2n }],
  ['controls.functions.ept', { secondaryControls: withoutEpt(Secondary.VmFunctions), vmFunctionControls: 1n }],
  ['controls.functions.list', { ...with2(Secondary.VmFunctions), vmFunctionControls: 1n, eptpListAddress: 8n }],
  ['controls.vmread-bitmap', { ...with2(Secondary.VmcsShadowing), vmreadBitmap: 1n }],
  ['controls.vmwrite-bitmap', { ...with2(Secondary.VmcsShadowing), vmwriteBitmap: TOO_WIDE }],
  [
    'controls.virtualization-exception',
    { ...with2(Secondary.EptViolationException), virtualizationExceptionAddress: 0x40n },
  ],
  ['controls.exit.preemption-timer', { exitControls: set(Exit.SavePreemptionTimer) }],

  ['host.sysenter-eip', { hostSysenterEip: NOT_CANONICAL }],
  ['host.pat', { exitControls: set(Exit.LoadPat), hostPat: 3n }],
  ['host.efer', { exitControls: set(Exit.LoadEfer), hostEfer: 0x501n | 2n }],
  ...(['cs', 'ss', 'ds', 'fs', 'gs', 'tr'] as const).map((name): Case => {
    const field: FieldName = `host${name[0]!.toUpperCase() as 'C'}${name[1]! as 's'}Selector`;
    return [`host.${name}.selector`, { [field]: set(4) }];
  }),
  ['host.gs.base', { hostGsBase: NOT_CANONICAL }],
  ['host.gdtr.base', { hostGdtrBase: NOT_CANONICAL }],
  ['host.tr.base', { hostTrBase: NOT_CANONICAL }],
  ['host.address-space-size', NARROW_HOST],
  ['host.ss.null', { ...NARROW_HOST, hostSsSelector: 0n }, ['host.address-space-size']],
  ['host.pcid', { ...NARROW_HOST, hostCr4: set(CR4_PCIDE) }, ['host.address-space-size']],
  ['host.long-guest', { exitControls: clear(Exit.Host64), hostCr4: clear(CR4_PCIDE) }, ['host.address-space-size']],

  ['guest.cr0.paging', { ...UNRESTRICTED, guestCr0: clear(1) }],
  ['guest.long.paging', { ...UNRESTRICTED, guestCr0: clear(0x8000_0000) }],
  ['guest.debugctl', { entryControls: set(Entry.LoadDebugControls), guestDebugctl: 4n }],
  ['guest.pcid', { entryControls: clear(Entry.Ia32eGuest), guestCr4: set(CR4_PCIDE) }],
  ['guest.sysenter-esp', { guestSysenterEsp: NOT_CANONICAL }],
  ['guest.ldtr.selector', { ...LDTR, guestLdtrSelector: 4n }],
  ['guest.ldtr.base', { ...LDTR, guestLdtrBase: NOT_CANONICAL }],
  ['guest.ldtr.rights.s', { guestLdtrAccessRights: 0x92n }],
  ['guest.ldtr.rights.p', { guestLdtrAccessRights: 2n }],
  ['guest.ldtr.rights.reserved', { guestLdtrAccessRights: 0x182n }],
  ['guest.ldtr.rights.g', { ...LDTR, guestLdtrLimit: 0x10_0000n }],
  ['guest.tr.base', { guestTrBase: NOT_CANONICAL }],
  ['guest.tr.rights.s', { guestTrAccessRights: 0x9bn }],
  ['guest.tr.rights.usable', { guestTrAccessRights: 0x1_008bn }],
  ['guest.tr.rights.p', { guestTrAccessRights: 0xbn }],
  ['guest.tr.rights.reserved', { guestTrAccessRights: 0x18bn }],
  ['guest.tr.rights.g', { guestTrLimit: 0x10_0000n }],
  ['guest.cs.rights.dpl', { guestCsAccessRights: 0xa0fbn }],
  ['guest.ss.rights.dpl', { guestCsAccessRights: 0xa09fn, guestSsAccessRights: 0xc0f3n }],
  ['guest.gdtr.limit', { guestGdtrLimit: 0x1_0000n }],
  ['guest.idtr.base', { guestIdtrBase: NOT_CANONICAL }],
  ['guest.rflags.vm', { ...VIRTUAL_SEGMENTS, guestRflags: 0x2_0002n }],
  ['guest.activity.hlt-ring', { ...RING_3, guestActivity: 1n }],
  ['guest.activity.blocking', { guestActivity: 1n, guestInterruptibility: 2n }],
  ['guest.interruptibility.both', { guestInterruptibility: 3n, guestRflags: 0x202n }],
  [
    'guest.interruptibility.external',
    { guestInterruptibility: 1n, guestRflags: 0x202n, entryInterruptionInformation: 0x8000_0030n },
  ],
  ['guest.interruptibility.nmi', { guestInterruptibility: 2n, entryInterruptionInformation: 0x8000_0202n }],
  ['guest.pdptes', { ...LEGACY, guestPdpte0: 3n }],
];

/** Each violates the named check, and no other but those named beside it. */
export const VIOLATIONS: readonly Case[] = [...single, ...segments, ...more];

/** Guests and features that no check objects to. */
export const GOOD_STATES: readonly Changes[] = [
  {},
  LEGACY,
  VIRTUAL,
  RING_3,
  LDTR,
  SHADOW,
  UNRESTRICTED,
  { ...UNRESTRICTED, ...LEGACY, guestCr0: clear(1 | (1 << 31)) },
  { ...SHADOW, ...with2(Secondary.X2apicMode | Secondary.ApicRegisterVirtualization) },
  { ...SHADOW, ...with2(Secondary.ApicAccesses | Secondary.VirtualInterruptDelivery), apicAccessAddress: 0x104000n },
  { ...POSTED, postedInterruptDescriptorAddress: 0x104000n },
  IPIS,
  {
    ...with2(Secondary.PageModificationLog | Secondary.ModeBasedExecute),
    pmlAddress: 0x106000n,
    eptPointer: set(0x40),
  },
  { ...with2(Secondary.VmFunctions | Secondary.EptViolationException), vmFunctionControls: 1n },
  // A walk of 5 levels.
  { eptPointer: (old) => (old & ~0x38n) | 0x20n },
  { ...with2(Secondary.VmcsShadowing | Secondary.Xsaves | Secondary.DescriptorTableExiting) },
  { guestActivity: 1n },
  { guestRflags: 0x202n, guestInterruptibility: 1n },
  { guestRflags: 0x202n, entryInterruptionInformation: 0x8000_0030n },
  { entryInterruptionInformation: 0x8000_0b0dn, entryExceptionErrorCode: 0x10n },
  { pinBasedControls: set(Pin.PreemptionTimer), exitControls: set(Exit.SavePreemptionTimer), preemptionTimerValue: 3n },
  {
    exitControls: set(Exit.LoadEfer | Exit.SaveEfer | Exit.LoadPat | Exit.SavePat | Exit.SaveDebugControls),
    entryControls: set(Entry.LoadEfer | Entry.LoadPat | Entry.LoadDebugControls),
    hostEfer: 0xd01n,
    guestEfer: 0xd01n,
    hostPat: 0x7_0406_0007_0406n,
    guestPat: 0x7_0406_0007_0406n,
  },
  { entryMsrLoadCount: 2n, entryMsrLoadAddress: 0x105000n, exitMsrStoreCount: 2n, exitMsrStoreAddress: 0x105000n },
];
