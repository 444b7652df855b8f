/**
 * A PC-like board without firmware for kernels and conformance suites: processors with local APICs, an I/O APIC, two 8259s, a serial port, and the few ports that such
 * kernels use. It stands where the Linux personality stands under Dune programs. All state is plain data.
 */
import { Activity } from '../cpu/activity.ts';
import type { BoardBus, CpuContext } from '../cpu/context.ts';
import type { Fault } from '../cpu/engine-api.ts';
import * as L from '../cpu/layout.ts';
import type { Thread } from '../linux/api.ts';
import type { Explanation, MachineOptions, ThreadInfo } from '../machine/api.ts';
import type { Personality } from '../machine/personality.ts';
import type { PhysicalMemory } from '../mmu/physical.ts';
import { resetForKernel } from './boot.ts';
import { Cmos } from './cmos.ts';
import type { CmosState } from './cmos.ts';
import { Cpus } from './cpus.ts';
import type { Cpu, SavedCpus } from './cpus.ts';
import { explainShutdown } from './explain.ts';
import { FwCfg } from './fw-cfg.ts';
import type { FwCfgState } from './fw-cfg.ts';
import { Interrupts } from './interrupts.ts';
import type { IoApicState } from './io-apic.ts';
import { Register } from './apic-registers.ts';
import { MemoryMap } from './memory-map.ts';
import { changeCommandLine, loadKernel } from './multiboot.ts';
import type { PicState } from './pic.ts';
import { Pit } from './pit.ts';
import type { PitState } from './pit.ts';
import { Ports } from './ports.ts';
import { Uart } from './uart.ts';
import type { UartState } from './uart.ts';
import { Waiting } from './waiting.ts';
import type { WaitingState } from './waiting.ts';

/** Process and first thread id that the debugger sees: CPU n is thread n + 1. */
const PROCESS = 1;
const TIMER_LINE = 0;
const UART_LINE = 4;
/** Milliseconds since 1970 at power-on, and cycles in one. */
const POWER_ON = Date.UTC(2024, 0, 1);
const CYCLES_A_MILLISECOND = 3e6;
const CONSOLE_BUFFER = 4096;

interface SavedBoard {
  readonly cpus: SavedCpus;
  readonly ioApic: IoApicState;
  readonly pic: PicState;
  readonly pit: PitState;
  readonly uart: UartState;
  readonly fwCfg: FwCfgState;
  readonly cmos: CmosState;
  readonly ports: unknown;
  readonly testRam: Uint8Array<ArrayBuffer>;
  readonly waiting: WaitingState;
  readonly random: bigint;
  readonly exit: { readonly status: number } | undefined;
  readonly explained: readonly (readonly [number, Explanation])[];
}

export class Board implements Personality, BoardBus {
  readonly #context: CpuContext;
  readonly #options: MachineOptions;
  readonly #cpus: Cpus;
  readonly #interrupts: Interrupts;
  readonly #uart: Uart;
  readonly #fwCfg: FwCfg;
  readonly #cmos: Cmos;
  readonly #pit: Pit;
  readonly #ports: Ports;
  readonly #memory: MemoryMap;
  readonly #waiting: Waiting;
  readonly #console: number[] = [];
  readonly #explanations = new Map<number, Explanation>();
  #random: bigint;
  #exit: { readonly status: number } | undefined;

  constructor(context: CpuContext, options: MachineOptions) {
    this.#context = context;
    this.#options = options;
    this.#random = BigInt(options.seed) + 0x9e37_79b9_7f4a_7c15n;
    context.random64 = () => this.#nextRandom();
    context.mem.set32(L.BOARD, 1);
    context.board = this;
    context.onTimePassed = (cycles) => this.#cpus.timePassed(cycles);
    context.endOfInterrupt = () => this.#cpus.current.apic.write(Register.Eoi, 0);
    this.#interrupts = new Interrupts(context, () => this.#cpus);
    this.#cpus = new Cpus(context, {
      send: (from, message, shorthand) => this.#interrupts.send(from, message, shorthand),
      endOfInterrupt: (vector) => this.#interrupts.ioApic.endOfInterrupt(vector),
      picPending: () => this.#interrupts.pic.pending,
      timer: () => this.#pit,
    });
    this.#uart = new Uart(
      (byte) => this.#print(byte),
      (asserted) => this.#interrupts.setLine(UART_LINE, asserted),
      () => this.#flushConsole(),
    );
    this.#fwCfg = new FwCfg({ ramBytes: this.#physical.size, cpus: context.cpus });
    this.#cmos = new Cmos(
      this.#physical.size,
      () => POWER_ON + this.#cpus.cycles(this.#cpus.current) / CYCLES_A_MILLISECOND,
    );
    this.#pit = new Pit(
      () => this.#cpus.cycles(this.#cpus.current),
      (asserted) => this.#interrupts.setLine(TIMER_LINE, asserted),
    );
    this.#ports = new Ports({
      uart: this.#uart,
      fwCfg: this.#fwCfg,
      cmos: this.#cmos,
      pic: this.#interrupts.pic,
      pit: this.#pit,
      setLine: (line, asserted) => this.#interrupts.setLine(line, asserted),
      exit: (status) => this.#end(status),
      changed: () => this.#cpus.replan(),
      elapse: (cycles) => {
        context.addCycles(cycles);
        this.#cpus.replan();
      },
    });
    this.#memory = new MemoryMap({
      ioApic: this.#interrupts.ioApic,
      apic: () => this.#cpus.current.apic,
      apicBase: () => context.mem.get64(L.MSR_APIC_BASE),
    });
    this.#waiting = new Waiting(context, this.#cpus);
  }

  get #physical(): PhysicalMemory {
    return this.#context.physical;
  }

  /** splitmix64. */
  #nextRandom(): bigint {
    this.#random = BigInt.asUintN(64, this.#random + 0x9e37_79b9_7f4a_7c15n);
    let z = this.#random;
    z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58_476d_1ce4_e5b9n);
    z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d0_49bb_1331_11ebn);
    return z ^ (z >> 31n);
  }

  // ---------------------------------------------------------------- running

  start(): void {
    const { program, args, env } = this.#options;
    const kernel = loadKernel(this.#physical, program, args.join(' '), env);
    this.#cpus.powerUp();
    resetForKernel(this.#context, kernel);
    this.#cpus.current.apic.connectLints();
  }

  setArguments(args: readonly string[]): void {
    changeCommandLine(this.#physical, this.#options.program.path, args.join(' '));
  }

  schedule(only?: number): ReturnType<Personality['schedule']> {
    this.#noticeShutdown();
    if (this.#exit) return this.#ended();
    const cpu = only === undefined ? undefined : this.#cpuOf(only);
    if (this.#cpus.schedule(cpu)) return 'run';
    this.#flushConsole();
    return cpu ? 'blocked' : 'deadlock';
  }

  #ended(): 'exited' {
    this.#flushConsole();
    return 'exited';
  }

  quantum(): number {
    return this.#cpus.quantum;
  }
  /** HLT: `schedule` looks who can go on. */
  halted(): void {
    this.#flushConsole();
    this.#cpus.replan();
  }
  paused(): void {
    this.#flushConsole();
  }

  #end(status: number): void {
    this.#exit ??= { status };
    this.#cpus.replan();
  }

  /** A processor in shutdown ends the machine: there is nobody who would reset it. */
  #noticeShutdown(): void {
    const { current } = this.#cpus;
    if (this.#exit || this.#cpus.activity(current) !== Activity.Shutdown || this.#context.cpu.nonRoot) return;
    const explanation = explainShutdown(this.#context, current.index);
    this.#explanations.set(current.index + 1, explanation);
    this.#exit = { status: SHUTDOWN_STATUS };
    this.#context.events.emit('diagnostic', () => ({ summary: explanation.headline, facts: { abnormal: 1 } }));
  }

  exitStatus(): { status: number } {
    return { status: this.#exit?.status ?? 0 };
  }

  pendingInterrupt(): Fault | undefined {
    return this.#interrupts.pending();
  }

  // ---------------------------------------------------------------- what instructions reach (BoardBus)

  readPort(port: number, bytes: number): number {
    return this.#ports.read(port, bytes);
  }
  writePort(port: number, bytes: number, value: number): void {
    this.#ports.write(port, bytes, value);
  }
  readMemory(hpa: number, into: Uint8Array): void {
    this.#memory.read(hpa, into);
  }
  writeMemory(hpa: number, data: Uint8Array): void {
    this.#memory.write(hpa, data);
  }

  readMsr(msr: number): bigint | undefined {
    const { apic } = this.#cpus.current;
    if (msr === TSC_DEADLINE) return apic.deadlineMsr;
    return apic.board.mode() === 'x2apic' ? apic.readMsr(msr - X2APIC) : undefined;
  }
  refuseMsr(msr: number, value: bigint): string | undefined {
    const { apic } = this.#cpus.current;
    if (msr === TSC_DEADLINE) return undefined;
    return apic.board.mode() === 'x2apic' ? apic.refuseMsr(msr - X2APIC, value) : 'the APIC is not in x2APIC mode';
  }
  writeMsr(msr: number, value: bigint): void {
    const { apic } = this.#cpus.current;
    if (msr === TSC_DEADLINE) apic.deadlineMsr = value;
    else apic.writeMsr(msr - X2APIC, value);
  }
  apicBaseWritten(): void {
    this.#cpus.current.apic.modeChanged();
    this.#cpus.replan();
  }
  timeChanged(): void {
    this.#cpus.replan();
  }
  taskPriority(): bigint {
    return BigInt(this.#cpus.current.apic.state.taskPriority >> 4);
  }
  setTaskPriority(value: bigint): void {
    this.#cpus.current.apic.state.taskPriority = Number(value) << 4;
  }
  pause(): void {
    this.#waiting.pause();
  }

  // ---------------------------------------------------------------- console

  #print(byte: number): void {
    this.#console.push(byte);
    if (byte === NEWLINE || this.#console.length >= CONSOLE_BUFFER) this.#flushConsole();
  }
  #flushConsole(): void {
    if (this.#console.length > 0) this.#options.output(1, Uint8Array.from(this.#console.splice(0)));
  }
  input(data: Uint8Array | null): void {
    if (data) this.#uart.receive(data);
  }

  // ---------------------------------------------------------------- what the debugger sees

  #cpuOf(tid: number): Cpu | undefined {
    return this.#cpus.all[tid - 1];
  }
  #threadOf(cpu: Cpu): Thread {
    return {
      tid: cpu.index + 1,
      pid: PROCESS,
      name: `CPU ${cpu.index}`,
      context: cpu.page,
      wait: undefined,
      exited: false,
      halted: this.#cpus.activity(cpu) !== Activity.Active,
      pendingSignals: 0n,
      blockedSignals: 0n,
      vcpu: 0,
      cpu: cpu.index,
    };
  }
  readonly #threads = new Map<Cpu, Thread>();
  thread(tid: number): Thread | undefined {
    const cpu = this.#cpuOf(tid);
    if (!cpu) return undefined;
    let thread = this.#threads.get(cpu);
    if (!thread) this.#threads.set(cpu, (thread = this.#threadOf(cpu)));
    return thread;
  }
  current(): Thread | undefined {
    return this.thread(this.#cpus.current.index + 1);
  }
  threads(): ThreadInfo[] {
    return this.#cpus.all.map((cpu) => {
      const activity = this.#cpus.activity(cpu);
      const blockedOn = ACTIVITIES[activity];
      return {
        id: cpu.index + 1,
        process: PROCESS,
        name: `CPU ${cpu.index}`,
        mode: this.#cpus.get32(cpu, L.NON_ROOT) ? 'guest' : 'root',
        cpl: this.#cpus.get32(cpu, L.CPL),
        state: blockedOn ? 'blocked' : cpu === this.#cpus.current ? 'running' : 'runnable',
        ...(blockedOn ? { blockedOn } : {}),
        cpu: cpu.index,
      };
    });
  }
  memoryMap(): ReturnType<Personality['memoryMap']> {
    return this.#memory.rows(this.#physical.size);
  }
  images(): { path: string; bias: bigint }[] {
    return [{ path: this.#options.program.path, bias: 0n }];
  }
  /** There is nothing behind an address but what the tables say. */
  peek(): Uint8Array {
    return new Uint8Array(0);
  }
  poke(): number {
    return 0;
  }
  layout(): { mmapBase: number; startStack: number } {
    return { mmapBase: 0, startStack: 0 };
  }
  explanations(): ReadonlyMap<number, Explanation> {
    return this.#explanations;
  }

  // ---------------------------------------------------------------- snapshots

  save(): SavedBoard {
    return structuredClone({
      cpus: this.#cpus.save(),
      ioApic: this.#interrupts.ioApic.state,
      pic: this.#interrupts.pic.state,
      pit: this.#pit.state,
      uart: this.#uart.state,
      fwCfg: this.#fwCfg.state,
      cmos: this.#cmos.state,
      ports: this.#ports.state,
      testRam: this.#memory.testRam,
      waiting: this.#waiting.state,
      random: this.#random,
      exit: this.#exit,
      explained: [...this.#explanations],
    });
  }
  restore(saved: unknown): void {
    const board = structuredClone(saved as SavedBoard);
    this.#cpus.restore(board.cpus);
    this.#interrupts.ioApic.state = board.ioApic;
    this.#interrupts.pic.state = board.pic;
    this.#pit.state = board.pit;
    this.#uart.state = board.uart;
    this.#fwCfg.state = board.fwCfg;
    this.#cmos.state = board.cmos;
    this.#ports.state = board.ports as Ports['state'];
    this.#memory.testRam = board.testRam;
    this.#waiting.state = board.waiting;
    this.#random = board.random;
    this.#exit = board.exit;
    this.#explanations.clear();
    for (const [thread, why] of board.explained) this.#explanations.set(thread, why);
    this.#console.length = 0;
  }
}

const TSC_DEADLINE = 0x6e0;
const X2APIC = 0x800;
const NEWLINE = 10;
/** As of a program that was killed by SIGABRT. */
const SHUTDOWN_STATUS = 134;

/** Why a CPU does not run, by activity. */
const ACTIVITIES: Readonly<Record<number, string>> = {
  [Activity.Halt]: 'HLT: waits for an interrupt',
  [Activity.Shutdown]: 'shutdown',
  [Activity.WaitForSipi]: 'waits for a start-up IPI',
};
