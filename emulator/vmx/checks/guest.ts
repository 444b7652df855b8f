/** Checks of the guest-state area (SDM 3C 27.3.1). A violation is a VM exit with reason 33 and bit 31. */
import { Activity, Blocking } from '../../cpu/activity.ts';
import { Flag } from '../../cpu/system/rflags.ts';
import { isPdpte, readPdptes } from '../../cpu/system/pdptes.ts';
import { Entry, Pin, Secondary } from '../controls.ts';
import type { FieldName } from '../fields.ts';
import { SHADOW_INDICATOR, VMCS_REVISION } from '../capabilities.ts';
import { segmentChecks } from './segments.ts';
import { type CheckRow, type CheckState, canonical, fixedBits, isEfer, isPat } from './row.ts';
import { CR0_PE, CR0_PG, CR4_PAE, CR4_PCIDE } from '../../cpu/control-bits.ts';

const PDPTES = ['guestPdpte0', 'guestPdpte1', 'guestPdpte2', 'guestPdpte3'] as const;
const REGISTERS = '27.3.1.1';
const TABLES = '27.3.1.3';
const RIP = '27.3.1.4';
const NON_REGISTER = '27.3.1.5';

const CR0_PE_PG = 0x8000_0001n;
const DEBUGCTL_BITS = 0xdfc3n;
const DEBUGCTL_BTF = 2;

const { STI, MOV_SS, SMI, NMI } = Blocking;
const Injected = { External: 0, Nmi: 2 } as const;

const long = (s: CheckState): boolean => s.entry(Entry.Ia32eGuest);
const injects = (s: CheckState, type: number): boolean => {
  const information = s.n('entryInterruptionInformation');
  return information >>> 31 === 1 && ((information >> 8) & 7) === type;
};
const blocked = (s: CheckState, bits: number): boolean => (s.n('guestInterruptibility') & bits) !== 0;

function limit(id: string, field: FieldName): CheckRow {
  return { id, section: TABLES, wants: 'bits 31:16 clear', fields: [field], holds: (s) => s.n(field) >>> 16 === 0 };
}

const registers: readonly CheckRow[] = [
  {
    id: 'guest.cr0',
    section: REGISTERS,
    wants: 'the bits that VMX operation holds fixed; PE and PG are free for an unrestricted guest',
    fields: ['guestCr0', 'secondaryControls'],
    holds: (s) => {
      const free = s.secondary(Secondary.UnrestrictedGuest) ? CR0_PE_PG : 0n;
      return (s.capability(0x486) & ~free & ~s.b('guestCr0')) === 0n && (s.b('guestCr0') & ~s.capability(0x487)) === 0n;
    },
  },
  {
    id: 'guest.cr0.paging',
    section: REGISTERS,
    wants: 'PE set when PG is',
    fields: ['guestCr0'],
    holds: (s) => (s.n('guestCr0') & CR0_PG) === 0 || (s.n('guestCr0') & CR0_PE) !== 0,
  },
  fixedBits('guest.cr4', REGISTERS, 'guestCr4', 0x488, 0x489),
  {
    id: 'guest.debugctl',
    section: REGISTERS,
    wants: 'reserved bits clear',
    fields: ['guestDebugctl', 'entryControls'],
    holds: (s) => !s.entry(Entry.LoadDebugControls) || (s.b('guestDebugctl') & ~DEBUGCTL_BITS) === 0n,
  },
  {
    id: 'guest.long.paging',
    section: REGISTERS,
    wants: 'CR0.PG and CR4.PAE set for an IA-32e mode guest',
    fields: ['guestCr0', 'guestCr4', 'entryControls'],
    holds: (s) => !long(s) || ((s.n('guestCr0') & CR0_PG) !== 0 && (s.n('guestCr4') & CR4_PAE) !== 0),
  },
  {
    id: 'guest.pcid',
    section: REGISTERS,
    wants: 'CR4.PCIDE clear outside IA-32e mode',
    fields: ['guestCr4', 'entryControls'],
    holds: (s) => long(s) || (s.n('guestCr4') & CR4_PCIDE) === 0,
  },
  {
    id: 'guest.cr3',
    section: REGISTERS,
    wants: 'no bits above the physical-address width',
    fields: ['guestCr3'],
    holds: (s) => s.inWidth(s.b('guestCr3')),
  },
  {
    id: 'guest.dr7',
    section: REGISTERS,
    wants: 'bits 63:32 clear',
    fields: ['guestDr7', 'entryControls'],
    holds: (s) => !s.entry(Entry.LoadDebugControls) || s.b('guestDr7') >> 32n === 0n,
  },
  canonical('guest.sysenter-esp', REGISTERS, 'guestSysenterEsp'),
  canonical('guest.sysenter-eip', REGISTERS, 'guestSysenterEip'),
  {
    id: 'guest.pat',
    section: REGISTERS,
    wants: 'memory types 0, 1, 4, 5, 6 or 7 in every byte',
    fields: ['guestPat', 'entryControls'],
    holds: (s) => !s.entry(Entry.LoadPat) || isPat(s.b('guestPat')),
  },
  {
    id: 'guest.efer',
    section: REGISTERS,
    wants: 'reserved bits clear, LMA equal to "IA-32e mode guest", and LME too with paging',
    fields: ['guestEfer', 'guestCr0', 'entryControls'],
    holds: (s) => !s.entry(Entry.LoadEfer) || isEfer(s.b('guestEfer'), long(s), (s.n('guestCr0') & CR0_PG) !== 0),
  },
];

const tables: readonly CheckRow[] = [
  canonical('guest.gdtr.base', TABLES, 'guestGdtrBase'),
  canonical('guest.idtr.base', TABLES, 'guestIdtrBase'),
  limit('guest.gdtr.limit', 'guestGdtrLimit'),
  limit('guest.idtr.limit', 'guestIdtrLimit'),
];

const CS_L = 0x2000;

const flow: readonly CheckRow[] = [
  {
    id: 'guest.rip',
    section: RIP,
    wants: 'no bits above the linear-address width in 64-bit code (but copies of the top one), below 4 GB elsewhere',
    fields: ['guestRip', 'guestCsAccessRights', 'entryControls'],
    holds: (s) => (long(s) && s.n('guestCsAccessRights') & CS_L ? s.reachable('guestRip') : s.high('guestRip') === 0),
  },
  {
    id: 'guest.rflags.reserved',
    section: RIP,
    wants: 'bits 63:22, 15, 5 and 3 clear, bit 1 set',
    fields: ['guestRflags'],
    holds: (s) => (s.b('guestRflags') & ~0x3f_7fd7n) === 0n && (s.n('guestRflags') & 2) !== 0,
  },
  {
    id: 'guest.rflags.vm',
    section: RIP,
    wants: 'VM clear in IA-32e mode and in real mode',
    fields: ['guestRflags', 'guestCr0', 'entryControls'],
    holds: (s) => (!long(s) && (s.n('guestCr0') & CR0_PE) !== 0) || (s.n('guestRflags') & Flag.VM) === 0,
  },
  {
    id: 'guest.rflags.if',
    section: RIP,
    wants: 'IF set when an external interrupt is injected',
    fields: ['guestRflags', 'entryInterruptionInformation'],
    holds: (s) => !injects(s, Injected.External) || (s.n('guestRflags') & Flag.IF) !== 0,
  },
];

/** Which events may be injected in an activity state (SDM 3C 27.3.1.5). */
function injectable(s: CheckState): boolean {
  const information = s.n('entryInterruptionInformation');
  if (information >>> 31 === 0) return true;
  const type = (information >> 8) & 7;
  const vector = information & 0xff;
  switch (s.n('guestActivity')) {
    case Activity.Active:
      return true;
    case Activity.Halt:
      return type === Injected.External || type === Injected.Nmi || (type === 3 && (vector === 1 || vector === 18));
    case Activity.Shutdown:
      return (type === Injected.Nmi && vector === 2) || (type === 3 && vector === 18);
    default:
      return false;
  }
}

const nonRegister: readonly CheckRow[] = [
  {
    id: 'guest.activity.state',
    section: NON_REGISTER,
    wants: 'active, HLT, shutdown or wait-for-SIPI (0 to 3)',
    fields: ['guestActivity'],
    holds: (s) => s.n('guestActivity') <= Activity.WaitForSipi,
  },
  {
    id: 'guest.activity.hlt-ring',
    section: NON_REGISTER,
    wants: 'not HLT unless the DPL of SS is 0',
    fields: ['guestActivity', 'guestSsAccessRights'],
    holds: (s) => s.n('guestActivity') !== Activity.Halt || ((s.n('guestSsAccessRights') >> 5) & 3) === 0,
  },
  {
    id: 'guest.activity.blocking',
    section: NON_REGISTER,
    wants: 'active while blocking by STI or MOV SS is in effect',
    fields: ['guestActivity', 'guestInterruptibility'],
    holds: (s) => s.n('guestActivity') === Activity.Active || !blocked(s, STI | MOV_SS),
  },
  {
    id: 'guest.activity.injection',
    section: NON_REGISTER,
    wants: 'an activity state in which the event to inject can be delivered',
    fields: ['guestActivity', 'entryInterruptionInformation'],
    holds: injectable,
  },
  {
    id: 'guest.interruptibility.reserved',
    section: NON_REGISTER,
    wants: 'bits 31:4 clear',
    fields: ['guestInterruptibility'],
    holds: (s) => s.n('guestInterruptibility') >>> 4 === 0,
  },
  {
    id: 'guest.interruptibility.both',
    section: NON_REGISTER,
    wants: 'not both blocking by STI and by MOV SS',
    fields: ['guestInterruptibility'],
    holds: (s) => !blocked(s, STI) || !blocked(s, MOV_SS),
  },
  {
    id: 'guest.interruptibility.sti',
    section: NON_REGISTER,
    wants: 'no blocking by STI while RFLAGS.IF is 0',
    fields: ['guestInterruptibility', 'guestRflags'],
    holds: (s) => !blocked(s, STI) || (s.n('guestRflags') & Flag.IF) !== 0,
  },
  {
    id: 'guest.interruptibility.external',
    section: NON_REGISTER,
    wants: 'no blocking by STI or MOV SS when an external interrupt is injected',
    fields: ['guestInterruptibility', 'entryInterruptionInformation'],
    holds: (s) => !injects(s, Injected.External) || !blocked(s, STI | MOV_SS),
  },
  {
    id: 'guest.interruptibility.nmi',
    section: NON_REGISTER,
    wants: 'no blocking by MOV SS when an NMI is injected',
    fields: ['guestInterruptibility', 'entryInterruptionInformation'],
    holds: (s) => !injects(s, Injected.Nmi) || !blocked(s, MOV_SS),
    qualification: 3,
  },
  {
    id: 'guest.interruptibility.smi',
    section: NON_REGISTER,
    wants: 'no blocking by SMI outside system-management mode',
    fields: ['guestInterruptibility'],
    holds: (s) => !blocked(s, SMI),
  },
  {
    id: 'guest.interruptibility.virtual-nmi',
    section: NON_REGISTER,
    wants: 'no blocking by NMI when an NMI is injected and "virtual NMIs" is set',
    fields: ['guestInterruptibility', 'entryInterruptionInformation', 'pinBasedControls'],
    holds: (s) => !s.pin(Pin.VirtualNmis) || !injects(s, Injected.Nmi) || !blocked(s, NMI),
  },
  {
    id: 'guest.pending-debug.reserved',
    section: NON_REGISTER,
    wants: 'only bits 3:0, 12 and 14 set',
    fields: ['guestPendingDebugExceptions'],
    holds: (s) => (s.b('guestPendingDebugExceptions') & ~0x500fn) === 0n,
  },
  {
    id: 'guest.pending-debug.step',
    section: NON_REGISTER,
    wants: 'BS set exactly with RFLAGS.TF set and DEBUGCTL.BTF clear, while blocked by STI or MOV SS, or halted',
    fields: ['guestPendingDebugExceptions', 'guestInterruptibility', 'guestActivity', 'guestRflags', 'guestDebugctl'],
    holds: (s) => {
      if (!blocked(s, STI | MOV_SS) && s.n('guestActivity') !== Activity.Halt) return true;
      const steps = (s.n('guestRflags') & Flag.TF) !== 0 && (s.n('guestDebugctl') & DEBUGCTL_BTF) === 0;
      return ((s.n('guestPendingDebugExceptions') & 0x4000) !== 0) === steps;
    },
  },
  {
    id: 'guest.link-pointer',
    section: NON_REGISTER,
    wants:
      'all ones, or the address of another VMCS with the right revision identifier, a shadow VMCS exactly with "VMCS shadowing"',
    fields: ['vmcsLinkPointer', 'secondaryControls'],
    memory: true,
    qualification: 4,
    holds: (s) => {
      if (s.n('vmcsLinkPointer') === 0xffff_ffff && s.high('vmcsLinkPointer') === 0xffff_ffff) return true;
      if (!s.aligned('vmcsLinkPointer', 4096)) return false;
      const page = Number(s.b('vmcsLinkPointer'));
      const revision = VMCS_REVISION + (s.secondary(Secondary.VmcsShadowing) ? SHADOW_INDICATOR : 0);
      if (page === s.vmcs.pointer) return false;
      return s.context.physical.has(page, 4096) && s.context.physical.read32(page) === revision;
    },
  },
];

const pdptes: readonly CheckRow[] = [
  {
    id: 'guest.pdptes',
    section: '27.3.1.6',
    wants:
      'no reserved bits in the PDPTEs of a guest with PAE paging: those of the VMCS with EPT, else those CR3 names',
    fields: ['guestCr0', 'guestCr3', 'guestCr4', 'entryControls', ...PDPTES],
    memory: true,
    qualification: 2,
    holds: (s) => {
      const pae = !long(s) && (s.n('guestCr0') & CR0_PG) !== 0 && (s.n('guestCr4') & CR4_PAE) !== 0;
      if (!pae) return true;
      if (!s.secondary(Secondary.Ept)) return readPdptes(s.context, s.b('guestCr3')) === undefined;
      return PDPTES.every((field) => isPdpte(s.b(field), s.physBits));
    },
  },
];

export const guestChecks: readonly CheckRow[] = [
  ...registers,
  ...segmentChecks,
  ...tables,
  ...flow,
  ...nonRegister,
  ...pdptes,
];
