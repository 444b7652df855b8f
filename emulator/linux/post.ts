/** Posting signals, and what is pending (kernel/signal.c). */
import type { Process, SignalInfo, Task } from './state.ts';
import * as S from './signal-numbers.ts';
import { bit } from './signal-numbers.ts';

/** Text of the wait of a thread that a signal has stopped. */
export const STOPPED = 'stopped by a signal';

export function signalPending(task: Task): boolean {
  if (task.pendingSignals === 0n && task.process.pendingMask === 0n) return false;
  return ((task.pendingSignals | task.process.pendingMask) & ~task.blockedSignals) !== 0n;
}

function ignored(process: Process, signal: number): boolean {
  const handler = process.actions.list[signal]!.handler;
  return handler === S.SIG_IGN || (handler === S.SIG_DFL && S.defaultAction(signal) === 'ignore');
}

/** Sends to one thread (tgkill, faults). */
export function postToTask(task: Task, info: SignalInfo): void {
  if (task.exited || drop(task.process, info)) return;
  if (!queue(task.queue, task.pendingSignals, info)) return;
  task.pendingSignals |= bit(info.signal);
  if (!(task.blockedSignals & bit(info.signal))) interrupt(task);
}

/** Sends to a process: some thread that does not block it takes it. */
export function postToProcess(process: Process, info: SignalInfo): void {
  if (process.zombie || drop(process, info)) return;
  if (!queue(process.pending, process.pendingMask, info)) return;
  process.pendingMask |= bit(info.signal);
  const takers = process.tasks.filter((task) => !task.exited && !(task.blockedSignals & bit(info.signal)));
  const taker = takers.find((task) => !task.wait) ?? takers[0];
  if (taker) interrupt(taker);
  for (const task of process.tasks) if (task.wait?.channels.includes('signal')) task.ready = true;
}

/** Ignored signals vanish unless some thread has them blocked (it may wait for them). */
function drop(process: Process, info: SignalInfo): boolean {
  if (info.signal === S.SIGCONT) for (const task of process.tasks) resumeStopped(task);
  const blocked = process.tasks.some((task) => !task.exited && (task.blockedSignals & bit(info.signal)) !== 0n);
  return ignored(process, info.signal) && !blocked;
}
function resumeStopped(task: Task): void {
  if (task.wait?.text === STOPPED) {
    task.wait = undefined;
  }
}

/** Standard signals are not queued twice; real-time ones are. */
function queue(list: SignalInfo[], mask: bigint, info: SignalInfo): boolean {
  if (info.signal < 32 && (mask & bit(info.signal)) !== 0n) return false;
  list.push(info);
  return true;
}

function interrupt(task: Task): void {
  if (task.wait && task.wait.text !== STOPPED) task.ready = true;
  else if (task.wait && (task.pendingSignals | task.process.pendingMask) & bit(S.SIGKILL)) task.wait = undefined;
}

/** Takes the next deliverable signal of `wanted`, synchronous ones first, then the lowest number. */
export function dequeue(task: Task, wanted: bigint): SignalInfo | undefined {
  const { process } = task;
  const own = task.pendingSignals & wanted;
  const shared = process.pendingMask & wanted;
  const all = own | shared;
  if (all === 0n) return undefined;
  const choice = all & S.SYNCHRONOUS & own ? all & S.SYNCHRONOUS & own : all;
  const signal = lowestBit(choice) + 1;
  if (own & bit(signal)) {
    const [info, left] = removeFrom(task.queue, signal);
    if (!left) task.pendingSignals &= ~bit(signal);
    return info;
  }
  const [info, left] = removeFrom(process.pending, signal);
  if (!left) process.pendingMask &= ~bit(signal);
  return info;
}
function removeFrom(list: SignalInfo[], signal: number): [SignalInfo, boolean] {
  const at = list.findIndex((info) => info.signal === signal);
  const [info] = at >= 0 ? list.splice(at, 1) : [{ signal, code: S.SI_USER }];
  return [info!, list.some((other) => other.signal === signal)];
}
function lowestBit(mask: bigint): number {
  let index = 0;
  while (!((mask >> BigInt(index)) & 1n)) index++;
  return index;
}

/** A fault of the thread's own: it cannot be blocked or ignored (force_sig_info). */
export function forceSignal(task: Task, info: SignalInfo): void {
  const action = task.process.actions.list[info.signal]!;
  const blocked = (task.blockedSignals & bit(info.signal)) !== 0n;
  if (blocked || action.handler === S.SIG_IGN) {
    action.handler = S.SIG_DFL;
    task.blockedSignals &= ~bit(info.signal);
  }
  task.queue.unshift(info);
  task.pendingSignals |= bit(info.signal);
}
