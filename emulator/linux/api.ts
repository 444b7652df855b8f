/** The kernel personality as the machine and the Dune module see it (linux/kernel.ts implements it). */
import type { Supervisor } from '../cpu/engine-api.ts';
import type { ThreadInfo, Explanation } from '../machine/api.ts';

/**
 * A Linux thread. Plain serialisable data: snapshots clone it with structuredClone.
 * `context` is the CPU state page (layout.ts STATE) while the thread is not running.
 */
export interface Thread {
  readonly tid: number;
  pid: number;
  name: string;
  context: Uint8Array;
  /** What it waits for; a blocked system call is dispatched again when the condition may hold. Undefined = runnable. */
  wait: WaitState | undefined;
  exited: boolean;
  /** It executed HLT in Dune mode and waits for a virtual interrupt or a signal. */
  halted: boolean;
  /** Bit n-1 = signal n. */
  pendingSignals: bigint;
  blockedSignals: bigint;
  /** The vCPU this thread is running (it is inside ioctl ENTER), as the Dune module's handle; 0 in Linux mode. */
  vcpu: number;
  cpu: number;
}

export interface WaitState {
  readonly number: number;
  readonly args: readonly bigint[];
  /** Virtual nanoseconds at which it times out, or -1. */
  readonly deadline: number;
  /** What the system call keeps across re-dispatch; plain data. */
  readonly data?: unknown;
  readonly text: string;
}

/** Result of a system call: a value for RAX (negative errno as Linux returns it), or not yet. */
export type SyscallResult = bigint | 'blocked' | 'no-return';

/**
 * What the Dune module (emulator/dune) implements for the kernel: the character device.
 *
 * One rule joins the two: whenever the kernel is about to return to a thread with `vcpu != 0` whose CPU state is in root
 * operation (after ioctl ENTER, after `vmExit`, when it is scheduled and its wait is over), it calls `resume`. `resume` and
 * `vmExit` may end the stay in Dune mode: then `vcpu` is 0, the Linux-mode state is loaded and `finishEnter` was called.
 * A thread preempted in non-root operation may be parked and loaded again as it is (its state page holds VMCS pointer,
 * EPTP and VPID); nothing needs `resume` then.
 */
export interface DuneDevice {
  /** `openFile` is the open file description, as `release` gets it. A successful ENTER saves the Linux-mode state (as after SYSCALL), sets `thread.vcpu` and returns 'no-return'. */
  ioctl(thread: Thread, openFile: number, request: number, arg: bigint): SyscallResult;
  /** Last close of an open file description. */
  release(openFile: number): void;
  /** Linux unmapped, protected, or broke the sharing of pages [start, end) of a process: drop EPT entries (mmu notifier). */
  invalidateRange(pid: number, start: bigint, end: bigint): void;
  /** A vCPU of the running thread exited; host state is loaded. A VMCALL that blocks leaves `thread.wait` set by the kernel. */
  vmExit(thread: Thread): void;
  /** Serves the EPT violation in FAULT_* of the running thread, whose VM exit has not been taken: SUPPLY_* (cpu/codes.ts). */
  supplyPage(thread: Thread): number;
  /** Takes note of what the core has done by the lease. */
  settleLease(thread: Thread): void;
  /** Enters or re-enters the guest of the running thread, or leaves Dune mode (a signal is pending, the entry fails). */
  resume(thread: Thread): void;
  /** The VMCALL system call that had blocked this thread has its result (-512..-516 ask for a restart). */
  completeSyscall(thread: Thread, result: bigint): void;
  /** Takes an external-interrupt VM exit if the running thread is in non-root operation: how the host gets control for a signal. */
  interrupt(thread: Thread): void;
  /** An interrupt is posted for the CPU of a halted thread. */
  interruptPending(thread: Thread): boolean;
  /** Before a Linux-mode thread runs at RIP: the TRAP_ENABLE trigger. */
  trapRip(pid: number): bigint | undefined;
  trapHit(thread: Thread): void;
  /** A signal frame is about to be written to [low, high) of the thread's stack. */
  signalFrame(thread: Thread, low: bigint, high: bigint): void;
  threadExited(thread: Thread): void;
  /** Abnormal ends in Dune mode, by thread; they outlive the thread. */
  explanations(): ReadonlyMap<number, Explanation>;
  /** Plain data for snapshots. */
  save(): unknown;
  restore(saved: unknown): void;
}

export interface UserPage {
  /** HPA of its first byte. */
  readonly hpa: number;
  /** 4096 or 2 MB. */
  readonly pageSize: number;
  /** It has no page structure (vvar, device memory). */
  readonly special: boolean;
}

/** What the module may ask of the kernel. */
export interface KernelServices {
  /** HPA of a zeroed frame; throws nothing, returns -1 when RAM is exhausted. */
  allocateFrame(): number;
  freeFrame(hpa: number): void;
  /** get_user_pages: the page behind an address of the process, faulting it in as Linux would. Undefined = Linux refuses (no VMA, PROT_NONE, read-only). */
  userPage(pid: number, hva: number, write: boolean): UserPage | undefined;
  /** For `CoreExports.supplyPage`: says at SUPPLY_* what `userPage` would answer. False if it has to be asked. */
  offerPage(pid: number, hva: number, write: boolean): boolean;
  /** The core has mapped what was offered. */
  pageSupplied(pid: number): void;
  /**
   * Lets the core put pages behind an area of the process, as `userPage` would, until the lease is taken back: says at LEASE_* what pages these are, with at most so many
   * free frames. The area of an address for which `offerPage` has answered true.
   */
  leasePages(pid: number, hva: number, frames: number): { readonly start: number; readonly end: number };
  /** The core has put so many leaves there, and taken so many frames for them. */
  settleLease(pid: number, installed: number, taken: number): void;
  /** Copies through the process's own mappings, faulting pages in. False = EFAULT. */
  copyIn(pid: number, hva: bigint, bytes: number): Uint8Array | undefined;
  copyOut(pid: number, hva: bigint, data: Uint8Array): boolean;
  /** mm->mmap_base and mm->start_stack at exec. */
  layout(pid: number): { mmapBase: number; startStack: number };
  /** Dispatches a Linux system call for a thread in Dune mode (VMCALL). */
  syscall(thread: Thread, number: number, args: readonly bigint[]): SyscallResult;
  /** fork, vfork, clone from Dune mode: the child starts in Linux mode with this context page. Returns the child's tid or -errno. */
  cloneFromDune(thread: Thread, number: number, args: readonly bigint[], childContext: Uint8Array): SyscallResult;
  /** True if a signal that is not blocked is pending. */
  signalPending(thread: Thread): boolean;
  /** The thread's Linux-mode system call (ENTER) completes with this value in RAX. The module has loaded its Linux-mode state and cleared `vcpu`; the kernel goes on as at the end of any system call (signals). */
  finishEnter(thread: Thread, result: bigint): void;
  /** Virtual time, ns. */
  now(): number;
  addCycles(cycles: number): void;
  /** A VMA holds the address. */
  isMapped(pid: number, hva: bigint): boolean;
  /** Describes the VMA at an address, or the nearest ones around it, in words. */
  describeAddress(pid: number, hva: bigint): string;
  log(text: string): void;
}

export interface Kernel extends Supervisor {
  /** Loads the first program; throws LaunchError with one sentence. */
  start(): void;
  /**
   * Makes the thread that may run now the running one (its context loaded): the present one while its quantum lasts and it is
   * runnable, else the next. `only` restricts the choice to one thread (single-stepping); it answers 'blocked' if that one waits.
   */
  schedule(only?: number): 'run' | 'blocked' | 'idle-input' | 'deadlock' | 'exited';
  /** Instructions the running thread may retire before `schedule` has to be called again. A function of machine state alone, never of how `run` is sliced. */
  quantum(): number;
  /** The running thread is in HLT: the others run until an interrupt or a signal is there for it. */
  halted(): void;
  /** Saves the running thread's context. */
  park(): void;
  current(): Thread | undefined;
  threads(): ThreadInfo[];
  thread(tid: number): Thread | undefined;
  exitStatus(): { status: number; signal?: number };
  input(data: Uint8Array | null): void;
  memoryMap(pid: number): { start: bigint; end: bigint; permissions: string; offset: number; name: string }[];
  images(pid: number): { path: string; bias: bigint }[];
  /** A debugger's look at a process: bytes up to the first address without a mapping. Changes nothing. */
  peek(pid: number, hva: bigint, bytes: number): Uint8Array;
  /** A debugger's write: returns bytes written. */
  poke(pid: number, hva: bigint, data: Uint8Array): number;
  /** mm->mmap_base and mm->start_stack at exec. */
  layout(pid: number): { mmapBase: number; startStack: number };
  /** Why a thread was killed by a signal, or what its Dune device says of its abnormal end. */
  explanations(): ReadonlyMap<number, Explanation>;
  /** Plain data of every kernel object. */
  save(): unknown;
  restore(saved: unknown): void;
}

/** Bad input at launch: one sentence that says what is wrong and what to do. */
export class LaunchError extends Error {}
