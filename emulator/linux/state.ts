/**
 * Every object of the kernel: one graph of plain data (no methods, closures or promises), so that `structuredClone`
 * of it is a snapshot. Functions over it live beside the subject they serve.
 */
import type { CpuContext } from '../cpu/context.ts';
import type { MachineOptions, Explanation } from '../machine/api.ts';
import type { PhysicalMemory } from '../mmu/physical.ts';
import type { DuneDevice, Thread, WaitState } from './api.ts';
import type { FrameState } from './frames.ts';
import type { Vma } from './vma.ts';

/** What handlers work on: the machine's parts, and the state graph. */
export interface Linux extends Pick<CpuContext, 'mem' | 'cpu' | 'engine' | 'mmu' | 'events'> {
  readonly context: CpuContext;
  state: KernelState;
  readonly memory: PhysicalMemory;
  readonly options: MachineOptions;
  dune: DuneDevice | undefined;
  /** Contents read from the host: written once, never changed, shared by all snapshots. */
  blobs: Map<number, Uint8Array>;
  /** True while the Dune module is asked to enter the guest; false between calls. */
  entering: boolean;
}

/** Process id of the first program. */
export const FIRST_PID = 1000;

export interface KernelState {
  frames: FrameState;
  /** The shared page of zeros behind read-only anonymous memory. HPA. */
  zeroFrame: number;
  processes: Map<number, Process>;
  tasks: Map<number, Task>;
  currentTid: number;
  nextPid: number;
  nextId: number;
  nextPcid: number;
  /** xorshift128+ state: getrandom, AT_RANDOM, layout, scheduler. */
  random: [bigint, bigint];
  /** Value of `engine.retired` at which the running thread's time slice is over. */
  sliceEnd: number;
  /** Inodes by canonical path; null marks a removed file. What was read from the host stays as it was read. */
  tree: Map<string, Inode | null>;
  stdin: StandardInput;
  futexes: FutexWaiter[];
  /** Unknown system calls already reported. */
  reported: Set<number>;
  /** Exit of the first process, once it is gone. */
  firstExit: { status: number; signal?: number } | undefined;
  explanations: Map<number, Explanation>;
  timers: PosixTimer[];
}

export interface StandardInput {
  chunks: Uint8Array[];
  ended: boolean;
}

/** A memory descriptor; threads, vfork children and CLONE_VM share one. */
export interface MemoryMap {
  /** Processes and vfork children that use it. */
  users: number;
  /** HPA of the PML4. */
  root: number;
  /** Process-context identifier: CR4.PCIDE is on, so that TLB entries are told apart by it and not by CR3. */
  pcid: number;
  vmas: Vma[];
  brkStart: number;
  brk: number;
  mmapBase: number;
  startStack: number;
  argStart: number;
  argEnd: number;
  envStart: number;
  envEnd: number;
  auxv: Uint8Array;
  executable: string;
  /** Load bias of the executable. */
  bias: bigint;
  /** Pages that are mapped (resident set). */
  resident: number;
}

export interface FdTable {
  users: number;
  entries: (FdEntry | undefined)[];
}
export interface FdEntry {
  file: OpenFile;
  closeOnExec: boolean;
}

export interface SignalAction {
  /** 0 SIG_DFL, 1 SIG_IGN, else the handler. */
  handler: number;
  /** SA_* */
  flags: number;
  restorer: number;
  mask: bigint;
}

export interface SignalInfo {
  readonly signal: number;
  /** si_code */
  readonly code: number;
  /** si_pid and si_uid, or si_addr, or si_status: what the code says. */
  readonly pid?: number;
  readonly address?: number;
  readonly status?: number;
  readonly value?: bigint;
  readonly timerId?: number;
  /** Exception vector and error code for ucontext.trapno and err. */
  readonly trap?: number;
  readonly error?: number;
}

export interface IntervalTimer {
  /** Virtual ns; -1 disarmed. */
  deadline: number;
  /** ns; 0 is one-shot. */
  interval: number;
}
export interface PosixTimer extends IntervalTimer {
  id: number;
  process: Process;
  signal: number;
  tid: number;
  value: bigint;
  overruns: number;
}

export interface Process {
  pid: number;
  parent: Process | undefined;
  pgid: number;
  sid: number;
  mm: MemoryMap;
  fds: FdTable;
  fs: { users: number; cwd: string; umask: number };
  actions: { users: number; list: SignalAction[] };
  pending: SignalInfo[];
  /** Bit n-1 = signal n waits in `pending`. */
  pendingMask: bigint;
  tasks: Task[];
  /** Signal sent to the parent at exit; 0 none. */
  exitSignal: number;
  zombie: boolean;
  /** Exit code, or undefined while it lives. */
  exit: { status: number; signal: number; core: boolean } | undefined;
  realTimer: IntervalTimer;
  limits: [bigint, bigint][];
  name: string;
  /** Cycles its threads have used and those of reaped children. */
  cycles: number;
  childCycles: number;
  /** exec or exit wakes a vfork parent. */
  vforkParent: number;
}

export interface Wait extends WaitState {
  /** What may end it: "pipe:3", "child:1", "stdin", ... */
  readonly channels: readonly string[];
}

export interface Task extends Thread {
  process: Process;
  wait: Wait | undefined;
  /** A channel of its wait was signalled, or a signal came: dispatch again. */
  ready: boolean;
  /** Bit n = may run on CPU n. */
  affinity: bigint;
  queue: SignalInfo[];
  altStack: { address: number; size: number; flags: number };
  /** Mask to restore after sigsuspend, ppoll, pselect. */
  savedMask: bigint | undefined;
  clearChildTid: number;
  robustList: number;
  /** What restart_syscall goes on with. */
  restart: { readonly number: number; readonly args: readonly bigint[]; readonly data: unknown } | undefined;
  /** The system call being dispatched, and the registers a restart needs. */
  call: { readonly number: number; readonly args: readonly bigint[] } | undefined;
  /** Set while a re-dispatched call runs, so that it finds what it kept. */
  resuming: Wait | undefined;
  startedAt: number;
}

export interface FutexWaiter {
  tid: number;
  key: string;
  bitset: number;
  woken: boolean;
}

export interface Inode {
  id: number;
  type: 'file' | 'directory' | 'symlink' | 'device';
  /** Permission bits. */
  mode: number;
  /** Where it was found: shown in maps, and written through to when granted. */
  path: string;
  /** Immutable content (key of `Linux.blobs`); 0 when `data` holds it. */
  blob: number;
  /** Content once changed; longer than `size` while it grows. */
  data: Uint8Array | undefined;
  size: number;
  /** ns since 1970. Reading a file is no access, as on a file system that is mounted so. */
  accessed: bigint;
  modified: bigint;
  /** Content, mode, names or times. */
  changed: bigint;
  links: number;
  /** Page cache: page index to HPA. Each holds one reference. */
  pages: Map<number, number>;
  /** Changed since it was last written to the host. */
  dirty: boolean;
  target: string;
  device: DeviceName | undefined;
}
export type DeviceName = 'null' | 'zero' | 'full' | 'random' | 'tty' | 'dune';

export interface Pipe {
  id: number;
  data: Uint8Array;
  start: number;
  length: number;
  readers: number;
  writers: number;
}

interface OpenBase {
  id: number;
  references: number;
  /** O_* status flags and access mode. */
  flags: number;
  /** What /proc/self/fd shows. */
  path: string;
}
export interface RegularFile extends OpenBase {
  kind: 'file';
  inode: Inode;
  offset: number;
}
export interface DirectoryFile extends OpenBase {
  kind: 'directory';
  inode: Inode;
  offset: number;
}
export interface PipeEnd extends OpenBase {
  kind: 'pipe';
  pipe: Pipe;
  end: 'read' | 'write';
}
export interface SocketEnd extends OpenBase {
  kind: 'socket';
  receive: Pipe;
  send: Pipe;
}
export interface DeviceFile extends OpenBase {
  kind: 'device';
  device: DeviceName;
  inode: Inode;
}
export interface TerminalFile extends OpenBase {
  kind: 'stdin' | 'output';
  /** 1 or 2 for output. */
  stream: 1 | 2;
}
export interface EventFile extends OpenBase {
  kind: 'event';
  counter: bigint;
  semaphore: boolean;
}
export interface EpollFile extends OpenBase {
  kind: 'epoll';
  items: Map<number, EpollItem>;
}
export interface EpollItem {
  file: OpenFile;
  events: number;
  data: bigint;
  /** What was ready when it was last reported (edge triggering). */
  reported: number;
}
export type OpenFile =
  RegularFile | DirectoryFile | PipeEnd | SocketEnd | DeviceFile | TerminalFile | EventFile | EpollFile;

/** Index into `Process.limits`. */
export const RLIMIT_STACK = 3;
export const RLIMIT_NOFILE = 7;
export const RLIM_INFINITY = 0xffffffffffffffffn;

/** A fresh object id, unique in the machine. */
export function newId(linux: Linux): number {
  return linux.state.nextId++;
}

/** Virtual nanoseconds per modelled cycle is 1/3: a 3 GHz processor. */
export const CYCLES_PER_NS = 3;
