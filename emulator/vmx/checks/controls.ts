/** Checks of the control fields (SDM 3C 27.2.1). A violation is VM-instruction error 7. */
import * as L from '../../cpu/layout.ts';
import { CR3_TARGETS } from '../capabilities.ts';
import { CAPABILITY_MSR, Exit, Pin, Primary, Secondary, Tertiary, allowedBits, controlBitName } from '../controls.ts';
import { isEptp } from '../eptp.ts';
import { Field, type FieldName } from '../fields.ts';
import { AREA_CHECK } from './msr-load.ts';
import type { CheckRow, CheckState } from './row.ts';
import { CR0_PE } from '../../cpu/control-bits.ts';

const EXECUTION = '27.2.1.1';
const EXITING = '27.2.1.2';
const ENTERING = '27.2.1.3';

/** Bits as the capability MSR allows them. */
function reserved(
  id: string,
  section: string,
  field: FieldName,
  when: (s: CheckState) => boolean = () => true,
): CheckRow {
  const encoding = Field[field];
  const msr = CAPABILITY_MSR[encoding]!;
  const number = `${msr.toString(16).toUpperCase()}h`;
  const wide = field === 'tertiaryControls';
  /** Ones that are missing, ones that may not be. */
  const wrong = (s: CheckState): readonly [bigint, bigint] => {
    const { must, may } = allowedBits(encoding, s.capability(msr));
    const value = s.b(field);
    return [must & ~value, value & ~may];
  };
  return {
    id,
    section,
    wants: `bits as capability MSR ${number} allows: ${wide ? 'its zeroes clear' : 'ones of its low half set, zeroes of its high half clear'}`,
    fields: [field],
    holds: (s) => !when(s) || wrong(s).every((bits) => bits === 0n),
    because: (s) => {
      const [missing, extra] = wrong(s).map((bits) => bitNames(encoding, bits));
      return [
        ...(missing ? [`${missing} must be 1 (${number}, low half)`] : []),
        ...(extra ? [`${extra} must be 0 (${number}${wide ? '' : ', high half'})`] : []),
      ].join('; ');
    },
  };
}

/** '"HLT exiting" (bit 7), bit 8': empty for no bits. */
function bitNames(encoding: number, bits: bigint): string {
  const names: string[] = [];
  for (let bit = 0; bit < 64; bit++) {
    if (!((bits >> BigInt(bit)) & 1n)) continue;
    const name = controlBitName(encoding, bit);
    names.push(name ? `"${name}" (bit ${bit})` : `bit ${bit}`);
  }
  return names.join(', ');
}

/** A physical address that matters only under a control. */
function address(
  id: string,
  field: FieldName,
  bytes: number,
  when: (s: CheckState) => boolean,
  under: string,
): CheckRow {
  return {
    id,
    section: EXECUTION,
    wants: `a multiple of ${bytes} within the physical-address width, because ${under}`,
    fields: [field],
    holds: (s) => !when(s) || s.aligned(field, bytes),
  };
}

/** An MSR area, address and count. */
function area(id: string, section: string, where: FieldName, count: FieldName): CheckRow {
  return {
    id,
    section,
    wants: 'an MSR area that is a multiple of 16 and lies within the physical-address width, if its count is not 0',
    fields: [where, count],
    holds: (s) => {
      const entries = BigInt(s.n(count));
      return entries === 0n || (s.aligned(where, 16) && s.inWidth(s.b(where) + entries * 16n - 1n));
    },
  };
}

const bitmaps = (s: CheckState): boolean => s.primary(Primary.IoBitmaps);
const shadow = (s: CheckState): boolean => s.primary(Primary.TprShadow);
const virtualInterrupts = (s: CheckState): boolean => s.secondary(Secondary.VirtualInterruptDelivery);
const ipis = (s: CheckState): boolean => s.tertiary(Tertiary.IpiVirtualization);
const posted = (s: CheckState): boolean => s.pin(Pin.ProcessPostedInterrupts);

/** Controls that need EPT, each an id and its name. */
const ON_EPT: readonly (readonly [id: string, bit: number, name: string])[] = [
  ['pml', Secondary.PageModificationLog, 'enable PML'],
  ['unrestricted-guest', Secondary.UnrestrictedGuest, 'unrestricted guest'],
  ['mode-based-execute', Secondary.ModeBasedExecute, 'mode-based execute control for EPT'],
  ['sub-pages', Secondary.SubPageWritePermissions, 'sub-page write permissions for EPT'],
];
const under =
  (bit: number) =>
  (s: CheckState): boolean =>
    s.secondary(bit);
const switchesEptp = (s: CheckState): boolean =>
  s.secondary(Secondary.VmFunctions) && (s.n('vmFunctionControls') & EPTP_SWITCHING) !== 0;
const EPTP_SWITCHING = 1;

const VTPR = 0x80;
const WITH_SHADOW = Secondary.X2apicMode | Secondary.ApicRegisterVirtualization | Secondary.VirtualInterruptDelivery;
const POINTER_BYTES = 8n;

const execution: readonly CheckRow[] = [
  reserved('controls.pin.reserved', EXECUTION, 'pinBasedControls'),
  reserved('controls.primary.reserved', EXECUTION, 'primaryControls'),
  reserved('controls.secondary.reserved', EXECUTION, 'secondaryControls', (s) => s.primary(Primary.SecondaryControls)),
  reserved('controls.tertiary.reserved', EXECUTION, 'tertiaryControls', (s) => s.primary(Primary.TertiaryControls)),
  {
    id: 'controls.cr3-targets',
    section: EXECUTION,
    wants: `at most ${CR3_TARGETS}`,
    fields: ['cr3TargetCount'],
    holds: (s) => s.n('cr3TargetCount') <= CR3_TARGETS,
  },
  address('controls.io-bitmap-a', 'ioBitmapA', 4096, bitmaps, '"use I/O bitmaps" is 1'),
  address('controls.io-bitmap-b', 'ioBitmapB', 4096, bitmaps, '"use I/O bitmaps" is 1'),
  address('controls.msr-bitmaps', 'msrBitmaps', 4096, (s) => s.primary(Primary.MsrBitmaps), '"use MSR bitmaps" is 1'),
  address('controls.virtual-apic', 'virtualApicAddress', 4096, shadow, '"use TPR shadow" is 1'),
  {
    id: 'controls.tpr-threshold.reserved',
    section: EXECUTION,
    wants: 'bits 31:4 clear, with TPR shadow and without virtual-interrupt delivery',
    fields: ['tprThreshold'],
    holds: (s) => !shadow(s) || virtualInterrupts(s) || s.n('tprThreshold') >>> 4 === 0,
  },
  {
    id: 'controls.tpr-threshold.vtpr',
    section: EXECUTION,
    wants:
      'not above bits 7:4 of VTPR in the virtual-APIC page, with TPR shadow, without virtual APIC accesses and virtual-interrupt delivery',
    fields: ['tprThreshold', 'virtualApicAddress'],
    memory: true,
    holds: (s) => {
      if (!shadow(s) || virtualInterrupts(s) || s.secondary(Secondary.ApicAccesses)) return true;
      const page = s.n('virtualApicAddress');
      return (
        !s.context.physical.has(page, 4096) ||
        (s.n('tprThreshold') & 15) <= ((s.context.mem.bytes[L.RAM_BASE + page + VTPR]! >> 4) & 15)
      );
    },
  },
  {
    id: 'controls.virtual-nmis',
    section: EXECUTION,
    wants: '"virtual NMIs" clear unless "NMI exiting" is set',
    fields: ['pinBasedControls'],
    holds: (s) => s.pin(Pin.NmiExiting) || !s.pin(Pin.VirtualNmis),
  },
  {
    id: 'controls.nmi-window',
    section: EXECUTION,
    wants: '"NMI-window exiting" clear unless "virtual NMIs" is set',
    fields: ['pinBasedControls', 'primaryControls'],
    holds: (s) => s.pin(Pin.VirtualNmis) || !s.primary(Primary.NmiWindowExiting),
  },
  address(
    'controls.apic-access',
    'apicAccessAddress',
    4096,
    under(Secondary.ApicAccesses),
    '"virtualize APIC accesses" is 1',
  ),
  {
    id: 'controls.apic-without-shadow',
    section: EXECUTION,
    wants:
      '"virtualize x2APIC mode", "APIC-register virtualization", "virtual-interrupt delivery" and "IPI virtualization" clear unless "use TPR shadow" is set',
    fields: ['primaryControls', 'secondaryControls', 'tertiaryControls'],
    holds: (s) => shadow(s) || !(s.secondary(WITH_SHADOW) || ipis(s)),
  },
  {
    id: 'controls.x2apic-and-accesses',
    section: EXECUTION,
    wants: '"virtualize APIC accesses" clear when "virtualize x2APIC mode" is set',
    fields: ['secondaryControls'],
    holds: (s) => !s.secondary(Secondary.X2apicMode) || !s.secondary(Secondary.ApicAccesses),
  },
  {
    id: 'controls.virtual-interrupts',
    section: EXECUTION,
    wants: '"external-interrupt exiting" set when "virtual-interrupt delivery" is',
    fields: ['pinBasedControls', 'secondaryControls'],
    holds: (s) => !virtualInterrupts(s) || s.pin(Pin.ExternalInterruptExiting),
  },
  {
    id: 'controls.posted.delivery',
    section: EXECUTION,
    wants: '"virtual-interrupt delivery" and "acknowledge interrupt on exit" set when "process posted interrupts" is',
    fields: ['pinBasedControls', 'secondaryControls', 'exitControls'],
    holds: (s) => !posted(s) || (virtualInterrupts(s) && s.exit(Exit.AcknowledgeInterrupt)),
  },
  {
    id: 'controls.posted.vector',
    section: EXECUTION,
    wants: 'a notification vector of 0 to 255',
    fields: ['postedInterruptNotificationVector'],
    holds: (s) => !posted(s) || s.n('postedInterruptNotificationVector') < 256,
  },
  address(
    'controls.posted.descriptor',
    'postedInterruptDescriptorAddress',
    64,
    posted,
    '"process posted interrupts" is 1',
  ),
  {
    id: 'controls.ipi.table',
    section: EXECUTION,
    wants:
      'a multiple of 8 within the physical-address width, as must be the last entry of the table, because "IPI virtualization" is 1',
    fields: ['pidPointerTableAddress', 'lastPidPointerIndex', 'tertiaryControls'],
    holds: (s) =>
      !ipis(s) ||
      (s.aligned('pidPointerTableAddress', Number(POINTER_BYTES)) &&
        s.inWidth(s.b('pidPointerTableAddress') + s.b('lastPidPointerIndex') * POINTER_BYTES)),
  },
  {
    id: 'controls.vpid',
    section: EXECUTION,
    wants: 'not 0, because "enable VPID" is 1',
    fields: ['vpid'],
    holds: (s) => !s.secondary(Secondary.Vpid) || s.n('vpid') !== 0,
  },
  {
    id: 'controls.eptp',
    section: EXECUTION,
    wants:
      'memory type UC or WB, a walk of 4 levels (or 5 if capability MSR 48Ch says so), bits 11:7 clear, the address within the physical-address width',
    fields: ['eptPointer'],
    holds: (s) => !s.secondary(Secondary.Ept) || isEptp(s.context, s.b('eptPointer')),
  },
  ...ON_EPT.map(([id, bit, name]): CheckRow => ({
    id: `controls.${id}.ept`,
    section: EXECUTION,
    wants: `"enable EPT" set when "${name}" is`,
    fields: ['secondaryControls'],
    holds: (s) => !s.secondary(bit) || s.secondary(Secondary.Ept),
  })),
  address('controls.pml.address', 'pmlAddress', 4096, under(Secondary.PageModificationLog), '"enable PML" is 1'),
  address(
    'controls.sub-pages.table',
    'sppTablePointer',
    4096,
    under(Secondary.SubPageWritePermissions),
    '"sub-page write permissions for EPT" is 1',
  ),
  {
    id: 'controls.functions.reserved',
    section: EXECUTION,
    wants: 'only functions that capability MSR 491h names, because "enable VM functions" is 1',
    fields: ['vmFunctionControls', 'secondaryControls'],
    holds: (s) => !s.secondary(Secondary.VmFunctions) || (s.b('vmFunctionControls') & ~s.capability(0x491)) === 0n,
  },
  {
    id: 'controls.functions.ept',
    section: EXECUTION,
    wants: '"enable EPT" set when EPTP switching is enabled',
    fields: ['vmFunctionControls', 'secondaryControls'],
    holds: (s) => !switchesEptp(s) || s.secondary(Secondary.Ept),
  },
  address('controls.functions.list', 'eptpListAddress', 4096, switchesEptp, 'EPTP switching is enabled'),
  address('controls.vmread-bitmap', 'vmreadBitmap', 4096, under(Secondary.VmcsShadowing), '"VMCS shadowing" is 1'),
  address('controls.vmwrite-bitmap', 'vmwriteBitmap', 4096, under(Secondary.VmcsShadowing), '"VMCS shadowing" is 1'),
  address(
    'controls.virtualization-exception',
    'virtualizationExceptionAddress',
    4096,
    under(Secondary.EptViolationException),
    '"EPT-violation #VE" is 1',
  ),
];

const exiting: readonly CheckRow[] = [
  reserved('controls.exit.reserved', EXITING, 'exitControls'),
  {
    id: 'controls.exit.preemption-timer',
    section: EXITING,
    wants: '"save VMX-preemption timer value" clear unless "activate VMX-preemption timer" is set',
    fields: ['exitControls', 'pinBasedControls'],
    holds: (s) => s.pin(Pin.PreemptionTimer) || !s.exit(Exit.SavePreemptionTimer),
  },
  area('controls.exit.msr-store', EXITING, 'exitMsrStoreAddress', 'exitMsrStoreCount'),
  area('controls.exit.msr-load', EXITING, 'exitMsrLoadAddress', 'exitMsrLoadCount'),
];

const injecting = (s: CheckState): boolean => s.n('entryInterruptionInformation') >>> 31 === 1;
const injectedType = (s: CheckState): number => (s.n('entryInterruptionInformation') >> 8) & 7;
const injectedVector = (s: CheckState): number => s.n('entryInterruptionInformation') & 0xff;
const delivers = (s: CheckState): boolean => (s.n('entryInterruptionInformation') & 0x800) !== 0;
/** #DF #TS #NP #SS #GP #PF #AC; #CP does not exist here. */
const WITH_ERROR_CODE = new Set([8, 10, 11, 12, 13, 14, 17]);
const OTHER_EVENT = 7;
const isRealModeGuest = (s: CheckState): boolean =>
  s.secondary(Secondary.UnrestrictedGuest) && (s.n('guestCr0') & CR0_PE) === 0;
const HARDWARE_EXCEPTION = 3;
const SOFTWARE = new Set([4, 5, 6]);

const entering: readonly CheckRow[] = [
  reserved('controls.entry.reserved', ENTERING, 'entryControls'),
  {
    id: 'controls.injection.type',
    section: ENTERING,
    wants: 'an interruption type other than 1, and 7 only where there is a monitor trap flag',
    fields: ['entryInterruptionInformation'],
    holds: (s) => {
      if (!injecting(s) || injectedType(s) !== OTHER_EVENT) return !injecting(s) || injectedType(s) !== 1;
      return ((s.capability(0x48e) >> 32n) & BigInt(Primary.MonitorTrapFlag)) !== 0n;
    },
  },
  {
    id: 'controls.injection.vector',
    section: ENTERING,
    wants: 'vector 2 for an NMI, at most 31 for a hardware exception, 0 for another event',
    fields: ['entryInterruptionInformation'],
    holds: (s) => {
      if (!injecting(s)) return true;
      if (injectedType(s) === 2) return injectedVector(s) === 2;
      if (injectedType(s) === OTHER_EVENT) return injectedVector(s) === 0;
      return injectedType(s) !== HARDWARE_EXCEPTION || injectedVector(s) <= 31;
    },
  },
  {
    id: 'controls.injection.error-code',
    section: ENTERING,
    wants: 'an error code for exactly the hardware exceptions that have one, and for none in real mode',
    fields: ['entryInterruptionInformation', 'guestCr0'],
    holds: (s) =>
      !injecting(s) ||
      delivers(s) ===
        (injectedType(s) === HARDWARE_EXCEPTION && WITH_ERROR_CODE.has(injectedVector(s)) && !isRealModeGuest(s)),
  },
  {
    id: 'controls.injection.reserved',
    section: ENTERING,
    wants: 'bits 30:12 clear',
    fields: ['entryInterruptionInformation'],
    holds: (s) => !injecting(s) || (s.n('entryInterruptionInformation') & 0x7fff_f000) === 0,
  },
  {
    id: 'controls.injection.error-code-bits',
    section: ENTERING,
    wants: 'bits 31:16 of the error code clear',
    fields: ['entryInterruptionInformation', 'entryExceptionErrorCode'],
    holds: (s) => !injecting(s) || !delivers(s) || s.n('entryExceptionErrorCode') >>> 16 === 0,
  },
  {
    id: 'controls.injection.length',
    section: ENTERING,
    wants: 'an instruction length of 0 to 15 for software interrupts and exceptions',
    fields: ['entryInterruptionInformation', 'entryInstructionLength'],
    holds: (s) => !injecting(s) || !SOFTWARE.has(injectedType(s)) || s.n('entryInstructionLength') <= 15,
  },
  area(AREA_CHECK, ENTERING, 'entryMsrLoadAddress', 'entryMsrLoadCount'),
];

export const controlChecks: readonly CheckRow[] = [...execution, ...exiting, ...entering];
