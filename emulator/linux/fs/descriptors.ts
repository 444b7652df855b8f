/** File-descriptor tables and the life of open file descriptions. */
import * as errno from '../errno.ts';
import { RLIMIT_NOFILE, newId } from '../state.ts';
import type { FdTable, Linux, OpenFile, Pipe, Process, Task } from '../state.ts';
import { wake } from '../wait.ts';
import { flush } from './tree.ts';

export function fileOf(task: Task, fd: number): OpenFile | undefined {
  return task.process.fds.entries[fd]?.file;
}

/** Puts a file in the lowest free slot from `lowest`; returns the descriptor or -errno. */
export function installFile(process: Process, file: OpenFile, closeOnExec: boolean, lowest = 0): bigint {
  const { entries } = process.fds;
  const limit = Number(process.limits[RLIMIT_NOFILE]![0]);
  for (let fd = lowest; fd < limit; fd++) {
    if (entries[fd]) continue;
    while (entries.length <= fd) entries.push(undefined);
    entries[fd] = { file, closeOnExec };
    return BigInt(fd);
  }
  return errno.EMFILE;
}

export function closeFd(linux: Linux, fds: FdTable, fd: number): bigint {
  const entry = fds.entries[fd];
  if (!entry) return errno.EBADF;
  fds.entries[fd] = undefined;
  releaseFile(linux, entry.file);
  return 0n;
}

/** Drops one user of a table; the last one closes everything. */
export function closeAll(linux: Linux, fds: FdTable): void {
  if (--fds.users > 0) return;
  for (let fd = 0; fd < fds.entries.length; fd++) if (fds.entries[fd]) closeFd(linux, fds, fd);
}

/** fork: the same descriptions under the same numbers. */
export function copyTable(fds: FdTable): FdTable {
  const entries = fds.entries.map((entry) => entry && { ...entry });
  for (const entry of entries) if (entry) entry.file.references++;
  return { users: 1, entries };
}

/** Drops one reference to a description; the last one ends it. */
export function releaseFile(linux: Linux, file: OpenFile): void {
  if (--file.references > 0) return;
  switch (file.kind) {
    case 'file':
      flush(linux, file.inode);
      break;
    case 'pipe':
      leavePipe(linux, file.pipe, file.end);
      break;
    case 'socket':
      leavePipe(linux, file.receive, 'read');
      leavePipe(linux, file.send, 'write');
      break;
    case 'device':
      if (file.device === 'dune') linux.dune?.release(file.id);
      break;
    case 'epoll':
      file.items.clear();
      break;
    default:
      break;
  }
}

function leavePipe(linux: Linux, pipe: Pipe, end: 'read' | 'write'): void {
  if (end === 'read') pipe.readers--;
  else pipe.writers--;
  wake(linux, `pipe:${pipe.id}`);
}

export const PIPE_CAPACITY = 65536;
export function createPipe(linux: Linux): Pipe {
  return { id: newId(linux), data: new Uint8Array(PIPE_CAPACITY), start: 0, length: 0, readers: 1, writers: 1 };
}

export function openBase(linux: Linux, flags: number, path: string) {
  return { id: newId(linux), references: 1, flags, path };
}

/** All processes together: bounds the emulator's own memory (pipe-user-pages-soft). */
export const MAX_PIPES = 1024;
export function livePipes(linux: Linux): number {
  const pipes = new Set<Pipe>();
  for (const { fds } of linux.state.processes.values())
    for (const entry of fds.entries) {
      if (entry?.file.kind === 'pipe') pipes.add(entry.file.pipe);
      if (entry?.file.kind === 'socket') pipes.add(entry.file.receive).add(entry.file.send);
    }
  return pipes.size;
}
