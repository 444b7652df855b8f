/**
 * VMCS regions in host physical memory (SDM 3C 25.2): revision identifier, abort indicator, then this processor's own layout: launch
 * state and one 8-byte slot a field. Nothing of a VMCS is kept elsewhere.
 */
import * as L from '../cpu/layout.ts';
import type { LinearMemory } from '../cpu/state.ts';
import { VMCS_FIELDS } from './fields.ts';

const ABORT = 4;
const LAUNCH_STATE = 8;
const CHECKED = 12;
const SLOTS = 16;

const CLEAR = 0;
const LAUNCHED = 1;

/** Offset of a field's slot in the region by encoding / 2; 0 for none. */
const SLOT_OF = new Uint16Array(0x4000);
const WIDTH_OF = new Uint8Array(0x4000);
const IMPLEMENTED = VMCS_FIELDS.filter((field) => field.implemented);
IMPLEMENTED.forEach((field, index) => {
  SLOT_OF[field.encoding >> 1] = SLOTS + index * 8;
  WIDTH_OF[field.encoding >> 1] = field.bits;
});

const SHADOW = 0x8000_0000;

/** Offset of what the entry checks remember (checks/index.ts), to the end of the region. */
export const REMEMBERED = SLOTS + IMPLEMENTED.length * 8;

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
