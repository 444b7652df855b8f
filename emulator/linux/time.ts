/** Virtual time: a function of modelled cycles at 3 GHz. Sleeping skips it forward; nothing reads the host's clock. */
import * as L from '../cpu/layout.ts';
import { CYCLES_PER_NS } from './state.ts';
import type { IntervalTimer, Linux } from './state.ts';

/** Wall-clock time at virtual time 0: 2024-01-01T00:00:00Z, in ns. */
export const EPOCH_NS = 1704067200_000_000_000n;

/** ns since the machine began. CYCLES of the loaded state is the machine's one clock (see scheduler.ts). */
export function now(linux: Linux): number {
  return Math.floor(Number(linux.mem.get64(L.CYCLES)) / CYCLES_PER_NS);
}
export function realTime(linux: Linux): bigint {
  return EPOCH_NS + BigInt(now(linux));
}
/** Nobody can run before `time`: the clock jumps there. */
export function warpTo(linux: Linux, time: number): void {
  const cycles = BigInt(Math.ceil(time * CYCLES_PER_NS));
  if (cycles > linux.mem.get64(L.CYCLES)) linux.mem.set64(L.CYCLES, cycles);
}

/** True if the timer has run out; it is rearmed or disarmed. `overruns` counts further periods that passed. */
export function expire(timer: IntervalTimer, at: number): { overruns: number } | undefined {
  if (timer.deadline < 0 || at < timer.deadline) return undefined;
  if (timer.interval <= 0) {
    timer.deadline = -1;
    return { overruns: 0 };
  }
  const periods = Math.floor((at - timer.deadline) / timer.interval) + 1;
  timer.deadline += periods * timer.interval;
  return { overruns: periods - 1 };
}

export function disarmed(): IntervalTimer {
  return { deadline: -1, interval: 0 };
}

/** Runs something that replaces the state page, keeping the machine's clock. */
export function restoreClock(linux: Linux, replace: () => void): void {
  const cycles = linux.mem.get64(L.CYCLES);
  replace();
  linux.mem.set64(L.CYCLES, cycles);
}
