/** Virtual interrupts: x2APIC MSRs in the virtual-APIC page, posted interrupts, evaluation and delivery (SDM 3C 30.2, 30.5, 30.6). */
import type { CpuContext } from '../cpu/context.ts';
import { InterruptionType } from '../cpu/engine-api.ts';
import * as L from '../cpu/layout.ts';
import { deliverThroughIdt } from '../cpu/system/exceptions.ts';
import { Pin, Secondary } from './controls.ts';
import { Field } from './fields.ts';
import { secondaryControls } from './queries.ts';
import type { CurrentVmcs } from './vmcs.ts';

const X2APIC_FIRST = 0x800;
const X2APIC_LAST = 0x8ff;
const MSR_TPR = 0x808;
const MSR_EOI = 0x80b;
const MSR_SELF_IPI = 0x83f;

/** Offsets in the virtual-APIC page. */
const TPR = 0x80;
const PPR = 0xa0;
const ISR = 0x100;
const IRR = 0x200;
const REGISTER_STRIDE = 16;
const VECTORS = 256;

/** Posted-interrupt descriptor: requests in the first 32 bytes, then bit 0 "outstanding notification". */
const OUTSTANDING = 32;

const RFLAGS_IF = 0x200;
const BLOCKED_BY_STI_OR_MOV_SS = 3;
const HLT = 1;

export class VirtualApic {
  constructor(
    private readonly context: CpuContext,
    private readonly vmcs: CurrentVmcs,
  ) {}

  /** What RDMSR of an x2APIC register gives; undefined when it is not virtualised. */
  readMsr(msr: number): bigint | undefined {
    if (msr < X2APIC_FIRST || msr > X2APIC_LAST || !this.#enabled(Secondary.X2apicMode)) return undefined;
    if (msr !== MSR_TPR && !this.#enabled(Secondary.ApicRegisterVirtualization)) return undefined;
    return this.context.physical.read64(this.#page() + ((msr & 0xff) << 4));
  }

  /**
   * WRMSR of an x2APIC register. 'exit': an exit that follows the instruction is due to be taken with `eoiVector`.
   * Undefined when the write is not virtualised.
   */
  writeMsr(msr: number, value: bigint): { readonly eoiVector?: number; readonly refused?: string } | undefined {
    if (msr < X2APIC_FIRST || msr > X2APIC_LAST || !this.#enabled(Secondary.X2apicMode)) return undefined;
    if (msr === MSR_TPR) return this.#writeTpr(value);
    if (!this.#enabled(Secondary.VirtualInterruptDelivery)) return undefined;
    if (msr === MSR_EOI) return value === 0n ? this.#endOfInterrupt() : { refused: 'EOI takes only 0' };
    if (msr !== MSR_SELF_IPI) return undefined;
    if (value >> 8n || value < 16n) return { refused: 'a self-IPI needs a vector of 16 to 255' };
    this.#request(Number(value));
    return {};
  }

  /**
   * Between two instructions: accepts what is posted, and delivers the highest virtual interrupt if the guest can take it. True if
   * RIP stands at its handler.
   */
  deliverPending(): boolean {
    const { mem } = this.context;
    if (mem.get32(L.NON_ROOT) === 0 || !this.#enabled(Secondary.VirtualInterruptDelivery)) return false;
    if (this.vmcs.read32(Field.pinBasedControls) & Pin.ProcessPostedInterrupts) this.#acceptPosted();
    const status = this.vmcs.read32(Field.guestInterruptStatus);
    const vector = status & 0xff;
    if (vector >> 4 <= this.#priority(status) >> 4) return false;
    if (!(mem.get32(L.SYSTEM_FLAGS) & RFLAGS_IF) || mem.get32(L.INTERRUPTIBILITY) & BLOCKED_BY_STI_OR_MOV_SS)
      return false;
    if (mem.get32(L.ACTIVITY) > HLT) return false;
    this.#setBit(ISR, vector, true);
    this.#setBit(IRR, vector, false);
    this.#setStatus(this.#highest(IRR), vector);
    this.#updatePriority();
    mem.set32(L.ACTIVITY, 0);
    deliverThroughIdt(this.context, {
      kind: 'exception',
      vector,
      type: InterruptionType.External,
      because: 'virtual interrupt',
    });
    return true;
  }

  #enabled(control: number): boolean {
    return this.context.cpu.nonRoot && (secondaryControls(this.vmcs) & control) !== 0;
  }
  #page(): number {
    return this.vmcs.address(Field.virtualApicAddress);
  }

  /** Processor priority (PPR virtualization): the higher of the TPR and the class in service. */
  #priority(status: number): number {
    const tpr = this.context.physical.read32(this.#page() + TPR) & 0xff;
    const inService = status >> 8;
    return tpr >> 4 >= inService >> 4 ? tpr : inService & 0xf0;
  }
  #updatePriority(): void {
    this.context.physical.write32(this.#page() + PPR, this.#priority(this.vmcs.read32(Field.guestInterruptStatus)));
  }
  #setStatus(requested: number, inService: number): void {
    this.vmcs.write32(Field.guestInterruptStatus, requested | (inService << 8));
  }

  #writeTpr(value: bigint): { readonly refused?: string } {
    if (value >> 8n) return { refused: 'TPR bits 63:8 are reserved' };
    this.context.physical.write64(this.#page() + TPR, value);
    if (this.#enabled(Secondary.VirtualInterruptDelivery)) this.#updatePriority();
    return {};
  }

  #request(vector: number): void {
    this.#setBit(IRR, vector, true);
    const status = this.vmcs.read32(Field.guestInterruptStatus);
    this.#setStatus(Math.max(status & 0xff, vector), status >> 8);
  }

  #endOfInterrupt(): { readonly eoiVector?: number } {
    const status = this.vmcs.read32(Field.guestInterruptStatus);
    const vector = status >> 8;
    this.#setBit(ISR, vector, false);
    this.#setStatus(status & 0xff, this.#highest(ISR));
    this.#updatePriority();
    const bitmap = [Field.eoiExitBitmap0, Field.eoiExitBitmap1, Field.eoiExitBitmap2, Field.eoiExitBitmap3][
      vector >> 6
    ]!;
    return (this.vmcs.read(bitmap) >> BigInt(vector & 63)) & 1n ? { eoiVector: vector } : {};
  }

  #acceptPosted(): void {
    const { physical } = this.context;
    const descriptor = this.vmcs.address(Field.postedInterruptDescriptorAddress);
    const notification = physical.read32(descriptor + OUTSTANDING);
    if (!(notification & 1)) return;
    physical.write32(descriptor + OUTSTANDING, (notification & ~1) >>> 0);
    for (let group = 0; group < VECTORS / 32; group++) {
      const requests = physical.read32(descriptor + group * 4);
      if (requests === 0) continue;
      physical.write32(descriptor + group * 4, 0);
      const register = this.#page() + IRR + group * REGISTER_STRIDE;
      physical.write32(register, (physical.read32(register) | requests) >>> 0);
    }
    const status = this.vmcs.read32(Field.guestInterruptStatus);
    this.#setStatus(Math.max(status & 0xff, this.#highest(IRR)), status >> 8);
  }

  #setBit(bank: number, vector: number, on: boolean): void {
    const { physical } = this.context;
    const register = this.#page() + bank + (vector >> 5) * REGISTER_STRIDE;
    const bit = 1 << (vector & 31);
    const value = physical.read32(register);
    physical.write32(register, (on ? value | bit : value & ~bit) >>> 0);
  }

  /** Highest vector of IRR or ISR, 0 for none. */
  #highest(bank: number): number {
    const { physical } = this.context;
    for (let group = VECTORS / 32 - 1; group >= 0; group--) {
      const bits = physical.read32(this.#page() + bank + group * REGISTER_STRIDE);
      if (bits !== 0) return group * 32 + 31 - Math.clz32(bits);
    }
    return 0;
  }
}
