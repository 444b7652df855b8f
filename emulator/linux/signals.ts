/** Signals: posting, choosing, and what happens on the way back to user mode (kernel/signal.c). */
import * as errno from './errno.ts';
import { exitGroup } from './exit.ts';
import { pushSignalFrame } from './signal-frame.ts';
import type { Linux, Process, SignalInfo, Task } from './state.ts';
import * as S from './signal-numbers.ts';
import { bit, signalName } from './signal-numbers.ts';

export function signalPending(task: Task): boolean {
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

export const STOPPED = 'stopped by a signal';

/**
 * What the kernel does before it returns to user mode: delivers one pending signal or more, and settles an interrupted system
 * call. The task is the running one and in Linux mode; `call` is the system call that ends now, with its result in RAX.
 */
export function returnToUser(linux: Linux, task: Task, call?: { number: number; result: bigint }): void {
  let pendingCall = call && isRestart(call.result) ? call : undefined;
  while (!task.exited && task.wait === undefined && signalPending(task)) {
    const info = dequeue(task, ~task.blockedSignals)!;
    const action = task.process.actions.list[info.signal]!;
    if (action.handler === S.SIG_IGN) continue;
    if (action.handler === S.SIG_DFL) {
      takeDefault(linux, task, info);
      continue;
    }
    if (pendingCall) settleForHandler(linux, task, pendingCall, action.flags);
    pendingCall = undefined;
    deliver(linux, task, info);
  }
  if (task.exited) return;
  if (pendingCall) restartCall(linux, pendingCall);
  if (task.wait) return;
  if (task.savedMask !== undefined) {
    task.blockedSignals = task.savedMask;
    task.savedMask = undefined;
    if (signalPending(task)) returnToUser(linux, task);
  }
}

function isRestart(result: bigint): boolean {
  return (
    result === errno.ERESTARTSYS ||
    result === errno.ERESTARTNOINTR ||
    result === errno.ERESTARTNOHAND ||
    result === errno.ERESTART_RESTARTBLOCK
  );
}
const RAX = 0;
const SYSCALL_LENGTH = 2n;
const RESTART_SYSCALL = 219;

function settleForHandler(linux: Linux, task: Task, call: { number: number; result: bigint }, flags: number): void {
  const restart =
    call.result === errno.ERESTARTNOINTR || (call.result === errno.ERESTARTSYS && (flags & S.SA_RESTART) !== 0);
  if (restart) restartCall(linux, call);
  else linux.cpu.setGpr(RAX, BigInt.asUintN(64, errno.EINTR));
  task.restart = undefined;
}
function restartCall(linux: Linux, call: { number: number; result: bigint }): void {
  const number = call.result === errno.ERESTART_RESTARTBLOCK ? RESTART_SYSCALL : call.number;
  linux.cpu.setGpr(RAX, BigInt(number));
  linux.cpu.rip -= SYSCALL_LENGTH;
}

function takeDefault(linux: Linux, task: Task, info: SignalInfo): void {
  const action = S.defaultAction(info.signal);
  if (action === 'ignore' || action === 'continue') return;
  if (action === 'stop') {
    emit(linux, task, info, 'stops it');
    for (const other of task.process.tasks)
      if (!other.exited && !other.wait)
        other.wait = { number: -1, args: [], deadline: -1, text: STOPPED, channels: [] };
    linux.engine.requestStop();
    return;
  }
  emit(linux, task, info, 'kills it');
  exitGroup(linux, task, 0, info.signal, action === 'core');
}

function deliver(linux: Linux, task: Task, info: SignalInfo): void {
  const action = task.process.actions.list[info.signal]!;
  const oldMask = task.savedMask ?? task.blockedSignals;
  task.savedMask = undefined;
  emit(linux, task, info, `runs its handler at 0x${action.handler.toString(16)}`);
  const { handler, flags, restorer, mask } = action;
  if (flags & S.SA_RESETHAND) action.handler = S.SIG_DFL;
  if (!pushSignalFrame(linux, task, info, { handler, flags, restorer, mask }, oldMask)) {
    forceSegv(task, info.signal);
    return;
  }
  task.blockedSignals |= mask;
  if (!(flags & S.SA_NODEFER)) task.blockedSignals |= bit(info.signal);
  task.blockedSignals &= ~S.UNBLOCKABLE;
}

/** force_sigsegv: the frame could not be written. */
function forceSegv(task: Task, signal: number): void {
  if (signal === S.SIGSEGV) task.process.actions.list[S.SIGSEGV]!.handler = S.SIG_DFL;
  forceSignal(task, { signal: S.SIGSEGV, code: S.SI_KERNEL, address: 0 });
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

function emit(linux: Linux, task: Task, info: SignalInfo, effect: string): void {
  linux.events.emit('signal', () => ({
    summary: `${signalName(info.signal)} for thread ${task.tid} (${task.name}): ${effect}`,
    facts: {
      signal: signalName(info.signal),
      number: info.signal,
      code: info.code,
      address: info.address ?? 0,
      tid: task.tid,
      pid: task.pid,
      action: effect,
    },
  }));
}
