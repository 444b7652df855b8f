/** VMX capability MSRs 480h..492h (SDM 3D appendix A), computed from what is implemented. */
import { CONTROL_FEATURES, Secondary, allowedOnes, controlField } from './controls.ts';
import { Field, VMCS_FIELDS } from './fields.ts';

/** VMCS revision identifier: bit 31 is 0. */
export const VMCS_REVISION = 0x0044_554e;
/** Bit 31 of a region's first word: a shadow VMCS. */
export const SHADOW_INDICATOR = 0x8000_0000;
/** Bytes of a VMXON or VMCS region. */
export const REGION_BYTES = 4096;

/** Bits that are 1 in VMX operation: PE NE PG; VMXE. */
export const CR0_FIXED0 = 0x8000_0021n;
export const CR0_FIXED1 = 0xffff_ffffn;
export const CR4_FIXED0 = 0x2000n;

/** The VMX-preemption timer counts down when this bit of the time-stamp counter changes. */
export const TIMER_SHIFT = 0n;
/** IA32_VMX_MISC: timer rate; LMA stored on exit; activity states HLT, shutdown and wait-for-SIPI; 4 CR3 targets; VMWRITE to any field; event injection with instruction length 0. */
const MISC_WRITES_INFORMATION = 1n << 29n;
const MISC = TIMER_SHIFT | (1n << 5n) | (7n << 6n) | (4n << 16n) | MISC_WRITES_INFORMATION | (1n << 30n);
export const CR3_TARGETS = 4;
/** Recommended most entries of an MSR area: (MISC[27:25] + 1) * 512. */
export const MSR_AREA_ENTRIES = 512;

/** Types that INVEPT and INVVPID take. */
export const INVEPT_TYPES: readonly number[] = [1, 2];
export const INVVPID_TYPES: readonly number[] = [0, 1, 2, 3];

const EPT_EXECUTE_ONLY = 1n << 0n;
const EPT_4_LEVELS = 1n << 6n;
/** Bit 7 of IA32_VMX_EPT_VPID_CAP. */
export const EPT_5_LEVELS = 1n << 7n;
const EPT_UNCACHEABLE = 1n << 8n;
const EPT_WRITE_BACK = 1n << 14n;
const EPT_2M = 1n << 16n;
const EPT_1G = 1n << 17n;
const INVEPT = (1n << 20n) | (1n << 25n) | (1n << 26n);
const EPT_ACCESSED_DIRTY = 1n << 21n;
const EPT_ADVANCED_INFORMATION = 1n << 22n;
const INVVPID = (1n << 32n) | (15n << 40n);

const EPT_VPID_CAP =
  EPT_EXECUTE_ONLY |
  EPT_4_LEVELS |
  EPT_5_LEVELS |
  EPT_UNCACHEABLE |
  EPT_WRITE_BACK |
  EPT_2M |
  EPT_1G |
  INVEPT |
  EPT_ACCESSED_DIRTY |
  EPT_ADVANCED_INFORMATION |
  INVVPID;

/** Revision; region size; write-back; INS/OUTS information; TRUE capability MSRs. */
const BASIC = BigInt(VMCS_REVISION) | (BigInt(REGION_BYTES) << 32n) | (6n << 50n) | (1n << 54n) | (1n << 55n);

/** VMWRITE reaches exit-information fields (bit 29 of IA32_VMX_MISC). */
export const WRITES_INFORMATION = 'vmx-vmwrite-any';
/** EPTs of 5 levels. */
const FIVE_LEVEL_EPT = 'vmx-page-walk-5';
/** What a processor model may lack of VT-x. */
export const VMX_FEATURES: readonly string[] = [...CONTROL_FEATURES, WRITES_INFORMATION, FIVE_LEVEL_EPT];

/** IA32_VMX_EPT_VPID_CAP. */
export const EPT_CAPABILITIES = 0x48c;

const highestIndex = Math.max(
  ...VMCS_FIELDS.filter((field) => field.implemented).map(({ encoding }) => (encoding >> 1) & 0x1ff),
);

/** VM function 0, EPTP switching. */
export const VM_FUNCTIONS = 1n;

/**
 * Values by MSR number; an MSR about what the processor lacks altogether does not exist.
 * @param cr4Fixed1 bits of CR4 that may be 1
 * @param lacking of VMX_FEATURES
 */
export function capabilityMsrs(
  cr4Fixed1: bigint,
  lacking: ReadonlySet<string> = new Set(),
): ReadonlyMap<number, bigint> {
  /** Low half: bits that must be 1; high half: bits that may be 1. */
  const controls = (encoding: number, trueMsr = false): bigint => {
    const field = controlField(encoding)!;
    const must = BigInt((trueMsr ? field.trueDefault1 : field.default1) >>> 0);
    return must | (BigInt(allowedOnes(field, lacking)) << 32n);
  };
  const secondary = Number(controls(Field.secondaryControls) >> 32n);
  const msrs = new Map([
    [0x480, BASIC],
    [0x481, controls(Field.pinBasedControls)],
    [0x482, controls(Field.primaryControls)],
    [0x483, controls(Field.exitControls)],
    [0x484, controls(Field.entryControls)],
    [0x485, lacking.has(WRITES_INFORMATION) ? MISC & ~MISC_WRITES_INFORMATION : MISC],
    [0x486, CR0_FIXED0],
    [0x487, CR0_FIXED1],
    [0x488, CR4_FIXED0],
    [0x489, cr4Fixed1],
    [0x48a, BigInt(highestIndex << 1)],
    [0x48b, controls(Field.secondaryControls)],
    [EPT_CAPABILITIES, lacking.has(FIVE_LEVEL_EPT) ? EPT_VPID_CAP & ~EPT_5_LEVELS : EPT_VPID_CAP],
    [0x48d, controls(Field.pinBasedControls, true)],
    [0x48e, controls(Field.primaryControls, true)],
    [0x48f, controls(Field.exitControls, true)],
    [0x490, controls(Field.entryControls, true)],
    [0x491, VM_FUNCTIONS],
    [0x492, controls(Field.tertiaryControls) >> 32n],
  ]);
  if (!(secondary & (Secondary.Ept | Secondary.Vpid))) msrs.delete(EPT_CAPABILITIES);
  if (!(secondary & Secondary.VmFunctions)) msrs.delete(0x491);
  if (lacking.has('vmx-activate-tertiary-controls')) msrs.delete(0x492);
  if (lacking.has('vmx-activate-secondary-controls')) [0x48b, 0x48c, 0x491].forEach((msr) => msrs.delete(msr));
  return msrs;
}
