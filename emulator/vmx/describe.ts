/** The current VMCS for people: every field by name, control bits and information fields decoded. */
import { BITS, bitsInWords, describeBits, segmentTypeInWords, type BitField } from '../describe/bits.ts';
import type { RegisterPart, VmcsFieldInfo } from '../machine/api.ts';
import { MEMORY_TYPES } from '../mmu/memory-types.ts';
import type { CheckFailure, Vmx } from './api.ts';
import { CAPABILITY_MSR, allowedBits, controlField, type ControlField } from './controls.ts';
import { VmxError, vmxErrorText } from './errors.ts';
import { ENTRY_FAILURE, ExitReason, exitReason, exitReasonName } from './exit-reasons.ts';
import { Field, VMCS_FIELDS, vmcsField, type FieldName, type VmcsField } from './fields.ts';
import { describeQualification } from './qualification.ts';

/** Fields that hold the bits of a register. */
const REGISTER_BITS: Partial<Record<FieldName, readonly BitField[]>> = {
  guestCr0: BITS.cr0,
  hostCr0: BITS.cr0,
  cr0Shadow: BITS.cr0,
  guestCr3: BITS.cr3,
  hostCr3: BITS.cr3,
  guestCr4: BITS.cr4,
  hostCr4: BITS.cr4,
  cr4Shadow: BITS.cr4,
  guestRflags: BITS.rflags,
  guestEfer: BITS.efer,
  hostEfer: BITS.efer,
  guestPat: BITS.pat,
  hostPat: BITS.pat,
  guestDr7: BITS.dr7,
  guestInterruptibility: BITS.interruptibility,
};

const ACTIVITY = ['active', 'HLT', 'shutdown', 'wait for SIPI'];
const TYPES = [
  'external interrupt',
  'reserved',
  'NMI',
  'hardware exception',
  'software interrupt',
  'privileged software exception',
  'software exception',
  'other event',
];
const VALID = 0x8000_0000n;
const NO_LINK = 0xffff_ffff_ffff_ffffn;
const EPTP_ACCESSED_DIRTY = 0x40n;
const EPTP_SHADOW_STACK = 0x80n;
const EPTP_ROOT = 0x000f_ffff_ffff_f000n;

interface Decoded {
  readonly parts?: readonly RegisterPart[];
  readonly text?: string;
}

export function describeVmcs(vmx: Vmx): VmcsFieldInfo[] {
  return VMCS_FIELDS.filter(({ implemented }) => implemented).map((field) => {
    const value = vmx.field(field.encoding);
    const { encoding, title, group, bits, writable } = field;
    return { encoding, name: title, group, bits, value, writable, ...decode(vmx, field, value) };
  });
}

export interface VmEntryInfo {
  /** `failed`: the last entry did, for what is violated now. */
  readonly state: 'holds' | 'would-fail' | 'failed';
  /** "VM entry would fail: 3 checks violated". */
  readonly headline: string;
  /** Violated checks, in SDM order. */
  readonly checks: readonly CheckFailure[];
}

const ENTRY_REASONS: ReadonlySet<number> = new Set([
  ExitReason.EntryFailureGuestState,
  ExitReason.EntryFailureMsrLoading,
  ExitReason.EntryFailureMachineCheck,
]);

/** What the checks say of a VM entry with the current VMCS. */
export function describeEntry(vmx: Vmx, nonRoot: boolean): VmEntryInfo {
  const checks = vmx.violatedChecks();
  if (checks.length === 0) return { state: 'holds', headline: 'A VM entry would pass all checks', checks };
  const violated = `${checks.length} ${checks.length === 1 ? 'check' : 'checks'} violated`;
  const failure = nonRoot ? undefined : lastFailure(vmx, checks);
  if (failure) return { state: 'failed', headline: `VM entry failed with ${failure}: ${violated}`, checks };
  return {
    state: 'would-fail',
    headline: `${nonRoot ? 'The next VM entry' : 'VM entry'} would fail: ${violated}`,
    checks,
  };
}

/** How the last entry failed, if it did for a check that is violated now. */
function lastFailure(vmx: Vmx, checks: readonly CheckFailure[]): string | undefined {
  const has = (...groups: CheckFailure['group'][]): boolean => groups.includes(checks[0]!.group);
  const error = Number(vmx.field(Field.instructionError));
  const failed =
    (error === VmxError.EntryControls && has('controls')) || (error === VmxError.EntryHostState && has('host'));
  if (failed) return `VM-instruction error ${error} (${vmxErrorText(error)})`;
  const reason = Number(vmx.field(Field.exitReason));
  if (!(reason & ENTRY_FAILURE) || !ENTRY_REASONS.has(reason & 0xffff) || !has('guest', 'msr-load')) return undefined;
  const qualification = vmx.field(Field.exitQualification);
  return `${exitReasonName(reason)} (reason ${reason & 0xffff}, qualification ${qualification})`;
}

/** Sets a field as VMWRITE would. Throws one sentence for a field or value that cannot be. */
export function writeVmcsField(vmx: Vmx, encoding: number, value: bigint): void {
  const field = VMCS_FIELDS.find((candidate) => candidate.encoding === encoding);
  if (!field?.implemented) throw new Error(`There is no VMCS field 0x${encoding.toString(16)}.`);
  if (!field.writable) throw new Error(`${field.title} is read-only.`);
  if (value < 0n || value >> BigInt(field.bits))
    throw new Error(`${field.title} has ${field.bits} bits: 0x${value.toString(16)} does not fit.`);
  vmx.setField(encoding, value);
}

function decode(vmx: Vmx, field: VmcsField, value: bigint): Decoded {
  const control = controlField(field.encoding);
  if (control) {
    const on = control.bits.filter(({ bit }) => (value >> BigInt(bit)) & 1n).map(({ name }) => name);
    return { parts: controlParts(vmx, control, value), text: on.join(', ') || 'none' };
  }
  const bits = REGISTER_BITS[field.name];
  if (bits) return { parts: describeBits(bits, value), text: bitsInWords(bits, value) };
  if (field.name.endsWith('AccessRights'))
    return { parts: describeBits(BITS.segmentRights, value), text: segmentTypeInWords(Number(value)) };
  return decodeInformation(vmx, field, value);
}

/** Every control by name, and the reserved bits that do not hold what they must. */
function controlParts(vmx: Vmx, { encoding, bits }: ControlField, value: bigint): RegisterPart[] {
  const { must, may } = allowedBits(encoding, vmx.capability(CAPABILITY_MSR[encoding]!) ?? 0n);
  const parts: RegisterPart[] = [];
  for (let bit = 0; bit < vmcsField(encoding)!.bits; bit++) {
    const place = BigInt(bit);
    const stands = (value >> place) & 1n;
    const fixed = (must >> place) & 1n ? 1n : (may >> place) & 1n ? undefined : 0n;
    const control = bits.find((one) => one.bit === bit);
    if (!control && (fixed === undefined || fixed === stands)) continue;
    parts.push({
      name: control?.name ?? `bit ${bit}`,
      value: stands,
      meaning: control?.meaning ?? 'reserved',
      hi: bit,
      lo: bit,
      ...(fixed === undefined ? {} : { fixed }),
    });
  }
  return parts;
}

function decodeInformation(vmx: Vmx, field: VmcsField, value: bigint): Decoded {
  switch (field.encoding) {
    case Field.exitReason:
      return { text: reasonInWords(Number(value)) };
    case Field.exitQualification:
      return describeQualification(Number(vmx.field(Field.exitReason)) & 0xffff, value);
    case Field.instructionError:
      return value === 0n ? {} : { text: vmxErrorText(Number(value)) };
    case Field.guestActivity:
      return { text: ACTIVITY[Number(value)] ?? 'reserved' };
    case Field.eptPointer:
      return { parts: describeBits(BITS.eptPointer, value), text: eptpInWords(value) };
    case Field.vmcsLinkPointer:
      return { text: value === NO_LINK ? 'names none' : `hpa:0x${value.toString(16)}` };
    case Field.exceptionBitmap:
      return { text: vectors(value) };
    case Field.exitInterruptionInformation:
    case Field.idtVectoringInformation:
    case Field.entryInterruptionInformation:
      return { text: interruptionInWords(value) };
    default:
      return {};
  }
}

function reasonInWords(reason: number): string {
  const row = exitReason(reason & 0xffff);
  const failed = reason & ENTRY_FAILURE ? 'VM-entry failure: ' : '';
  return row ? `${failed}${row.name}: ${row.description}` : `${failed}reason ${reason & 0xffff}`;
}

/** "4 levels, WB, A/D, root at hpa:0x1000" (SDM 3C 25.6.11). */
function eptpInWords(eptp: bigint): string {
  const type = Number(eptp & 7n);
  const words = [
    `${((eptp >> 3n) & 7n) + 1n} levels`,
    MEMORY_TYPES[type] ?? `memory type ${type}, which does not exist`,
    eptp & EPTP_ACCESSED_DIRTY ? 'A/D' : '',
    eptp & EPTP_SHADOW_STACK ? 'SSS' : '',
    `root at hpa:0x${(eptp & EPTP_ROOT).toString(16)}`,
  ];
  return words.filter(Boolean).join(', ');
}

/** "valid: hardware exception, vector 14, with error code" (SDM 3C 25.9.2). */
export function interruptionInWords(value: bigint): string {
  if (!(value & VALID)) return 'not valid';
  const number = Number(value);
  const code = number & 0x800 ? ', with error code' : '';
  return `valid: ${TYPES[(number >> 8) & 7]}, vector ${number & 0xff}${code}`;
}

function vectors(bitmap: bigint): string {
  const list = Array.from({ length: 32 }, (_, vector) => vector).filter((vector) => (bitmap >> BigInt(vector)) & 1n);
  return list.length > 0 ? `exits on vector ${list.join(', ')}` : 'no exception exits';
}
