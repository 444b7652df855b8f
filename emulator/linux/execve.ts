/** execve: a new program in place of the old one (fs/exec.c), and the start of the first. */
import { resetLinux } from '../cpu/system/reset.ts';
import { hardwareInformation } from './hardware.ts';
import { LaunchError } from './api.ts';
import type { SyscallResult } from './api.ts';
import * as errno from './errno.ts';
import { readExecutable } from './elf.ts';
import { loadProgram } from './exec.ts';
import type { Image } from './exec.ts';
import { exitOthers } from './exit.ts';
import { closeFd, copyTable } from './fs/descriptors.ts';
import { readInode } from './fs/inode.ts';
import { baseName } from './fs/paths.ts';
import { cr3Of, createMemoryMap, releaseMemoryMap } from './mm.ts';
import { SIG_DFL, SIG_IGN, SS_DISABLE } from './signal-numbers.ts';
import type { Inode, Linux, Process, Task } from './state.ts';
import { restoreClock } from './time.ts';
import { wake } from './wait.ts';

export function replaceProgram(
  linux: Linux,
  task: Task,
  path: string,
  inode: Inode,
  argv: readonly string[],
  envp: readonly string[],
): SyscallResult {
  const image = readInode(linux, inode, 0, inode.size);
  try {
    readExecutable(image, path);
  } catch (error) {
    if (!(error instanceof LaunchError)) throw error;
    linux.events.emit('diagnostic', () => ({ summary: error.message, facts: { pid: task.pid, path } }));
    return errno.ENOEXEC;
  }
  const { process } = task;
  const old = process.mm;
  const fresh = createMemoryMap(linux);
  if (!fresh) return errno.ENOMEM;
  process.mm = fresh;
  let loaded: Image;
  try {
    loaded = loadProgram(linux, process, {
      path,
      inode,
      image,
      argv,
      envp,
      hardware: hardwareInformation(linux.context.model),
    });
  } catch (error) {
    process.mm = old;
    releaseMemoryMap(linux, fresh);
    if (!(error instanceof LaunchError)) throw error;
    return errno.ENOMEM;
  }
  process.mm = old;
  leaveOldProgram(linux, task);
  process.mm = fresh;
  releaseMemoryMap(linux, old);
  becomeProgram(linux, task, path);
  enterProgram(linux, task, loaded);
  return 'no-return';
}

/** Everything of the old program that does not survive, while its memory is still there. */
function leaveOldProgram(linux: Linux, task: Task): void {
  const { process } = task;
  if (task.vcpu !== 0) {
    linux.events.emit('diagnostic', () => ({
      summary:
        'execve from Dune mode: the vCPU is destroyed and the new program starts in Linux mode (the real module is undefined here)',
      facts: { pid: task.pid, tid: task.tid },
    }));
  }
  exitOthers(linux, task);
  linux.dune?.threadExited(task);
  task.vcpu = 0;
  if (task.tid !== process.pid) takeLeaderId(linux, task);
}

/** The thread that execs becomes the leader. */
function takeLeaderId(linux: Linux, task: Task): void {
  const { state } = linux;
  state.tasks.delete(task.tid);
  Object.assign(task, { tid: task.process.pid });
  state.tasks.set(task.tid, task);
  state.currentTid = task.tid;
}

function becomeProgram(linux: Linux, task: Task, path: string): void {
  const { process } = task;
  if (process.fds.users > 1) {
    const shared = process.fds;
    process.fds = copyTable(shared);
    shared.users--;
  }
  process.fds.entries.forEach((entry, fd) => {
    if (entry?.closeOnExec) closeFd(linux, process.fds, fd);
  });
  process.actions = {
    users: 1,
    list: process.actions.list.map((action) => ({
      handler: action.handler === SIG_IGN ? SIG_IGN : SIG_DFL,
      flags: 0,
      restorer: 0,
      mask: 0n,
    })),
  };
  linux.state.timers = linux.state.timers.filter((timer) => timer.process !== process);
  task.altStack = { address: 0, size: 0, flags: SS_DISABLE };
  task.robustList = 0;
  task.clearChildTid = 0;
  task.savedMask = undefined;
  nameProgram(process, path);
  task.name = process.name;
  process.vforkParent = 0;
  wake(linux, `vfork:${process.pid}`);
  linux.events.emit('process', () => ({
    summary: `process ${process.pid} runs ${path}`,
    facts: { pid: process.pid, what: 'exec', path },
  }));
}

export function nameProgram(process: Process, path: string): void {
  process.name = baseName(path).slice(0, 15);
}

/** The loaded state page becomes the start of the program. */
export function enterProgram(linux: Linux, task: Task, image: Image): void {
  restoreClock(linux, () => resetLinux(linux.context, cr3Of(task.process.mm)));
  linux.cpu.rip = BigInt(image.entry);
  linux.cpu.rsp = BigInt(image.stack);
  linux.engine.contextChanged();
}
