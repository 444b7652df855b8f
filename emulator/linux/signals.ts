/** What signals do on the way back to user mode (kernel/signal.c, arch/x86/kernel/signal.c). */
import * as errno from './errno.ts';
import { exitGroup } from './exit.ts';
import { STOPPED, dequeue, forceSignal, signalPending } from './post.ts';
import { pushSignalFrame } from './signal-frame.ts';
import type { Linux, SignalInfo, Task } from './state.ts';
import * as S from './signal-numbers.ts';
import { bit, signalName } from './signal-numbers.ts';

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
