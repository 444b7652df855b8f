/**
 * Interprocessor interrupts between threads in Dune mode. A WRMSR to the x2APIC interrupt command register exits; the module
 * posts the vector in the descriptor of the target CPU. The processor takes it from there, through the guest's own IDT, as soon as
 * a guest runs on that CPU. All of it belongs to logical CPUs, not to vCPUs: threads have to be pinned.
 */
import { diagnoseOnce, hex, type Dune } from './state.ts';

export const X2APIC_ICR = 0x830;

/** Posted-interrupt descriptor (SDM 3C 30.6): requests in bits 255:0, outstanding notification in bit 256. */
const OUTSTANDING = 32;

export function sendIpi(dune: Dune, pid: number, command: bigint): void {
  const { state, context } = dune;
  const vector = Number(command & 0xffn);
  const target = Number(command >> 32n);
  const frames = state.cpus[target];
  if (!frames) {
    diagnoseOnce(dune, pid, `ipi ${target}`, () => ({
      summary: `IPI with vector ${hex(vector)} to APIC id ${target} is dropped: no thread has entered Dune mode on that CPU`,
      facts: { vector, apicId: target },
    }));
    return;
  }
  const { physical } = context;
  const at = frames.postedInterrupt + (vector >> 5) * 4;
  physical.write32(at, (physical.read32(at) | (1 << (vector & 31))) >>> 0);
  physical.write32(frames.postedInterrupt + OUTSTANDING, physical.read32(frames.postedInterrupt + OUTSTANDING) | 1);
}

export function interruptPending(dune: Dune, cpu: number): boolean {
  const frames = dune.state.cpus[cpu];
  return frames !== undefined && (dune.context.physical.read32(frames.postedInterrupt + OUTSTANDING) & 1) !== 0;
}
