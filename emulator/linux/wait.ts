/** Blocking without promises: a task waits on channels; when one is signalled its system call is dispatched again. */
import type { SyscallResult } from './api.ts';
import { ERESTARTSYS } from './errno.ts';
import { signalPending } from './post.ts';
import { now } from './time.ts';
import type { Linux, Task } from './state.ts';

export interface BlockRequest {
  /** What may end the wait; without any, only time and signals do. */
  readonly channels: readonly string[];
  /** Virtual ns, or -1. The handler itself finds out that it has passed. */
  readonly deadline?: number;
  /** Kept for the next dispatch. */
  readonly data?: unknown;
  readonly text: string;
  /** Result when a signal is pending: an internal -ERESTART* or -EINTR. */
  readonly interrupted?: bigint;
}

export function block(task: Task, request: BlockRequest): SyscallResult {
  if (signalPending(task)) return request.interrupted ?? ERESTARTSYS;
  const call = task.call!;
  task.wait = {
    number: call.number,
    args: call.args,
    deadline: request.deadline ?? -1,
    data: request.data,
    text: request.text,
    channels: request.channels,
  };
  task.ready = false;
  return 'blocked';
}

/** Something a task may wait for has happened. */
export function wake(linux: Linux, channel: string): void {
  for (const task of linux.state.tasks.values())
    if (task.wait && !task.ready && task.wait.channels.includes(channel)) task.ready = true;
}

/** True when the deadline of a wait has passed (-1 never). */
export function expired(linux: Linux, deadline: number): boolean {
  return deadline >= 0 && now(linux) >= deadline;
}

/** What the interrupted dispatch of this very call kept, if this is a dispatch after a wait. */
export function kept<T>(task: Task): T | undefined {
  return task.resuming?.data as T | undefined;
}
