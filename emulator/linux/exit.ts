/** Ends of threads and processes: exit, exit_group, death by signal, zombies (kernel/exit.c). */
import * as L from '../cpu/layout.ts';
import { closeAll } from './fs/descriptors.ts';
import { futexWake, releaseRobustList } from './futex.ts';
import { releaseMemoryMap } from './mm.ts';
import { dropIfUnused } from './mapping.ts';
import { postToProcess } from './post.ts';
import * as S from './signal-numbers.ts';
import { FIRST_PID } from './state.ts';
import type { Linux, Process, Task } from './state.ts';
import { write32 } from './usermem.ts';
import { wake } from './wait.ts';

/** This thread ends; the process with its last one. `status` is the exit code (0..255 shown). */
export function exitTask(linux: Linux, task: Task, status: number): void {
  endTask(linux, task);
  const { process } = task;
  if (process.tasks.every((other) => other.exited)) endProcess(linux, process, status, 0, false);
}

/** All threads of the process end. */
export function exitGroup(linux: Linux, task: Task, status: number, signal = 0, core = false): void {
  const { process } = task;
  if (process.zombie) return;
  for (const other of process.tasks) if (!other.exited) endTask(linux, other);
  endProcess(linux, process, status, signal, core);
}

/** All other threads of the process end (execve). */
export function exitOthers(linux: Linux, task: Task): void {
  for (const other of task.process.tasks) if (other !== task && !other.exited) endTask(linux, other);
  task.process.tasks = [task];
}

function endTask(linux: Linux, task: Task): void {
  const { state } = linux;
  releaseRobustList(linux, task);
  if (task.clearChildTid !== 0 && task.process.mm.users > 0) {
    write32(linux, task.process, task.clearChildTid, 0);
    futexWake(linux, task.process, task.clearChildTid, 1, 0xffffffff);
  }
  task.exited = true;
  task.wait = undefined;
  linux.dune?.threadExited(task);
  task.process.cycles += task.tid === state.currentTid ? Number(linux.mem.get64(L.CYCLES)) - task.startedAt : 0;
  state.futexes = state.futexes.filter((waiter) => waiter.tid !== task.tid);
  state.tasks.delete(task.tid);
  if (task.tid === state.currentTid) linux.engine.requestStop();
}

function endProcess(linux: Linux, process: Process, status: number, signal: number, core: boolean): void {
  const { state } = linux;
  process.exit = { status: status & 0xff, signal, core };
  process.zombie = true;
  closeAll(linux, process.fds);
  const shared = process.mm.vmas.flatMap((vma) => (vma.inode ? [vma.inode] : []));
  releaseMemoryMap(linux, process.mm);
  for (const inode of shared) dropIfUnused(linux, inode);
  state.timers = state.timers.filter((timer) => timer.process !== process);
  wake(linux, `vfork:${process.pid}`);
  emitExit(linux, process);
  // Orphans have no parent either.
  if (process.pid === FIRST_PID)
    state.firstExit = signal ? { status: 128 + signal, signal } : { status: process.exit.status };
  for (const child of state.processes.values())
    if (child.parent === process) {
      child.parent = undefined;
      if (child.zombie) state.processes.delete(child.pid);
    }
  notifyParent(linux, process);
}

function notifyParent(linux: Linux, process: Process): void {
  const { parent } = process;
  const exit = process.exit!;
  const action = parent?.actions.list[S.SIGCHLD];
  if (
    !parent ||
    (process.exitSignal === S.SIGCHLD && (action!.handler === S.SIG_IGN || action!.flags & S.SA_NOCLDWAIT))
  ) {
    linux.state.processes.delete(process.pid);
  }
  if (!parent) return;
  if (process.exitSignal !== 0)
    postToProcess(parent, {
      signal: process.exitSignal,
      code: exit.core ? S.CLD_DUMPED : exit.signal ? S.CLD_KILLED : S.CLD_EXITED,
      pid: process.pid,
      status: exit.signal || exit.status,
    });
  wake(linux, `child:${parent.pid}`);
}

function emitExit(linux: Linux, process: Process): void {
  const { status, signal } = process.exit!;
  const how = signal ? `was killed by ${S.signalName(signal)}` : `exited with status ${status}`;
  linux.events.emit('process', () => ({
    summary: `process ${process.pid} (${process.name}) ${how}`,
    facts: { pid: process.pid, what: 'exit', status, signal: signal ? S.signalName(signal) : '' },
  }));
}

/** Status word of wait4(2). */
export function waitStatus(process: Process): number {
  const { status, signal, core } = process.exit!;
  return signal ? signal | (core ? 0x80 : 0) : status << 8;
}

/** The parent has seen it: it is gone. */
export function reap(linux: Linux, process: Process): void {
  if (process.parent) process.parent.childCycles += process.cycles + process.childCycles;
  linux.state.processes.delete(process.pid);
}
