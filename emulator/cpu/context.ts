/** What the TypeScript side of the processor works on: one object per machine, whichever vCPU is running. */
import type { EventBus } from '../machine/events.ts';
import type { Mmu } from '../mmu/api.ts';
import type { PhysicalMemory } from '../mmu/physical.ts';
import type { Vmx } from '../vmx/api.ts';
import type { Engine, Fault } from './engine-api.ts';
import type { Instruction } from './instruction.ts';
import type { CpuModel } from './system/models.ts';
import type { CpuState, LinearMemory } from './state.ts';

/**
 * Exports of dist/core.wasm that TypeScript calls (emulator/core/index.ts); the interpreter imports more. i64 parameters are bigint.
 *
 * Careful mode (`setCareful(1)`): how the one instruction that answered FAULT_BAIL is redone. In it, slow stores to code granules and watched frames
 * succeed, and each calls the import `env.observedWrite(hpa: i32, size: i32)` after the bytes are written. Outside it they answer FAULT_BAIL.
 */
export interface CoreExports {
  /**
   * Host offset of the byte at `gva` for an access that stays within a page, by the whole rules of paging (A/D bits, TLB fill).
   * -1: refused, FAULT_* says why; -2: the address is good but nothing is behind it. `access` is ACCESS_*, with ACCESS_IMPLICIT
   * or ACCESS_USER when the rights are not those of the CPL. The caller tells `physical.touched` of what it writes.
   */
  translate(gva: bigint, access: number): number;
  /** 0, or 1 with #AC in FAULT_*: alignment is checked at CPL 3. */
  checkAlignment(gva: bigint, bytes: number): number;
  /** The six arithmetic flags in RFLAGS positions, from the lazy ones. */
  arithmeticFlags(): number;
  /** As in mmu/core.ts. */
  readPdptes(cr3: bigint): number;
  /** Notes which watched ranges an access meets (core/mmu-watch.ts). */
  noteAccess(gva: bigint, bytes: number, access: number): number;
  setCareful(on: number): void;
  /** The first frame of `pfn` to `end` - 1 that has been written since the last snapshot; -1 for none. */
  nextDirty(pfn: number, end: number): number;
  /** FXSAVE's image of the running state at FP_IMAGE; `wide`: with 64-bit pointers. */
  fxStore(wide: number): void;
  /** Loads the image at FP_IMAGE; 1 if reserved bits of MXCSR are set, and then nothing was changed. */
  fxLoad(wide: number): number;
  /**
   * Outside 64-bit mode: linear address of an access, checked against the segment register at `segment`; `access` as `segmentAccess` (cpu/records.ts).
   * -1 (asUintN) with FAULT_* filled if it is refused.
   */
  segmentAddress(segment: number, offset: bigint, access: number): bigint;
  /** Empties the jump cache of a TLB bank. */
  flushJumps(bank: number): void;
  /** Moves fields of the VMCS at `region` to the state page by a list of moves (core/moves.ts), or from there. */
  loadFields(moves: number, end: number, region: number): void;
  saveFields(moves: number, end: number, region: number): void;
  /**
   * The common VM exits and entries (core/vm-transitions.ts), of the VMCS whose region is at this offset: 0 not done, 1 done but for what TypeScript knows of (TLB bank,
   * cycles, events). An exit whose information is written, with RFLAGS.RF as it is saved; the exit of the EPT violation in FAULT_*; VMRESUME.
   */
  exitGuest(region: number, resume: number): number;
  exitByViolation(region: number): number;
  enterGuest(region: number): number;
  /** The exit of the EPT violation in FAULT_*, the page that stands at SUPPLY_* mapped, and the entry (core/page-supply.ts): SUPPLY_*. */
  supplyPage(region: number): number;
  /** As the driver serves a fault that the interpreter has left with, by the lease (core/page-lease.ts). */
  serveLeased(): number;
  /** In non-root operation: 1 if a virtual interrupt may be due. */
  mayInterrupt(region: number): number;
  /** The common case of event delivery (core/transfer.ts): 0 not done; bit 0 done; bit 1 the context has changed. */
  enterHandler(vector: number, type: number, errorCode: number, length: number): number;
  /** The common case of IRETQ; answers the same. */
  returnFromHandler(): number;

  // Decoded blocks (core/code-blocks.ts, core/code-build.ts). `second` is the second word of a slot of the index.
  clearBlocks(): void;
  blockRoom(): number;
  /** First record of a block, with BLOCK_CROSSES; or 0. */
  findBlock(low: number, second: number, pfn: number): number;
  addBlock(low: number, second: number, pfn: number, block: number): void;
  removeBlock(low: number, second: number, pfn: number): void;
  linkFrame(block: number): void;
  /** The record to go on with at an address, entered in the stub's link and in the jump cache; 0: not from here. */
  codeRecord(gva: bigint, stub: number): number;
  /** Number of a new block, or -1: not from here. */
  buildBlock(gva: bigint, host: number, pfn: number, context: number): number;
  /** Map * 256 + opcode of an instruction, or -1. */
  headAt(host: number): number;
  /** Where the template of an instruction goes, or 0. */
  newTemplate(host: number): number;
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
  /** What CPUID says, and which instructions, CR4 bits and MSRs exist. */
  readonly model: CpuModel;
  /** Running logical CPU (0-based), its x2APIC ID, and how many there are. */
  cpuIndex: number;
  cpus: number;
  /** While an event is being delivered through the IDT: what the IDT-vectoring information of an exit taken now says. */
  vectoring: Vectoring | undefined;
  /**
   * What happened in the last delivery, if it did not go straight to a handler, first fault first; of what became a signal in Linux mode, the exception. Plain data,
   * for explanations only: no part of a snapshot.
   */
  faultChain: readonly FaultRecord[];
  /** Adds modelled cycles beside the static cost of instructions. */
  addCycles(cycles: number): void;
  /** Modelled cycles of the running thread or vCPU so far. */
  cycles(): bigint;
  /** Name and strace-like text of a system call of the system that runs here. Set by the kernel personality. */
  describeSyscall: (number: number, args: readonly bigint[]) => { name: string; text: string };
  /** 64 bits for RDRAND and RDSEED. Set by the kernel personality, whose seeded source of chance is part of its state. */
  random64: () => bigint;
  /** The processor ends a posted-interrupt notification at its local APIC. Set by the board. */
  endOfInterrupt: () => void;
  /** Told of every VM exit taken, or of several, by the name of its basic reason. Set by the machine. */
  onVmExit: (reason: string, times?: number) => void;
  /** Told of every instruction that reached an I/O port: there is none behind it. RIP stands on the instruction. */
  onPortAccess: (access: PortAccess) => void;
  /** Told of cycles that an instruction has taken and that instructions do not count: they shorten the running slice. Set by the kernel personality or the board. */
  onTimePassed: (cycles: number) => void;
  /** What is around the processor; undefined where a kernel personality is. */
  board: BoardBus | undefined;
  /** Told of every exception of a guest (VMX non-root operation) before it exits or is delivered. RIP stands on the instruction at fault. */
  onGuestException: (fault: Exception) => void;
}

/** What instructions reach on a bare-metal board (emulator/board). */
export interface BoardBus {
  readPort(port: number, bytes: number): number;
  writePort(port: number, bytes: number, value: number): void;
  /** Physical addresses without RAM. */
  readMemory(hpa: number, into: Uint8Array): void;
  writeMemory(hpa: number, data: Uint8Array): void;
  /** MSRs of the local APIC: 6E0h and 800h to 8FFh. Undefined, or a reason: #GP(0). */
  readMsr(msr: number): bigint | undefined;
  refuseMsr(msr: number, value: bigint): string | undefined;
  writeMsr(msr: number, value: bigint): void;
  /** APIC_BASE, or what the TSC shows, was written. */
  apicBaseWritten(): void;
  timeChanged(): void;
  /** CR8. */
  taskPriority(): bigint;
  setTaskPriority(value: bigint): void;
  /** PAUSE outside of non-root operation, or where it does not exit. */
  pause(): void;
}

export type Exception = Extract<Fault, { kind: 'exception' }>;

export interface PortAccess {
  readonly port: number;
  readonly bytes: number;
  readonly input: boolean;
  /** INS and OUTS. */
  readonly string: boolean;
}

/**
 * How a system instruction ended.
 *  - 'next': done; the engine moves RIP past the instruction and counts it.
 *  - 'moved': done, and RIP already stands where execution goes on (IRET, SYSCALL, a VM exit or entry, HLT...); it counts.
 *  - 'again': done once, and RIP still stands on it, to go on with (REP INS, REP OUTS); it counts.
 *  - 'held': nothing was changed, since a listener held its event (EventBus.emit); whoever held it has asked the engine to stop. It does not count.
 *  - a Fault: nothing was changed; the engine passes it to `deliver`; it does not count.
 */
export type SystemOutcome = 'next' | 'moved' | 'again' | 'held' | Fault;

/** cpu/system/index.ts exports `executeSystem` of this type. RIP and all state stand at the instruction's start. */
export type ExecuteSystem = (context: CpuContext, insn: Instruction) => SystemOutcome;

/**
 * cpu/system/exceptions.ts exports `deliver` of this type. RIP stands on the instruction at fault (after it, for traps). It decides between a VM exit
 * (`vmx.interceptEvent`), the supervisor and the IDT; afterwards RIP stands where execution goes on.
 */
export type Deliver = (context: CpuContext, fault: Fault) => void;

/**
 * cpu/system/ exports `pendingInterrupt` of this type: asked before the first instruction of a run and after each system instruction or delivery. Takes and
 * returns the event to deliver now between two instructions (external interrupt, NMI, ...), if RFLAGS.IF and the interruptibility state let it.
 */
export type PendingInterrupt = (context: CpuContext) => Fault | undefined;

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
