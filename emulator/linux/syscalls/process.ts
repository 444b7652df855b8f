/** Processes, threads, their identity and limits. */
import type { SyscallResult } from '../api.ts';
import * as L from '../../cpu/layout.ts';
import * as errno from '../errno.ts';
import { replaceProgram } from '../execve.ts';
import { readInode } from '../fs/inode.ts';
import { resolve } from '../fs/tree.ts';
import { exitGroup, exitTask, reap, waitStatus } from '../exit.ts';
import { CLONE_VFORK, CLONE_VM, childContext, clone } from '../fork.ts';
import type { CloneRequest } from '../fork.ts';
import { chooseCpu, moveTo } from '../cpus.ts';
import { CLD_DUMPED, CLD_EXITED, CLD_KILLED, SIGCHLD } from '../signal-numbers.ts';
import { packSignalInfo } from '../signal-frame.ts';
import { CYCLES_PER_NS } from '../state.ts';
import type { Inode, Linux, Process, Task } from '../state.ts';
import { Packer, copyIn, copyOut, read64, readString, readStrings, write32, write64 } from '../usermem.ts';
import { block } from '../wait.ts';
import { int, size, uint } from './handler.ts';
import type { Handler, PlainHandler } from './handler.ts';
import { AT_EMPTY_PATH, CWD, existingAt } from './paths.ts';
import { processorTime } from './time.ts';

const TLS_MASK = 0x800000000000n;

function cloneTask(linux: Linux, task: Task, request: CloneRequest): SyscallResult {
  return clone(linux, task, request, () => childContext(linux, request));
}

/** The request of fork, vfork or clone in its register form; shared with Dune mode. */
export function cloneRequest(number: number, args: readonly bigint[]): CloneRequest {
  const plain = { stack: 0, parentTid: 0, childTid: 0, tls: 0n };
  if (number === 57) return { ...plain, flags: 0, exitSignal: SIGCHLD };
  if (number === 58) return { ...plain, flags: CLONE_VFORK | CLONE_VM, exitSignal: SIGCHLD };
  const flags = uint(args[0]);
  return {
    flags: flags & ~0xff,
    exitSignal: flags & 0xff,
    stack: size(args[1]),
    parentTid: size(args[2]),
    childTid: size(args[3]),
    tls: args[4] ?? 0n,
  };
}
export const fork: Handler = (linux, task, args) => cloneTask(linux, task, cloneRequest(57, args));
export const vfork: Handler = (linux, task, args) => cloneTask(linux, task, cloneRequest(58, args));
export const cloneHandler: Handler = (linux, task, args) => cloneTask(linux, task, cloneRequest(56, args));

export const clone3: Handler = (linux, task, args) => {
  const bytes = size(args[1]);
  if (bytes < 64 || bytes > 4096) return errno.EINVAL;
  const raw = copyIn(linux, task.process, size(args[0]), Math.min(bytes, 88));
  if (!raw) return errno.EFAULT;
  const view = new DataView(raw.buffer);
  const word = (index: number): bigint => view.getBigUint64(index * 8, true);
  // Register state cannot be faked here: in Dune mode the module forks through cloneFromDune.
  if (task.vcpu !== 0) return errno.ENOSYS;
  if (word(0) >> 32n) return errno.EINVAL;
  const stack = word(5);
  return cloneTask(linux, task, {
    flags: Number(word(0)),
    exitSignal: Number(word(4) & 0xffn),
    stack: stack === 0n ? 0 : Number(stack + word(6)),
    parentTid: Number(word(3)),
    childTid: Number(word(2)),
    tls: word(7),
  });
};

function exec(
  linux: Linux,
  task: Task,
  directory: bigint,
  path: bigint | undefined,
  argv: number,
  envp: number,
  flags: number,
): SyscallResult {
  const found = flags & AT_EMPTY_PATH ? errno.ENOSYS : existingAt(linux, task, directory, path, true);
  if (typeof found === 'bigint') return found;
  const argList = readStrings(linux, task.process, argv);
  const envList = readStrings(linux, task.process, envp);
  if (!argList || !envList) return errno.EFAULT;
  const name = readString(linux, task.process, size(path)) ?? found.path;
  return execFile(linux, task, found, name, argList, envList, MOST_INTERPRETERS);
}

/** Interpreters of interpreters that scripts may have (exec_binprm). */
const MOST_INTERPRETERS = 5;
/** Bytes of a script that are looked at (BINPRM_BUF_SIZE). */
const SCRIPT_HEAD = 256;
const SCRIPT_LINE = /^#![ \t]*([^ \t\n\0]+)[ \t]*([^\n\0]*?)[ \t]*(?:\n|\0|$)/;

/** Executes a program, or the interpreter that a script names, with what stands behind it, the script's name, and the arguments (binfmt_script). */
function execFile(
  linux: Linux,
  task: Task,
  { path, inode }: { readonly path: string; readonly inode: Inode },
  name: string,
  argv: readonly string[],
  envp: readonly string[],
  left: number,
): SyscallResult {
  if (inode.type !== 'file' || !(inode.mode & 0o111)) return errno.EACCES;
  const head = new TextDecoder().decode(readInode(linux, inode, 0, SCRIPT_HEAD));
  if (!head.startsWith('#!')) return replaceProgram(linux, task, path, inode, argv, envp);
  const [, interpreter, argument] = SCRIPT_LINE.exec(head) ?? [];
  if (interpreter === undefined) return errno.ENOEXEC;
  if (left === 0) return errno.ELOOP;
  const found = resolve(linux, task.process, task.process.fs.cwd, interpreter);
  if (typeof found === 'bigint') return found;
  if (!found.inode) return errno.ENOENT;
  const passed = [interpreter, ...(argument ? [argument] : []), name, ...argv.slice(1)];
  return execFile(linux, task, { path: found.path, inode: found.inode }, interpreter, passed, envp, left - 1);
}
export const execve: Handler = (linux, task, args) => exec(linux, task, CWD, args[0], size(args[1]), size(args[2]), 0);
export const execveat: Handler = (linux, task, args) =>
  exec(linux, task, args[0]!, args[1], size(args[2]), size(args[3]), uint(args[4]));

export const exit: Handler = (linux, task, args) => {
  exitTask(linux, task, int(args[0]));
  return 'no-return';
};
export const exitGroupHandler: Handler = (linux, task, args) => {
  exitGroup(linux, task, int(args[0]));
  return 'no-return';
};

// ---------------------------------------------------------------- waiting for children

const WNOHANG = 1;
const WEXITED = 4;
const WNOWAIT = 0x01000000;

function children(linux: Linux, task: Task, wanted: number): Process[] {
  return [...linux.state.processes.values()].filter(
    (child) =>
      child.parent === task.process &&
      (wanted === -1 ||
        (wanted > 0 ? child.pid === wanted : child.pgid === (wanted === 0 ? task.process.pgid : -wanted))),
  );
}

/** Finds a zombie among the children `wanted` names, blocks, or says why not. */
function waitFor(linux: Linux, task: Task, wanted: number, noHang: boolean, text: string): Process | SyscallResult {
  const candidates = children(linux, task, wanted);
  if (candidates.length === 0) return errno.ECHILD;
  const dead = candidates.find((child) => child.zombie);
  if (dead) return dead;
  return noHang ? 0n : block(task, { channels: [`child:${task.pid}`], text });
}

/** struct rusage, 144 bytes: user time, the rest 0. */
function packUsage(nanoseconds: number, resident: number): Uint8Array {
  const time = BigInt(nanoseconds);
  return new Packer(144)
    .u64(0, time / 1_000_000_000n)
    .u64(8, (time % 1_000_000_000n) / 1000n)
    .u64(32, resident * 4).bytes;
}

export const wait4: Handler = (linux, task, args) => {
  const options = uint(args[2]);
  const found = waitFor(linux, task, int(args[0]), (options & WNOHANG) !== 0, `wait4(${int(args[0])})`);
  if (typeof found !== 'object') return found;
  if (size(args[1]) !== 0 && !write32(linux, task.process, size(args[1]), waitStatus(found))) return errno.EFAULT;
  if (size(args[3]) !== 0 && !copyOut(linux, task.process, size(args[3]), packUsage(found.cycles / CYCLES_PER_NS, 0)))
    return errno.EFAULT;
  reap(linux, found);
  return BigInt(found.pid);
};

export const waitid: Handler = (linux, task, args) => {
  const [P_ALL, P_PID, P_PGID] = [0, 1, 2];
  const type = int(args[0]);
  const options = uint(args[3]);
  if (!(options & WEXITED) || type > P_PGID || type < P_ALL) return errno.EINVAL;
  const wanted = type === P_ALL ? -1 : type === P_PID ? int(args[1]) : -int(args[1]);
  const found = waitFor(linux, task, wanted, (options & WNOHANG) !== 0, `waitid(${wanted})`);
  if (typeof found !== 'object') return found;
  const { status, signal, core } = found.exit!;
  const code = core ? CLD_DUMPED : signal ? CLD_KILLED : CLD_EXITED;
  const info = packSignalInfo({ signal: SIGCHLD, code, pid: found.pid, status: signal || status });
  if (size(args[2]) !== 0 && !copyOut(linux, task.process, size(args[2]), info)) return errno.EFAULT;
  if (!(options & WNOWAIT)) reap(linux, found);
  return 0n;
};

// ---------------------------------------------------------------- identity

export const getpid: PlainHandler = (task) => task.pid;
export const gettid: PlainHandler = (task) => task.tid;
export const getppid: PlainHandler = (task) => task.process.parent?.pid ?? 1;
/** One unprivileged user, 1000, in group 1000. */
export const getuid: PlainHandler = () => 1000;
export const setuid: Handler = (_linux, _task, args) => (int(args[0]) === 1000 ? 0n : errno.EPERM);
export const setreuid: Handler = (_linux, _task, args) =>
  args.slice(0, 2).every((id) => int(id) === 1000 || int(id) === -1) ? 0n : errno.EPERM;
export const setresuid: Handler = (_linux, _task, args) =>
  args.slice(0, 3).every((id) => int(id) === 1000 || int(id) === -1) ? 0n : errno.EPERM;
export const getresuid: Handler = (linux, task, args) =>
  args.slice(0, 3).every((address) => write32(linux, task.process, size(address), 1000)) ? 0n : errno.EFAULT;
export const getgroups: Handler = () => 0n;
export const setgroups: Handler = () => errno.EPERM;

export const getpgrp: PlainHandler = (task) => task.process.pgid;
function named(linux: Linux, task: Task, pid: number): Process | undefined {
  return pid === 0 ? task.process : linux.state.processes.get(pid);
}
export const getpgid: Handler = (linux, task, args) =>
  BigInt(named(linux, task, int(args[0]))?.pgid ?? Number(errno.ESRCH));
export const getsid: Handler = (linux, task, args) =>
  BigInt(named(linux, task, int(args[0]))?.sid ?? Number(errno.ESRCH));
export const setpgid: Handler = (linux, task, args) => {
  const process = named(linux, task, int(args[0]));
  if (!process || (process !== task.process && process.parent !== task.process)) return errno.ESRCH;
  if (int(args[1]) < 0) return errno.EINVAL;
  process.pgid = int(args[1]) || process.pid;
  return 0n;
};
export const setsid: Handler = (_linux, task) => {
  if (task.process.pgid === task.pid) return errno.EPERM;
  task.process.pgid = task.pid;
  task.process.sid = task.pid;
  return BigInt(task.pid);
};

export const setTidAddress: Handler = (_linux, task, args) => {
  task.clearChildTid = size(args[0]);
  return BigInt(task.tid);
};

export const archPrctl: Handler = (linux, task, args) => {
  const [SET_GS, SET_FS, GET_FS, GET_GS] = [0x1001, 0x1002, 0x1003, 0x1004];
  const code = uint(args[0]);
  const segment = code === SET_FS || code === GET_FS ? L.FS : L.GS;
  if (code === SET_FS || code === SET_GS) {
    if (args[1]! >= TLS_MASK) return errno.EPERM;
    linux.mem.set64(segment + L.SEG_BASE, args[1]!);
    linux.engine.contextChanged();
    return 0n;
  }
  if (code !== GET_FS && code !== GET_GS) return errno.EINVAL;
  return write64(linux, task.process, size(args[1]), linux.mem.get64(segment + L.SEG_BASE)) ? 0n : errno.EFAULT;
};

export const prctl: Handler = (linux, task, args) => {
  const address = size(args[1]);
  switch (int(args[0])) {
    case 15: {
      // PR_SET_NAME
      const name = copyIn(linux, task.process, address, 16);
      if (!name) return errno.EFAULT;
      const end = name.indexOf(0);
      task.name = new TextDecoder().decode(name.subarray(0, end < 0 ? 15 : Math.min(end, 15)));
      if (task.tid === task.pid) task.process.name = task.name;
      return 0n;
    }
    case 16: // PR_GET_NAME
      return copyOut(linux, task.process, address, new Packer(16).text(0, task.name.slice(0, 15)).bytes)
        ? 0n
        : errno.EFAULT;
    case 3: // PR_GET_DUMPABLE
      return 1n;
    case 1: // PR_SET_PDEATHSIG
    case 4: // PR_SET_DUMPABLE
    case 38: // PR_SET_NO_NEW_PRIVS
    case 36: // PR_SET_CHILD_SUBREAPER
      return 0n;
    default:
      return errno.EINVAL;
  }
};

// ---------------------------------------------------------------- limits and use

function limitOf(linux: Linux, task: Task, resource: number, newLimit: number, oldLimit: number): bigint {
  const limit = task.process.limits[resource];
  if (!limit) return errno.EINVAL;
  if (oldLimit !== 0 && !copyOut(linux, task.process, oldLimit, new Packer(16).u64(0, limit[0]).u64(8, limit[1]).bytes))
    return errno.EFAULT;
  if (newLimit === 0) return 0n;
  const soft = read64(linux, task.process, newLimit);
  const hard = read64(linux, task.process, newLimit + 8);
  if (soft === undefined || hard === undefined) return errno.EFAULT;
  if (soft > hard) return errno.EINVAL;
  if (hard > limit[1]) return errno.EPERM;
  task.process.limits[resource] = [soft, hard];
  return 0n;
}
export const prlimit64: Handler = (linux, task, args) => {
  if (int(args[0]) !== 0 && int(args[0]) !== task.pid) return errno.ESRCH;
  // The old value is read after the new one is set only if the buffers overlap, which callers do not do.
  return limitOf(linux, task, uint(args[1]), size(args[2]), size(args[3]));
};
export const getrlimit: Handler = (linux, task, args) => limitOf(linux, task, uint(args[0]), 0, size(args[1]));
export const setrlimit: Handler = (linux, task, args) => limitOf(linux, task, uint(args[0]), size(args[1]), 0);

export const getrusage: Handler = (linux, task, args) => {
  const who = int(args[0]);
  if (who < -1 || who > 1) return errno.EINVAL;
  const time = who === -1 ? task.process.childCycles / CYCLES_PER_NS : processorTime(linux, task);
  return copyOut(linux, task.process, size(args[1]), packUsage(Math.floor(time), task.process.mm.resident))
    ? 0n
    : errno.EFAULT;
};
export const times: Handler = (linux, task, args) => {
  const ticks = (nanoseconds: number): number => Math.floor(nanoseconds / 1e7);
  const packed = new Packer(32)
    .u64(0, ticks(processorTime(linux, task)))
    .u64(16, ticks(task.process.childCycles / CYCLES_PER_NS));
  if (size(args[0]) !== 0 && !copyOut(linux, task.process, size(args[0]), packed.bytes)) return errno.EFAULT;
  return BigInt(ticks(Number(linux.mem.get64(L.CYCLES)) / CYCLES_PER_NS));
};

// ---------------------------------------------------------------- CPUs

export const schedYield: Handler = (linux) => {
  linux.state.sliceEnd = linux.engine.retired;
  linux.engine.requestStop();
  return 0n;
};
function subject(linux: Linux, task: Task, tid: number): Task | undefined {
  return tid === 0 ? task : linux.state.tasks.get(tid);
}
export const schedGetaffinity: Handler = (linux, task, args) => {
  const target = subject(linux, task, int(args[0]));
  const bytes = size(args[1]);
  if (!target) return errno.ESRCH;
  if (bytes < 8 || bytes % 8 !== 0) return errno.EINVAL;
  return write64(linux, task.process, size(args[2]), target.affinity) ? 8n : errno.EFAULT;
};
export const schedSetaffinity: Handler = (linux, task, args) => {
  const target = subject(linux, task, int(args[0]));
  const raw = copyIn(linux, task.process, size(args[2]), Math.min(8, size(args[1])));
  if (!target) return errno.ESRCH;
  if (!raw) return errno.EFAULT;
  const bytes = new Uint8Array(8);
  bytes.set(raw);
  const mask = new DataView(bytes.buffer).getBigUint64(0, true) & ((1n << BigInt(linux.options.cpus)) - 1n);
  if (mask === 0n) return errno.EINVAL;
  target.affinity = mask;
  if (!((mask >> BigInt(target.cpu)) & 1n)) {
    target.cpu = chooseCpu(linux, target);
    if (target === task) moveTo(linux, task.cpu);
  }
  return 0n;
};
export const getcpu: Handler = (linux, task, args) => {
  const stored =
    (size(args[0]) === 0 || write32(linux, task.process, size(args[0]), task.cpu)) &&
    (size(args[1]) === 0 || write32(linux, task.process, size(args[1]), 0));
  return stored ? 0n : errno.EFAULT;
};
export const schedGetscheduler: Handler = () => 0n;
export const schedGetparam: Handler = (linux, task, args) =>
  write32(linux, task.process, size(args[1]), 0) ? 0n : errno.EFAULT;
/** One thread runs at a time, so every barrier has already happened. MEMBARRIER_CMD_QUERY answers what is supported. */
export const membarrier: Handler = (_linux, _task, args) => (int(args[0]) === 0 ? 0x7fn : 0n);
