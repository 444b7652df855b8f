/**
 * VMCS regions in host physical memory (SDM 3C 25.2): revision identifier, abort indicator, then this processor's own layout: launch
 * state and one 8-byte slot a field. Nothing of a VMCS is kept elsewhere.
 */
import * as L from '../cpu/layout.ts';
import type { LinearMemory } from '../cpu/state.ts';
import * as R from '../cpu/vmcs-region.ts';
import { Field, VMCS_FIELDS, type FieldName } from './fields.ts';

const ABORT = 4;
const LAUNCH_STATE = R.REGION_LAUNCHED;
const CHECKED = R.REGION_CHECKED;

const CLEAR = 0;
const LAUNCHED = 1;

/** Slots that the core knows. */
const FIXED: readonly (readonly [FieldName, number])[] = [
  ['pinBasedControls', R.SLOT_PIN],
  ['primaryControls', R.SLOT_PRIMARY],
  ['secondaryControls', R.SLOT_SECONDARY],
  ['exitControls', R.SLOT_EXIT],
  ['entryControls', R.SLOT_ENTRY],
  ['vpid', R.SLOT_VPID],
  ['eptPointer', R.SLOT_EPTP],
  ['tscOffset', R.SLOT_TSC_OFFSET],
  ['tscMultiplier', R.SLOT_TSC_MULTIPLIER],
  ['virtualApicAddress', R.SLOT_VIRTUAL_APIC],
  ['postedInterruptDescriptorAddress', R.SLOT_POSTED_DESCRIPTOR],
  ['entryInterruptionInformation', R.SLOT_ENTRY_INTERRUPTION],
  ['entryMsrLoadCount', R.SLOT_ENTRY_LOAD_COUNT],
  ['exitMsrStoreCount', R.SLOT_EXIT_STORE_COUNT],
  ['exitMsrLoadCount', R.SLOT_EXIT_LOAD_COUNT],
  ['vmcsLinkPointer', R.SLOT_LINK_POINTER],
  ['exitReason', R.SLOT_EXIT_REASON],
  ['exitQualification', R.SLOT_QUALIFICATION],
  ['guestLinearAddress', R.SLOT_GUEST_LINEAR],
  ['guestPhysicalAddress', R.SLOT_GUEST_PHYSICAL],
  ['exitInterruptionInformation', R.SLOT_EXIT_INTERRUPTION],
  ['exitInterruptionErrorCode', R.SLOT_EXIT_ERROR],
  ['idtVectoringInformation', R.SLOT_VECTORING],
  ['idtVectoringErrorCode', R.SLOT_VECTORING_ERROR],
  ['exitInstructionLength', R.SLOT_INSTRUCTION_LENGTH],
  ['exitInstructionInformation', R.SLOT_INSTRUCTION_INFORMATION],
  ['guestCr0', R.SLOT_GUEST_CR0],
  ['guestRflags', R.SLOT_GUEST_RFLAGS],
  ['guestDr7', R.SLOT_GUEST_DR7],
  ['guestDebugctl', R.SLOT_GUEST_DEBUGCTL],
  ['guestPat', R.SLOT_GUEST_PAT],
  ['guestEfer', R.SLOT_GUEST_EFER],
  ['guestPendingDebugExceptions', R.SLOT_GUEST_PENDING_DEBUG],
  ['guestInterruptStatus', R.SLOT_GUEST_INTERRUPT_STATUS],
  ['guestRip', R.SLOT_GUEST_RIP],
  ['guestCsAccessRights', R.SLOT_GUEST_CS_RIGHTS],
  ['hostCr0', R.SLOT_HOST_CR0],
  ['hostPat', R.SLOT_HOST_PAT],
  ['hostEfer', R.SLOT_HOST_EFER],
  ['hostEsSelector', R.SLOT_HOST_SELECTORS],
  ['hostCsSelector', R.SLOT_HOST_SELECTORS + 8],
  ['hostSsSelector', R.SLOT_HOST_SELECTORS + 16],
  ['hostDsSelector', R.SLOT_HOST_SELECTORS + 24],
  ['hostFsSelector', R.SLOT_HOST_SELECTORS + 32],
  ['hostGsSelector', R.SLOT_HOST_SELECTORS + 40],
  ['hostTrSelector', R.SLOT_HOST_TR],
  ['hostFsBase', R.SLOT_HOST_FS_BASE],
  ['hostGsBase', R.SLOT_HOST_GS_BASE],
  ['hostTrBase', R.SLOT_HOST_TR_BASE],
];

/** Offset of a field's slot in the region by encoding / 2; 0 for none. */
const SLOT_OF = new Uint16Array(0x4000);
const WIDTH_OF = new Uint8Array(0x4000);
const IMPLEMENTED = VMCS_FIELDS.filter((field) => field.implemented);
for (const [name, slot] of FIXED) SLOT_OF[Field[name] >> 1] = slot;
let nextSlot = R.SLOT_OTHERS;
for (const { encoding, bits } of IMPLEMENTED) {
  WIDTH_OF[encoding >> 1] = bits;
  if (SLOT_OF[encoding >> 1] !== 0) continue;
  SLOT_OF[encoding >> 1] = nextSlot;
  nextSlot += 8;
}

const SHADOW = 0x8000_0000;

/** Offset of what the entry checks remember (checks/index.ts), to the end of the region. */
export const REMEMBERED = nextSlot;

/** Whether this processor has the field (its high half, if bit 0 is set). */
export function hasField(encoding: number): boolean {
  if (encoding < 0 || encoding >= 0x8000 || SLOT_OF[encoding >> 1] === 0) return false;
  return (encoding & 1) === 0 || ((encoding >> 13) & 3) === 1;
}

/** Byte offset of a field in the region. */
export function slotOf(encoding: number): number {
  return SLOT_OF[encoding >> 1]!;
}

/** The current VMCS. Every access names a field that `hasField`, and a VMCS is current. */
export class CurrentVmcs {
  constructor(readonly mem: LinearMemory) {}

  /** HPA, or -1. */
  get pointer(): number {
    const high = this.mem.get32(L.VMCS_POINTER + 4);
    return high === 0xffff_ffff ? -1 : high * 2 ** 32 + this.mem.get32(L.VMCS_POINTER);
  }
  set pointer(hpa: number) {
    this.mem.set64(L.VMCS_POINTER, hpa < 0 ? NO_POINTER : BigInt(hpa));
  }

  get launched(): boolean {
    return this.mem.get32(this.region() + LAUNCH_STATE) === LAUNCHED;
  }
  set launched(value: boolean) {
    this.mem.set32(this.region() + LAUNCH_STATE, value ? LAUNCHED : CLEAR);
    this.touched();
  }

  /** A shadow VMCS: no VM entry can use it (SDM 3C 25.10). */
  get isShadow(): boolean {
    return (this.mem.get32(this.region()) & SHADOW) !== 0;
  }

  /** VMX-abort indicator (SDM 3C 28.7). */
  abort(indicator: number): void {
    this.mem.set32(this.region() + ABORT, indicator);
    this.touched();
  }

  read(encoding: number): bigint {
    const at = this.#slot(encoding);
    return encoding & 1 ? BigInt(this.mem.get32(at + 4)) : this.mem.get64(at);
  }
  /** The low 32 bits, without a bigint. */
  read32(encoding: number): number {
    return this.mem.get32(this.#slot(encoding));
  }

  /** Bits 63:32. */
  high32(encoding: number): number {
    return this.mem.get32(this.#slot(encoding) + 4);
  }
  /** A field that holds a physical address. */
  address(encoding: number): number {
    const at = this.#slot(encoding);
    return this.mem.get32(at + 4) * 2 ** 32 + this.mem.get32(at);
  }
  /** Copies a 64-bit field to the processor's state at `state`, or from there. */
  load64(encoding: number, state: number): void {
    const at = this.#slot(encoding);
    this.mem.set32(state, this.mem.get32(at));
    this.mem.set32(state + 4, this.mem.get32(at + 4));
  }
  save64(encoding: number, state: number): void {
    const at = this.#slot(encoding);
    this.mem.set32(at, this.mem.get32(state));
    this.mem.set32(at + 4, this.mem.get32(state + 4));
    this.touched();
  }

  write(encoding: number, value: bigint): void {
    const at = this.#slot(encoding);
    const bits = WIDTH_OF[encoding >> 1]!;
    if (encoding & 1) this.mem.set32(at + 4, Number(value & 0xffff_ffffn));
    else this.mem.set64(at, bits === 64 ? value : BigInt.asUintN(bits, value));
    this.touched();
  }
  /** Of a field of at most 32 bits, or the low half of a wider one whose high half becomes 0. */
  write32(encoding: number, value: number): void {
    const at = this.#slot(encoding);
    this.mem.set32(at, WIDTH_OF[encoding >> 1] === 16 ? value & 0xffff : value >>> 0);
    this.mem.set32(at + 4, 0);
    this.touched();
  }

  /** Whether the checks of fields that only VMWRITE changes have passed since the last such VMWRITE. */
  get checked(): boolean {
    return this.mem.get32(this.region() + CHECKED) === 1;
  }
  set checked(value: boolean) {
    this.mem.set32(this.region() + CHECKED, value ? 1 : 0);
  }

  /** Offset of the region in linear memory. Who writes there directly calls `touched`. */
  region(): number {
    const { u32 } = this.mem;
    if (u32[(L.VMCS_POINTER >>> 2) + 1] !== 0) throw new Error('no VMCS is current');
    return L.RAM_BASE + u32[L.VMCS_POINTER >>> 2]!;
  }
  #slot(encoding: number): number {
    const slot = SLOT_OF[encoding >> 1]!;
    if (slot === 0) throw new Error(`there is no VMCS field ${encoding.toString(16)}h`);
    return this.region() + slot;
  }
  touched(): void {
    this.mem.bytes[L.FRAME_FLAGS + (this.mem.u32[L.VMCS_POINTER >>> 2]! >>> 12)]! |= L.FRAME_DIRTY;
  }
}

const NO_POINTER = 0xffff_ffff_ffff_ffffn;

/** What VMCLEAR writes to a region (SDM 3C 31.3). */
export function clearRegion(mem: LinearMemory, hpa: number): void {
  mem.set32(L.RAM_BASE + hpa + LAUNCH_STATE, CLEAR);
  mem.set32(L.RAM_BASE + hpa + CHECKED, 0);
  mem.bytes[L.FRAME_FLAGS + Math.floor(hpa / 4096)]! |= L.FRAME_DIRTY;
}
