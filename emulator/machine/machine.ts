/** The machine under a Dune program: CPU, memory, VT-x, the Linux personality and the Dune module, behind the Machine API. */
import type { CpuContext } from '../cpu/context.ts';
import { RunStop } from '../cpu/engine-api.ts';
import * as L from '../cpu/layout.ts';
import { Flag } from '../cpu/system/rflags.ts';
import type { Thread } from '../linux/api.ts';
import type { FaultReport } from '../describe/fault-report.ts';
import type { TlbBank, TlbEntry, TlbEntryDetails, Walk } from '../mmu/api.ts';
import type { VmEntryInfo } from '../vmx/describe.ts';
import type { ExitList } from '../vmx/exit-lists.ts';
import { Field } from '../vmx/fields.ts';
import type { ExitPrediction, ExitQuestion } from '../vmx/would-exit.ts';
import type {
  DisassembledInstruction,
  Explanation,
  Machine,
  MachineAssets,
  MachineOptions,
  MachineStats,
  PageTableNode,
  RegisterInfo,
  Snapshot,
  Space,
  StopReason,
  ThreadInfo,
  VmcsChoice,
  VmcsFieldInfo,
  VmcsRegionInfo,
} from './api.ts';
import { assemble } from './assemble.ts';
import type { EventBus, MachineEvent } from './events.ts';
import { reportOf } from './fault-reports.ts';
import { Inspector } from './inspect.ts';
import { isOtherLevel, processorOf } from './levels.ts';
import type { Personality } from './personality.ts';
import { Snapshots, type MachineSnapshot } from './snapshots.ts';

/** Instructions run between looks at whether the caller's budget is used up; long, because short slices lose speed. */
const LONGEST_SLICE = 50_000_000;

/** Builds the machine and loads its program. Throws LaunchError with one sentence when the program or an option is unusable. */
export function createMachine(assets: MachineAssets, options: MachineOptions): Machine {
  return new DuneMachine(assets, options);
}

class DuneMachine implements Machine {
  readonly events: EventBus;
  readonly #context: CpuContext;
  readonly #kernel: Personality;
  readonly #inspector: Inspector;
  readonly #snapshots: Snapshots;
  readonly #exits: Record<string, number> = {};
  #breakpoints: ReadonlySet<bigint> = new Set();
  /** Set by `stop` while the machine runs. */
  #stopping: StopReason | undefined;
  /** Where a breakpoint stopped a thread: it is passed over when the machine goes on from there. */
  #standing: { thread: number; gva: bigint } | undefined;
  #lastThread = 0;
  readonly #bare: boolean;

  constructor(assets: MachineAssets, options: MachineOptions) {
    const parts = assemble(assets, options);
    this.#bare = options.machine === 'bare';
    this.#context = parts.context;
    this.#kernel = parts.kernel;
    this.events = parts.context.events;
    this.events.context = () => this.#where();
    parts.context.onVmExit = (name, times = 1) => (this.#exits[name] = (this.#exits[name] ?? 0) + times);
    this.#inspector = new Inspector(parts.context, parts.kernel, assets.disassembler);
    this.#snapshots = new Snapshots(parts.context, parts.kernel);
    this.#kernel.start();
    this.#lastThread = this.#kernel.threads()[0]?.id ?? 0;
  }

  #where(): ReturnType<EventBus['context']> {
    const { cpu, engine, vmx } = this.#context;
    const thread = this.#kernel.current();
    // While the module handles an exit, the place is where the guest stands.
    const exited = thread?.vcpu && !cpu.nonRoot && vmx.vmptrst() >= 0;
    return {
      thread: thread?.tid ?? 0,
      instructions: engine.retired,
      cycles: Number(this.#context.cycles()),
      rip: exited ? vmx.field(Field.guestRip) : cpu.rip,
      cpl: exited ? (Number(vmx.field(Field.guestSsAccessRights)) >> 5) & 3 : cpu.cpl,
      mode: this.#bare ? (cpu.nonRoot ? 'guest' : 'root') : thread?.vcpu ? 'dune' : 'linux',
    };
  }

  // ---------------------------------------------------------------- running

  run(instructions: number): StopReason {
    const stop = this.#run(instructions);
    this.#kernel.paused?.();
    return stop;
  }

  #run(instructions: number): StopReason {
    const { engine } = this.#context;
    const end = engine.retired + instructions;
    engine.patience.restore();
    this.#stopping = undefined;
    while (engine.retired < end) {
      const ready = this.#kernel.schedule();
      // A timer that expires while the kernel looks for a thread makes events, too.
      if (this.#stopping) return this.#stopping;
      if (ready !== 'run') return this.#nothingToRun(ready);
      const stop = this.#slice(Math.min(end - engine.retired, this.#kernel.quantum(), LONGEST_SLICE));
      if (stop) return stop;
    }
    return { kind: 'budget' };
  }

  stepInstruction(tid: number): StopReason {
    this.#stopping = undefined;
    this.#standing = undefined;
    const ready = this.#kernel.schedule(tid);
    if (ready === 'run') {
      const gva = this.#context.cpu.rip;
      this.#context.engine.step();
      this.#lastThread = tid;
      this.#stayOn({ thread: tid, gva });
      if (this.#stopping) return this.#stopping;
    } else if (ready === 'exited') return this.#nothingToRun(ready);
    if (this.#kernel.schedule() === 'exited') return this.#nothingToRun('exited');
    return { kind: 'step', thread: tid };
  }

  #slice(instructions: number): StopReason | undefined {
    const { engine, cpu } = this.#context;
    const thread = this.#kernel.current()!;
    this.#lastThread = thread.tid;
    const standing = this.#standing;
    this.#standing = undefined;
    let stop: RunStop;
    if (standing && standing.thread === thread.tid && standing.gva === cpu.rip) {
      stop = engine.step();
      this.#stayOn(standing);
    } else stop = engine.run(instructions);
    if (this.#stopping) return this.#stopping;
    if (stop === RunStop.Halted) this.#kernel.halted();
    if (stop === RunStop.Fruitless) return { kind: 'budget' };
    if (stop !== RunStop.Breakpoint) return undefined;
    this.#standing = { thread: thread.tid, gva: cpu.rip };
    return { kind: 'breakpoint', thread: thread.tid, gva: cpu.rip };
  }

  /** A step that does only a part of a repeated string instruction leaves its breakpoint to be passed over again. */
  #stayOn(standing: { thread: number; gva: bigint }): void {
    const { cpu, mem } = this.#context;
    if (cpu.rip === standing.gva && mem.get32(L.SYSTEM_FLAGS) & Flag.RF) this.#standing = standing;
  }

  #nothingToRun(state: 'blocked' | 'idle-input' | 'deadlock' | 'exited'): StopReason {
    switch (state) {
      case 'idle-input':
        return { kind: 'input' };
      case 'exited':
        return { kind: 'exited', ...this.#kernel.exitStatus() };
      default:
        return { kind: 'deadlock' };
    }
  }

  stop(event?: MachineEvent): void {
    this.#stopping = event ? { kind: 'event', thread: event.thread, event } : { kind: 'requested' };
    this.#context.engine.requestStop();
  }

  input(data: Uint8Array | null): void {
    this.#kernel.input(data);
  }

  setBreakpoints(gvas: ReadonlySet<bigint>): void {
    this.#breakpoints = new Set(gvas);
    this.#context.engine.setBreakpoints(this.#breakpoints);
  }

  // ---------------------------------------------------------------- looking

  threads(): ThreadInfo[] {
    return this.#kernel.threads();
  }
  thread(id: number): ThreadInfo | undefined {
    if (isOtherLevel(id)) return this.otherLevel(processorOf(id));
    return this.#kernel.threads().find((thread) => thread.id === id);
  }
  otherLevel(id: number): ThreadInfo | undefined {
    const thread = this.#bare ? this.thread(id) : undefined;
    const other = thread && this.#inspector.otherLevel(id);
    return other && { ...thread, id: other.id, mode: other.nonRoot ? 'guest' : 'root', cpl: other.cpl };
  }
  currentThread(): number {
    return this.#lastThread;
  }
  registers(thread: number): RegisterInfo[] {
    return this.#inspector.registers(thread);
  }
  readRegister(thread: number, name: string): bigint | undefined {
    return this.#inspector.readRegister(thread, name);
  }
  writeRegister(thread: number, name: string, value: bigint): void {
    this.#inspector.writeRegister(thread, name, value);
  }
  readMemory(thread: number, space: Space, address: bigint, bytes: number): Uint8Array {
    return this.#inspector.readMemory(thread, space, address, bytes);
  }
  writeMemory(thread: number, space: Space, address: bigint, data: Uint8Array): number {
    return this.#inspector.writeMemory(thread, space, address, data);
  }
  walk(thread: number, gva: bigint, access: 'read' | 'write' | 'execute', user?: boolean): Walk {
    return this.#inspector.walk(thread, gva, access, user);
  }
  pageTable(
    thread: number,
    which: 'guest' | 'ept',
    tableHpa?: number,
    level?: number,
    start?: bigint,
  ): PageTableNode[] {
    return this.#inspector.pageTable(thread, which, tableHpa, level, start);
  }
  tlb(): TlbEntry[] {
    return this.#context.mmu.entries('every');
  }
  tlbBanks(): TlbBank[] {
    return this.#context.mmu.tlbBanks();
  }
  tlbEntry(bank: number, index: number): TlbEntryDetails | undefined {
    return this.#context.mmu.entryDetails(bank, index);
  }
  faultReport(event: MachineEvent): FaultReport | undefined {
    return reportOf(this.#context, event, this.explanation(event.thread));
  }
  vmcs(thread: number, which?: VmcsChoice): VmcsFieldInfo[] | undefined {
    return this.#inspector.vmcs(thread, which);
  }
  vmcsRegion(thread: number, which?: VmcsChoice): VmcsRegionInfo | undefined {
    return this.#inspector.vmcsRegion(thread, which);
  }
  writeVmcs(thread: number, encoding: number, value: bigint, which?: VmcsChoice): void {
    this.#inspector.writeVmcs(thread, encoding, value, which);
  }
  vmEntry(thread: number): VmEntryInfo | undefined {
    return this.#inspector.vmEntry(thread);
  }
  exitLists(thread: number): ExitList[] {
    return this.#inspector.exitLists(thread);
  }
  wouldExit(thread: number, question: ExitQuestion): ExitPrediction {
    return this.#inspector.wouldExit(thread, question);
  }
  disassemble(thread: number, gva: bigint, count: number): DisassembledInstruction[] {
    return this.#inspector.disassemble(thread, gva, count);
  }
  memoryMap(thread: number): ReturnType<Machine['memoryMap']> {
    return this.#kernel.memoryMap(this.#process(thread));
  }
  images(thread: number): { path: string; bias: bigint }[] {
    return this.#kernel.images(this.#process(thread));
  }
  explanation(thread: number): Explanation | undefined {
    return this.#kernel.explanations().get(thread);
  }
  explanations(): ReadonlyMap<number, Explanation> {
    return this.#kernel.explanations();
  }
  #process(tid: number): number {
    const thread: Thread | undefined = this.#kernel.thread(processorOf(tid));
    return thread?.pid ?? tid;
  }

  // ---------------------------------------------------------------- time

  stats(): MachineStats {
    return {
      instructions: this.#context.engine.retired,
      cycles: Number(this.#context.cycles()),
      exits: { ...this.#exits },
    };
  }
  snapshot(): Snapshot {
    return this.#snapshots.save({ exits: { ...this.#exits }, lastThread: this.#lastThread, standing: this.#standing });
  }
  restore(snapshot: Snapshot): void {
    const extra = this.#snapshots.load(snapshot as MachineSnapshot);
    for (const name of Object.keys(this.#exits)) delete this.#exits[name];
    Object.assign(this.#exits, extra.exits);
    this.#lastThread = extra.lastThread;
    this.#standing = extra.standing;
    this.#stopping = undefined;
  }
  setArguments(args: readonly string[]): void {
    if (!this.#kernel.setArguments) throw new Error('Only the kernel of a bare machine takes other arguments.');
    if (this.#context.engine.retired > 0) throw new Error('The kernel has run: restore the snapshot of its start.');
    this.#kernel.setArguments(args);
  }
  digest(): string {
    return this.#snapshots.digest();
  }
}
