/** Interrupts of a board: from lines and processors through the 8259s and the I/O APIC to local APICs, and from there into the running processor. */
import { Activity, SHADOW } from '../cpu/activity.ts';
import { Flag } from '../cpu/system/rflags.ts';
import type { CpuContext } from '../cpu/context.ts';
import type { Fault } from '../cpu/engine-api.ts';
import { InterruptionType } from '../cpu/engine-api.ts';
import * as L from '../cpu/layout.ts';
import { Exit, Pin } from '../vmx/controls.ts';
import { Field } from '../vmx/fields.ts';
import { DeliveryMode } from './apic-registers.ts';
import type { Cpu, Cpus } from './cpus.ts';
import { IoApic } from './io-apic.ts';
import type { InterruptMessage } from './local-apic.ts';
import { InterruptControllers } from './pic.ts';

const enum Shorthand {
  None = 0,
  Self = 1,
  All = 2,
  Others = 3,
}

export class Interrupts {
  readonly ioApic = new IoApic((message) => this.#route(message));
  readonly pic = new InterruptControllers();

  /** @param processors they are made with what sends through here */
  constructor(
    readonly context: CpuContext,
    readonly processors: () => Cpus,
  ) {}

  get cpus(): Cpus {
    return this.processors();
  }

  setLine(line: number, asserted: boolean): void {
    // The 8259's output of input 0 reaches the I/O APIC at input 2.
    this.ioApic.setLine(line === 0 ? 2 : line, asserted);
    this.pic.setLine(line, asserted);
    this.cpus.replan();
  }

  send(from: Cpu, message: InterruptMessage, shorthand: Shorthand): void {
    switch (shorthand) {
      case Shorthand.Self:
        return this.#deliver(from, message);
      case Shorthand.All:
        return this.cpus.all.forEach((cpu) => this.#deliver(cpu, message));
      case Shorthand.Others:
        return this.cpus.all.filter((cpu) => cpu !== from).forEach((cpu) => this.#deliver(cpu, message));
      default:
        this.#route(message);
    }
  }

  /** To whom it names; with lowest priority to the one that is least busy. */
  #route(message: InterruptMessage): void {
    const targets = this.cpus.all.filter(({ apic }) => apic.isDestination(message));
    if (message.mode !== DeliveryMode.Lowest) return targets.forEach((cpu) => this.#deliver(cpu, message));
    const [first, ...others] = targets;
    if (!first) return;
    const priority = ({ apic }: Cpu): number => apic.processorPriority();
    this.#deliver(
      others.reduce((least, cpu) => (priority(cpu) < priority(least) ? cpu : least), first),
      message,
    );
  }

  #deliver(cpu: Cpu, { mode, vector, level }: InterruptMessage): void {
    this.cpus.arrive(cpu);
    switch (mode) {
      case DeliveryMode.Fixed:
      case DeliveryMode.Lowest:
        cpu.apic.accept(vector, level);
        break;
      case DeliveryMode.Nmi:
        this.cpus.nmi(cpu);
        break;
      case DeliveryMode.Init:
        this.cpus.init(cpu);
        break;
      case DeliveryMode.Startup:
        this.cpus.startup(cpu, vector);
        break;
    }
    this.cpus.replan();
  }

  /** Between two instructions: the interrupt that the running processor takes now. */
  pending(): Fault | undefined {
    const { context } = this;
    const cpu = this.cpus.current;
    const { mem } = context;
    // After VM entry or VMXOFF.
    if (cpu.init && this.cpus.signalled(cpu)) this.cpus.replan();
    if (context.cpu.nonRoot && context.vmx.deliverVirtualInterrupt()) return undefined;
    const own = cpu.apic.deliverable();
    const external = own < 0 && cpu.apic.takesExtInt() && this.pic.pending;
    if ((own < 0 && !external) || mem.get32(L.INTERRUPTIBILITY) & SHADOW) return this.#wakeForNmi();
    if (context.cpu.nonRoot && Number(context.vmx.field(Field.pinBasedControls)) & Pin.ExternalInterruptExiting) {
      this.#exitForInterrupt(cpu, own);
      return undefined;
    }
    if (!(mem.get32(L.SYSTEM_FLAGS) & Flag.IF)) return this.#wakeForNmi();
    mem.set32(L.ACTIVITY, Activity.Active);
    return { kind: 'exception', vector: this.#acknowledge(cpu, own), type: InterruptionType.External };
  }

  /** The engine delivers NMIs itself; HLT ends with one. */
  #wakeForNmi(): undefined {
    const { mem } = this.context;
    if (mem.get32(L.ACTIVITY) !== Activity.Halt || !(mem.get32(L.PENDING_EVENTS) & L.PENDING_NMI)) return;
    mem.set32(L.ACTIVITY, Activity.Active);
  }

  #acknowledge(cpu: Cpu, own: number): number {
    if (own < 0) return this.pic.acknowledge();
    cpu.apic.acknowledge(own);
    return own;
  }

  /** The interrupt is taken from the controller only with "acknowledge interrupt on exit" (SDM 3C 28.2). */
  #exitForInterrupt(cpu: Cpu, own: number): void {
    const { vmx } = this.context;
    const acknowledges = Number(vmx.field(Field.exitControls)) & Exit.AcknowledgeInterrupt;
    const vector = acknowledges ? this.#acknowledge(cpu, own) : 0;
    vmx.interceptEvent({ kind: 'exception', vector, type: InterruptionType.External });
    // It may have been the notification of posted interrupts.
    if (this.context.cpu.nonRoot) vmx.deliverVirtualInterrupt();
  }
}
