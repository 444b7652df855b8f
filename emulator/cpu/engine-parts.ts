/** What the engine is made of and what it leaves to others. */
import type { SystemOutcome } from './context.ts';
import type { Fault } from './engine-api.ts';
import type { Instruction } from './instruction.ts';
import type { LinearMemory } from './state.ts';
import type { HandlerTable } from './interpreter/keys.ts';
import type { TranslatorOptions } from './region/translator.ts';
import type { CpuModel } from './system/models.ts';

/** Compiled wasm and tables made by the build (dist/). */
export interface EngineAssets {
  readonly core: WebAssembly.Module;
  readonly interpreter: WebAssembly.Module;
  /** Contents of dist/forms.json. */
  readonly forms: HandlerTable;
}

export interface EngineOptions {
  /** Bytes of RAM, a multiple of 64 KB. */
  readonly ramBytes: number;
  /** MAXPHYADDR. */
  readonly physBits: number;
  /** Translate hot code (absent: interpret everything). Makes no difference to what a program does. */
  readonly translate?: TranslatorOptions;
  readonly model?: CpuModel;
  /** What answers where there is no RAM, on a board. */
  readonly device?: {
    read(hpa: number, into: Uint8Array): void;
    write(hpa: number, data: Uint8Array): void;
  };
}

/** What the engine leaves to the rest of the processor (processor.ts connects it). */
export interface EngineHooks {
  /** Executes an instruction that has no handler. */
  system(insn: Instruction): SystemOutcome;
  /** Delivers a fault: RIP stands on the instruction (after it, for traps). */
  deliver(fault: Fault): void;
  /** Takes the fault in FAULT_*. */
  takeFault(): Fault;
  /** Takes the common VM exit of the EPT violation in FAULT_*; false, with nothing changed, if it is not one. */
  exitByViolation(): boolean;
  /** Goes on with the EPT violation that the core has served so far: SUPPLY_*. */
  supplied(served: number): void;
  /** Takes note of EPT violations that the core has served by the lease. */
  settleLease(): void;
  /** An event to deliver before the next instruction. */
  pendingInterrupt(): Fault | undefined;
  /** VM exits that are due between two instructions, ahead of an NMI (or not) and of other interrupts; true if one was taken. */
  boundary(nmi: boolean): boolean;
  /** The guest is inactive while its VMX-preemption timer runs: lets time pass, if nothing else could happen first. */
  idle(): void;
  /** An instruction has taken so many cycles beside what it counts, and is not over: what waits for that time may be due. */
  timePassed(cycles: number): void;
  /** Selects the TLB bank of the context in force. */
  selectBank(): void;
  /** Whose TLB is in force from now on. */
  selectCpu(cpu: number): void;
  /** Drops what every TLB bank holds of a page. */
  forgetPage(gva: bigint): void;
  /** Makes every write tag of a frame invalid: it holds code now. */
  protectFrame(pfn: number): void;
  /** HPA of a linear address without side effects, or -1. */
  peek(gva: bigint): number;
  /** Bytes that are no instruction are about to raise their exception. */
  undecodable(gva: bigint, bytes: Uint8Array): void;
}

/** What the wasm modules import from TypeScript; addresses come as i32. */
export function environment(
  mem: LinearMemory,
  { device }: EngineOptions,
  told: {
    observedWrite(hpa: number, bytes: number): void;
    tableFound(hpa: number, ept: boolean): void;
    staleUse(gva: bigint, access: number): boolean;
  },
): WebAssembly.ModuleImports {
  return {
    memory: mem.memory,
    observedWrite: (hpa: number, bytes: number) => told.observedWrite(hpa >>> 0, bytes),
    tableFound: (hpa: number, ept: number) => told.tableFound(hpa >>> 0, ept === 1),
    staleUse: (gva: bigint, access: number) => (told.staleUse(BigInt.asUintN(64, gva), access) ? 1 : 0),
    deviceRead: (hpa: number, to: number, bytes: number) => device?.read(hpa, mem.bytes.subarray(to, to + bytes)),
    deviceWrite: (hpa: number, from: number, bytes: number) =>
      device?.write(hpa, mem.bytes.subarray(from, from + bytes)),
  };
}
