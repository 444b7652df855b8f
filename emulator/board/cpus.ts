/**
 * The logical processors of a board: whose state page is loaded, which runs next, how time passes for each. They take turns on one host thread; the one whose own
 * time is least goes first, so that their clocks agree within a quantum. Everything here is a function of machine state, never of how `run` is sliced.
 */
import { Activity } from '../cpu/activity.ts';
import type { CpuContext } from '../cpu/context.ts';
import { RFLAGS_IF } from '../cpu/control-bits.ts';
import * as L from '../cpu/layout.ts';
import { resetRealMode } from '../cpu/system/reset.ts';
import { SLOT_PIN } from '../cpu/vmcs-region.ts';
import { Pin } from '../vmx/controls.ts';
import { ExitReason } from '../vmx/exit-reasons.ts';
import type { ApicMode } from './local-apic.ts';
import { LocalApic, freshApic } from './local-apic.ts';
import type { LocalApicState } from './local-apic.ts';

/** Instructions that a CPU runs while others could, before they are looked at. */
const QUANTUM = 2_000;
const NO_VECTOR = -1;
const X2APIC_ENABLED = 0x400n;

export interface Cpu {
  readonly index: number;
  readonly apic: LocalApic;
  /** State page while another CPU's is loaded. */
  readonly page: Uint8Array;
  /** INIT has arrived and waits until it can be taken; a start-up vector, or NO_VECTOR. */
  init: boolean;
  sipi: number;
}

interface SavedCpu {
  readonly page: Uint8Array;
  readonly apic: LocalApicState;
  readonly init: boolean;
  readonly sipi: number;
}

export interface SavedCpus {
  readonly cpus: readonly SavedCpu[];
  readonly current: number;
  readonly until: number;
  readonly quantumEnd: number;
}

interface BoardTimer {
  /** Cycles, of whichever CPU comes to them first. */
  expires(): number;
  /** Lets it expire if it is time for the loaded CPU; true if it has. */
  tick(): boolean;
}

/** What the CPUs leave to the board. */
export interface CpuBoard {
  send(from: Cpu, ...args: Parameters<LocalApic['board']['send']>): void;
  endOfInterrupt(vector: number): void;
  /** Whether the 8259s have an interrupt. */
  picPending(): boolean;
  /** What interrupts by itself, beside the timers of the APICs. */
  timer(): BoardTimer;
}

/** Power-up (SDM 3A table 10-1), with the APIC in xAPIC mode and VMX not yet allowed. */
function powerUp(context: CpuContext): void {
  resetRealMode(context);
  context.mem.set64(L.MSR_FEATURE_CONTROL, 0n);
  context.mem.set64(L.MSR_APIC_BASE, context.mem.get64(L.MSR_APIC_BASE) & ~X2APIC_ENABLED);
}

export class Cpus {
  readonly all: readonly Cpu[];
  /** Whose state page is loaded. */
  current: Cpu;
  /** Retired instructions (of the machine) at which the choice of CPU and the timers must be looked at again. */
  #until = 0;
  #quantumEnd = 0;

  constructor(
    readonly context: CpuContext,
    readonly board: CpuBoard,
  ) {
    this.all = Array.from({ length: context.cpus }, (_, index) => this.#create(index));
    this.current = this.all[0]!;
  }

  #create(index: number): Cpu {
    const cpu: Cpu = {
      index,
      page: new Uint8Array(L.STATE_SIZE),
      init: false,
      sipi: NO_VECTOR,
      apic: new LocalApic(index, {
        cycles: () => this.cycles(cpu),
        tscAdjust: () => this.get64(cpu, L.MSR_TSC_ADJUST),
        mode: () => this.#apicMode(cpu),
        send: (message, shorthand) => this.board.send(cpu, message, shorthand),
        endOfInterrupt: (vector) => this.board.endOfInterrupt(vector),
        nmi: () => this.nmi(cpu),
        changed: () => this.replan(),
      }),
    };
    return cpu;
  }

  /** The first CPU is in its power-up state and loaded; the others wait for SIPI. */
  powerUp(): void {
    const { cpu } = this.context;
    for (const other of this.all.slice(1)) {
      this.load(other);
      powerUp(this.context);
      this.context.mem.set32(L.ACTIVITY, Activity.WaitForSipi);
      cpu.save(other.page);
    }
    this.load(this.all[0]!);
    powerUp(this.context);
  }

  // ---------------------------------------------------------------- state of any CPU

  get32(cpu: Cpu, at: number): number {
    if (cpu === this.current) return this.context.mem.get32(at);
    return new DataView(cpu.page.buffer).getUint32(at - L.STATE, true);
  }
  set32(cpu: Cpu, at: number, value: number): void {
    if (cpu === this.current) this.context.mem.set32(at, value);
    else new DataView(cpu.page.buffer).setUint32(at - L.STATE, value, true);
  }
  get64(cpu: Cpu, at: number): bigint {
    if (cpu === this.current) return this.context.mem.get64(at);
    return new DataView(cpu.page.buffer).getBigUint64(at - L.STATE, true);
  }
  cycles(cpu: Cpu): number {
    return this.get32(cpu, L.CYCLES) + this.get32(cpu, L.CYCLES + 4) * 0x1_0000_0000;
  }
  #setCycles(cpu: Cpu, cycles: number): void {
    this.set32(cpu, L.CYCLES, cycles % 0x1_0000_0000);
    this.set32(cpu, L.CYCLES + 4, Math.floor(cycles / 0x1_0000_0000));
  }
  activity(cpu: Cpu): Activity {
    return this.get32(cpu, L.ACTIVITY);
  }
  #apicMode(cpu: Cpu): ApicMode {
    const base = this.get32(cpu, L.MSR_APIC_BASE);
    if (!(base & 0x800)) return 'off';
    return base & 0x400 ? 'x2apic' : 'xapic';
  }
  nmi(cpu: Cpu): void {
    this.set32(cpu, L.PENDING_EVENTS, this.get32(cpu, L.PENDING_EVENTS) | L.PENDING_NMI);
    this.replan();
  }

  /** Puts a CPU's state into the processor. */
  load(cpu: Cpu): void {
    if (cpu === this.current) return;
    this.context.cpu.save(this.current.page);
    this.context.cpu.load(cpu.page);
    this.current = cpu;
    this.context.engine.selectCpu(cpu.index);
  }

  // ---------------------------------------------------------------- scheduling

  /** Instructions until `schedule` must be called. */
  get quantum(): number {
    return Math.max(1, this.#until - this.context.engine.retired);
  }

  /** Something has happened that may change what is next: the running slice ends after this instruction. */
  replan(): void {
    const { engine } = this.context;
    this.#until = Math.min(this.#until, engine.retired);
    engine.requestStop();
  }
  /** The running CPU has taken cycles that its instructions do not count. */
  timePassed(cycles: number): void {
    const { engine } = this.context;
    this.#until -= cycles;
    this.#quantumEnd -= cycles;
    if (this.#until <= engine.retired) engine.requestStop();
  }
  /** The running CPU waits, or has sent something: others go first. */
  yield(): void {
    if (this.all.length === 1) return;
    this.#quantumEnd = 0;
    this.replan();
  }

  /** Makes the CPU that goes on the current one. False: none can, and none ever will. */
  schedule(only?: Cpu): boolean {
    const { engine } = this.context;
    const timer = this.board.timer();
    // A second interrupt of it wakes nobody whom the first has not woken.
    let idle = false;
    if (only) this.load(only);
    else if (engine.retired < this.#until && this.#runs(this.current)) return true;
    for (;;) {
      const keeps = engine.retired < this.#quantumEnd && this.#runs(this.current);
      const alarm = idle ? Infinity : timer.expires();
      const next = only ?? (keeps ? this.current : this.#earliest(alarm));
      if (!next || (only && this.#readyAt(only, alarm) === Infinity)) return false;
      if (next !== this.current || !keeps) this.#quantumEnd = engine.retired + QUANTUM;
      this.load(next);
      const time = this.#readyAt(next, alarm);
      if (time > this.cycles(next)) this.#setCycles(next, time);
      idle = timer.tick() || idle;
      this.#settle(next);
      if (!this.#runs(next)) continue;
      this.#plan(next);
      return true;
    }
  }

  /** Whether it may execute: active, or with an event that wakes it. */
  #runs(cpu: Cpu): boolean {
    if (this.signalled(cpu)) return false;
    switch (this.activity(cpu)) {
      case Activity.Active:
        return true;
      case Activity.Halt:
        return this.#wakes(cpu) || this.cycles(cpu) >= this.#guestTimer(cpu);
      case Activity.Shutdown:
        return this.cycles(cpu) >= this.#guestTimer(cpu);
      default:
        return false;
    }
  }

  #wakes(cpu: Cpu): boolean {
    const pending = this.get32(cpu, L.PENDING_EVENTS);
    const virtualNmis = (this.get32(cpu, L.VMX_MODE) & L.VMX_VIRTUAL_NMIS) !== 0;
    if (pending & L.PENDING_NMI && (virtualNmis || !(this.get32(cpu, L.INTERRUPTIBILITY) & 8))) return true;
    const interrupt = cpu.apic.deliverable() >= 0 || (cpu.apic.takesExtInt() && this.board.picPending());
    return interrupt && this.#takesInterrupts(cpu);
  }
  /** By RFLAGS.IF, or as exits of a guest, whatever that says (SDM 3C 26.2). */
  #takesInterrupts(cpu: Cpu): boolean {
    if (this.get32(cpu, L.SYSTEM_FLAGS) & RFLAGS_IF) return true;
    if (this.get32(cpu, L.NON_ROOT) === 0) return false;
    const controls = this.context.physical.read32(Number(this.get64(cpu, L.VMCS_POINTER)) + SLOT_PIN);
    return (controls & Pin.ExternalInterruptExiting) !== 0;
  }

  /** When the CPU can go on, in its own cycles. @param alarm when the board's timer wakes one that halts */
  #readyAt(cpu: Cpu, alarm: number): number {
    const now = this.cycles(cpu);
    if (this.#runs(cpu) || this.signalled(cpu)) return now;
    const board = this.activity(cpu) === Activity.Halt ? alarm : Infinity;
    return Math.max(now, Math.min(this.#interruptTimer(cpu), this.#guestTimer(cpu), board));
  }
  /** When the timer of its APIC wakes a CPU that halts, in its own cycles. */
  #interruptTimer(cpu: Cpu): number {
    return this.activity(cpu) === Activity.Halt && this.#takesInterrupts(cpu) ? cpu.apic.interruptsAt() : Infinity;
  }
  /** When the VMX-preemption timer of an inactive guest expires, in its own cycles. */
  #guestTimer(cpu: Cpu): number {
    if (!(this.get32(cpu, L.PENDING_EVENTS) & L.TIMER_RUNS) || this.activity(cpu) === Activity.WaitForSipi)
      return Infinity;
    return Number(this.get64(cpu, L.TIMER_DEADLINE));
  }
  /** INIT or SIPI is to be taken: VMX root operation blocks INIT (SDM 3C 24.8). */
  signalled(cpu: Cpu): boolean {
    if (cpu.init) return this.get32(cpu, L.VMX_ON) === 0 || this.get32(cpu, L.NON_ROOT) !== 0;
    return cpu.sipi >= 0 && this.activity(cpu) === Activity.WaitForSipi;
  }

  #earliest(alarm: number): Cpu | undefined {
    let first: Cpu | undefined;
    let least = Infinity;
    for (const cpu of this.all) {
      const time = this.#readyAt(cpu, alarm);
      if (time >= least) continue;
      least = time;
      first = cpu;
    }
    return first;
  }

  /** The slice ends at the next timer, and after the quantum if others could run. */
  #plan(cpu: Cpu): void {
    const { retired } = this.context.engine;
    const others = this.all.some((other) => other !== cpu && this.#readyAt(other, Infinity) !== Infinity);
    const timer = retired + Math.max(1, Math.min(cpu.apic.expires(), this.board.timer().expires()) - this.cycles(cpu));
    this.#until = Math.min(timer, others ? this.#quantumEnd : Infinity);
  }

  /** What is due for the loaded CPU between two instructions: its timer, INIT, SIPI. */
  #settle(cpu: Cpu): void {
    cpu.apic.tick();
    if (cpu.init) this.#takeInit(cpu);
    if (cpu.sipi >= 0) this.#takeSipi(cpu);
  }

  #takeInit(cpu: Cpu): void {
    const { context } = this;
    if (context.cpu.nonRoot) {
      cpu.init = false;
      context.vmx.exit(ExitReason.InitSignal);
      return;
    }
    // Blocked in VMX root operation (SDM 3C 24.8).
    if (context.mem.get32(L.VMX_ON)) return;
    cpu.init = false;
    this.#reset(cpu);
  }

  /** INIT: as power-up, but FPU, SSE, MTRRs, most MSRs and the APIC's base stay (SDM 3A table 10-1). */
  #reset(cpu: Cpu): void {
    const { context } = this;
    const { mem } = context;
    const kept = [L.CYCLES, L.RETIRED, L.MSR_APIC_BASE, L.MSR_FEATURE_CONTROL, L.MSR_TSC_ADJUST, L.MSR_PAT].map(
      (at) => [at, mem.get64(at)] as const,
    );
    const cacheControl = mem.get64(L.CR0) & 0x6000_0000n;
    const vectors = mem.bytes.slice(L.XMM, L.MXCSR + 8);
    resetRealMode(context);
    for (const [at, value] of kept) mem.set64(at, value);
    mem.set64(L.CR0, 0x10n | cacheControl);
    mem.bytes.set(vectors, L.XMM);
    cpu.apic.state = freshApic();
    if (cpu.index !== 0) mem.set32(L.ACTIVITY, Activity.WaitForSipi);
    context.engine.contextChanged();
  }

  #takeSipi(cpu: Cpu): void {
    const { context } = this;
    const vector = cpu.sipi;
    cpu.sipi = NO_VECTOR;
    if (this.activity(cpu) !== Activity.WaitForSipi) return;
    if (context.cpu.nonRoot) {
      context.vmx.exit(ExitReason.StartupIpi, { qualification: BigInt(vector) });
      return;
    }
    const { mem } = context;
    mem.set32(L.ACTIVITY, Activity.Active);
    mem.set16(L.CS + L.SEG_SELECTOR, vector << 8);
    mem.set64(L.CS + L.SEG_BASE, BigInt(vector << 12));
    context.cpu.rip = 0n;
    context.engine.contextChanged();
  }

  init(cpu: Cpu): void {
    cpu.init = true;
    cpu.sipi = NO_VECTOR;
  }
  /** A start-up IPI counts only for a CPU that waits for one. */
  startup(cpu: Cpu, vector: number): void {
    if (cpu.init || this.activity(cpu) === Activity.WaitForSipi) cpu.sipi = vector;
  }

  /** Another CPU's event reaches this one not before it was sent, but soon. */
  arrive(cpu: Cpu): void {
    if (cpu !== this.current) this.yield();
    const now = this.cycles(this.current);
    if (!this.#runs(cpu) && this.cycles(cpu) < now) this.#setCycles(cpu, now);
  }

  // ---------------------------------------------------------------- snapshots

  save(): SavedCpus {
    this.context.cpu.save(this.current.page);
    return {
      cpus: this.all.map(({ page, apic, init, sipi }) => structuredClone({ page, apic: apic.state, init, sipi })),
      current: this.current.index,
      until: this.#until,
      quantumEnd: this.#quantumEnd,
    };
  }

  /** The processor's own state is restored by the caller before. */
  restore(saved: SavedCpus): void {
    saved.cpus.forEach(({ page, apic, init, sipi }, index) => {
      const cpu = this.all[index]!;
      cpu.page.set(page);
      cpu.apic.state = structuredClone(apic);
      Object.assign(cpu, { init, sipi });
    });
    this.current = this.all[saved.current]!;
    this.#until = saved.until;
    this.#quantumEnd = saved.quantumEnd;
    this.context.engine.selectCpu(this.current.index);
  }
}
