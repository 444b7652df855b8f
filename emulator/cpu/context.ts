/**
 * What system instructions, exception delivery and VMX work on: one object a processor, made by cpu/processor.ts.
 * Also the two functions the engine's driver leaves to cpu/system/, and the part of the AssemblyScript core the driver calls.
 */
import type { EventBus } from '../machine/events.ts';
import type { Mmu } from '../mmu/api.ts';
import type { PhysicalMemory } from '../mmu/physical.ts';
import type { Vmx } from '../vmx/api.ts';
import type { Engine, Fault, Supervisor } from './engine-api.ts';
import type { Instruction } from './instruction.ts';
import type { CpuState, LinearMemory } from './state.ts';

export interface CpuContext {
  readonly engine: Engine;
  readonly cpu: CpuState;
  readonly mem: LinearMemory;
  readonly physical: PhysicalMemory;
  readonly core: CoreExports;
  readonly mmu: Mmu;
  readonly vmx: Vmx;
  readonly events: EventBus;
  /** That of the engine. */
  readonly supervisor: Supervisor | undefined;
  /** Adds modelled cycles beside the static cost of instructions. */
  addCycles(cycles: number): void;
}

/**
 * How a system instruction ended.
 *  - 'next': done; the engine moves RIP past the instruction and counts it.
 *  - 'moved': done, and RIP already stands where execution goes on (IRET, SYSCALL, a VM exit or entry, HLT after advancing...); it counts.
 *  - a Fault: nothing was changed; the engine passes it to `deliver`; it does not count.
 */
export type SystemOutcome = 'next' | 'moved' | Fault;

/** emulator/cpu/system/index.ts exports `executeSystem` of this type. RIP and all state stand at the instruction's start. */
export type ExecuteSystem = (context: CpuContext, insn: Instruction) => SystemOutcome;

/**
 * emulator/cpu/system/exceptions.ts exports `deliver` of this type. RIP stands on the instruction at fault (after it, for traps). Decides between a VM
 * exit (`vmx.interceptEvent`), the supervisor and the IDT; afterwards RIP stands where execution goes on.
 */
export type Deliver = (context: CpuContext, fault: Fault) => void;

/**
 * Asked before the first instruction of a run and after each system instruction, delivery or `engine.pollInterrupts()`: an interrupt (or other event
 * between instructions) to deliver now, if RFLAGS.IF and the interruptibility state let it.
 */
export type PendingInterrupt = (context: CpuContext) => Fault | undefined;

/**
 * Exports of emulator/core/ that TypeScript calls by name (the interpreter calls more, see interpreter/imports.ts). i64 parameters are bigint.
 *
 * Careful mode (`setCareful(1)`): how the one instruction that answered FAULT_BAIL is redone. In it, slow stores to code granules and watched frames
 * succeed, and each calls the import `env.observedWrite(hpa: i32, size: i32)` after the bytes are written. Outside it they answer FAULT_BAIL.
 */
export interface CoreExports {
  /** Host offset (an i32 to be read as unsigned) of a linear address for an ACCESS_* kind, or -1 with FAULT_* filled. Fills the TLB. */
  translate(gva: bigint, access: number): number;
  setCareful(on: number): void;
  /** Six arithmetic flags of a lazy state, in RFLAGS positions. */
  flagsOf(ccOp: number, a: bigint, b: bigint): number;
  readonly [name: string]: unknown;
}
