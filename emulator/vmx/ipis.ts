/** IPI virtualization: an interrupt to a virtual APIC ID is posted to the descriptor of its virtual processor (SDM 3C 30.1.6). */
import type { CpuContext } from '../cpu/context.ts';
import * as L from '../cpu/layout.ts';
import { Field } from './fields.ts';
import type { CurrentVmcs } from './vmcs.ts';

/** Bits 31:20, shorthand 19:18, 17:16, trigger mode 15, 13, delivery status 12, destination mode 11, delivery mode 10:8. */
const ICR_CHECKED = 0xffff_bf00;
const LOWEST_VECTOR = 16;

/** A PID pointer: valid (bit 0), reserved bits 5:1. */
const POINTER_LOW = 0x3fn;
const VALID = 1n;
const POINTER_BYTES = 8;
const NO_MEMORY = 0xffff_ffff_ffff_ffffn;

/** Of a posted-interrupt descriptor behind its requests: ON, SN and the vector in one word, the destination in the next. */
const REQUEST_BYTES = 32;
const NOTIFICATION = 32;
const DESTINATION = 36;
const DESCRIPTOR_BYTES = 64;
const OUTSTANDING = 1;
const SUPPRESS = 2;

/** APIC_BASE: global enable, x2APIC mode, address. */
const APIC_ENABLED = 0x800n;
const APIC_X2 = 0x400n;
const APIC_ADDRESS = ~0xfffn;
const ICR_LOW = 0x300;
const ICR_HIGH = 0x310;
const MSR_ICR = 0x830;

/** An interrupt command that IPI virtualization takes: fixed, edge-triggered, to a physical APIC ID (SDM 3C 30.4.3.2, 30.5). */
export function isPhysicalIpi(command: number): boolean {
  return (command & ICR_CHECKED) === 0;
}

/** The entry of a virtual APIC ID; all ones where no memory is. */
function pidPointer({ physical }: CpuContext, vmcs: CurrentVmcs, target: number): bigint {
  const at = vmcs.address(Field.pidPointerTableAddress) + target * POINTER_BYTES;
  return physical.has(at, POINTER_BYTES) ? physical.read64(at) : NO_MEMORY;
}

/** Why an IPI cannot be posted; undefined if it can. @param target virtual APIC ID */
export function refuseIpi(
  context: CpuContext,
  vmcs: CurrentVmcs,
  vector: number,
  target: number,
): { readonly text: string; readonly field: number } | undefined {
  if (vector < LOWEST_VECTOR) return { text: `vector ${vector} is below 16`, field: Field.virtualApicAddress };
  const last = vmcs.read32(Field.lastPidPointerIndex);
  if (target > last)
    return { text: `virtual APIC ID ${target} is above the last PID-pointer index, ${last}`, field: Field.lastPidPointerIndex }; // prettier-ignore
  const pointer = pidPointer(context, vmcs, target);
  if ((pointer & POINTER_LOW) === VALID && pointer >> BigInt(context.mem.get32(L.PHYS_BITS)) === 0n) return undefined;
  return {
    text: `PID pointer ${target}, 0x${pointer.toString(16)}, is not valid or has reserved bits set`,
    field: Field.pidPointerTableAddress,
  };
}

/** Posts what `refuseIpi` does not refuse, and notifies the processor that the descriptor names. */
export function postIpi(context: CpuContext, vmcs: CurrentVmcs, vector: number, target: number): void {
  const { physical } = context;
  const descriptor = Number(pidPointer(context, vmcs, target) & ~POINTER_LOW);
  // Without memory it reads as all ones: a notification is outstanding.
  if (!physical.has(descriptor, DESCRIPTOR_BYTES)) return;
  const request = descriptor + ((vector >> 3) & (REQUEST_BYTES - 4));
  physical.write32(request, (physical.read32(request) | (1 << (vector & 31))) >>> 0);
  const notification = physical.read32(descriptor + NOTIFICATION);
  if (notification & (OUTSTANDING | SUPPRESS)) return;
  physical.write32(descriptor + NOTIFICATION, (notification | OUTSTANDING) >>> 0);
  notify(context, (notification >> 16) & 0xff, physical.read32(descriptor + DESTINATION) >>> 0);
}

/** By the processor's own local APIC: in xAPIC mode the ID stands in bits 15:8 of the destination. */
function notify({ board, mem }: CpuContext, vector: number, destination: number): void {
  const base = mem.get64(L.MSR_APIC_BASE);
  // Above Linux there is no APIC: the target looks at its descriptor itself.
  if (!board || !(base & APIC_ENABLED)) return;
  if (base & APIC_X2) return board.writeMsr(MSR_ICR, (BigInt(destination) << 32n) | BigInt(vector));
  const page = Number(base & APIC_ADDRESS);
  board.writeMemory(page + ICR_HIGH, word(((destination & 0xff00) << 16) >>> 0));
  board.writeMemory(page + ICR_LOW, word(vector));
}

const word = (value: number): Uint8Array => new Uint8Array(Uint32Array.of(value).buffer);
