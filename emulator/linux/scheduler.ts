/**
 * The scheduler: seeded round robin over all runnable threads, one at a time on the machine's one host thread. Each thread belongs
 * to a model CPU. CYCLES of the loaded state page is the machine's one clock; it is carried over when threads change.
 */
import * as L from '../cpu/layout.ts';
import { moveTo } from './cpus.ts';
import { redispatch } from './dispatch.ts';
import { randomBelow } from './random.ts';
import { SI_KERNEL, SI_TIMER, SIGALRM } from './signal-numbers.ts';
import { postToProcess, postToTask, signalPending } from './post.ts';
import { returnToUser } from './signals.ts';
import type { Linux, Task } from './state.ts';
import { expire, now, restoreClock, warpTo } from './time.ts';

/** Instructions a thread may run while others wait, or a timer is armed. */
const SLICE = 100_000;
const SLICE_JITTER = 16_384;
/** Alone, with no timer armed. */
const LONG_SLICE = 4_000_000;

export type Scheduled = 'run' | 'blocked' | 'idle-input' | 'deadlock' | 'exited';

export function schedule(linux: Linux, only?: number): Scheduled {
  const { state, engine } = linux;
  for (;;) {
    if (state.tasks.size === 0) return 'exited';
    const current = state.tasks.get(state.currentTid);
    const sliceOver = engine.retired >= state.sliceEnd;
    const stays = current && !current.wait && !current.halted && (only === undefined || only === current.tid);
    if (stays && !sliceOver) return 'run';
    fireTimers(linux);
    const next = only === undefined ? nextRunnable(linux) : runnableOf(linux, only);
    if (next) {
      if (switchTo(linux, next)) return 'run';
      continue;
    }
    if (only !== undefined && state.tasks.size > 0 && !onlyCanWait(linux, only)) return 'blocked';
    const deadline = earliest(linux);
    if (deadline < 0) return waitsForInput(linux) ? 'idle-input' : 'deadlock';
    warpTo(linux, deadline);
  }
}

/** The running thread has taken cycles that its instructions do not count. */
export function shortenSlice({ state, engine }: Linux, cycles: number): void {
  state.sliceEnd -= cycles;
  if (state.sliceEnd <= engine.retired) engine.requestStop();
}

function canRun(linux: Linux, task: Task): boolean {
  if (task.halted) return signalPending(task) || linux.dune?.interruptPending(task) === true;
  if (!task.wait) return true;
  return task.ready || (task.wait.deadline >= 0 && now(linux) >= task.wait.deadline);
}

function runnableOf(linux: Linux, tid: number): Task | undefined {
  const task = linux.state.tasks.get(tid);
  return task && canRun(linux, task) ? task : undefined;
}
/** A lone sleeper may be waited for; one that depends on others is blocked. */
function onlyCanWait(linux: Linux, tid: number): boolean {
  const task = linux.state.tasks.get(tid);
  return task?.wait !== undefined && task.wait.deadline >= 0 && linux.state.tasks.size === 1;
}

/** The runnable thread after the present one, by thread id, cyclically; the present one last. */
function nextRunnable(linux: Linux): Task | undefined {
  const { state } = linux;
  const ready = [...state.tasks.values()].filter((task) => canRun(linux, task)).sort((a, b) => a.tid - b.tid);
  return ready.find((task) => task.tid > state.currentTid) ?? ready[0];
}

/** Loads a thread and settles what it waited for. False if it waits again, or is gone. */
function switchTo(linux: Linux, task: Task): boolean {
  const { state, cpu, engine } = linux;
  if (state.currentTid !== task.tid) {
    park(linux);
    state.currentTid = task.tid;
    restoreClock(linux, () => cpu.load(task.context));
    moveTo(linux, task.cpu);
    task.startedAt = Number(linux.mem.get64(L.CYCLES));
  }
  task.halted = false;
  state.sliceEnd = engine.retired + sliceLength(linux);
  if (task.wait) redispatch(linux, task);
  else if (signalPending(task)) {
    if (task.vcpu !== 0 && cpu.nonRoot) linux.dune?.interrupt(task);
    else if (task.vcpu === 0) returnToUser(linux, task);
  }
  settle(linux, task);
  if (!task.exited && !task.wait && task.vcpu === 0 && linux.dune?.trapRip(task.pid) === cpu.rip)
    linux.dune.trapHit(task);
  return !task.exited && !task.wait;
}

/**
 * The kernel returns to a thread: one in Dune mode whose CPU state is in root operation goes back into the guest. `entering` keeps an
 * exit that a failing entry takes from entering again underneath it.
 */
export function settle(linux: Linux, task: Task): void {
  if (linux.entering || task.vcpu === 0) return;
  linux.entering = true;
  try {
    while (!task.exited && !task.wait && task.vcpu !== 0 && !linux.cpu.nonRoot) linux.dune!.resume(task);
  } finally {
    linux.entering = false;
  }
}

/** Stores the running thread's state. It stays loaded and current. */
export function park(linux: Linux): void {
  const task = linux.state.tasks.get(linux.state.currentTid);
  if (!task) return;
  linux.cpu.save(task.context);
  const cycles = Number(linux.mem.get64(L.CYCLES));
  task.process.cycles += cycles - task.startedAt;
  task.startedAt = cycles;
}

function sliceLength(linux: Linux): number {
  const runnable = [...linux.state.tasks.values()].filter((task) => !task.wait).length;
  if (runnable <= 1 && earliest(linux) < 0) return LONG_SLICE;
  return SLICE + randomBelow(linux, SLICE_JITTER);
}

/** Virtual ns of the next deadline of anyone, -1 if there is none. */
function earliest(linux: Linux): number {
  const { state } = linux;
  let first = -1;
  const consider = (deadline: number): void => {
    if (deadline >= 0 && (first < 0 || deadline < first)) first = deadline;
  };
  for (const task of state.tasks.values()) if (task.wait) consider(task.wait.deadline);
  for (const process of state.processes.values()) if (!process.zombie) consider(process.realTimer.deadline);
  for (const timer of state.timers) consider(timer.deadline);
  return first;
}

function fireTimers(linux: Linux): void {
  const { state } = linux;
  const time = now(linux);
  for (const process of state.processes.values())
    if (!process.zombie && expire(process.realTimer, time))
      postToProcess(process, { signal: SIGALRM, code: SI_KERNEL });
  for (const timer of state.timers) {
    const fired = expire(timer, time);
    if (!fired) continue;
    timer.overruns = fired.overruns;
    if (timer.signal === 0) continue;
    const info = { signal: timer.signal, code: SI_TIMER, value: timer.value, timerId: timer.id };
    const target = state.tasks.get(timer.tid);
    if (target) postToTask(target, info);
    else postToProcess(timer.process, info);
  }
}

function waitsForInput(linux: Linux): boolean {
  if (linux.state.stdin.ended) return false;
  return [...linux.state.tasks.values()].some((task) => task.wait?.channels.includes('stdin'));
}
