/** Control and debug registers, MSRs, and the mode the CPU is in. */
import type { CpuContext } from '../cpu/context.ts';
import * as L from '../cpu/layout.ts';
import { refuseCr0, refuseCr3, refuseCr4, setCr0, setCr3, setCr4 } from '../cpu/system/control-registers.ts';
import { debugRegisterValue } from '../cpu/system/debug-registers.ts';
import { MSRS, VMX_CAPABILITY_MSRS, readMsr, writeMsr } from '../cpu/system/msrs.ts';
import { guestTsc } from '../cpu/system/tsc.ts';
import { refuseXcr0 } from '../cpu/xstate.ts';
import { BITS, bitsInWords } from '../describe/bits.ts';
import type { BitField } from '../describe/bits.ts';
import { decoded, hex, stored } from './register-row.ts';
import type { RegisterRow } from './register-row.ts';
import { BITS_64 } from '../cpu/control-bits-64.ts';

const { CR4_PCIDE } = BITS_64;

const NO_VMCS = 0xffff_ffff_ffff_ffffn;

type Refuse = (context: CpuContext, value: bigint) => string | undefined;

function control(
  name: string,
  at: number,
  fields: readonly BitField[],
  refuse: Refuse,
  set: (context: CpuContext, value: bigint) => void,
): RegisterRow {
  return stored(name, 'control', 64, at, {
    ...decoded(fields),
    write: (context, value) => {
      const refused = refuse(context, value);
      if (refused) throw new Error(`${name} cannot be ${hex(value)}: ${refused}.`);
      set(context, value);
    },
  });
}

const controlRows: readonly RegisterRow[] = [
  control('cr0', L.CR0, BITS.cr0, refuseCr0, setCr0),
  stored('cr2', 'control', 64, L.CR2, { text: () => 'linear address of the last page fault' }),
  control('cr3', L.CR3, BITS.cr3, refuseCr3, setCr3),
  control('cr4', L.CR4, BITS.cr4, refuseCr4, setCr4),
  stored('cr8', 'control', 64, L.CR8, {
    ...decoded(BITS.cr8),
    write: ({ mem }, value) => {
      if (value > 15n) throw new Error(`cr8 cannot be ${hex(value)}: only bits 3 to 0 exist.`);
      mem.set64(L.CR8, value);
    },
  }),
];

const xcr0: RegisterRow = {
  ...control(
    'xcr0',
    L.XCR0,
    BITS.xcr0,
    ({ model }, value) => refuseXcr0(model, value),
    ({ mem, engine }, value) => {
      mem.set64(L.XCR0, value);
      engine.contextChanged();
    },
  ),
  feature: 'xsave',
};

function debug(name: string, at: number, fields?: readonly BitField[]): RegisterRow {
  return stored(name, 'debug', 64, at, {
    ...(fields ? decoded(fields) : {}),
    write: ({ mem }, value) => mem.set64(at, debugRegisterValue(at, value)),
  });
}

const debugRows: readonly RegisterRow[] = [
  ...[0, 1, 2, 3].map((n) => debug(`dr${n}`, L.DR0 + n * 8)),
  debug('dr6', L.DR6, BITS.dr6),
  debug('dr7', L.DR7, BITS.dr7),
];

const MSR_BITS: Readonly<Record<string, readonly BitField[]>> = {
  EFER: BITS.efer,
  STAR: BITS.star,
  APIC_BASE: BITS.apicBase,
  FEATURE_CONTROL: BITS.featureControl,
  PAT: BITS.pat,
};
/** Shown among the segments. */
const ELSEWHERE = new Set(['FS_BASE', 'GS_BASE']);

function msr(number: number, name: string, writable: boolean, feature?: string): RegisterRow {
  const fields = MSR_BITS[name];
  const row: RegisterRow = {
    name: name.toLowerCase(),
    group: 'msr',
    bits: 64,
    read: (context) => readMsr(context, number) ?? 0n,
    ...(feature === undefined ? {} : { feature }),
    ...(fields ? decoded(fields) : {}),
    text: (value) => `MSR ${number.toString(16)}h${fields ? ` ${bitsInWords(fields, value)}` : ''}`,
  };
  if (!writable) return row;
  return {
    ...row,
    write: (context, value) => {
      const refused = writeMsr(context, number, value);
      if (refused) throw new Error(`${row.name} cannot be ${hex(value)}: ${refused}.`);
    },
  };
}

const msrRows: readonly RegisterRow[] = [
  ...MSRS.filter(({ name }) => !ELSEWHERE.has(name)).map(({ number, name, writable, feature }) =>
    msr(number, name, writable !== undefined, feature),
  ),
  ...VMX_CAPABILITY_MSRS.map(({ number, name }) => msr(number, name, false)),
];

function mode(
  name: string,
  bits: number,
  read: (context: CpuContext) => bigint,
  text?: (value: bigint, context: CpuContext) => string,
): RegisterRow {
  return { name, group: 'mode', bits, read, ...(text ? { text } : {}) };
}

const CODE_MODES = ['16-bit', '32-bit', '64-bit'];
const ACTIVITIES = ['active', 'HLT', 'shutdown', 'wait for SIPI'];

const modeRows: readonly RegisterRow[] = [
  mode(
    'operation',
    1,
    ({ mem }) => BigInt(mem.get32(L.NON_ROOT)),
    (value, { mem }) => {
      if (value) return 'VMX non-root';
      return mem.get32(L.VMX_ON) ? 'VMX root' : 'VMX is off';
    },
  ),
  mode(
    'cpl',
    2,
    ({ cpu }) => BigInt(cpu.cpl),
    (value) => `ring ${value}`,
  ),
  mode(
    'code_mode',
    2,
    ({ mem }) => BigInt(mem.get32(L.CODE_MODE)),
    (value) => CODE_MODES[Number(value)] ?? '',
  ),
  mode(
    'activity',
    2,
    ({ mem }) => BigInt(mem.get32(L.ACTIVITY)),
    (value) => ACTIVITIES[Number(value)] ?? '',
  ),
  mode(
    'interruptibility',
    4,
    ({ mem }) => BigInt(mem.get32(L.INTERRUPTIBILITY)),
    (value) => bitsInWords(BITS.interruptibility, value),
  ),
  mode('pcid', 12, ({ cpu }) => (cpu.cr4 & CR4_PCIDE ? cpu.cr3 & 0xfffn : 0n)),
  mode('vpid', 16, ({ mem }) => BigInt(mem.get32(L.VPID))),
  mode(
    'eptp',
    64,
    ({ mem }) => mem.get64(L.EPTP),
    (value) => (value ? `root at hpa:${hex(value & ~0xfffn)}` : 'EPT is off'),
  ),
  mode(
    'vmcs',
    64,
    ({ mem }) => mem.get64(L.VMCS_POINTER),
    (value) => (value === NO_VMCS ? 'none is current' : `at hpa:${hex(value)}`),
  ),
  mode('guest_tsc', 64, guestTsc),
  mode(
    'retired',
    64,
    ({ mem }) => mem.get64(L.RETIRED),
    () => 'instructions of this thread',
  ),
];

export const systemRegisterRows: readonly RegisterRow[] = [...controlRows, xcr0, ...debugRows, ...msrRows, ...modeRows];
