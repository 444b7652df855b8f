/** The Linux personality: processes, memory, files, signals and time behind the Kernel interface. All state is in `linux.state`. */
import { formatCall } from './format.ts';
import { SYSCALLS } from './syscalls/table.ts';
import type { CpuContext } from '../cpu/context.ts';
import type { Supervisor } from '../cpu/engine-api.ts';
import { SUPPLY_NONE } from '../cpu/codes.ts';
import * as L from '../cpu/layout.ts';
import type { MachineOptions, ThreadInfo } from '../machine/api.ts';
import type { PhysicalMemory } from '../mmu/physical.ts';
import { LaunchError } from './api.ts';
import type { DuneDevice, Kernel, KernelServices } from './api.ts';
import { moveTo } from './cpus.ts';
import { enterSyscall } from './dispatch.ts';
import { loadProgram } from './exec.ts';
import { enterProgram, nameProgram } from './execve.ts';
import { handleException } from './faults.ts';
import { createTask } from './fork.ts';
import { allocateFrame, createFrames, restoreFrames, saveFrames, type FrameImages } from './frames.ts';
import { openBase } from './fs/descriptors.ts';
import { memoryMapRows } from './fs/maps.ts';
import { tidy } from './fs/paths.ts';
import { inodeAt, programPath } from './fs/tree.ts';
import { hardwareInformation } from './hardware.ts';
import { createMemoryMap } from './mm.ts';
import { peek, poke } from './peek.ts';
import { random64, seedRandom } from './random.ts';
import { park, schedule, settle, shortenSlice } from './scheduler.ts';
import { createServices, layoutBases } from './services.ts';
import { SIG_DFL } from './signal-numbers.ts';
import { FIRST_PID, RLIMIT_NOFILE, RLIMIT_STACK, RLIM_INFINITY } from './state.ts';
import type { KernelState, Linux, OpenFile, Process, Task } from './state.ts';
import { disarmed } from './time.ts';
import { wake } from './wait.ts';

const RLIMITS = 16;
const DEFAULT_STACK = 8n << 20n;

/** `dune` builds the device on the kernel's services; without it /dev/dune is absent. */
export function createKernel(
  context: CpuContext,
  memory: PhysicalMemory,
  options: MachineOptions,
  dune?: (services: KernelServices) => DuneDevice,
): Kernel & { readonly services: KernelServices } {
  const { mem, cpu, engine, mmu, events } = context;
  const linux: Linux = {
    context,
    mem,
    cpu,
    engine,
    mmu,
    events,
    memory,
    options,
    dune: undefined,
    state: emptyState(options, memory.size),
    blobs: new Map(),
    entering: false,
  };
  const services = createServices(linux);
  linux.dune = dune?.(services);
  context.describeSyscall = (number, args) => ({
    name: SYSCALLS.get(number)?.name ?? `syscall_${number}`,
    text: formatCall(linux, number, args),
  });
  context.random64 = () => random64(linux);
  context.onTimePassed = (cycles) => shortenSlice(linux, cycles);
  engine.supervisor = {
    syscall() {
      const task = entering(linux);
      enterSyscall(linux, task);
      leave(linux, task);
    },
    exception(fault) {
      const task = entering(linux);
      handleException(linux, task, fault);
      leave(linux, task);
    },
    vmExit() {
      const task = entering(linux);
      linux.dune?.vmExit(task);
      leave(linux, task);
    },
    supplyPage: () => linux.dune?.supplyPage(entering(linux)) ?? SUPPLY_NONE,
    pageSupplied: () => leave(linux, entering(linux)),
    settleLease: () => linux.dune?.settleLease(entering(linux)),
  };
  return { services, ...engine.supervisor, ...kernelOf(linux) };
}

/** The running thread, which enters the kernel. */
function entering(linux: Linux): Task {
  const task = linux.state.tasks.get(linux.state.currentTid);
  if (!task) throw new Error('the kernel was entered with no thread running');
  return task;
}

/** After what the thread entered for is done: back to it the way it has to be. */
function leave(linux: Linux, task: Task): void {
  settle(linux, task);
  if (task.wait || task.exited) linux.engine.requestStop();
  else if (task.vcpu === 0) {
    const trap = linux.dune?.trapRip(task.pid);
    if (trap !== undefined && trap === linux.cpu.rip) linux.dune!.trapHit(task);
  }
}

interface SavedKernel {
  readonly state: Omit<KernelState, 'frames'>;
  readonly frames: FrameImages;
  readonly blobs: Map<number, Uint8Array>;
  readonly dune: unknown;
  /** Logical CPU in force. */
  readonly cpu: number;
}

function kernelOf(linux: Linux): Omit<Kernel, keyof Supervisor> {
  return {
    start: () => start(linux),
    schedule: (only) => schedule(linux, only),
    quantum: () => Math.max(1, linux.state.sliceEnd - linux.engine.retired),
    halted() {
      const task = linux.state.tasks.get(linux.state.currentTid);
      if (task) task.halted = true;
    },
    park: () => park(linux),
    current: () => linux.state.tasks.get(linux.state.currentTid),
    threads: () => [...linux.state.tasks.values()].map((task) => threadInfo(linux, task)),
    thread: (tid) => linux.state.tasks.get(tid),
    exitStatus: () => linux.state.firstExit ?? { status: 0 },
    input(data) {
      const { stdin } = linux.state;
      if (data === null) stdin.ended = true;
      else if (data.length > 0) stdin.chunks.push(data.slice());
      wake(linux, 'stdin');
    },
    memoryMap(pid) {
      const process = linux.state.processes.get(pid);
      return process ? memoryMapRows(process) : [];
    },
    images(pid) {
      const mm = linux.state.processes.get(pid)?.mm;
      return mm ? [{ path: mm.executable, bias: mm.bias }] : [];
    },
    peek(pid, hva, bytes) {
      const process = linux.state.processes.get(pid);
      return process ? peek(linux, process, Number(hva), bytes) : new Uint8Array(0);
    },
    poke(pid, hva, data) {
      const process = linux.state.processes.get(pid);
      return process ? poke(linux, process, Number(hva), data) : 0;
    },
    layout: (pid) => layoutBases(linux, pid),
    explanations() {
      return new Map([...(linux.dune?.explanations() ?? []), ...linux.state.explanations]);
    },
    save(): SavedKernel {
      const { frames, ...state } = linux.state;
      const blobs = new Map(linux.blobs);
      return {
        state: structuredClone(state),
        frames: saveFrames(frames),
        blobs,
        dune: linux.dune?.save(),
        cpu: linux.context.cpuIndex,
      };
    },
    restore(saved) {
      const snapshot = saved as SavedKernel;
      const frames = restoreFrames(snapshot.frames, linux.memory.size);
      linux.state = { ...structuredClone(snapshot.state), frames };
      linux.blobs = new Map(snapshot.blobs);
      linux.dune?.restore(snapshot.dune);
      linux.engine.selectCpu(snapshot.cpu);
    },
  };
}

export function emptyState(options: MachineOptions, bytesOfRam: number): KernelState {
  return {
    frames: createFrames(bytesOfRam),
    zeroFrame: 0,
    processes: new Map(),
    tasks: new Map(),
    currentTid: 0,
    nextPid: FIRST_PID,
    nextId: 1,
    nextPcid: 1,
    random: seedRandom(options.seed),
    sliceEnd: 0,
    tree: new Map(),
    stdin: { chunks: [], ended: false },
    futexes: [],
    reported: new Set(),
    firstExit: undefined,
    explanations: new Map(),
    timers: [],
  };
}

function start(linux: Linux): void {
  const { options, state } = linux;
  const path = programPath(options);
  const zero = allocateFrame(state.frames, linux.memory);
  const mm = createMemoryMap(linux);
  if (zero < 0 || !mm)
    throw new LaunchError(`${options.memory} bytes of memory are too few; give the machine at least 16 MB.`);
  state.zeroFrame = zero;
  const pid = state.nextPid++;
  const process = firstProcess(linux, pid, mm);
  state.processes.set(pid, process);
  const argv = [options.program.path, ...options.args];
  const inode = inodeAt(linux, process, path)!;
  const request = {
    path,
    inode,
    image: options.program.image,
    argv,
    envp: options.env,
    hardware: hardwareInformation(linux.context.model),
  };
  const image = loadProgram(linux, process, request);
  nameProgram(process, path);
  const task = createTask(linux, process, pid, new Uint8Array(linux.cpu.save()));
  state.currentTid = pid;
  enterProgram(linux, task, image);
  moveTo(linux, task.cpu);
  park(linux);
}

export function firstProcess(linux: Linux, pid: number, mm: Process['mm']): Process {
  const file = (kind: 'stdin' | 'output', stream: 1 | 2, flags: number, path: string): OpenFile => ({
    ...openBase(linux, flags, path),
    kind,
    stream,
  });
  const files = [
    file('stdin', 1, 0, '/dev/stdin'),
    file('output', 1, 1, '/dev/stdout'),
    file('output', 2, 1, '/dev/stderr'),
  ];
  const limits = Array.from({ length: RLIMITS }, (): [bigint, bigint] => [RLIM_INFINITY, RLIM_INFINITY]);
  limits[RLIMIT_STACK] = [DEFAULT_STACK, RLIM_INFINITY];
  limits[RLIMIT_NOFILE] = [1024n, 4096n];
  return {
    pid,
    parent: undefined,
    pgid: pid,
    sid: pid,
    mm,
    fds: { users: 1, entries: files.map((one) => ({ file: one, closeOnExec: false })) },
    fs: { users: 1, cwd: tidy(linux.options.cwd), umask: 0o022 },
    actions: {
      users: 1,
      list: Array.from({ length: 65 }, () => ({ handler: SIG_DFL, flags: 0, restorer: 0, mask: 0n })),
    },
    pending: [],
    pendingMask: 0n,
    tasks: [],
    exitSignal: 0,
    zombie: false,
    exit: undefined,
    realTimer: disarmed(),
    limits,
    name: '',
    cycles: 0,
    childCycles: 0,
    vforkParent: 0,
  };
}

function threadInfo(linux: Linux, task: Task): ThreadInfo {
  const running = task.tid === linux.state.currentTid;
  const dune = task.vcpu !== 0;
  const cpl = running
    ? linux.cpu.cpl
    : new DataView(task.context.buffer, task.context.byteOffset).getUint32(L.CPL - L.STATE, true);
  return {
    id: task.tid,
    process: task.pid,
    name: task.name,
    mode: dune ? 'dune' : 'linux',
    cpl: dune ? cpl : 3,
    state: task.wait || task.halted ? 'blocked' : running ? 'running' : 'runnable',
    ...(task.wait ? { blockedOn: task.wait.text } : task.halted ? { blockedOn: 'HLT' } : {}),
    cpu: task.cpu,
  };
}
