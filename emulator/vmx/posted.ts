/** Virtual interrupts: registers of the virtual-APIC page, posted interrupts, evaluation and delivery (SDM 3C 30.1 to 30.6). */
import { Activity, SHADOW } from '../cpu/activity.ts';
import type { CpuContext } from '../cpu/context.ts';
import { InterruptionType } from '../cpu/engine-api.ts';
import * as L from '../cpu/layout.ts';
import { deliverThroughIdt } from '../cpu/system/exceptions.ts';
import { Flag } from '../cpu/system/rflags.ts';
import { Pin, Primary, Secondary, Tertiary } from './controls.ts';
import { ExitReason } from './exit-reasons.ts';
import { Field } from './fields.ts';
import { isPhysicalIpi, postIpi, refuseIpi } from './ipis.ts';
import { endOfInterruptExits, secondaryControls, tertiaryControls } from './queries.ts';
import type { CurrentVmcs } from './vmcs.ts';

const X2APIC_FIRST = 0x800;
const X2APIC_LAST = 0x8ff;
const MSR_TPR = 0x808;
const MSR_EOI = 0x80b;
const MSR_ICR = 0x830;
const MSR_SELF_IPI = 0x83f;
const SELF_IPI = 0x3f0;

/** Offsets in the virtual-APIC page. */
const TPR = 0x80;
const PPR = 0xa0;
const EOI = 0xb0;
const ICR_LOW = 0x300;
const ICR_HIGH = 0x310;
const ISR = 0x100;
const IRR = 0x200;
const REGISTER_STRIDE = 16;
const VECTORS = 256;

/** Posted-interrupt descriptor: requests in the first 32 bytes, then bit 0 "outstanding notification". */
const OUTSTANDING = 32;

/** What follows a write to a register of the virtual-APIC page. */
export interface VirtualWrite {
  /** Why it is #GP(0). */
  readonly refused?: string;
  /** Reason of a trap-like exit. */
  readonly exit?: number;
  readonly qualification?: number;
  /** What of an interrupt command makes it exit, and the field behind it. */
  readonly because?: { readonly text: string; readonly field: number };
}
const DONE: VirtualWrite = {};
const BELOW_THRESHOLD: VirtualWrite = { exit: ExitReason.TprBelowThreshold };
const apicWrite = (offset: number): VirtualWrite => ({ exit: ExitReason.ApicWrite, qualification: offset });

/** An interrupt command that self-IPI virtualization takes: fixed, edge-triggered, to itself, with a vector of 16 or more (SDM 3C 30.4.3.2). */
function isSelfIpi(command: number): boolean {
  return (command & ICR_CHECKED) >>> 0 === ICR_SELF && (command & 0xff) >= 16;
}
/** Bits 31:20, shorthand 19:18, 17:16, trigger mode 15, 13, delivery status 12, delivery mode 10:8. */
const ICR_CHECKED = 0xffff_b700;
const ICR_SELF = 0x4_0000;
/** Of the MSR. */
const ICR_RESERVED = 0xfff3_2000n;

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

  /** What would follow a WRMSR of an x2APIC register. Undefined when the write is not virtualised. Changes nothing. */
  foreseeMsr(msr: number, value: bigint): VirtualWrite | undefined {
    if (msr < X2APIC_FIRST || msr > X2APIC_LAST || !this.#enabled(Secondary.X2apicMode)) return undefined;
    if (msr === MSR_TPR)
      return value >> 8n ? { refused: 'TPR bits 63:8 are reserved' } : this.foreseeTpr(Number(value));
    if (msr === MSR_ICR && this.#virtualizesIpis()) {
      if (value & ICR_RESERVED) return { refused: 'bits 31:20, 17:16 and 13 of ICR are reserved' };
      return this.#foreseeIpi(Number(value & 0xffff_ffffn), Number(value >> 32n));
    }
    if (!this.#enabled(Secondary.VirtualInterruptDelivery)) return undefined;
    if (msr === MSR_EOI) return value === 0n ? this.#foreseeEnd() : { refused: 'EOI takes only 0' };
    if (msr !== MSR_SELF_IPI) return undefined;
    if (value >> 8n) return { refused: 'bits 63:8 of SELF_IPI are reserved' };
    return value < 16n ? apicWrite(SELF_IPI) : DONE;
  }
  /** The same of a TPR; TPR virtualization (SDM 3C 30.1.2). */
  foreseeTpr(tpr: number): VirtualWrite {
    if (this.#enabled(Secondary.VirtualInterruptDelivery)) return DONE;
    return ((tpr >> 4) & 15) < (this.vmcs.read32(Field.tprThreshold) & 15) ? BELOW_THRESHOLD : DONE;
  }
  /** The same of an EOI. */
  #foreseeEnd(): VirtualWrite {
    const vector = this.vmcs.read32(Field.guestInterruptStatus) >> 8;
    return endOfInterruptExits(this.vmcs, vector) ? { exit: ExitReason.VirtualizedEoi, qualification: vector } : DONE;
  }

  /** WRMSR of an x2APIC register. Undefined when the write is not virtualised. */
  writeMsr(msr: number, value: bigint): VirtualWrite | undefined {
    const outcome = this.foreseeMsr(msr, value);
    if (!outcome || outcome.refused !== undefined) return outcome;
    if (msr === MSR_EOI) return this.#endOfInterrupt();
    this.context.physical.write64(this.#page() + ((msr & 0xff) << 4), value);
    if (msr === MSR_TPR) return this.#tprWritten();
    if (msr === MSR_ICR) return this.#command(Number(value & 0xffff_ffffn), Number(value >> 32n));
    if (value >= 16n) this.#request(Number(value));
    return outcome;
  }

  /** After MOV to CR8 has written the TPR of the page. */
  tprWritten(): VirtualWrite {
    return this.#tprWritten();
  }

  /** After a write to the APIC-access page has gone to the virtual-APIC page (SDM 3C 30.4.3.2). @param offset of the register */
  pageWritten(offset: number): VirtualWrite {
    const { physical } = this.context;
    const at = this.#page() + offset;
    const delivers = this.#enabled(Secondary.VirtualInterruptDelivery);
    switch (offset) {
      case TPR:
        physical.write32(at, physical.read32(at) & 0xff);
        return this.#tprWritten();
      case EOI:
        if (!delivers) return apicWrite(offset);
        physical.write32(at, 0);
        return this.#endOfInterrupt();
      case ICR_LOW: {
        const command = physical.read32(at);
        if (delivers && isSelfIpi(command)) {
          this.#request(command & 0xff);
          return DONE;
        }
        if (!this.#virtualizesIpis()) return apicWrite(offset);
        return this.#command(command, physical.read32(this.#page() + ICR_HIGH) >>> 24);
      }
      case ICR_HIGH:
        physical.write32(at, physical.read32(at) & 0xff00_0000);
        return DONE;
      default:
        return apicWrite(offset);
    }
  }

  /** What a VM entry ends with: the virtual PPR, and the exit of a TPR below its threshold (SDM 3C 27.7.5, 27.7.7). */
  entered(): VirtualWrite {
    if (this.#enabled(Secondary.VirtualInterruptDelivery)) this.#updatePriority();
    else if (this.#enabled(Secondary.ApicAccesses) && this.vmcs.read32(Field.primaryControls) & Primary.TprShadow)
      return this.#tprWritten();
    return DONE;
  }

  /** The notification vector has arrived: requests go from the descriptor to the page (SDM 3C 30.6). False if it is not that. */
  takeNotification(vector: number): boolean {
    if (!(this.vmcs.read32(Field.pinBasedControls) & Pin.ProcessPostedInterrupts)) return false;
    if (vector !== this.vmcs.read32(Field.postedInterruptNotificationVector)) return false;
    this.#acceptPosted();
    return true;
  }

  /**
   * Between two instructions: accepts what is posted, and delivers the highest virtual interrupt if the guest can take it. True if
   * RIP stands at its handler.
   */
  deliverPending(): boolean {
    const { mem } = this.context;
    if (mem.get32(L.NON_ROOT) === 0 || !this.#enabled(Secondary.VirtualInterruptDelivery)) return false;
    // Above Linux there is no APIC to carry the notification.
    if (this.context.engine.supervisor && this.vmcs.read32(Field.pinBasedControls) & Pin.ProcessPostedInterrupts)
      this.#acceptPosted();
    const status = this.vmcs.read32(Field.guestInterruptStatus);
    const vector = status & 0xff;
    if (vector >> 4 <= this.#priority(status) >> 4) return false;
    if (this.vmcs.read32(Field.primaryControls) & Primary.InterruptWindowExiting) return false;
    if (!(mem.get32(L.SYSTEM_FLAGS) & Flag.IF) || mem.get32(L.INTERRUPTIBILITY) & SHADOW) return false;
    if (mem.get32(L.ACTIVITY) > Activity.Halt) return false;
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
    const events = mem.get32(L.PENDING_EVENTS);
    if (events & L.MONITOR_TRAP) mem.set32(L.PENDING_EVENTS, events | L.PENDING_MTF);
    return true;
  }

  #enabled(control: number): boolean {
    return this.context.cpu.nonRoot && (secondaryControls(this.vmcs) & control) !== 0;
  }
  #virtualizesIpis(): boolean {
    return this.context.cpu.nonRoot && (tertiaryControls(this.vmcs) & Tertiary.IpiVirtualization) !== 0;
  }

  /** What would follow an interrupt command, with IPI virtualization. @param target virtual APIC ID */
  #foreseeIpi(command: number, target: number): VirtualWrite {
    if (!isPhysicalIpi(command)) return apicWrite(ICR_LOW);
    const because = refuseIpi(this.context, this.vmcs, command & 0xff, target);
    return because ? { ...apicWrite(ICR_LOW), because } : DONE;
  }
  #command(command: number, target: number): VirtualWrite {
    const outcome = this.#foreseeIpi(command, target);
    if (outcome.exit === undefined) postIpi(this.context, this.vmcs, command & 0xff, target);
    return outcome;
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
    const { physical } = this.context;
    const priority = this.#priority(this.vmcs.read32(Field.guestInterruptStatus));
    if (physical.read32(this.#page() + PPR) !== priority) physical.write32(this.#page() + PPR, priority);
  }
  #setStatus(requested: number, inService: number): void {
    this.vmcs.write32(Field.guestInterruptStatus, requested | (inService << 8));
  }

  #tprWritten(): VirtualWrite {
    if (this.#enabled(Secondary.VirtualInterruptDelivery)) this.#updatePriority();
    return this.foreseeTpr(this.context.physical.read32(this.#page() + TPR));
  }

  #request(vector: number): void {
    this.#setBit(IRR, vector, true);
    const status = this.vmcs.read32(Field.guestInterruptStatus);
    this.#setStatus(Math.max(status & 0xff, vector), status >> 8);
  }

  #endOfInterrupt(): VirtualWrite {
    const outcome = this.#foreseeEnd();
    const status = this.vmcs.read32(Field.guestInterruptStatus);
    this.#setBit(ISR, status >> 8, false);
    this.#setStatus(status & 0xff, this.#highest(ISR));
    this.#updatePriority();
    return outcome;
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
