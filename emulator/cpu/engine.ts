/**
 * The driver of the interpreter: enters it, resolves what it could not (links, lookups, faults, system instructions), keeps counts exact.
 *
 * `enter(record, budget)` executes whole blocks while at least BUDGET_MARGIN instructions are left, and one block if fewer are. Instructions of a block that
 * the budget is too short for, and those under TF or a shadow, are stepped singly. So neither costs anything otherwise.
 */
import * as C from './codes.ts';
import { SHADOW } from './activity.ts';
import { Boundary } from './boundary.ts';
import { BlockCache } from './blocks.ts';
import type { Block, SystemStep } from './block.ts';
import { RecordWriter } from './block-writer.ts';
import type { CoreExports } from './context.ts';
import { decodeTableOf } from './decode-table.ts';
import type { CodeMode } from './decode-table.ts';
import { environment } from './engine-parts.ts';
import type { EngineAssets, EngineHooks, EngineOptions } from './engine-parts.ts';
import { DEFAULT_MODEL, pagingAbsent } from './system/models.ts';
import { Vector } from './system/fault.ts';
import { Flag } from './system/rflags.ts';
import { RunStop } from './engine-api.ts';
import type { Engine, Fault, Supervisor } from './engine-api.ts';
import { CodeSegmentTable } from './code-segments.ts';
import type { CodeSegments } from './code-segments.ts';
import { codeContext } from './fpu-traps.ts';
import { MOST_FAR_REGIONS, isCanonical, readGva, toBigint, toNumber, writeGva } from './code-address.ts';
import { CodeFetcher } from './fetch.ts';
import type { Instruction } from './instruction.ts';
import { JumpCaches } from './jump-caches.ts';
import * as L from './layout.ts';
import { BUDGET_MARGIN } from './records.ts';
import { Patience } from './patience.ts';
import { RegionTranslator } from './region/translator.ts';
import { semantics } from './semantics/index.ts';
import { CpuState, LinearMemory } from './state.ts';
import { DebugRegisters, Dr6 } from './debug.ts';
import type { DecodedInstruction } from './decode.ts';
import { Repetition, stepsSingly, trapsAfter } from './single-step.ts';
import { Stay } from './stay.ts';

/** Longest stay in the interpreter: V8 replaces a running function only when it is called again. */
const LONGEST_SLICE = 2_000_000;
const FLAG_TF = Flag.TF;
const FLAG_RF = Flag.RF;
const FLAG_ZF = Flag.ZF;
const VECTOR_DB = Vector.DB;
const VECTOR_GP = Vector.GP;

export class ExecutionEngine implements Engine {
  readonly mem: LinearMemory;
  readonly cpu: CpuState;
  readonly core: CoreExports;
  readonly blocks: BlockCache;
  supervisor: Supervisor | undefined;
  onObservedWrite: (hpa: number, bytes: number) => void = () => {};
  onTableFound: (hpa: number, ept: boolean) => void = () => {};
  onStaleUse: (gva: bigint, access: number) => boolean = () => false;
  retired = 0;
  readonly patience = new Patience();
  #careful = false;
  /** The system instruction executed last. */
  #systemOp = '';
  hooks!: EngineHooks;
  readonly #enter: (record: number, budget: number) => number;
  readonly #fetcher: CodeFetcher;
  readonly translator: RegionTranslator | undefined;
  /** Retired instructions not yet added to RETIRED and CYCLES. */
  #uncounted = 0;
  stopRequested = false;
  /** Budget of the stay in the interpreter in progress. */
  #slice = 0;
  readonly #stay: Stay;
  readonly debug: DebugRegisters;
  /** The debugger's. */
  #breakpoints: ReadonlySet<number> = new Set();
  /** What comes between two instructions. */
  readonly #boundary: Boundary;
  /** The instruction in progress is one element of this. */
  #elementOf: Repetition | undefined;
  readonly #jumpCaches: JumpCaches;
  readonly #segmentTable: CodeSegmentTable;
  /** Outside 64-bit mode: what the segments make of code. */
  #segments: CodeSegments | undefined;
  /** Frames with code that the careful instruction in progress wrote to. */
  readonly #written = new Set<number>();

  constructor(assets: EngineAssets, options: EngineOptions) {
    const pages = (L.RAM_BASE + options.ramBytes) / 0x10000;
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    this.mem = new LinearMemory(memory);
    this.cpu = new CpuState(this.mem);
    this.#segmentTable = new CodeSegmentTable(this.mem);
    this.#jumpCaches = new JumpCaches(this.mem, (bank) => this.core.flushJumps(bank));
    this.mem.set32(L.RAM_SIZE, options.ramBytes);
    this.mem.set32(L.PHYS_BITS, options.physBits);
    this.mem.set32(L.PAGING_ABSENT, pagingAbsent(options.model ?? DEFAULT_MODEL));
    const env = environment(this.mem, options, {
      observedWrite: (hpa, bytes) => this.#observeWrite(hpa, bytes),
      tableFound: (hpa, ept) => this.onTableFound(hpa, ept),
      staleUse: (gva, access) => this.onStaleUse(gva, access),
    });
    const core = new WebAssembly.Instance(assets.core, { env }).exports;
    this.core = core as unknown as CoreExports;
    const interpreter = new WebAssembly.Instance(assets.interpreter, { env, core }).exports;
    this.#enter = interpreter['enter'] as (record: number, budget: number) => number;
    this.#fetcher = new CodeFetcher(this.mem, this.core, decodeTableOf(options.model ?? DEFAULT_MODEL));
    this.blocks = new BlockCache(this.mem, this.#fetcher, new RecordWriter(this.mem, assets.forms), (bank) =>
      this.core.flushJumps(bank),
    );
    this.blocks.onCodeFrame = (pfn) => this.hooks.protectFrame(pfn);
    this.debug = new DebugRegisters(this.mem, this.core, {
      stopsChanged: () => this.#placeStops(),
      forgetPage: (gva) => this.hooks.forgetPage(gva),
    });
    this.#boundary = new Boundary(this.mem, this);
    if (options.translate)
      this.translator = new RegionTranslator(
        {
          mem: this.mem,
          blocks: this.blocks,
          forms: assets.forms,
          table: interpreter['table'] as WebAssembly.Table,
          imports: { env, core },
          semantics: (op) => semantics.get(op),
          clock: () => this.retired + this.#slice - (this.mem.get32(L.BUDGET) | 0),
        },
        options.translate,
      );
    this.#stay = new Stay(this.mem, () => this.core, this.#enter, this.translator);
  }

  // ---------------------------------------------------------------- running

  run(instructions: number): RunStop {
    const end = this.retired + instructions;
    this.#begin();
    for (;;) {
      const stop = this.#stopped();
      if (stop !== undefined) return this.#settle(stop);
      const left = Math.min(end - this.retired, this.#untilTimer());
      if (left <= 0) {
        if (end <= this.retired) return this.#settle(RunStop.Budget);
        this.#boundary.interrupt();
        continue;
      }
      const gva = this.#rip();
      if (gva === undefined) continue;
      if (stepsSingly(this.mem)) {
        if (this.#breakpoints.has(gva)) return this.#settle(RunStop.Breakpoint);
        this.#single(gva);
      } else if (this.#runBlocks(gva, Math.min(left, LONGEST_SLICE))) return this.#settle(RunStop.Breakpoint);
    }
  }

  step(): RunStop {
    const before = this.retired;
    this.#begin();
    for (;;) {
      const stop = this.#stopped();
      if (stop !== undefined) return this.#settle(stop);
      if (this.retired > before) return this.#settle(RunStop.Budget);
      const gva = this.#rip();
      if (gva === undefined) continue;
      this.#single(gva);
      // A fault that went to a handler counts nothing, and is a step; one that was mended (demand paging) leaves RIP where it was.
      if (this.retired === before && this.#rip() !== gva) return this.#settle(RunStop.Budget);
    }
  }

  #begin(): void {
    this.stopRequested = false;
    this.patience.begin();
    this.mem.set32(L.LEASE, 0);
    this.#boundary.interrupt();
  }

  requestStop(): void {
    this.stopRequested = true;
  }

  #stopped(): RunStop | undefined {
    if (this.stopRequested) return RunStop.Requested;
    if (this.patience.ends()) return RunStop.Fruitless;
    if (this.mem.get32(L.ACTIVITY) === 0) return undefined;
    if (this.mem.get32(L.PENDING_EVENTS) & L.TIMER_RUNS) {
      this.flushCounts();
      this.hooks.idle();
      this.#boundary.interrupt();
    }
    return this.mem.get32(L.ACTIVITY) !== 0 ? RunStop.Halted : undefined;
  }
  /** Instructions after which the VMX-preemption timer can have expired at the earliest: each costs a cycle or more. */
  #untilTimer(): number {
    const { mem } = this;
    if (!(mem.get32(L.PENDING_EVENTS) & L.TIMER_RUNS)) return Infinity;
    return Number(mem.get64(L.TIMER_DEADLINE) - mem.get64(L.CYCLES)) - this.#uncounted;
  }
  /** Linear address of the next instruction, as a number; undefined after delivering the #GP of one that is not canonical. */
  #rip(): number | undefined {
    if (this.#segments) return this.#next();
    const canonical = isCanonical(this.mem, L.RIP);
    const gva = canonical ? this.#next() : NaN;
    if (!Number.isNaN(gva)) return gva;
    this.deliver({
      kind: 'exception',
      vector: VECTOR_GP,
      errorCode: 0,
      because: canonical
        ? `code in more than ${MOST_FAR_REGIONS} regions of 128 TB beyond 2^52 is not part of this CPU model`
        : 'the branch target is not a canonical address',
    });
    return undefined;
  }
  /** Linear address of the next instruction, canonical or not. */
  #next(): number {
    return this.#segments ? (this.#segments.base + this.mem.get32(L.RIP)) >>> 0 : readGva(this.mem, L.RIP);
  }
  /** Sets RIP by the linear address. */
  #setRip(gva: number): void {
    writeGva(this.mem, L.RIP, this.#segments ? (gva - this.#segments.base) >>> 0 : gva);
  }
  get #mode(): CodeMode {
    return this.mem.get32(L.CODE_MODE) as CodeMode;
  }

  /** Runs blocks until something is to be done that the run loop must look at; true at a breakpoint. */
  #runBlocks(gva: number, budget: number): boolean {
    const { mem, translator } = this;
    const block = this.#blockAt(gva, false);
    if (block && block.count > budget) {
      this.#single(gva);
      return false;
    }
    let record = block?.record ?? 0;
    const end = this.retired + budget;
    for (let left = budget; record > 0 && this.#suffices(left, record); left = end - this.retired) {
      if (left >= BUDGET_MARGIN) translator?.prepare();
      this.#slice = left;
      const exit = this.#stay.run(record, left);
      this.#count(left - (mem.get32(L.BUDGET) | 0));
      if (this.#stay.served) this.#settleLease();
      if (exit === C.EXIT_UNLINKED) record = this.#follow(mem.get32(L.OP));
      else if (exit === C.EXIT_LOOKUP) record = this.#goOn(0);
      else if (exit === C.EXIT_SYSTEM || exit === C.EXIT_FAULT) record = this.#afterLeaving(exit, mem.get32(L.OP));
      else if (exit === C.EXIT_SUPPLIED) record = this.#afterSupply();
      else return this.#afterBlocks(exit, mem.get32(L.OP));
    }
    return false;
  }
  /** Takes note of what the core has served by itself. */
  #settleLease(): void {
    const { mem } = this;
    this.patience.delivered(this.retired + (mem.get32(L.BUDGET) | 0) - (mem.get32(L.LEASE_LAST) | 0));
    this.hooks.settleLease();
  }
  /** As `#afterLeaving`, of the last one. */
  #afterSupply(): number {
    this.mem.set32(L.LEASE, 0);
    if (this.#stay.supplied !== C.SUPPLY_RETURNED) {
      this.flushCounts();
      this.hooks.supplied(this.#stay.supplied);
    }
    this.#endDelivery();
    return this.#afterEvent();
  }
  /** Whether a budget is enough for the block at a record; below the margin only one is executed. */
  #suffices(budget: number, record: number): boolean {
    return budget >= BUDGET_MARGIN || this.blocks.holding(record).count <= budget;
  }
  /** The record that a stub stands for. */
  #follow(stub: number): number {
    this.#setRip(this.blocks.gvaOf(stub));
    return this.#goOn(stub);
  }
  /** The record at RIP, which links and the jump cache did not have; they do from now on. 0: a fault was delivered. */
  #goOn(stub: number): number {
    const { blocks } = this;
    const gva = this.#rip();
    if (gva === undefined) return 0;
    const record = blocks.goOn(gva, stub, this.#segments);
    if (record > 0) return this.stopRequested ? 0 : record;
    if (record < 0) {
      this.deliver(this.#fetchFault());
      return 0;
    }
    const { generation } = blocks;
    const block = this.#blockAt(gva, false);
    if (!block) return 0;
    blocks.connect(blocks.generation === generation ? stub : 0, block);
    return block.record;
  }
  /** Executes the system instruction at a record, or delivers its fault; answers as `#afterEvent`. */
  #afterLeaving(exit: number, op: number): number {
    this.#afterBlocks(exit, op);
    return this.#afterEvent();
  }
  /** The record to go on with, or 0 if the run loop must look at something first. */
  #afterEvent(): number {
    const { mem } = this;
    const plain = mem.get32(L.PENDING_EVENTS) === 0 && mem.get32(L.ACTIVITY) === 0;
    if (!plain || this.stopRequested || this.patience.fruitless || stepsSingly(mem)) return 0;
    return this.#segments === undefined ? this.blocks.cachedNext() || this.#goOn(0) : this.#goOn(0);
  }
  #afterBlocks(exit: number, op: number): boolean {
    const { mem, blocks } = this;
    switch (exit) {
      case C.EXIT_BUDGET:
        this.#setRip(blocks.gvaOf(op));
        blocks.restartCountdown(mem.get32(L.LINK));
        return false;
      case C.EXIT_BREAK:
        return this.#stopAt(blocks.gvaOf(op));
      default:
        if (
          this.#leave(exit, blocks.holding(op), op) &&
          (this.#boundary.takeRepeats() || mem.get32(L.WATCH_HITS) !== 0)
        ) {
          this.#boundary.trap(0);
          this.#boundary.interrupt();
        }
        return false;
    }
  }
  /** At a stop of a block: true if the debugger wants it. */
  #stopAt(gva: number): boolean {
    this.#setRip(gva);
    if (this.#breakpoints.has(gva)) return true;
    this.#single(gva);
    return false;
  }

  /** Executes one instruction, whatever breakpoints of the debugger stand there, with all that follows from its single execution. */
  #single(gva: number): void {
    const { mem } = this;
    if (this.debug.stops.has(gva) && this.#breakpointFault(gva)) return;
    const flags = mem.get32(L.SYSTEM_FLAGS);
    const shadow = mem.get32(L.INTERRUPTIBILITY) & SHADOW;
    const nonRoot = mem.get32(L.NON_ROOT);
    const trap = (flags & FLAG_TF) !== 0;
    const events = mem.get32(L.PENDING_EVENTS);
    const monitored = (events & L.MONITOR_TRAP) !== 0;
    const redirected = (events & L.APIC_REDIRECTED) !== 0;
    const insn = trap || monitored || mem.get32(L.WATCHES) !== 0 ? this.#decodeAt(toBigint(gva)) : undefined;
    const supervised = nonRoot === 0 && this.supervisor !== undefined && mem.get32(L.CPL) === 3;
    mem.set32(L.WATCH_HITS, 0);
    this.#boundary.deferring = trap || monitored || redirected;
    this.#systemOp = '';
    const done = this.#element(gva, trap || monitored ? insn : undefined);
    this.#boundary.deferring = false;
    const repeats = this.#boundary.takeRepeats();
    if (done) {
      if (redirected) mem.set32(L.APIC_OFFSET, mem.get32(L.APIC_OFFSET) | L.APIC_DONE);
      const same = mem.get32(L.NON_ROOT) === nonRoot;
      if (shadow && same) mem.set32(L.INTERRUPTIBILITY, mem.get32(L.INTERRUPTIBILITY) & ~shadow);
      const rip = this.#next();
      const again = repeats || (insn !== undefined && insn.rep !== 'none' && rip === gva);
      if (flags & FLAG_RF && same && !again && this.#systemOp !== 'iret')
        mem.set32(L.SYSTEM_FLAGS, mem.get32(L.SYSTEM_FLAGS) & ~FLAG_RF);
      const steps = trap && insn && trapsAfter(mem, insn, { nonRoot, supervised }, again || rip === gva + insn.length);
      if (monitored) this.#boundary.monitorTrap(steps ? Dr6.BS : 0);
      else this.#boundary.trap(steps ? Dr6.BS : 0, again);
    }
    if (shadow || trap || monitored || redirected || repeats) this.#boundary.interrupt();
  }
  /** The fault of a breakpoint on the instruction at `gva`, if there is one and nothing holds it off. */
  #breakpointFault(gva: number): boolean {
    const hits = this.debug.instructionHits(gva);
    if (hits === 0) return false;
    this.deliver({ kind: 'exception', vector: VECTOR_DB, debug: hits, because: 'instruction breakpoint (DR7)' });
    return true;
  }
  /** As `#executeOne`; of a repeated string instruction one element, with RIP still on it unless it was the last. */
  #element(gva: number, insn: DecodedInstruction | undefined): boolean {
    const repetition = insn && Repetition.of(this.mem, insn);
    if (!repetition) return this.#executeOne(gva);
    repetition.begin();
    this.#elementOf = repetition;
    const done = this.#executeOne(gva);
    if (this.#elementOf) this.#elementOf = undefined;
    if (!done || !repetition.goesOn((this.core.arithmeticFlags() & FLAG_ZF) !== 0)) return done;
    this.#setRip(gva);
    this.#count(-1);
    if (repetition.atPartEnd) this.#endPart(repetition.partCycles);
    return true;
  }
  /** Whether the instruction completed. */
  #executeOne(gva: number): boolean {
    const block = this.#blockAt(gva, true);
    if (!block) return false;
    const { mem, blocks } = this;
    // Any budget below the margin makes the interpreter come back after the block.
    const budget = BUDGET_MARGIN - 1;
    const exit = this.#enter(block.record, budget);
    const op = mem.get32(L.OP);
    switch (exit) {
      case C.EXIT_STOP:
      case C.EXIT_BUDGET:
        this.#setRip(blocks.gvaOf(op));
        this.#count(1);
        if (exit === C.EXIT_BUDGET) blocks.restartCountdown(mem.get32(L.LINK));
        return true;
      case C.EXIT_LOOKUP:
        this.#count(1);
        return true;
      default:
        return this.#leave(exit, block, op);
    }
  }

  #blockAt(gva: number, single: boolean): Block | undefined {
    const stopping = this.stopRequested;
    const block = this.blocks.at(gva, codeContext(this.mem), single, this.#segments);
    if (!block) this.deliver(this.#fetchFault());
    // A listener holds the fetch: a stale TLB entry served it.
    else if (this.stopRequested && !stopping) return undefined;
    return block;
  }
  #fetchFault(): Fault {
    if (this.mem.get32(L.FAULT_KIND) !== C.FAULT_NONE) return this.hooks.takeFault();
    return {
      kind: 'exception',
      vector: 6,
      because: 'instruction fetch from a physical address with nothing behind it',
    };
  }

  /** An instruction inside a block did not complete in the interpreter; true if it has been completed here. */
  #leave(exit: number, block: Block, op: number): boolean {
    const { system } = block;
    if (system?.insn && system.record === op) {
      this.#count(block.count - 1);
      return this.#system(system, block.end - system.insn.length);
    }
    const index = block.instructionsBefore(op);
    const gva = block.gva + block.bytesBefore(op);
    this.#count(index);
    if (exit === C.EXIT_SYSTEM) return this.#system(this.#systemStep(block, index, gva), gva);
    this.#setRip(gva);
    if (exit !== C.EXIT_FAULT)
      throw new Error(`the interpreter left with code ${exit} at ${toBigint(gva).toString(16)}`);
    const kind = this.mem.get32(L.FAULT_KIND);
    if (kind === C.FAULT_PART) {
      this.mem.set32(L.FAULT_KIND, C.FAULT_NONE);
      this.#endPart(this.mem.get32(L.FAULT_ERROR));
      return true;
    }
    if (kind === C.FAULT_BAIL) return this.#carefully(gva);
    if (kind === C.FAULT_HELD) {
      this.mem.set32(L.FAULT_KIND, C.FAULT_NONE);
      return false;
    }
    if (kind === C.FAULT_EPT_VIOLATION) this.#deliverViolation();
    else this.deliver(this.hooks.takeFault());
    return false;
  }

  /** A part (REPEAT_PART) of a repeated string instruction is done, and counts as an instruction. */
  #endPart(cycles: number): void {
    this.#count(1);
    this.#boundary.repeats();
    this.patience.repeated(cycles, this.#careful);
    this.hooks.timePassed(cycles);
  }

  /** Redoes the instruction that bailed out, letting it write to code and to watched frames. */
  #carefully(gva: number): boolean {
    this.mem.set32(L.LEASE, 0);
    this.mem.set32(L.FAULT_KIND, C.FAULT_NONE);
    this.mem.set32(L.WATCH_HITS, 0);
    this.#written.clear();
    this.flushCounts();
    this.core.setCareful(1);
    this.#careful = true;
    const done = this.#elementOf || this.mem.get32(L.WATCHES) === 0 ? this.#executeOne(gva) : this.#watched(gva);
    this.core.setCareful(0);
    this.#careful = false;
    for (const pfn of this.#written) this.blocks.dropFrame(pfn);
    // It may have reached an interrupt controller.
    if (done && this.mem.get32(L.BOARD)) this.#boundary.interrupt();
    return done;
  }
  /** An instruction that met a watched range: of a repeated one the first element, so that the trap comes right behind it. */
  #watched(gva: number): boolean {
    const insn = this.#decodeAt(toBigint(gva));
    const done = this.#element(gva, insn);
    if (!done || !insn || insn.rep === 'none' || this.#next() !== gva) return done;
    this.#boundary.trap(0, true);
    if (this.#boundary.takeRepeats()) this.#boundary.interrupt();
    return false;
  }
  #observeWrite(hpa: number, bytes: number): void {
    const pfn = hpa >>> 12;
    if (this.mem.get64(L.CODE_BITMAP + pfn * 8) !== 0n) this.#written.add(pfn);
    this.onObservedWrite(hpa, bytes);
  }

  #systemStep(block: Block, index: number, gva: number): SystemStep {
    if (block.system && index === block.count - 1) return block.system;
    const page = this.#fetcher.page(gva);
    const fetched = page && this.#fetcher.instruction(gva, page.host, this.#mode, true, this.#segments?.base);
    if (!fetched || typeof fetched === 'string')
      throw new Error(`the instruction at ${toBigint(gva).toString(16)} has gone`);
    return fetched;
  }
  #system(step: SystemStep, gva: number): boolean {
    const { insn } = step;
    this.#setRip(gva);
    if (insn === undefined) {
      if (step.bytes) this.hooks.undecodable(toBigint(gva), step.bytes);
      const errorCode = step.vector === VECTOR_GP ? { errorCode: 0 } : {};
      this.deliver({ kind: 'exception', vector: step.vector, ...errorCode, because: step.because });
      return false;
    }
    this.mem.set32(L.LEASE, 0);
    this.#count(1);
    this.flushCounts();
    this.#systemOp = insn.op;
    const outcome = this.hooks.system(insn);
    if (typeof outcome === 'object') {
      this.#count(-1);
      this.deliver(outcome);
      return false;
    }
    if (outcome === 'held') {
      this.#count(-1);
      return false;
    }
    if (outcome === 'next') this.#setRip(gva + insn.length);
    else if (outcome === 'again') this.#boundary.repeats();
    if (this.mem.get32(L.WATCH_HITS) === 0) this.#boundary.interrupt();
    return true;
  }

  deliver(fault: Fault): void {
    this.#beginDelivery();
    this.hooks.deliver(fault);
    this.#endDelivery();
  }
  /** As `deliver`, of the EPT violation in FAULT_*. */
  #deliverViolation(): void {
    this.#beginDelivery();
    if (!this.hooks.exitByViolation()) this.hooks.deliver(this.hooks.takeFault());
    this.#endDelivery();
  }
  #beginDelivery(): void {
    this.mem.set32(L.LEASE, 0);
    this.mem.set32(L.WATCH_HITS, 0);
    this.#elementOf?.giveUp();
    this.#elementOf = undefined;
    this.flushCounts();
    this.patience.delivered(this.retired);
    this.mem.set32(L.PENDING_EVENTS, this.mem.get32(L.PENDING_EVENTS) & ~L.APIC_REDIRECTED);
  }
  #endDelivery(): void {
    this.#boundary.afterDelivery();
    if (!(this.mem.get32(L.PENDING_EVENTS) & L.APIC_REDIRECTED)) this.#boundary.interrupt();
  }
  // ---------------------------------------------------------------- counting

  #count(instructions: number): void {
    this.retired += instructions;
    this.#uncounted += instructions;
  }
  /** Brings RETIRED and CYCLES up to date: an instruction costs one cycle, beside what others add. */
  flushCounts(): void {
    if (this.#uncounted === 0) return;
    const count = this.#uncounted;
    this.#uncounted = 0;
    this.mem.add64(L.RETIRED, count);
    this.mem.add64(L.CYCLES, count);
  }
  #settle(stop: RunStop): RunStop {
    this.flushCounts();
    this.cpu.forgetDeadFlags();
    return stop;
  }

  // ---------------------------------------------------------------- what others change

  contextChanged(): void {
    this.hooks.selectBank();
    this.debug.contextChanged();
    this.#segments = this.#segmentTable.current();
    this.#jumpCaches.select(this.#segments);
  }
  selectCpu(cpu: number): void {
    this.hooks.selectCpu(cpu);
    this.contextChanged();
  }
  setBreakpoints(gvas: ReadonlySet<bigint>): void {
    this.#breakpoints = new Set([...gvas].map(toNumber));
    this.#placeStops();
  }
  #placeStops(): void {
    const { stops } = this.debug;
    this.blocks.setBreakpoints(stops.size === 0 ? this.#breakpoints : new Set([...this.#breakpoints, ...stops]));
  }
  invalidateCode(pfn: number): void {
    this.blocks.dropFrame(pfn);
  }
  reset(): void {
    this.blocks.flush();
    this.debug.reset();
    this.#placeStops();
  }

  decodeAt(gva: bigint): Instruction | undefined {
    return this.#decodeAt(gva);
  }
  #decodeAt(gva: bigint): DecodedInstruction | undefined {
    return this.#fetcher.look(gva, this.hooks.peek, this.#mode, this.#segments?.base);
  }
}
