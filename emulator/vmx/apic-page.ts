/**
 * The APIC-access page (SDM 3C 30.4). The core reports an access to it as a fault. One that is virtualised is executed again with the virtual-APIC page in
 * its place (APIC_REDIRECTED), and what its write asks for follows behind the instruction.
 */
import * as C from '../cpu/codes.ts';
import type { CpuContext } from '../cpu/context.ts';
import type { EptFault } from '../cpu/engine-api.ts';
import * as L from '../cpu/layout.ts';
import { Primary, Secondary, Tertiary } from './controls.ts';
import { Field } from './fields.ts';
import type { VirtualApic, VirtualWrite } from './posted.ts';
import { secondaryControls, tertiaryControls } from './queries.ts';
import type { CurrentVmcs } from './vmcs.ts';

/** Registers by offset / 16 (SDM 3C 30.4.2, 30.4.3): what each control lets through. */
const TPR = [0x08];
const WITH_DELIVERY = [...TPR, 0x0b, 0x30];
/** Written ones, with IPI virtualization: the interrupt command. */
const COMMAND = [0x30, 0x31];
const LVT = [0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38, 0x3e];
const BANKS = Array.from({ length: 0x18 }, (_, index) => 0x10 + index);
const READ_REGISTERS = [0x02, 0x03, 0x08, 0x0b, 0x0d, 0x0e, 0x0f, ...BANKS, 0x28, 0x30, 0x31, ...LVT];
const WRITTEN_REGISTERS = [0x02, 0x08, 0x0b, 0x0d, 0x0e, 0x0f, 0x28, 0x30, 0x31, ...LVT];

export class ApicPage {
  constructor(
    private readonly context: CpuContext,
    private readonly vmcs: CurrentVmcs,
    private readonly apic: VirtualApic,
  ) {}

  /** True if the access is virtualised: the instruction is to be executed again. Else it exits. */
  redirect({ gpa, access = 0, bytes = 1 }: EptFault): boolean {
    const { mem } = this.context;
    const write = (access & C.ACCESS_KIND) === C.ACCESS_WRITE;
    const virtual =
      (access & C.ACCESS_KIND) !== C.ACCESS_EXEC &&
      !this.context.vectoring &&
      (gpa & 15) + bytes <= 4 &&
      this.#lets(gpa, write);
    if (!virtual) return false;
    mem.set64(L.VIRTUAL_APIC, this.vmcs.read(Field.virtualApicAddress));
    mem.set32(L.APIC_OFFSET, gpa | (write ? L.APIC_WRITES : 0));
    mem.set32(L.PENDING_EVENTS, mem.get32(L.PENDING_EVENTS) | L.APIC_REDIRECTED);
    return true;
  }

  /** Behind the instruction: undefined if there was no such access. */
  finish(): VirtualWrite | undefined {
    const { mem } = this.context;
    const events = mem.get32(L.PENDING_EVENTS);
    const offset = mem.get32(L.APIC_OFFSET);
    if (!(events & L.APIC_REDIRECTED) || !(offset & L.APIC_DONE)) return undefined;
    mem.set32(L.PENDING_EVENTS, events & ~L.APIC_REDIRECTED);
    return offset & L.APIC_WRITES ? this.apic.pageWritten(offset & 0xff0) : undefined;
  }

  #lets(offset: number, write: boolean): boolean {
    if (!(this.vmcs.read32(Field.primaryControls) & Primary.TprShadow)) return false;
    if (write && COMMAND.includes(offset >> 4) && tertiaryControls(this.vmcs) & Tertiary.IpiVirtualization) return true;
    const secondary = secondaryControls(this.vmcs);
    const registers =
      secondary & Secondary.ApicRegisterVirtualization
        ? write
          ? WRITTEN_REGISTERS
          : READ_REGISTERS
        : secondary & Secondary.VirtualInterruptDelivery
          ? WITH_DELIVERY
          : TPR;
    return registers.includes(offset >> 4);
  }
}
