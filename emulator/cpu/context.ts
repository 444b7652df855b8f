/** What the TypeScript side of the processor works on: one object per machine, whichever vCPU is running. */
import type { EventBus } from '../machine/events.ts';
import type { Mmu } from '../mmu/api.ts';
import type { PhysicalMemory } from '../mmu/physical.ts';
import type { Vmx } from '../vmx/api.ts';
import type { Engine, Fault } from './engine-api.ts';
import type { CpuState, LinearMemory } from './state.ts';

/** Exports of dist/core.wasm that TypeScript calls (emulator/core/index.ts). */
export interface CoreExports {
  /**
   * Linear address to an offset in linear memory for an access that stays within a page, by the whole rules of paging
   * (A/D bits, TLB fill). 0: refused, FAULT_* says why. `access` is ACCESS_*; `user` 1 for CPL 3, 0 for supervisor.
   */
  translate(gva: bigint, access: number, user: number): number;
  /** The six arithmetic flags in RFLAGS positions, from the lazy ones. */
  arithmeticFlags(): number;
}

export interface CpuContext {
  readonly mem: LinearMemory;
  readonly cpu: CpuState;
  readonly core: CoreExports;
  readonly physical: PhysicalMemory;
  readonly engine: Engine;
  readonly mmu: Mmu;
  readonly vmx: Vmx;
  readonly events: EventBus;
  /** Running logical CPU (0-based), its x2APIC ID, and how many there are. */
  cpuIndex: number;
  cpus: number;
  /** While an event is being delivered through the IDT: what the IDT-vectoring information of an exit taken now says. */
  vectoring: Vectoring | undefined;
  /** What happened in the last delivery that did not go straight to a handler, first fault first. Plain data. */
  faultChain: readonly FaultRecord[];
}

/** IDT-vectoring information (SDM 3C 25.9.3). */
export interface Vectoring {
  readonly information: number;
  readonly errorCode: number;
  /** Bytes; 0 unless a software interrupt or exception. */
  readonly instructionLength: number;
}

export interface FaultRecord {
  readonly fault: Fault;
  readonly rip: bigint;
  readonly cpl: number;
  /** Why this one could not be delivered: "IDT limit 0: vector 14 is outside". Absent for the one that was. */
  readonly failed?: string;
}
