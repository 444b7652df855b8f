/** What the rest of the emulator may ask of the engine (cpu/engine.ts implements it). */
import type { DebugRegisters } from './debug.ts';
import type { Instruction } from './instruction.ts';
import type { Patience } from './patience.ts';
import type { CpuState, LinearMemory } from './state.ts';

/** Why `run` came back. */
export const enum RunStop {
  /** The budget is used up, to the instruction. */
  Budget = 0,
  /** RIP stands on a code breakpoint; the instruction was not executed. */
  Breakpoint = 1,
  /** A hook called `requestStop`. */
  Requested = 2,
  /** The vCPU is in HLT, shutdown or wait-for-SIPI. */
  Halted = 3,
  /**
   * Thousands of events were delivered with no instruction between them, as with a handler that cannot be fetched: they could go on for ever. Or repeated string
   * instructions have taken long: the next `run` goes on with them.
   */
  Fruitless = 4,
}

/** An exception, or a fault of the EPT, on its way to whoever handles it. */
export type Fault =
  | {
      readonly kind: 'exception';
      readonly vector: number;
      readonly errorCode?: number;
      /** Linear address for #PF. */
      readonly gva?: bigint;
      /** Hardware exception; INT n; INT1; INT3 and INTO; external interrupt; NMI (VMCS type numbers, SDM 3C 25.9.2). */
      readonly type?: InterruptionType;
      /** Bytes, for software interrupts and exceptions. */
      readonly instructionLength?: number;
      /** #DB: bits that it sets in DR6. */
      readonly debug?: number;
      /** #DB that is a fault of the instruction but not of a breakpoint there: the image pushed has RF set. */
      readonly resumes?: boolean;
      /** Why, in words, when the raiser knows more than the vector says ("MOVAPS at an address that is not a multiple of 16"). */
      readonly because?: string;
      /** An IRET that unblocked NMIs met it. */
      readonly unblockedNmi?: boolean;
    }
  | EptFault;

export interface EptFault {
  readonly kind:
    | 'ept-violation'
    | 'ept-misconfiguration'
    /** A dirty flag is to be set and the page-modification log is full. */
    | 'log-full'
    /** A sub-page-permission table entry is missing, or can never be right (bit 11 of the qualification). */
    | 'sub-page-event'
    /** The APIC-access page was met: `gpa` is the offset in it. */
    | 'apic-access';
  readonly gva: bigint;
  readonly gpa: number;
  readonly qualification: bigint;
  /** The EPT entry lets the violation become #VE (SDM 3C 26.5.7.1). */
  readonly convertible?: boolean;
  /** ACCESS_* (cpu/codes.ts): of an APIC access; of a misconfiguration that the translation of `gva` met, which no exit tells. */
  readonly access?: number;
  /** APIC access: how many. */
  readonly bytes?: number;
  readonly unblockedNmi?: boolean;
}

export const enum InterruptionType {
  External = 0,
  Nmi = 2,
  HardwareException = 3,
  SoftwareInterrupt = 4,
  PrivilegedSoftwareException = 5,
  SoftwareException = 6,
}

/**
 * The kernel under the guest when there is no guest kernel: in VMX root operation with a supervisor attached, what would
 * enter ring 0 enters these functions. Without one (bare metal) the CPU uses its IDT and LSTAR.
 */
export interface Supervisor {
  /** SYSCALL at CPL 3 in root operation. RIP stands after the instruction; RCX and R11 are already set as the CPU sets them. */
  syscall(): void;
  /** An exception at CPL 3 in root operation. RIP stands on the faulting instruction (after it, for traps). */
  exception(fault: Fault): void;
  /** A VM exit has been taken and the host state loaded; the exit is in the current VMCS. */
  vmExit(): void;
  /** Lets the core serve the EPT violation in FAULT_*, whose VM exit has not been taken, if it is a common one and nobody listens: SUPPLY_* (cpu/codes.ts). */
  supplyPage?(): number;
  /** After SUPPLY_EXITED, when the host's context is in force: goes on as after `vmExit`. */
  pageSupplied?(): void;
  /** Takes note of what the core has done by a lease of the running thread's (core/page-lease.ts). */
  settleLease?(): void;
}

export interface Engine {
  readonly mem: LinearMemory;
  readonly cpu: CpuState;
  supervisor: Supervisor | undefined;
  readonly debug: DebugRegisters;

  /**
   * Executes at most `instructions`, exactly that many when it returns `Budget`. A fault delivered counts nothing; a VM exit or system call counts its instruction; a
   * repeated string instruction counts once for each of its parts (REPEAT_PART, cpu/codes.ts).
   */
  run(instructions: number): RunStop;
  /** When `run` answers `Fruitless`. */
  readonly patience: Patience;
  /** As `run(1)`, passing over a breakpoint at RIP. */
  step(): RunStop;
  /** Makes the present `run` return at the next instruction boundary. Callable from any hook. */
  requestStop(): void;
  /** To be called after anything a translation depends on has changed: CR0, CR3, CR4, EFER, CPL, AC, VPID, EPTP, `cpu.load`, the logical CPU. Selects the TLB bank. */
  contextChanged(): void;
  /** Which logical CPU's TLB is in force (0-based). */
  selectCpu(cpu: number): void;

  /** Linear addresses at which `run` stops. Replaces the set; re-decodes only blocks that hold a changed address. */
  setBreakpoints(gvas: ReadonlySet<bigint>): void;
  /** Drops decoded code of a frame (4 KB), after someone other than the guest wrote it. */
  invalidateCode(pfn: number): void;
  /** Drops everything decoded or cached that depends on memory or tables (after restore). */
  reset(): void;
  /** Decodes the instruction at a linear address in the current context; undefined if it cannot be fetched. */
  decodeAt(gva: bigint): Instruction | undefined;

  /** Told of guest stores into watched frames (FRAME_WATCHED) and into decoded code, after the bytes are written. */
  onObservedWrite: (hpa: number, bytes: number) => void;
  /** While stale TLB entries are looked for (core/mmu-stale.ts): told of a paging-structure entry that a walk has read in a frame that is not watched. */
  onTableFound: (hpa: number, ept: boolean) => void;
  /** Told of an access (ACCESS_*) that a stale TLB entry serves, before it happens; true asks to give up the instruction. */
  onStaleUse: (gva: bigint, access: number) => boolean;

  /** Instructions executed since creation or since `retired` was set (restore). */
  retired: number;
}
