/** fork, vfork, clone and clone3 (kernel/fork.c). */
import * as L from '../cpu/layout.ts';
import type { SyscallResult } from './api.ts';
import * as errno from './errno.ts';
import { copyTable } from './fs/descriptors.ts';
import { copyMemoryMap, cr3Of } from './mm.ts';
import { chooseCpu } from './cpus.ts';
import { SS_DISABLE } from './signal-numbers.ts';
import type { Linux, Process, Task } from './state.ts';
import { disarmed } from './time.ts';
import { write32 } from './usermem.ts';
import { TASK_SIZE } from './vma.ts';
import { kept } from './wait.ts';

export const CLONE_VM = 0x100;
const CLONE_FS = 0x200;
const CLONE_FILES = 0x400;
const CLONE_SIGHAND = 0x800;
export const CLONE_VFORK = 0x4000;
const CLONE_THREAD = 0x10000;
const CLONE_SETTLS = 0x80000;
const CLONE_PARENT_SETTID = 0x100000;
const CLONE_CHILD_CLEARTID = 0x200000;
const CLONE_CHILD_SETTID = 0x1000000;
/** Namespaces and pidfds. */
const UNSUPPORTED = 0x7e020000 | 0x1000;

export interface CloneRequest {
  readonly flags: number;
  readonly exitSignal: number;
  /** 0 keeps the parent's. */
  readonly stack: number;
  readonly parentTid: number;
  readonly childTid: number;
  readonly tls: bigint;
}

const at = (offset: number): number => offset - L.STATE;

/** The child's state page: the parent's as it returns from the call, with 0 in RAX. */
export function childContext(linux: Linux, request: CloneRequest): Uint8Array {
  const page = linux.cpu.save();
  const view = new DataView(page.buffer);
  view.setBigUint64(at(L.GPR), 0n, true);
  if (request.stack !== 0) view.setBigUint64(at(L.GPR) + 4 * 8, BigInt(request.stack), true);
  return page;
}

/** What a child has of its own, whichever mode it was made from: its page tables and its TLS. */
function adopt(page: Uint8Array, process: Process, request: CloneRequest): Uint8Array {
  const view = new DataView(page.buffer, page.byteOffset);
  view.setBigUint64(at(L.CR3), cr3Of(process.mm), true);
  if (request.flags & CLONE_SETTLS) view.setBigUint64(at(L.FS) + L.SEG_BASE, request.tls, true);
  return page;
}

/** Makes the child and, for vfork, blocks the parent until it execs or exits. */
export function clone(linux: Linux, task: Task, request: CloneRequest, page: () => Uint8Array): SyscallResult {
  const done = kept<{ readonly pid: number }>(task);
  if (done) return awaitVfork(linux, task, done.pid);
  const { flags } = request;
  if (flags & UNSUPPORTED) return errno.EINVAL;
  if (flags & CLONE_THREAD && (flags & (CLONE_SIGHAND | CLONE_VM)) !== (CLONE_SIGHAND | CLONE_VM)) return errno.EINVAL;
  if (flags & CLONE_SIGHAND && !(flags & CLONE_VM)) return errno.EINVAL;
  if (flags & CLONE_SETTLS && request.tls >= BigInt(TASK_SIZE)) return errno.EPERM;
  if (linux.state.tasks.size >= 4096) return errno.EAGAIN;
  const tid = linux.state.nextPid++;
  const process = flags & CLONE_THREAD ? task.process : forkProcess(linux, task, request, tid);
  if (!process) return errno.ENOMEM;
  const child = createTask(linux, process, tid, adopt(page(), process, request), task);
  if (flags & CLONE_VM && !(flags & CLONE_VFORK)) child.altStack = { address: 0, size: 0, flags: SS_DISABLE };
  if (flags & CLONE_PARENT_SETTID) write32(linux, task.process, request.parentTid, tid);
  if (flags & CLONE_CHILD_SETTID) write32(linux, process, request.childTid, tid);
  if (flags & CLONE_CHILD_CLEARTID) child.clearChildTid = request.childTid;
  const what = flags & CLONE_THREAD ? 'thread' : flags & CLONE_VFORK ? 'vfork' : 'fork';
  linux.events.emit('process', () => ({
    summary:
      what === 'thread' ? `thread ${tid} started by thread ${task.tid}` : `process ${tid} forked from ${task.pid}`,
    facts: { pid: process.pid, tid, parent: task.pid, what },
  }));
  return flags & CLONE_VFORK ? awaitVfork(linux, task, tid) : BigInt(tid);
}

function awaitVfork(linux: Linux, task: Task, pid: number): SyscallResult {
  const child = linux.state.processes.get(pid);
  if (!child || child.zombie || child.vforkParent !== task.tid) return BigInt(pid);
  // Only death interrupts a vfork parent; other signals wait.
  task.wait = { ...task.call!, deadline: -1, data: { pid }, text: `vfork(child ${pid})`, channels: [`vfork:${pid}`] };
  task.ready = false;
  return 'blocked';
}

function forkProcess(linux: Linux, task: Task, request: CloneRequest, pid: number): Process | undefined {
  const parent = task.process;
  const { flags } = request;
  const mm = flags & CLONE_VM ? parent.mm : copyMemoryMap(linux, parent.mm);
  if (!mm) return undefined;
  if (flags & CLONE_VM) mm.users++;
  if (flags & CLONE_FILES) parent.fds.users++;
  if (flags & CLONE_FS) parent.fs.users++;
  if (flags & CLONE_SIGHAND) parent.actions.users++;
  const process: Process = {
    ...parent,
    pid,
    parent,
    mm,
    fds: flags & CLONE_FILES ? parent.fds : copyTable(parent.fds),
    fs: flags & CLONE_FS ? parent.fs : { ...parent.fs, users: 1 },
    actions:
      flags & CLONE_SIGHAND ? parent.actions : { users: 1, list: parent.actions.list.map((action) => ({ ...action })) },
    pending: [],
    pendingMask: 0n,
    tasks: [],
    exitSignal: request.exitSignal,
    zombie: false,
    exit: undefined,
    realTimer: disarmed(),
    limits: parent.limits.map((limit) => [...limit]),
    cycles: 0,
    childCycles: 0,
    vforkParent: flags & CLONE_VFORK ? task.tid : 0,
  };
  linux.state.processes.set(pid, process);
  return process;
}

export function createTask(linux: Linux, process: Process, tid: number, context: Uint8Array, from?: Task): Task {
  const task: Task = {
    tid,
    pid: process.pid,
    name: from?.name ?? process.name,
    context,
    wait: undefined,
    exited: false,
    halted: false,
    pendingSignals: 0n,
    blockedSignals: from?.blockedSignals ?? 0n,
    vcpu: 0,
    cpu: 0,
    process,
    ready: false,
    affinity: from?.affinity ?? (1n << BigInt(linux.options.cpus)) - 1n,
    queue: [],
    altStack: from ? { ...from.altStack } : { address: 0, size: 0, flags: SS_DISABLE },
    savedMask: undefined,
    clearChildTid: 0,
    robustList: 0,
    restart: undefined,
    call: undefined,
    resuming: undefined,
    startedAt: 0,
  };
  task.cpu = chooseCpu(linux, task);
  process.tasks.push(task);
  linux.state.tasks.set(tid, task);
  return task;
}
