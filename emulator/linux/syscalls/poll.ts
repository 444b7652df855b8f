/** poll, select and epoll: waiting for readiness of several files. */
import type { SyscallResult } from '../api.ts';
import * as errno from '../errno.ts';
import { fileOf, installFile, openBase } from '../fs/descriptors.ts';
import { POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT, channelsOf, readiness } from '../fs/io.ts';
import { UNBLOCKABLE } from '../signal-numbers.ts';
import type { EpollFile, Linux, OpenFile, Task } from '../state.ts';
import { now } from '../time.ts';
import { copyIn, copyOut, read64 } from '../usermem.ts';
import { block, expired, kept } from '../wait.ts';
import { int, size, uint } from './handler.ts';
import type { Handler } from './handler.ts';
import { readTimespec } from './time.ts';

interface Polling {
  readonly deadline: number;
}

/** Waits until `check` finds something. `timeout` gives the deadline at the first dispatch, or -errno. */
function pollUntil(
  linux: Linux,
  task: Task,
  text: string,
  timeout: () => number | bigint,
  files: readonly OpenFile[],
  check: () => SyscallResult | undefined,
): SyscallResult {
  const ready = check();
  if (ready !== undefined) return ready;
  const deadline = kept<Polling>(task)?.deadline ?? timeout();
  if (typeof deadline === 'bigint') return deadline;
  if (expired(linux, deadline)) return 0n;
  const data: Polling = { deadline };
  const channels = files.flatMap(channelsOf);
  return block(task, { channels, deadline, data, text, interrupted: errno.ERESTARTNOHAND });
}

function milliseconds(linux: Linux, value: number): number {
  return value < 0 ? -1 : now(linux) + value * 1e6;
}
function timespecDeadline(linux: Linux, task: Task, address: number): number | bigint {
  if (address === 0) return -1;
  const wanted = readTimespec(linux, task, address);
  if (wanted === undefined) return errno.EFAULT;
  return wanted === null ? errno.EINVAL : now(linux) + Number(wanted);
}

/** Blocks other signals for the time of the call (ppoll, pselect, epoll_pwait). The old mask returns with the call. */
function withMask(linux: Linux, task: Task, address: number, call: () => SyscallResult): SyscallResult {
  if (address !== 0 && task.savedMask === undefined) {
    const mask = read64(linux, task.process, address);
    if (mask === undefined) return errno.EFAULT;
    task.savedMask = task.blockedSignals;
    task.blockedSignals = mask & ~UNBLOCKABLE;
  }
  const result = call();
  if (address !== 0 && typeof result === 'bigint' && result !== errno.ERESTARTNOHAND && task.savedMask !== undefined) {
    task.blockedSignals = task.savedMask;
    task.savedMask = undefined;
  }
  return result;
}

function pollFiles(linux: Linux, task: Task, args: readonly bigint[], timeout: () => number | bigint): SyscallResult {
  const count = uint(args[1]);
  if (count > 65536) return errno.EINVAL;
  const address = size(args[0]);
  const entries = copyIn(linux, task.process, address, count * 8);
  if (!entries) return errno.EFAULT;
  const view = new DataView(entries.buffer);
  const files = Array.from({ length: count }, (_, index) => fileOf(task, view.getInt32(index * 8, true)));
  const check = (): bigint | undefined => {
    let ready = 0n;
    files.forEach((file, index) => {
      const fd = view.getInt32(index * 8, true);
      const wanted = view.getUint16(index * 8 + 4, true) | POLLERR | POLLHUP;
      const found = fd < 0 ? 0 : file ? readiness(linux, file) & wanted : POLLNVAL;
      view.setUint16(index * 8 + 6, found, true);
      if (found) ready++;
    });
    return ready > 0n ? ready : undefined;
  };
  const present = files.filter((file) => file !== undefined);
  const result = pollUntil(linux, task, `poll(${count} files)`, timeout, present, check);
  if (typeof result === 'bigint' && result >= 0n && !copyOut(linux, task.process, address, entries))
    return errno.EFAULT;
  return result;
}
export const poll: Handler = (linux, task, args) =>
  pollFiles(linux, task, args, () => milliseconds(linux, int(args[2])));
export const ppoll: Handler = (linux, task, args) =>
  withMask(linux, task, size(args[3]), () =>
    pollFiles(linux, task, args, () => timespecDeadline(linux, task, size(args[2]))),
  );

function selectFiles(linux: Linux, task: Task, args: readonly bigint[], timeout: () => number | bigint): SyscallResult {
  const count = int(args[0]);
  if (count < 0 || count > 65536) return errno.EINVAL;
  const bytes = Math.ceil(count / 64) * 8;
  const addresses = [size(args[1]), size(args[2]), size(args[3])];
  const wanted = addresses.map((address) =>
    address === 0 ? new Uint8Array(bytes) : copyIn(linux, task.process, address, bytes),
  );
  if (wanted.some((set) => set === undefined)) return errno.EFAULT;
  const files: OpenFile[] = [];
  for (let fd = 0; fd < count; fd++) {
    if (!wanted.some((set) => set![fd >> 3]! & (1 << (fd & 7)))) continue;
    const file = fileOf(task, fd);
    if (!file) return errno.EBADF;
    files.push(file);
  }
  const found = wanted.map((set) => new Uint8Array(set!.length));
  const masks = [POLLIN | POLLHUP | POLLERR, POLLOUT | POLLERR, 0];
  const check = (): bigint | undefined => {
    let ready = 0n;
    for (const set of found) set.fill(0);
    for (let fd = 0; fd < count; fd++) {
      const file = fileOf(task, fd);
      if (!file) continue;
      const state = readiness(linux, file);
      wanted.forEach((set, index) => {
        if (!(set![fd >> 3]! & (1 << (fd & 7))) || !(state & masks[index]!)) return;
        found[index]![fd >> 3]! |= 1 << (fd & 7);
        ready++;
      });
    }
    return ready > 0n ? ready : undefined;
  };
  const result = pollUntil(linux, task, `select(${count})`, timeout, files, check);
  if (typeof result !== 'bigint' || result < 0n) return result;
  for (const [index, address] of addresses.entries())
    if (address !== 0 && !copyOut(linux, task.process, address, found[index]!)) return errno.EFAULT;
  return result;
}
export const select: Handler = (linux, task, args) =>
  selectFiles(linux, task, args, () => {
    if (size(args[4]) === 0) return -1;
    const bytes = copyIn(linux, task.process, size(args[4]), 16);
    if (!bytes) return errno.EFAULT;
    const view = new DataView(bytes.buffer);
    return now(linux) + Number(view.getBigInt64(0, true)) * 1e9 + Number(view.getBigInt64(8, true)) * 1e3;
  });
export const pselect6: Handler = (linux, task, args) => {
  const mask = size(args[5]) === 0 ? 0n : read64(linux, task.process, size(args[5]));
  if (mask === undefined) return errno.EFAULT;
  return withMask(linux, task, Number(mask), () =>
    selectFiles(linux, task, args, () => timespecDeadline(linux, task, size(args[4]))),
  );
};

// ---------------------------------------------------------------- epoll

const EPOLL_CLOEXEC = 0o2000000;
const EPOLLET = 0x80000000;
const EPOLLONESHOT = 0x40000000;
export const epollCreate1: Handler = (linux, task, args) => {
  const file: OpenFile = { ...openBase(linux, 2, 'anon_inode:[eventpoll]'), kind: 'epoll', items: new Map() };
  return installFile(task.process, file, (uint(args[0]) & EPOLL_CLOEXEC) !== 0);
};
export const epollCreate: Handler = (linux, task, args) =>
  int(args[0]) <= 0 ? errno.EINVAL : epollCreate1(linux, task, [0n]);

export const epollCtl: Handler = (linux, task, args) => {
  const epoll = fileOf(task, int(args[0]));
  const fd = int(args[2]);
  const file = fileOf(task, fd);
  if (!epoll || !file) return errno.EBADF;
  if (epoll.kind !== 'epoll' || epoll === file) return errno.EINVAL;
  if (file.kind === 'file' || file.kind === 'directory') return errno.EPERM;
  const [ADD, DELETE, MODIFY] = [1, 2, 3];
  const operation = int(args[1]);
  const exists = epoll.items.has(fd);
  if (operation === DELETE) return epoll.items.delete(fd) ? 0n : errno.ENOENT;
  const event = copyIn(linux, task.process, size(args[3]), 12);
  if (!event) return errno.EFAULT;
  if (operation === ADD && exists) return errno.EEXIST;
  if (operation === MODIFY && !exists) return errno.ENOENT;
  if (operation !== ADD && operation !== MODIFY) return errno.EINVAL;
  const view = new DataView(event.buffer);
  epoll.items.set(fd, { file, events: view.getUint32(0, true), data: view.getBigUint64(4, true), reported: 0 });
  return 0n;
};

function collect(linux: Linux, epoll: EpollFile, most: number): Uint8Array[] {
  const events: Uint8Array[] = [];
  for (const [fd, item] of epoll.items) {
    if (item.file.references <= 0) {
      epoll.items.delete(fd);
      continue;
    }
    const state = item.events === 0 ? 0 : readiness(linux, item.file) & (item.events | POLLERR | POLLHUP);
    const fresh = item.events & EPOLLET ? state & ~item.reported : state;
    item.reported = state;
    if (!fresh || events.length >= most) continue;
    const packed = new Uint8Array(12);
    const view = new DataView(packed.buffer);
    view.setUint32(0, state, true);
    view.setBigUint64(4, item.data, true);
    events.push(packed);
    if (item.events & EPOLLONESHOT) item.events = 0;
  }
  return events;
}
function epollWaitFor(
  linux: Linux,
  task: Task,
  args: readonly bigint[],
  timeout: () => number | bigint,
): SyscallResult {
  const epoll = fileOf(task, int(args[0]));
  const most = int(args[2]);
  if (!epoll) return errno.EBADF;
  if (epoll.kind !== 'epoll' || most <= 0) return errno.EINVAL;
  return pollUntil(linux, task, `epoll_wait(${int(args[0])})`, timeout, [epoll], () => {
    const events = collect(linux, epoll, most);
    if (events.length === 0) return undefined;
    for (const [index, event] of events.entries())
      if (!copyOut(linux, task.process, size(args[1]) + index * 12, event)) return errno.EFAULT;
    return BigInt(events.length);
  });
}
export const epollWait: Handler = (linux, task, args) =>
  epollWaitFor(linux, task, args, () => milliseconds(linux, int(args[3])));
export const epollPwait: Handler = (linux, task, args) =>
  withMask(linux, task, size(args[4]), () => epollWaitFor(linux, task, args, () => milliseconds(linux, int(args[3]))));
export const epollPwait2: Handler = (linux, task, args) =>
  withMask(linux, task, size(args[4]), () =>
    epollWaitFor(linux, task, args, () => timespecDeadline(linux, task, size(args[3]))),
  );
