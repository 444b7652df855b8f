/**
 * Stepping by statement: single instructions while they belong to the line, calls and traps run through at full speed.
 * `in` stops in functions that have line information, `over` comes back from every call.
 */
import type { Debuggee } from '../debuggee.ts';
import { innermostFrame } from '../frames.ts';
import type { Die } from '../symbols/dwarf/die.ts';
import { otherLevelOf } from '../../emulator/machine/levels.ts';
import { levelOf } from '../presentation/modes.ts';
import { breakpointAt, commonOutcome } from './arrivals.ts';
import type { Plan, Progress } from './plan.ts';
import { RunTo } from './run-to.ts';

export type StepKind = 'over' | 'in';

/** A CALL has at most this many bytes with prefixes. */
const LONGEST_CALL = 15n;
/** Trap entry code a step into a handler may pass before it reaches code with lines. */
const MAX_ENTRY_STEPS = 20_000;

export class StepPlan implements Plan {
  readonly #start: {
    cfa: bigint | undefined;
    rsp: bigint;
    rip: bigint;
    ring: number;
    function: Die | undefined;
    instance: Die | undefined;
    line: number;
    path: string | undefined;
    level: 'root' | 'guest' | undefined;
  };
  #running: RunTo | undefined;
  /** Through the entry code of a trap, towards code with lines. */
  #entering = 0;
  #trapped = false;
  /** The instruction an event breakpoint holds: its exception has been told already and will not be told again. */
  readonly #heldAt: bigint | undefined;
  #unsubscribe: (() => void) | undefined;

  constructor(
    readonly debuggee: Debuggee,
    readonly thread: number,
    readonly kind: StepKind,
  ) {
    const frame = innermostFrame(debuggee, thread);
    const position = frame.program.addressToSource(frame.pc);
    const chain = frame.program.inlineChain(frame.pc);
    this.#start = {
      cfa: frame.cfa,
      rsp: frame.registers[7]?.value ?? 0n,
      rip: frame.pc,
      ring: this.#ring(),
      function: chain.at(-1)?.die,
      instance: chain[0]?.die,
      line: position?.line ?? 0,
      path: position?.path,
      level: this.#level(),
    };
    const outcome = debuggee.runner.lastOutcome;
    if (outcome?.kind === 'event' && outcome.thread === thread) this.#heldAt = outcome.event.rip;
    this.#unsubscribe = debuggee.machine.events.subscribe(['exception', 'page-fault', 'ring-change'], (event) => {
      if (event.thread === thread) this.#trapped = true;
    });
  }

  #ring(): number {
    return this.debuggee.machine.threads().find(({ id }) => id === this.thread)?.cpl ?? 3;
  }

  /** Of VMX operation on a board. */
  #level(): 'root' | 'guest' | undefined {
    return levelOf(this.debuggee.machine.thread(this.thread)?.mode);
  }

  slice(milliseconds: number): Progress {
    const { host } = this.debuggee.session;
    const end = host.now() + milliseconds;
    do {
      const progress = this.#running ? this.#return(milliseconds) : this.#step();
      if (progress) return progress;
    } while (host.now() < end);
    return 'more';
  }

  end(): void {
    this.#unsubscribe?.();
    this.#unsubscribe = undefined;
    this.#running?.end();
  }

  #return(milliseconds: number): Progress | undefined {
    const progress = this.#running!.slice(milliseconds);
    if (progress !== 'arrived') return progress;
    this.#running = undefined;
    return this.#arrive(this.debuggee.machine.readRegister(this.thread, 'rip')!);
  }

  /** One instruction. Undefined to go on. */
  #step(): Progress | undefined {
    const { machine } = this.debuggee;
    const before = machine.readRegister(this.thread, 'rip')!;
    const rsp = machine.readRegister(this.thread, 'rsp')!;
    const level = this.#level();
    this.#trapped = false;
    const reason = machine.stepInstruction(this.thread);
    const outcome = commonOutcome(this.debuggee, reason);
    if (outcome) return outcome;
    const state = machine.threads().find(({ id }) => id === this.thread)?.state;
    if (state === undefined || state === 'exited') return { kind: 'pause', thread: machine.currentThread() };
    if (state === 'blocked') return this.#letOthersRun();
    const rip = machine.readRegister(this.thread, 'rip')!;
    const crossed = this.#level() !== level;
    if (rip === before && !crossed) return undefined;
    const hit = breakpointAt(this.debuggee, this.thread, rip);
    if (hit) return hit;
    if (crossed) return this.#crossed(rip, before, rsp);
    const trapped = this.#trapped || before === this.#heldAt;
    if (trapped && this.#ring() <= this.#start.ring && this.#function(rip) !== this.#start.function)
      return this.#trap(rip, before, rsp);
    return this.#arrive(rip, before, rsp);
  }

  #function(rip: bigint): Die | undefined {
    return this.debuggee.images.at(this.thread, rip)?.functionAt(rip)?.die;
  }

  /** The thread waits in a system call: run everything until it comes out. */
  #letOthersRun(): undefined {
    const rip = this.debuggee.machine.readRegister(this.thread, 'rip')!;
    this.#running = new RunTo(this.debuggee, this.thread, this.#statements(rip), 0n);
    return undefined;
  }

  /** Every statement of the function stepped in, and an address of its own. */
  #statements(...addresses: bigint[]): Set<bigint> {
    const all = new Set(addresses);
    const symbols = this.debuggee.images.at(this.thread, this.#start.rip);
    for (const address of symbols?.statementAddresses(this.#start.rip) ?? []) all.add(address);
    return all;
  }

  /**
   * A VM entry or exit. An entry is the way into the guest, whose code it stops in if that has lines. An exit is like a trap: stepping in stops in the hypervisor, stepping over
   * comes back; and so is, the other way round, a guest without lines.
   */
  #crossed(rip: bigint, before: bigint, rsp: bigint): Progress | undefined {
    const entered = this.#level() === 'guest';
    if (entered && this.#start.level === 'root') {
      if (this.debuggee.images.source(this.thread, rip)) return { kind: 'step', thread: this.thread };
      const host = this.debuggee.machine.otherLevel(this.thread);
      const exit = host && this.debuggee.machine.readRegister(host.id, 'rip');
      if (exit !== undefined) this.#running = new RunTo(this.debuggee, this.thread, new Set([exit]), 0n, 'root');
      return undefined;
    }
    if (entered || this.#start.level !== 'guest') return this.#arrive(rip);
    if (this.kind === 'in') {
      this.#entering = MAX_ENTRY_STEPS;
      return this.#arrive(rip);
    }
    const [exiting] = this.debuggee.machine.disassemble(otherLevelOf(this.thread), before, 1);
    const next = exiting ? [before + BigInt(exiting.bytes.length)] : [];
    this.#running = new RunTo(this.debuggee, this.thread, this.#guestStatements(before, ...next), rsp, 'guest');
    return undefined;
  }

  /** The hypervisor runs, the statements are the guest's. */
  #guestStatements(...addresses: bigint[]): Set<bigint> {
    const symbols = this.debuggee.images.at(this.thread, this.#start.rip, 'guest');
    return new Set([...addresses, ...(symbols?.statementAddresses(this.#start.rip) ?? [])]);
  }

  /** An exception or a system call has gone to a handler in this program. */
  #trap(rip: bigint, interrupted: bigint, rsp: bigint): Progress | undefined {
    if (this.kind === 'over') {
      this.#running = new RunTo(this.debuggee, this.thread, this.#statements(interrupted), rsp);
      return undefined;
    }
    this.#entering = MAX_ENTRY_STEPS;
    return this.#arrive(rip);
  }

  /** The thread has come to `rip`; `before` and `rsp` are what it had when a single step brought it there. */
  #arrive(rip: bigint, before?: bigint, rsp?: bigint): Progress | undefined {
    const stop: Progress = { kind: 'step', thread: this.thread };
    const symbols = this.debuggee.images.at(this.thread, rip);
    const position = symbols?.addressToSource(rip);
    if (this.#entering > 0) {
      this.#entering--;
      return position?.isStmt || this.#entering === 0 ? stop : undefined;
    }
    const returnAddress = before === undefined ? undefined : this.#calledFrom(before, rsp!);
    if (returnAddress !== undefined) return this.#called(rip, returnAddress);
    const chain = symbols?.inlineChain(rip) ?? [];
    if (chain.at(-1)?.die !== this.#start.function || this.#hasReturned())
      return this.#leftFunction(rip, position !== undefined);
    if (!position) return undefined;
    const instance = chain[0]?.die;
    // Inside a copy inlined into the line: stepping over passes it.
    if (
      this.kind === 'over' &&
      instance !== this.#start.instance &&
      chain.some(({ die }) => die === this.#start.instance)
    )
      return undefined;
    const sameLine =
      position.line === this.#start.line && position.path === this.#start.path && instance === this.#start.instance;
    return position.isStmt && !sameLine ? stop : undefined;
  }

  #hasReturned(): boolean {
    const rsp = this.debuggee.machine.readRegister(this.thread, 'rsp')!;
    return this.#start.cfa !== undefined && rsp >= this.#start.cfa && this.#ring() === this.#start.ring;
  }

  /** The return address, if the instruction at `before` was a CALL. */
  #calledFrom(before: bigint, rsp: bigint): bigint | undefined {
    const { machine } = this.debuggee;
    const now = machine.readRegister(this.thread, 'rsp')!;
    if (now !== rsp - 8n) return undefined;
    const bytes = machine.readMemory(this.thread, 'gva', now, 8);
    if (bytes.length < 8) return undefined;
    const top = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
    return top > before && top - before <= LONGEST_CALL ? top : undefined;
  }

  #called(rip: bigint, returnAddress: bigint): Progress | undefined {
    const symbols = this.debuggee.images.at(this.thread, rip);
    const function_ = symbols?.functionAt(rip);
    if (this.kind === 'in' && symbols?.addressToSource(rip)) {
      const target = function_ ? symbols.afterPrologue(function_) : rip;
      if (target === rip) return { kind: 'step', thread: this.thread };
      // Arriving there is the end of the step: it is another function's statement.
      this.#running = new RunTo(this.debuggee, this.thread, new Set([target]), 0n);
      return undefined;
    }
    const rsp = this.debuggee.machine.readRegister(this.thread, 'rsp')!;
    this.#running = new RunTo(this.debuggee, this.thread, new Set([returnAddress]), rsp + 8n);
    return undefined;
  }

  /** Returned to the caller, jumped elsewhere, or left a handler. */
  #leftFunction(rip: bigint, hasLine: boolean): Progress | undefined {
    if (hasLine) return { kind: 'step', thread: this.thread };
    const caller = innermostFrame(this.debuggee, this.thread).caller();
    const rsp = caller?.registers[7]?.value;
    // Code without lines that was jumped to, such as the tail call of a library function.
    if (!caller || rsp === undefined || caller.pc === rip) return { kind: 'step', thread: this.thread };
    this.#running = new RunTo(this.debuggee, this.thread, new Set([caller.pc]), rsp);
    return undefined;
  }
}
