/**
 * The Machine API: all that the debug adapter, the runner and the tests know of the emulator.
 * No Node, no DAP in here. Addresses: gva bigint; gpa, hpa number.
 */
import type { disassemble } from '../cpu/disassemble.ts';
import type { TranslatorOptions } from '../cpu/region/translator.ts';
import type { FaultReport } from '../describe/fault-report.ts';
import type { TlbBank, TlbEntry, TlbEntryDetails, Walk } from '../mmu/api.ts';
import type { EntryPart } from '../mmu/entries.ts';
import type { CheckFailure } from '../vmx/api.ts';
import type { VmEntryInfo } from '../vmx/describe.ts';
import type { ExitList } from '../vmx/exit-lists.ts';
import type { ExitPrediction, ExitQuestion } from '../vmx/would-exit.ts';
import type { EventBus, MachineEvent } from './events.ts';

/** Compiled or raw wasm and tables made by the build; the host (Node, worker) loads them. */
export interface MachineAssets {
  readonly core: WebAssembly.Module;
  readonly interpreter: WebAssembly.Module;
  /** Contents of dist/forms.json. */
  readonly forms: unknown;
  /** Loads the disassembler (cpu/disassemble.ts) when it is first wanted: running a program never needs it, and it is large. */
  readonly disassembler: () => Disassemble;
}

export type Disassemble = typeof disassemble;

/** Files of the host, as far as the launch grants them. Synchronous; every read is an input of the machine. */
export interface HostFiles {
  /** Bytes, 'directory' entries, or undefined if absent. Paths are absolute, '/'-separated. */
  stat(path: string): HostStat | undefined;
  readFile(path: string): Uint8Array | undefined;
  readDirectory(path: string): readonly string[] | undefined;
  readLink?(path: string): string | undefined;
  /** Only for paths granted rw. */
  writeFile?(path: string, data: Uint8Array): void;
  remove?(path: string): void;
  makeDirectory?(path: string): void;
}
export interface HostStat {
  readonly type: 'file' | 'directory' | 'symlink' | 'other';
  readonly size: number;
  readonly mode: number;
  /** Seconds. */
  readonly mtime: number;
  readonly inode: number;
}

export interface MachineOptions {
  /** `dune` (default): a Linux program, Dune or not. `bare`: a Multiboot kernel on a board; `args` is its command line. */
  readonly machine?: 'dune' | 'bare';
  /** The ELF image and the path it is known by inside. */
  readonly program: { readonly path: string; readonly image: Uint8Array };
  /** argv[1..]; argv[0] is the path. */
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly cwd: string;
  /** Grants of host paths; anything else is absent for the program. */
  readonly grants: readonly { readonly path: string; readonly write: boolean }[];
  readonly files: HostFiles;
  /** Dune system-call table: `modern` (default) passes real calls, `strict` imitates the 312-entry table of old kernels. */
  readonly syscalls: 'modern' | 'strict';
  /** MAXPHYADDR, 37..48; on a bare machine up to 52. */
  readonly physBits: number;
  /** Model CPUs, 1..64. */
  readonly cpus: number;
  /** What CPUID presents, as cpu/system/models.ts describes it ("haswell,-avx2"); `max`, all that is implemented, when absent. */
  readonly cpuModel?: string;
  /** Bytes of RAM. */
  readonly memory: number;
  /** Seeds getrandom, AT_RANDOM, layout randomisation, the scheduler. */
  readonly seed: number;
  /** Randomise mmap base and stack top (from the seed). Default false. */
  readonly aslr: boolean;
  /** Translate hot code rather than interpret it (default true), as soon as these numbers say. No program can tell the difference, but for the time it takes. */
  readonly translate?: boolean | Partial<TranslatorOptions>;
  /** Called with the program's output as it is written: fd 1 or 2. */
  readonly output: (fd: 1 | 2, data: Uint8Array) => void;
}

/** Linux mode (VMX root, ring 3) or Dune mode (non-root); on a bare board the two modes of VMX operation. */
export type ExecutionMode = 'linux' | 'dune' | 'root' | 'guest';

export interface ThreadInfo {
  readonly id: number;
  readonly process: number;
  readonly name: string;
  readonly mode: ExecutionMode;
  readonly cpl: number;
  readonly state: 'running' | 'runnable' | 'blocked' | 'stopped' | 'exited';
  /** e.g. "futex(0x7ffff7d8a990, FUTEX_WAIT)" when blocked. */
  readonly blockedOn?: string;
  readonly cpu: number;
}

export type StopReason =
  /** The instruction budget of this call is used up; or the program takes fault after fault without an instruction between, which uses none. */
  | { readonly kind: 'budget' }
  | { readonly kind: 'breakpoint'; readonly thread: number; readonly gva: bigint }
  | { readonly kind: 'step'; readonly thread: number }
  /** A subscriber asked to stop (machine.stop), e.g. an event breakpoint. */
  | { readonly kind: 'event'; readonly thread: number; readonly event: MachineEvent }
  | { readonly kind: 'watchpoint'; readonly thread: number; readonly gva: bigint }
  | { readonly kind: 'requested' }
  /** Every thread waits for stdin. */
  | { readonly kind: 'input' }
  /** Every thread waits and nothing can ever wake one. */
  | { readonly kind: 'deadlock' }
  /** All processes are gone: exit status of the first one as a shell shows it (128 + signal when killed). */
  | { readonly kind: 'exited'; readonly status: number; readonly signal?: number };

/** A register as the debugger shows and sets it. */
export interface RegisterInfo {
  readonly name: string;
  readonly group: 'general' | 'segment' | 'control' | 'debug' | 'msr' | 'sse' | 'avx' | 'x87' | 'mode';
  readonly bits: number;
  readonly value: bigint;
  readonly writable: boolean;
  /** Decoded parts, e.g. flags of RFLAGS or bits of CR0, base/limit/rights of a segment. */
  readonly parts?: readonly RegisterPart[];
  /** One line in words, if there is something to say. */
  readonly text?: string;
}
export interface RegisterPart {
  readonly name: string;
  readonly value: bigint;
  readonly meaning?: string;
  /** Bits hi..lo when the part can be set alone. */
  readonly hi?: number;
  readonly lo?: number;
  /** The only value that this processor allows the part to have. */
  readonly fixed?: bigint;
}

export type Space = 'gva' | 'gpa' | 'hpa';

/** An explanation of an abnormal stop: what was attempted, by whom, what refused it. */
export interface Explanation {
  /** One sentence. */
  readonly headline: string;
  /** Further lines: walk, table entry, rule, window, VMA. */
  readonly details: readonly string[];
  /** What to do, if known. */
  readonly advice?: string;
  readonly walk?: Walk;
  readonly checks?: readonly CheckFailure[];
}

export interface VmcsFieldInfo {
  readonly encoding: number;
  readonly name: string;
  readonly group: 'control' | 'exit-information' | 'guest' | 'host';
  readonly bits: 16 | 32 | 64;
  readonly value: bigint;
  readonly writable: boolean;
  /** Decoded bits or meaning. */
  readonly parts?: readonly RegisterPart[];
  readonly text?: string;
}

/** `shadow`: the VMCS that the link pointer of the current one names (SDM 3C 25.10). */
export type VmcsChoice = 'current' | 'shadow';

export interface VmcsRegionInfo {
  readonly hpa: number;
  readonly launched: boolean;
  /** A shadow VMCS: no VM entry can use it. */
  readonly shadow: boolean;
  /** The shadow VMCS that its link pointer names. */
  readonly link?: {
    readonly hpa: number;
    /** "VMCS shadowing" is on: VMREAD and VMWRITE of the guest go there, but for the fields whose bits in the bitmaps are set. */
    readonly inUse: boolean;
  };
}

/** A run of table entries with equal rights, or one table: a node of the page-table tree. */
export interface PageTableNode {
  /** First and last+1 input address covered (GVA or GPA). */
  readonly start: bigint;
  readonly end: bigint;
  /** Level of the entry: 5 PML5E .. 1 PTE. */
  readonly level: number;
  /** Its bits in words. */
  readonly parts: readonly EntryPart[];
  readonly kind: 'table' | 'leaf' | 'range';
  /** HPA of the (first) entry, and its value. */
  readonly entryHpa: number;
  readonly entry: bigint;
  /** First output address for leaves and ranges (GPA for guest tables, HPA for EPT). */
  readonly target?: number;
  readonly pageSize?: number;
  /** "R W X U A D G 2M" in words. */
  readonly flags: string;
  /** For tables: HPA and GPA of the next table. */
  readonly tableHpa?: number;
  readonly tableGpa?: number;
}

export interface DisassembledInstruction {
  readonly gva: bigint;
  readonly bytes: Uint8Array;
  readonly text: string;
}

export interface MachineStats {
  readonly instructions: number;
  readonly cycles: number;
  /** Exit-reason name to count. */
  readonly exits: Readonly<Record<string, number>>;
}

/** Opaque; hold as many as you like. */
export interface Snapshot {
  readonly instructions: number;
}

export interface Machine {
  readonly events: EventBus;

  /**
   * Runs until something stops it, at most `instructions`. A repeated string instruction counts once for every 65,536 elements; if such take long, it comes back
   * with 'budget' before that is used up: call it again.
   */
  run(instructions: number): StopReason;
  /** One instruction of a thread (other threads do not run), or as much of a repeated string instruction as counts once. An exception, system call or VM exit on the way is carried through to its handler's first instruction. */
  stepInstruction(thread: number): StopReason;
  /** To be called from an event listener: stop with this event. */
  stop(event?: MachineEvent): void;
  /** Bytes for the program's standard input; null is end of file. */
  input(data: Uint8Array | null): void;

  threads(): ThreadInfo[];
  /** One of them, or the other level of a board's processor by its id. */
  thread(id: number): ThreadInfo | undefined;
  /**
   * The level of VMX operation of a board's processor that does not run: the hypervisor under a guest, as the VMCS has its state, or in root operation the guest of the current
   * VMCS. Its id stands for it wherever registers, memory, disassembly, tables and walks are asked for; registers are those that VM entry and exit switch.
   */
  otherLevel(thread: number): ThreadInfo | undefined;
  /** The thread that ran last. */
  currentThread(): number;

  /** Code breakpoints by linear address; they apply to every thread. */
  setBreakpoints(gvas: ReadonlySet<bigint>): void;

  /** All registers of a thread, in display order. */
  registers(thread: number): RegisterInfo[];
  /** By name as `registers` gives it ('rax', 'eax', 'cr3', 'xmm0', 'rflags', 'fs_base', 'cs'); undefined if unknown. */
  readRegister(thread: number, name: string): bigint | undefined;
  /** Throws a one-sentence error if the name or value is not acceptable. */
  writeRegister(thread: number, name: string, value: bigint): void;

  /** Bytes up to the first unreadable page. */
  readMemory(thread: number, space: Space, address: bigint, bytes: number): Uint8Array;
  /** Returns bytes written. Debugger's right: ignores page permissions, honours what is mapped. */
  writeMemory(thread: number, space: Space, address: bigint, data: Uint8Array): number;

  walk(thread: number, gva: bigint, access: 'read' | 'write' | 'execute', user?: boolean): Walk;
  /** Children of a table; without `tableHpa` the root of the tables in force. */
  pageTable(thread: number, which: 'guest' | 'ept', tableHpa?: number, level?: number, start?: bigint): PageTableNode[];
  /** What the TLBs of all logical CPUs hold, beside what the tables say now. */
  tlb(): TlbEntry[];
  tlbBanks(): TlbBank[];
  /** Undefined if there is no such entry any more. */
  tlbEntry(bank: number, index: number): TlbEntryDetails | undefined;
  /** All there is to say about the fault, exit or shutdown that an event tells of, if it is one: while the machine stands where it stopped for it. */
  faultReport(event: MachineEvent): FaultReport | undefined;

  /** The thread's VMCS, or the shadow VMCS that its link pointer names; undefined if there is none. */
  vmcs(thread: number, which?: VmcsChoice): VmcsFieldInfo[] | undefined;
  /** Where it is, and what it is. */
  vmcsRegion(thread: number, which?: VmcsChoice): VmcsRegionInfo | undefined;
  writeVmcs(thread: number, encoding: number, value: bigint, which?: VmcsChoice): void;
  /** What a VM entry with the thread's VMCS would come to, and the checks it would violate. */
  vmEntry(thread: number): VmEntryInfo | undefined;
  /** Bitmaps, masks and lists of the thread's VMCS that say what exits. */
  exitLists(thread: number): ExitList[];
  /** Throws one sentence if the thread has no VMCS. */
  wouldExit(thread: number, question: ExitQuestion): ExitPrediction;

  disassemble(thread: number, gva: bigint, count: number): DisassembledInstruction[];
  /** Linux memory map of the thread's process, as /proc/self/maps has it. */
  memoryMap(thread: number): { start: bigint; end: bigint; permissions: string; offset: number; name: string }[];
  /** ELF images loaded in the process: path and load bias. */
  images(thread: number): { path: string; bias: bigint }[];

  /** Why the last abnormal stop of a thread happened, if there was one. */
  explanation(thread: number): Explanation | undefined;
  /** All there are, by thread; they outlive their threads. */
  explanations(): ReadonlyMap<number, Explanation>;

  stats(): MachineStats;
  snapshot(): Snapshot;
  restore(snapshot: Snapshot): void;
  /**
   * Gives the kernel of a bare machine another command line before its first instruction. With a snapshot of that state one machine boots a kernel time and again: what was
   * decoded and translated stays.
   */
  setArguments(args: readonly string[]): void;
  /** A digest of the whole state, for tests of determinism. */
  digest(): string;
}
