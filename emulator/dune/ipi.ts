/**
 * Interprocessor interrupts between threads in Dune mode. A WRMSR to the x2APIC interrupt command register exits; the module
 * posts the vector in the descriptor of the target CPU. A guest that runs there takes it through its own IDT; otherwise it
 * waits for the next VM entry on that CPU. All of it belongs to logical CPUs, not to vCPUs: threads have to be pinned.
 */
import { Field } from '../vmx/fields.ts';
import { APIC_REGISTERS, VIRTUAL_INTERRUPTS, controlsOf, read, write } from './vcpu.ts';
import { diagnose, hex, type Dune, type Vcpu } from './state.ts';

export const X2APIC_ICR = 0x830;

/** Posted-interrupt descriptor (SDM 3C 30.6): requests in bits 255:0, outstanding notification in bit 256. */
const OUTSTANDING = 32;
const VECTORS = 256;
/** Interrupt request register in the virtual-APIC page: 8 registers of 32 bits, 16 bytes apart. */
const IRR = 0x200;

export function sendIpi(dune: Dune, command: bigint): void {
  const { state, context } = dune;
  const vector = Number(command & 0xffn);
  const target = Number(command >> 32n);
  const frames = state.cpus[target];
  if (!frames) {
    diagnose(
      dune,
      `IPI with vector ${hex(vector)} to APIC id ${target} is dropped: no thread has entered Dune mode on that CPU`,
      {
        vector,
        apicId: target,
      },
    );
    return;
  }
  const { physical } = context;
  const at = frames.postedInterrupt + (vector >> 5) * 4;
  physical.write32(at, (physical.read32(at) | (1 << (vector & 31))) >>> 0);
  physical.write32(frames.postedInterrupt + OUTSTANDING, physical.read32(frames.postedInterrupt + OUTSTANDING) | 1);
}

/** Before an entry: moves what is posted for the vCPU's CPU into the virtual APIC, as the notification would. */
export function acceptPosted(dune: Dune, vcpu: Vcpu): void {
  const frames = dune.state.cpus[vcpu.cpu];
  const { physical } = dune.context;
  if (!frames || (physical.read32(frames.postedInterrupt + OUTSTANDING) & 1) === 0) return;
  const { secondary } = controlsOf(dune);
  if ((secondary & (VIRTUAL_INTERRUPTS | APIC_REGISTERS)) === 0) return;
  let highest = 0;
  for (let group = 0; group < VECTORS / 32; group++) {
    const requests = physical.read32(frames.postedInterrupt + group * 4);
    if (!requests) continue;
    physical.write32(frames.postedInterrupt + group * 4, 0);
    const register = frames.virtualApic + IRR + group * 16;
    physical.write32(register, (physical.read32(register) | requests) >>> 0);
    highest = group * 32 + 31 - Math.clz32(requests);
  }
  physical.write32(frames.postedInterrupt + OUTSTANDING, 0);
  const status = Number(read(dune, Field.guestInterruptStatus));
  if (highest > (status & 0xff)) write(dune, Field.guestInterruptStatus, (status & 0xff00) | highest);
}
