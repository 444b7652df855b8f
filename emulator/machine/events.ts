/**
 * Everything that happens is an event of one shape. Breakpoints, the log, the trace file and the tests read this stream.
 * While nobody wants a kind, `wants(kind)` is false and nobody builds the event: it costs one test of a bit.
 */

export const EVENT_KINDS = [
  'vm-exit',
  'vm-entry',
  'vm-entry-failure',
  'exception',
  'page-fault',
  'ept-violation',
  'trapped-syscall',
  'vmcall-syscall',
  'host-syscall',
  'ring-change',
  'cr-write',
  'msr-write',
  'tlb-flush',
  'stale-tlb',
  'signal',
  'process',
  'console',
  'diagnostic',
] as const;
export type EventKind = (typeof EVENT_KINDS)[number];

const BIT = Object.fromEntries(EVENT_KINDS.map((kind, index) => [kind, 1 << index])) as Record<EventKind, number>;

/** Facts are what conditions are written over: names in the field's terms (reason, gpa, gva, vector, cpl, syscall, number, msr, ...). */
export type Fact = number | bigint | string | boolean;

export interface MachineEvent {
  readonly kind: EventKind;
  /** Position in the stream, from 0. */
  readonly sequence: number;
  /** Linux thread id, or vCPU number on bare metal. */
  readonly thread: number;
  /** Instructions retired by the machine when it happened. */
  readonly instructions: number;
  /** Modelled cycles. */
  readonly cycles: number;
  readonly rip: bigint;
  readonly cpl: number;
  readonly mode: 'linux' | 'dune' | 'root' | 'guest';
  /** One line in words. */
  readonly summary: string;
  readonly facts: Readonly<Record<string, Fact>>;
}

/** A listener that answers 'hold' asks the machine to stop before the event takes effect, where its emitter can still do so. */
export type EventListener = (event: MachineEvent) => void | 'hold';

/** What the emitter of an event supplies; the bus adds the rest. */
export type EventBody = { readonly summary: string; readonly facts: Readonly<Record<string, Fact>> };

interface Held {
  readonly instructions: number;
  readonly rip: bigint;
  readonly thread: number;
  readonly kinds: Set<EventKind>;
}
interface Hushed {
  readonly thread: number;
  readonly rip: bigint;
}

/** What the bus remembers of the machine; plain data. */
export interface EventBusState {
  readonly sequence: number;
  readonly held: Held | undefined;
  readonly hushed: Hushed | undefined;
}

export class EventBus {
  #mask = 0;
  #sequence = 0;
  /** Where an instruction is being held, and what has been told of it. */
  #held: Held | undefined;
  #hushed: Hushed | undefined;
  readonly #listeners: { mask: number; listener: EventListener }[] = [];
  readonly #interests: { bit: number; tell: (wanted: boolean) => void }[] = [];
  /** Supplies thread, instructions, cycles, rip, cpl, mode. Set by the machine. */
  context: () => Omit<MachineEvent, 'kind' | 'sequence' | 'summary' | 'facts'> = () => ({
    thread: 0,
    instructions: 0,
    cycles: 0,
    rip: 0n,
    cpl: 0,
    mode: 'root',
  });

  wants(kind: EventKind): boolean {
    return (this.#mask & BIT[kind]) !== 0;
  }

  /**
   * Until `speak`, or until the thread gets past the instruction at `rip`, nothing is told of the thread: the instruction is
   * executed again after a stop in the middle of it, and all of it was told before.
   */
  hush(thread: number, rip: bigint): void {
    this.#hushed = { thread, rip };
  }
  speak(): void {
    this.#hushed = undefined;
  }

  #isHushed(thread: number, rip: bigint): boolean {
    if (this.#hushed?.thread !== thread) return false;
    if (this.#hushed.rip === rip) return true;
    this.#hushed = undefined;
    return false;
  }

  /**
   * `body` is only called if someone listens.
   *
   * Returns true when the event is held: an emitter that has not changed anything yet then gives up the instruction,
   * leaving the state exactly at its start (whoever held it has asked the engine to stop). When the machine goes on, the
   * instruction is executed again and its event, the same kind at the same place, passes in silence: it was told already.
   * Emitters that cannot go back ignore the result.
   */
  emit(kind: EventKind, body: () => EventBody): boolean {
    const bit = BIT[kind];
    if (!(this.#mask & bit)) return false;
    const where = this.context();
    if (this.#isHushed(where.thread, where.rip)) return false;
    const held = this.#held;
    if (held && held.instructions === where.instructions && held.rip === where.rip && held.thread === where.thread) {
      if (held.kinds.delete(kind)) return false;
    } else this.#held = undefined;
    const event: MachineEvent = { ...where, kind, sequence: this.#sequence++, ...body() };
    let hold = false;
    for (const entry of [...this.#listeners]) if (entry.mask & bit && entry.listener(event) === 'hold') hold = true;
    if (hold || this.#held) {
      this.#held ??= { instructions: where.instructions, rip: where.rip, thread: where.thread, kinds: new Set() };
      this.#held.kinds.add(kind);
    }
    return hold;
  }

  /** Returns the function that unsubscribes. */
  subscribe(kinds: readonly EventKind[], listener: EventListener): () => void {
    const entry = { mask: kinds.reduce((mask, kind) => mask | BIT[kind], 0), listener };
    this.#listeners.push(entry);
    this.#update();
    return () => {
      const at = this.#listeners.indexOf(entry);
      if (at >= 0) this.#listeners.splice(at, 1);
      this.#update();
    };
  }

  /** Tells an emitter that has to do something for its events when the first listener comes and when the last one goes. */
  onInterest(kind: EventKind, tell: (wanted: boolean) => void): void {
    this.#interests.push({ bit: BIT[kind], tell });
  }

  /** For snapshots. */
  save(): EventBusState {
    return structuredClone({ sequence: this.#sequence, held: this.#held, hushed: this.#hushed });
  }
  restore(saved: EventBusState): void {
    const { sequence, held, hushed } = structuredClone(saved);
    this.#sequence = sequence;
    this.#held = held;
    this.#hushed = hushed;
  }

  #update(): void {
    const before = this.#mask;
    this.#mask = this.#listeners.reduce((mask, entry) => mask | entry.mask, 0);
    for (const { bit, tell } of this.#interests) if ((before ^ this.#mask) & bit) tell((this.#mask & bit) !== 0);
  }
}
