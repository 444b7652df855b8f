/** The latest events of the machine, for the log views. Bounded. */
import type { EventKind, MachineEvent } from '../emulator/machine/events.ts';
import type { Machine } from '../emulator/machine/api.ts';

const CAPACITY = 20_000;

export class EventLog {
  #events: MachineEvent[] = [];
  /** Sequence the next event will have at least. */
  next = 0;
  readonly #latest = new Map<string, MachineEvent>();

  constructor(
    readonly machine: Machine,
    kinds: readonly EventKind[],
  ) {
    if (kinds.length > 0) machine.events.subscribe(kinds, (event) => this.#add(event));
    if (kinds.includes('trapped-syscall')) machine.events.subscribe(['ring-change'], (event) => this.#returned(event));
  }

  /** Ring 0 of the program goes back to ring 3: what RAX holds is the result of the system call it trapped. */
  #returned({ thread, facts }: MachineEvent): void {
    const call = this.latest(thread, 'trapped-syscall');
    if (facts.new !== 3 || !call || call.facts.result !== undefined) return;
    const at = this.#events.lastIndexOf(call);
    const result = BigInt.asIntN(64, this.machine.readRegister(thread, 'rax') ?? 0n);
    const answered = { ...call, summary: `${call.summary} = ${result}`, facts: { ...call.facts, result } };
    if (at >= 0) this.#events[at] = answered;
    this.#latest.set(`${thread} trapped-syscall`, answered);
  }

  #add(event: MachineEvent): void {
    this.#events.push(event);
    // Dropping half at a time keeps adding cheap.
    if (this.#events.length > 2 * CAPACITY) this.#events = this.#events.slice(-CAPACITY);
    this.next = event.sequence + 1;
    this.#latest.set(`${event.thread} ${event.kind}`, event);
  }

  /** Oldest first, at most the newest `limit`. */
  select(kinds: ReadonlySet<string>, since = 0, limit = CAPACITY): MachineEvent[] {
    const found = this.#events.filter((event) => event.sequence >= since && kinds.has(event.kind));
    return limit < found.length ? found.slice(found.length - limit) : found;
  }

  /** The last event of a kind on a thread. */
  latest(thread: number, kind: EventKind): MachineEvent | undefined {
    return this.#latest.get(`${thread} ${kind}`);
  }
}
