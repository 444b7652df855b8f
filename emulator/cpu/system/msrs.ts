/** Model-specific registers: one table with the manual's numbers (SDM 4). Anything not in it does not exist and raises #GP(0). */
import type { CpuContext } from '../context.ts';
import * as L from '../layout.ts';
import { isCanonicalBase } from './memory.ts';
import { readTsc, writeTsc } from './tsc.ts';
import { BITS_64 } from '../control-bits-64.ts';

const { EFER_LME, EFER_LMA, CR0_PG } = BITS_64;

export interface Msr {
  readonly number: number;
  /** As the SDM has it, without IA32_ where the short name is the usual one. */
  readonly name: string;
  /** Address in the state page of a 64-bit value. */
  readonly at?: number;
  /** Instead of `at`: where the value comes from, and where a write goes. */
  readonly read?: (context: CpuContext) => bigint;
  readonly write?: (context: CpuContext, value: bigint) => void;
  /** Bits a write may set; writing 1 elsewhere is #GP(0). Absent: read-only. */
  readonly writable?: bigint;
  /** Writable bits that a write leaves as they are. */
  readonly ignored?: bigint;
  /** Linear address: must be canonical. */
  readonly canonical?: boolean;
  /** A further rule: says what is wrong, or undefined. */
  readonly check?: (context: CpuContext, value: bigint, registers: ModeRegisters) => string | undefined;
  /** It exists only with this feature of CPUID. */
  readonly feature?: string;
  /** Translations depend on it. */
  readonly context?: boolean;
}

/** Registers that decide which values an MSR takes: the processor's own, unless they are about to be others. */
export interface ModeRegisters {
  readonly cr0: bigint;
  readonly efer: bigint;
}

const ALL = 0xffff_ffff_ffff_ffffn;
const LOW32 = 0xffff_ffffn;
const PHYSICAL = 0x000f_ffff_ffff_f000n;
const FEATURE_CONTROL_LOCK = 1n;
/** PMU available, branch trace store and PEBS unavailable. */
const MISC_ENABLE_READ_ONLY = 0x1880n;
const TSC_DEADLINE = 0x6e0;
const X2APIC_FIRST = 0x800;
const X2APIC_LAST = 0x8ff;

const address = (number: number, name: string, at: number): Msr => ({
  number,
  name,
  at,
  writable: ALL,
  canonical: true,
});

export const MSRS: readonly Msr[] = [
  { number: 0x10, name: 'TSC', read: readTsc, write: writeTsc, writable: ALL },
  { number: 0x17, name: 'PLATFORM_ID', read: () => 0n },
  {
    number: 0x1b,
    name: 'APIC_BASE',
    read: ({ mem }) => mem.get64(L.MSR_APIC_BASE),
    write: ({ mem, board }, value) => {
      mem.set64(L.MSR_APIC_BASE, value);
      board?.apicBaseWritten();
    },
    writable: PHYSICAL | 0xd00n,
    check: checkApicBase,
  },
  { number: 0x3a, name: 'FEATURE_CONTROL', at: L.MSR_FEATURE_CONTROL, writable: 7n, check: checkFeatureControl },
  {
    number: 0x3b,
    name: 'TSC_ADJUST',
    feature: 'tsc_adjust',
    read: ({ mem }) => mem.get64(L.MSR_TSC_ADJUST),
    write: ({ mem, board }, value) => {
      mem.set64(L.MSR_TSC_ADJUST, value);
      board?.timeChanged();
    },
    writable: ALL,
  },
  // Microcode revision: software writes 0 before it reads.
  { number: 0x8b, name: 'BIOS_SIGN_ID', read: () => 0n, write: () => {}, writable: ALL },
  { number: 0x174, name: 'SYSENTER_CS', at: L.MSR_SYSENTER_CS, writable: LOW32 },
  // No banks of machine-check registers: no error is ever reported.
  { number: 0x179, name: 'MCG_CAP', read: () => 0n },
  { number: 0x17a, name: 'MCG_STATUS', read: () => 0n, write: () => {}, writable: 0n },
  address(0x175, 'SYSENTER_ESP', L.MSR_SYSENTER_ESP),
  address(0x176, 'SYSENTER_EIP', L.MSR_SYSENTER_EIP),
  {
    number: 0x1a0,
    name: 'MISC_ENABLE',
    at: L.MSR_MISC_ENABLE,
    writable: 0x4_00c5_1889n,
    ignored: MISC_ENABLE_READ_ONLY,
  },
  // Single-stepping on branches (BTF); LBR can be set, but there are no branch records.
  { number: 0x1d9, name: 'DEBUGCTL', at: L.MSR_DEBUGCTL, writable: 3n },
  { number: 0x277, name: 'PAT', at: L.MSR_PAT, writable: 0x0707_0707_0707_0707n, check: checkPat },
  // The energy counters stand still: energy is not modelled. Unit: 61 µJ, 1/8 W, 977 µs.
  { number: 0x606, name: 'RAPL_POWER_UNIT', read: () => 0xa0e03n },
  { number: 0x611, name: 'PKG_ENERGY_STATUS', read: () => 0n },
  { number: 0x802, name: 'X2APIC_APICID', read: ({ cpuIndex }) => BigInt(cpuIndex) },
  {
    number: 0x808,
    name: 'X2APIC_TPR',
    read: ({ mem }) => mem.get64(L.CR8) << 4n,
    write: ({ mem }, value) => mem.set64(L.CR8, value >> 4n),
    writable: 0xf0n,
  },
  { number: 0xda0, name: 'XSS', at: L.MSR_XSS, writable: 0n, feature: 'xsaves' },
  {
    number: 0xc0000080,
    name: 'EFER',
    at: L.MSR_EFER,
    writable: 0xd01n,
    ignored: EFER_LMA,
    check: checkEfer,
    context: true,
  },
  { number: 0xc0000081, name: 'STAR', at: L.MSR_STAR, writable: ALL },
  address(0xc0000082, 'LSTAR', L.MSR_LSTAR),
  address(0xc0000083, 'CSTAR', L.MSR_CSTAR),
  { number: 0xc0000084, name: 'FMASK', at: L.MSR_FMASK, writable: LOW32 },
  address(0xc0000100, 'FS_BASE', L.FS + L.SEG_BASE),
  address(0xc0000101, 'GS_BASE', L.GS + L.SEG_BASE),
  address(0xc0000102, 'KERNEL_GS_BASE', L.MSR_KERNEL_GS_BASE),
  { number: 0xc0000103, name: 'TSC_AUX', at: L.MSR_TSC_AUX, writable: LOW32 },
];

const BY_NUMBER = new Map(MSRS.map((msr) => [msr.number, msr]));

function existing({ model }: CpuContext, number: number): Msr | undefined {
  const msr = BY_NUMBER.get(number);
  return msr?.feature === undefined || model.features.has(msr.feature) ? msr : undefined;
}

/** 480h to 492h, in order (SDM 3D appendix A); vmx/ has the values. */
export const VMX_CAPABILITY_MSRS: readonly { readonly number: number; readonly name: string }[] = [
  'VMX_BASIC',
  'VMX_PINBASED_CTLS',
  'VMX_PROCBASED_CTLS',
  'VMX_EXIT_CTLS',
  'VMX_ENTRY_CTLS',
  'VMX_MISC',
  'VMX_CR0_FIXED0',
  'VMX_CR0_FIXED1',
  'VMX_CR4_FIXED0',
  'VMX_CR4_FIXED1',
  'VMX_VMCS_ENUM',
  'VMX_PROCBASED_CTLS2',
  'VMX_EPT_VPID_CAP',
  'VMX_TRUE_PINBASED_CTLS',
  'VMX_TRUE_PROCBASED_CTLS',
  'VMX_TRUE_EXIT_CTLS',
  'VMX_TRUE_ENTRY_CTLS',
  'VMX_VMFUNC',
  'VMX_PROCBASED_CTLS3',
].map((name, index) => ({ number: 0x480 + index, name }));

const NAMES = new Map([...MSRS, ...VMX_CAPABILITY_MSRS].map(({ number, name }) => [number, name]));

export function msrName(number: number): string | undefined {
  return NAMES.get(number);
}

/** The local APIC's, if there is one. */
function apicOf({ board }: CpuContext, number: number): CpuContext['board'] {
  return number === TSC_DEADLINE || (number >= X2APIC_FIRST && number <= X2APIC_LAST) ? board : undefined;
}

/** Undefined: there is no such MSR. */
export function readMsr(context: CpuContext, number: number): bigint | undefined {
  const apic = apicOf(context, number);
  if (apic) return apic.readMsr(number);
  const msr = existing(context, number);
  if (msr) return msr.read ? msr.read(context) : context.mem.get64(msr.at!);
  return context.vmx.capability(number);
}

/** Why the MSR cannot be written with this value; undefined if it can. */
export function refuseMsr(
  context: CpuContext,
  number: number,
  value: bigint,
  registers: ModeRegisters = context.cpu,
): string | undefined {
  const apic = apicOf(context, number);
  if (apic) return apic.refuseMsr(number, value);
  const msr = existing(context, number);
  if (msr) return refusal(context, msr, value, registers);
  const exists = context.vmx.capability(number) !== undefined;
  return exists ? `${msrName(number)} is read-only` : `there is no MSR ${number.toString(16)}h`;
}

/** Stores it, or says why not. Used by WRMSR, by the MSR-load areas of VM entry and exit, and by the debugger. */
export function writeMsr(context: CpuContext, number: number, value: bigint): string | undefined {
  const { mem, engine } = context;
  const refused = refuseMsr(context, number, value);
  if (refused !== undefined) return refused;
  const apic = apicOf(context, number);
  if (apic) {
    apic.writeMsr(number, value);
    return undefined;
  }
  const msr = BY_NUMBER.get(number)!;
  if (msr.write) {
    msr.write(context, value);
    return undefined;
  }
  const kept = msr.ignored ?? 0n;
  mem.set64(msr.at!, (mem.get64(msr.at!) & kept) | (value & ~kept));
  if (msr.context) engine.contextChanged();
  return undefined;
}

function refusal(context: CpuContext, msr: Msr, value: bigint, registers: ModeRegisters): string | undefined {
  if (msr.writable === undefined) return `${msr.name} is read-only`;
  const reserved = value & ~msr.writable & ALL;
  if (reserved) return `reserved bits ${reserved.toString(16)}h of ${msr.name} would be set`;
  if (msr.canonical && !isCanonicalBase(context, value))
    return `${value.toString(16)}h is not canonical, as ${msr.name} must be`;
  return msr.check?.(context, value, registers);
}

function checkEfer(_context: CpuContext, value: bigint, { cr0, efer }: ModeRegisters): string | undefined {
  const changesLme = (value ^ efer) & EFER_LME;
  return changesLme && cr0 & CR0_PG ? 'EFER.LME cannot change while paging is on' : undefined;
}

function checkPat(_context: CpuContext, value: bigint): string | undefined {
  for (let i = 0n; i < 8n; i++) {
    const type = (value >> (i * 8n)) & 7n;
    if (type === 2n || type === 3n) return `PAT${i} would hold memory type ${type}, which is reserved`;
  }
  return undefined;
}

function checkApicBase(context: CpuContext, value: bigint): string | undefined {
  if (value >> BigInt(context.mem.get32(L.PHYS_BITS))) return 'the APIC base would exceed the physical-address width';
  // SDM 3A 10.12.5: x2APIC needs the APIC on; leaving x2APIC for xAPIC is not allowed.
  if ((value & 0xc00n) === 0x400n) return 'EXTD without EN is invalid';
  const now = context.mem.get64(L.MSR_APIC_BASE) & 0xc00n;
  if (now === 0xc00n && (value & 0xc00n) === 0x800n) return 'x2APIC mode cannot go back to xAPIC mode';
  if (now === 0n && (value & 0xc00n) === 0xc00n) return 'a disabled APIC must go to xAPIC mode first';
  return undefined;
}

function checkFeatureControl(context: CpuContext): string | undefined {
  return context.mem.get64(L.MSR_FEATURE_CONTROL) & FEATURE_CONTROL_LOCK ? 'FEATURE_CONTROL is locked' : undefined;
}
