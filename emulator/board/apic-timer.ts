/** The timer of a local APIC: one-shot, periodic, or at a time-stamp (SDM 3A 12.5.4). It counts what the TSC counts. */

export const enum TimerMode {
  OneShot = 0,
  Periodic = 1,
  TscDeadline = 2,
}

export interface ApicTimerState {
  initialCount: number;
  /** The divide configuration register. */
  divide: number;
  /** Cycles of this CPU at which it began to count from `initialCount`; meaningless while it stands. */
  start: number;
  runs: boolean;
  deadlineTsc: bigint;
}

export function freshTimer(): ApicTimerState {
  return { initialCount: 0, divide: 0, start: 0, runs: false, deadlineTsc: 0n };
}

interface Clock {
  /** Modelled cycles of this CPU, and what its TSC adds to them. */
  cycles(): number;
  tscAdjust(): bigint;
}

const MODE_SHIFT = 17;

export class ApicTimer {
  /** @param apic the state of the APIC, whose first LVT entry is the timer's */
  constructor(
    readonly clock: Clock,
    readonly apic: () => { readonly timer: ApicTimerState; readonly lvt: readonly number[] },
  ) {}

  get mode(): TimerMode {
    return (this.apic().lvt[0]! >> MODE_SHIFT) & 3;
  }
  /** Cycles a count. */
  get #divisor(): number {
    const { divide } = this.apic().timer;
    const code = (divide & 3) | ((divide >> 1) & 4);
    return code === 7 ? 1 : 2 << code;
  }

  /** A write of the initial count; none counts at a time-stamp. */
  start(count: number): void {
    if (this.mode === TimerMode.TscDeadline) return;
    const { timer } = this.apic();
    timer.initialCount = count;
    timer.runs = count !== 0;
    timer.start = this.clock.cycles();
  }

  /** The count goes on from where it is. */
  divide(value: number): void {
    const { timer } = this.apic();
    const count = this.count();
    timer.divide = value;
    if (timer.runs) timer.start = this.clock.cycles() - (timer.initialCount - count) * this.#divisor;
  }

  /** A mode that counts has become one that does not, or the other way round. */
  disarm(): void {
    const { timer } = this.apic();
    timer.runs = false;
    timer.initialCount = 0;
    timer.deadlineTsc = 0n;
  }

  /** The current count. */
  count(): number {
    const { initialCount, start, runs } = this.apic().timer;
    if (!runs || this.mode === TimerMode.TscDeadline) return 0;
    const elapsed = Math.floor((this.clock.cycles() - start) / this.#divisor);
    if (this.mode === TimerMode.Periodic) return initialCount - (elapsed % initialCount);
    return Math.max(0, initialCount - elapsed);
  }

  get deadline(): bigint {
    return this.mode === TimerMode.TscDeadline ? this.apic().timer.deadlineTsc : 0n;
  }
  set deadline(value: bigint) {
    if (this.mode === TimerMode.TscDeadline) this.apic().timer.deadlineTsc = value;
  }

  /** Cycles of this CPU at which it expires; Infinity if it stands. */
  expires(): number {
    const { initialCount, start, runs, deadlineTsc } = this.apic().timer;
    if (this.mode !== TimerMode.TscDeadline) return runs ? start + initialCount * this.#divisor : Infinity;
    if (deadlineTsc === 0n) return Infinity;
    return Number(BigInt.asIntN(64, deadlineTsc - this.clock.tscAdjust()));
  }

  /** True if it is time: the timer has expired, and is set for the next time if there is one. */
  tick(): boolean {
    const now = this.clock.cycles();
    if (now < this.expires()) return false;
    const { timer } = this.apic();
    if (this.mode === TimerMode.TscDeadline) timer.deadlineTsc = 0n;
    else if (this.mode === TimerMode.Periodic) {
      const period = timer.initialCount * this.#divisor;
      timer.start += Math.floor((now - timer.start) / period) * period;
    } else timer.runs = false;
    return true;
  }
}
