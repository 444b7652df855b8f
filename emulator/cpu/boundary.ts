/** What comes between two instructions (SDM 3A table 6-2; SDM 3C 26.2, 26.5): debug traps, VM exits that no instruction causes, NMIs, interrupts. */
import { Dr6 } from './debug.ts';
import { Blocking, SHADOW } from './activity.ts';
import { InterruptionType } from './engine-api.ts';
import type { Fault } from './engine-api.ts';
import type { EngineHooks } from './engine-parts.ts';
import * as L from './layout.ts';
import type { LinearMemory } from './state.ts';
import { Vector } from './system/fault.ts';
import { Flag } from './system/rflags.ts';

const FLAG_RF = Flag.RF;
const BLOCKED_BY_MOV_SS = Blocking.MOV_SS;
const BLOCKED_BY_NMI = Blocking.NMI;
const VECTOR_DB = Vector.DB;
const VECTOR_NMI = Vector.NMI;

/** The engine, as far as it is needed here. */
interface Host {
  readonly hooks: EngineHooks;
  readonly stopRequested: boolean;
  deliver(fault: Fault): void;
  flushCounts(): void;
}

export class Boundary {
  /** Events wait until the traps of the instruction in progress are known. */
  deferring = false;
  #repeats = false;

  constructor(
    private readonly mem: LinearMemory,
    private readonly host: Host,
  ) {}

  /**
   * Delivers the debug trap that is due after an instruction, if any; after a load of SS it waits for the next one (SDM 3A 6.8.3).
   * @param conditions bits of DR6 beside those of data breakpoints
   * @param again an element of a repeated instruction was executed, but not the last: the image pushed has RF set
   */
  trap(conditions: number, again = false): void {
    const { mem } = this;
    const pending = mem.get32(L.PENDING_EVENTS);
    const debug = conditions | (mem.get32(L.WATCH_HITS) & Dr6.BREAKPOINTS) | (pending & L.PENDING_DEBUG);
    mem.set32(L.WATCH_HITS, 0);
    if (debug === 0) return;
    if (mem.get32(L.INTERRUPTIBILITY) & BLOCKED_BY_MOV_SS) {
      mem.set32(L.PENDING_EVENTS, pending | debug);
      return;
    }
    mem.set32(L.PENDING_EVENTS, pending & ~L.PENDING_DEBUG);
    if (again) mem.set32(L.SYSTEM_FLAGS, mem.get32(L.SYSTEM_FLAGS) | FLAG_RF);
    const because = debug & Dr6.BS ? 'single step: RFLAGS.TF is set' : 'data or I/O breakpoint (DR7)';
    this.host.deliver({ kind: 'exception', vector: VECTOR_DB, debug, because });
  }
  /**
   * Some of a repeated string instruction is done and RIP stays on it. RF says so: what comes now has it in the image it saves, and no breakpoint on the
   * instruction is met again (SDM 3B 18.3.1.1).
   */
  repeats(): void {
    this.mem.set32(L.SYSTEM_FLAGS, this.mem.get32(L.SYSTEM_FLAGS) | FLAG_RF);
    this.#repeats = true;
  }
  /** Whether it did so since this was asked last. */
  takeRepeats(): boolean {
    const repeats = this.#repeats;
    this.#repeats = false;
    return repeats;
  }
  /** After an instruction under the monitor trap flag: its exit comes before debug traps, which stay pending (SDM 3C 26.5.2). */
  monitorTrap(conditions: number): void {
    const { mem } = this;
    const pending = mem.get32(L.PENDING_EVENTS);
    const debug = conditions | (mem.get32(L.WATCH_HITS) & Dr6.BREAKPOINTS);
    mem.set32(L.WATCH_HITS, 0);
    if (pending & L.MONITOR_TRAP) mem.set32(L.PENDING_EVENTS, pending | debug | L.PENDING_MTF);
  }
  /** A delivery under the monitor trap flag is followed by its exit. */
  afterDelivery(): void {
    const pending = this.mem.get32(L.PENDING_EVENTS);
    if ((pending & (L.MONITOR_TRAP | L.APIC_REDIRECTED)) === L.MONITOR_TRAP)
      this.mem.set32(L.PENDING_EVENTS, pending | L.PENDING_MTF);
  }
  interrupt(): void {
    if (this.host.stopRequested || this.deferring) return;
    if (this.mem.get32(L.PENDING_EVENTS) !== 0 && this.#pending()) return;
    const event = this.host.hooks.pendingInterrupt();
    if (event) {
      this.host.flushCounts();
      this.host.hooks.deliver(event);
      this.afterDelivery();
    }
    if (this.mem.get32(L.PENDING_EVENTS) & L.PENDING_MTF) this.#pending();
  }

  /**
   * What comes between two instructions before interrupts (SDM 3A table 6-2, SDM 3C 26.2, 26.5): exits of the monitor trap flag, debug exceptions that a VM
   * entry brought, exits of the preemption timer and of NMI windows, NMIs, exits of interrupt windows. True if one of them came.
   */
  #pending(): boolean {
    const { mem } = this;
    const blocked = mem.get32(L.INTERRUPTIBILITY);
    const events = mem.get32(L.PENDING_EVENTS);
    if (events & L.PENDING_DEBUG && !(blocked & BLOCKED_BY_MOV_SS) && !(events & L.PENDING_MTF)) {
      this.trap(0);
      return true;
    }
    if (events & L.OF_GUEST) {
      this.host.flushCounts();
      if (this.host.hooks.boundary(true)) return true;
    }
    if (events & L.PENDING_NMI && !(blocked & SHADOW) && !this.#blocksNmi(blocked)) {
      mem.set32(L.PENDING_EVENTS, mem.get32(L.PENDING_EVENTS) & ~L.PENDING_NMI);
      this.host.flushCounts();
      this.host.hooks.deliver({ kind: 'exception', vector: VECTOR_NMI, type: InterruptionType.Nmi });
      this.afterDelivery();
      if (mem.get32(L.PENDING_EVENTS) & L.PENDING_MTF) this.host.hooks.boundary(true);
      return true;
    }
    return (events & L.ASKS_VMX) !== 0 && this.host.hooks.boundary(false);
  }
  /** Virtual NMIs leave those of the processor unblocked in a guest (SDM 3C 25.4.2). */
  #blocksNmi(blocked: number): boolean {
    return (blocked & BLOCKED_BY_NMI) !== 0 && !(this.mem.get32(L.VMX_MODE) & L.VMX_VIRTUAL_NMIS);
  }
}
