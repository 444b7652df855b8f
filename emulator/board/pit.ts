/** The programmable interval timer (82C54 data sheet), ports 40h to 43h, and port 61h with the gate and the output of its third counter. Modes 0, 2 and 3. */
interface CounterState {
  mode: number;
  bcd: boolean;
  /** Bytes that are read and written: 1 the low one, 2 the high one, 3 both in turn. */
  access: number;
  /** Ticks from a start to the end of the count. */
  reload: number;
  /** Written while a period runs, which it does not change; 0 none. */
  next: number;
  /** Tick at which the count, or this period of it, began; STANDS if it does not count. */
  start: number;
  /** Ticks that had passed when the gate went low; STANDS while it is high. */
  held: number;
  /** First byte of a count that is being written; NONE. */
  first: number;
  /** The next read is of the high byte. */
  second: boolean;
  /** What the latch and read-back commands keep for the next reads; NONE. */
  latch: number;
  status: number;
}

export interface PitState {
  readonly counters: readonly CounterState[];
  /** Bits 1:0 of port 61h: gate of counter 2, loudspeaker. */
  control: number;
  /** Tick of the last interrupt. */
  told: number;
}

const enum Mode {
  TerminalCount = 0,
  RateGenerator = 2,
  SquareWave = 3,
}

const STANDS = -1;
const NONE = -1;
/** Hz of the counters and of the time-stamp counter. */
const TICKS_A_SECOND = 1_193_182;
const CYCLES_A_SECOND = 3e9;
const CYCLES_A_TICK = CYCLES_A_SECOND / TICKS_A_SECOND;
/** The refresh bit of port 61h changes with every request of counter 1, as a BIOS sets it. */
const REFRESH_TICKS = 18;
const CONTROL_PORT = 3;
const SPEAKER_GATE = 1;
const REFRESH = 0x10;
const OUTPUT = 0x20;
// Control word
const READ_BACK = 3;
const BOTH = 3;

const counter = (): CounterState => ({
  mode: Mode.SquareWave,
  bcd: false,
  access: BOTH,
  reload: 0x1_0000,
  next: 0,
  start: STANDS,
  held: STANDS,
  first: NONE,
  second: false,
  latch: NONE,
  status: NONE,
});

export class Pit {
  state: PitState = { counters: [counter(), counter(), { ...counter(), held: 0 }], control: 0, told: 0 };

  /**
   * @param cycles of the running processor
   * @param setLine the output of counter 0
   */
  constructor(
    readonly cycles: () => number,
    readonly setLine: (asserted: boolean) => void,
  ) {}

  get #now(): number {
    return Math.floor(this.cycles() / CYCLES_A_TICK);
  }

  // ---------------------------------------------------------------- ports

  /** @param port 0 to 3 */
  read(port: number): number {
    const one = this.state.counters[port];
    if (!one) return 0xff;
    if (one.status !== NONE) {
      const { status } = one;
      one.status = NONE;
      return status;
    }
    const value = one.latch === NONE ? this.#count(one) : one.latch;
    const high = one.access === 2 || one.second;
    one.second = one.access === BOTH && !one.second;
    if (!one.second) one.latch = NONE;
    return (high ? value >> 8 : value) & 0xff;
  }

  write(port: number, value: number): void {
    if (port === CONTROL_PORT) return this.#command(value);
    const index = port;
    const one = this.state.counters[index]!;
    if (one.access !== BOTH) return this.#load(index, one.access === 1 ? value : value << 8);
    if (one.first !== NONE) return this.#load(index, one.first | (value << 8));
    one.first = value;
    if (one.mode === Mode.TerminalCount) this.#stop(index);
  }

  /** Port 61h. */
  readControl(): number {
    const refresh = Math.floor(this.#now / REFRESH_TICKS) & 1 ? REFRESH : 0;
    return this.state.control | refresh | (this.#output(this.state.counters[2]!) ? OUTPUT : 0);
  }
  writeControl(value: number): void {
    const before = this.state.control;
    this.state.control = value & 3;
    if ((before ^ value) & SPEAKER_GATE) this.#gate(this.state.counters[2]!, (value & SPEAKER_GATE) !== 0);
  }

  #command(value: number): void {
    const index = value >> 6;
    const access = (value >> 4) & 3;
    if (index === READ_BACK) return this.#readBack(value);
    const one = this.state.counters[index]!;
    if (access === 0) {
      if (one.latch === NONE) one.latch = this.#count(one);
      return;
    }
    const mode = (value >> 1) & 7;
    const held = one.held === STANDS ? STANDS : 0;
    Object.assign(one, { ...counter(), held, mode: mode > 5 ? mode - 4 : mode, bcd: (value & 1) !== 0, access });
    if (index === 0) this.setLine(false);
  }

  /** Bits 5 and 4, both active low: latch count, latch status; bits 3:1 the counters. */
  #readBack(value: number): void {
    for (const [index, one] of this.state.counters.entries()) {
      if (!((value >> (index + 1)) & 1)) continue;
      if (!(value & 0x20) && one.latch === NONE) one.latch = this.#count(one);
      if (!(value & 0x10) && one.status === NONE)
        one.status = (this.#output(one) ? 0x80 : 0) | (one.access << 4) | (one.mode << 1) | (one.bcd ? 1 : 0);
    }
  }

  #load(index: number, written: number): void {
    const one = this.state.counters[index]!;
    const most = one.bcd ? 10_000 : 0x1_0000;
    const count = (one.bcd ? fromBcd(written) : written) || most;
    one.first = NONE;
    if (isPeriodic(one) && one.start !== STANDS) {
      this.#settle(one, this.#now);
      one.next = count;
      return;
    }
    one.reload = count;
    one.start = this.#now;
    if (one.held !== STANDS) one.held = 0;
    if (index !== 0) return;
    this.state.told = one.start;
    this.setLine(false);
  }

  #stop(index: number): void {
    this.state.counters[index]!.start = STANDS;
    if (index === 0) this.setLine(false);
  }

  #gate(one: CounterState, open: boolean): void {
    const now = this.#now;
    if (!open) {
      one.held = one.start === STANDS ? 0 : this.#elapsed(one, now);
      return;
    }
    // A rising edge begins a period anew.
    if (one.start !== STANDS) one.start = isPeriodic(one) ? now : now - one.held;
    one.held = STANDS;
  }

  // ---------------------------------------------------------------- counting

  /** Begins the period that a tick is in: with the count that was written meanwhile, if there is one. */
  #settle(one: CounterState, now: number): void {
    if (!isPeriodic(one) || one.start === STANDS || one.held !== STANDS) return;
    if (one.next !== 0 && now - one.start >= one.reload) {
      one.start += one.reload;
      one.reload = one.next;
      one.next = 0;
    }
    one.start += Math.floor((now - one.start) / one.reload) * one.reload;
  }

  /** Ticks since the start of the count, or of the period. */
  #elapsed(one: CounterState, now: number): number {
    if (one.held !== STANDS) return one.held;
    this.#settle(one, now);
    return now - one.start;
  }

  /** As the counting element shows it. */
  #count(one: CounterState): number {
    const most = one.bcd ? 10_000 : 0x1_0000;
    const elapsed = one.start === STANDS ? 0 : this.#elapsed(one, this.#now);
    let value = one.reload - elapsed;
    if (one.mode === Mode.SquareWave) {
      const half = Math.ceil(one.reload / 2);
      const within = elapsed < half ? elapsed : elapsed - half;
      value = (one.reload & ~1) - 2 * within;
    }
    const shown = ((value % most) + most) % most;
    return one.bcd ? toBcd(shown) : shown;
  }

  #output(one: CounterState): boolean {
    if (one.mode === Mode.TerminalCount) return one.start !== STANDS && this.#elapsed(one, this.#now) >= one.reload;
    if (!isPeriodic(one) || one.start === STANDS || one.held !== STANDS) return true;
    const elapsed = this.#elapsed(one, this.#now);
    return one.mode === Mode.RateGenerator ? elapsed < one.reload - 1 : elapsed < Math.ceil(one.reload / 2);
  }

  // ---------------------------------------------------------------- interrupts

  /** Cycles at which the output of counter 0 rises next; Infinity if it does not. */
  expires(): number {
    const tick = this.#rises();
    // One more, lest a rounded quotient falls short of the tick.
    return tick === Infinity ? Infinity : Math.ceil(tick * CYCLES_A_TICK) + 1;
  }

  #rises(): number {
    const one = this.state.counters[0]!;
    const { told } = this.state;
    if (one.start === STANDS) return Infinity;
    if (told < one.start) return one.start;
    const end = one.start + one.reload;
    if (one.mode === Mode.TerminalCount) return told < end ? end : Infinity;
    if (!isPeriodic(one)) return Infinity;
    if (told < end) return end;
    const period = one.next || one.reload;
    return end + (Math.floor((told - end) / period) + 1) * period;
  }

  /** Lets the time come to where it is; true if the output of counter 0 has risen. */
  tick(): boolean {
    if (this.cycles() < this.expires()) return false;
    this.state.told = this.#now;
    this.setLine(false);
    this.setLine(true);
    return true;
  }
}

function isPeriodic({ mode }: CounterState): boolean {
  return mode === Mode.RateGenerator || mode === Mode.SquareWave;
}

function fromBcd(value: number): number {
  return [12, 8, 4, 0].reduce((sum, shift) => sum * 10 + ((value >> shift) & 15), 0);
}

function toBcd(value: number): number {
  return [1000, 100, 10, 1].reduce((sum, unit) => sum * 16 + (Math.floor(value / unit) % 10), 0);
}
