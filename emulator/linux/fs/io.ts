/** Reading, writing and readiness of open files. Results are counts or -errno; 'wait' asks the caller to block on channels. */
import * as errno from '../errno.ts';
import { randomBytes } from '../random.ts';
import { SIGPIPE, SI_USER } from '../signal-numbers.ts';
import { postToTask } from '../post.ts';
import type { EventFile, Linux, OpenFile, Pipe, Task, TerminalFile } from '../state.ts';
import { wake } from '../wait.ts';
import { MAX_FILE, readInode, writeInode } from './inode.ts';

export const O_ACCMODE = 3;
export const O_WRONLY = 1;
export const O_RDWR = 2;
export const O_APPEND = 0o2000;
export const O_NONBLOCK = 0o4000;

export const POLLIN = 1;
export const POLLOUT = 4;
export const POLLERR = 8;
export const POLLHUP = 16;
export const POLLNVAL = 32;
export const POLLRDHUP = 0x2000;

const PIPE_BUF = 4096;

export function readable(file: OpenFile): boolean {
  return (file.flags & O_ACCMODE) !== O_WRONLY;
}
export function writable(file: OpenFile): boolean {
  return (file.flags & O_ACCMODE) !== 0;
}

/** Up to `count` bytes. `at` is the position of pread, undefined for the file's own. */
export function readFile(linux: Linux, file: OpenFile, count: number, at?: number): Uint8Array | bigint | 'wait' {
  if (!readable(file)) return errno.EBADF;
  if (at !== undefined && file.kind !== 'file' && file.kind !== 'device')
    return file.kind === 'directory' ? errno.EISDIR : errno.ESPIPE;
  switch (file.kind) {
    case 'file': {
      const bytes = readInode(linux, file.inode, at ?? file.offset, count);
      if (at === undefined) file.offset += bytes.length;
      return bytes;
    }
    case 'directory':
      return errno.EISDIR;
    case 'pipe':
      return file.end === 'read' ? readPipe(linux, file.pipe, count) : errno.EBADF;
    case 'socket':
      return readPipe(linux, file.receive, count);
    case 'device':
      return readDevice(linux, file.device, count);
    case 'stdin':
      return readStandardInput(linux, count);
    case 'output':
      return errno.EIO;
    case 'event':
      return readEvent(linux, file, count);
    case 'epoll':
      return errno.EINVAL;
  }
}

/** Bytes taken, or -errno. A short count of a pipe means that the rest has to wait. */
export function writeFile(
  linux: Linux,
  task: Task,
  file: OpenFile,
  bytes: Uint8Array,
  at?: number,
): number | bigint | 'wait' {
  if (!writable(file)) return errno.EBADF;
  if (at !== undefined && file.kind !== 'file' && file.kind !== 'device') return errno.ESPIPE;
  switch (file.kind) {
    case 'file': {
      const offset = at ?? (file.flags & O_APPEND ? file.inode.size : file.offset);
      if (offset + bytes.length > MAX_FILE) return errno.EFBIG;
      if (bytes.length > 0 && !writeInode(linux, file.inode, offset, bytes)) return errno.ENOSPC;
      if (at === undefined) file.offset = offset + bytes.length;
      return bytes.length;
    }
    case 'directory':
      return errno.EBADF;
    case 'pipe':
      return file.end === 'write' ? writePipe(linux, task, file.pipe, bytes) : errno.EBADF;
    case 'socket':
      return writePipe(linux, task, file.send, bytes);
    case 'device':
      return writeDevice(linux, task, file.device, bytes);
    case 'output':
    case 'stdin':
      return writeTerminal(linux, task, file, bytes);
    case 'event':
      return writeEvent(linux, file, bytes);
    case 'epoll':
      return errno.EINVAL;
  }
}

function readPipe(linux: Linux, pipe: Pipe, count: number): Uint8Array | 'wait' {
  if (pipe.length === 0) return pipe.writers === 0 || count === 0 ? new Uint8Array(0) : 'wait';
  const bytes = new Uint8Array(Math.min(count, pipe.length));
  for (let index = 0; index < bytes.length; index++) bytes[index] = pipe.data[(pipe.start + index) % pipe.data.length]!;
  pipe.start = (pipe.start + bytes.length) % pipe.data.length;
  pipe.length -= bytes.length;
  wake(linux, `pipe:${pipe.id}`);
  return bytes;
}

function writePipe(linux: Linux, task: Task, pipe: Pipe, bytes: Uint8Array): number | bigint | 'wait' {
  if (pipe.readers === 0) {
    postToTask(task, { signal: SIGPIPE, code: SI_USER, pid: task.pid });
    return errno.EPIPE;
  }
  const room = pipe.data.length - pipe.length;
  // Writes of at most PIPE_BUF bytes are atomic.
  if (room === 0 || (bytes.length <= PIPE_BUF && room < bytes.length)) return bytes.length === 0 ? 0 : 'wait';
  const count = Math.min(room, bytes.length);
  const end = pipe.start + pipe.length;
  for (let index = 0; index < count; index++) pipe.data[(end + index) % pipe.data.length] = bytes[index]!;
  pipe.length += count;
  wake(linux, `pipe:${pipe.id}`);
  return count;
}

function readDevice(linux: Linux, device: string, count: number): Uint8Array | bigint | 'wait' {
  switch (device) {
    case 'zero':
    case 'full':
      return new Uint8Array(count);
    case 'random':
      return randomBytes(linux, count);
    case 'tty':
      return readStandardInput(linux, count);
    case 'dune':
      return errno.EINVAL;
    default:
      return new Uint8Array(0);
  }
}

function writeDevice(linux: Linux, task: Task, device: string, bytes: Uint8Array): number | bigint {
  if (device === 'full') return errno.ENOSPC;
  if (device === 'dune') return errno.EINVAL;
  if (device === 'tty') return emitOutput(linux, task, 1, bytes);
  return bytes.length;
}

function readStandardInput(linux: Linux, count: number): Uint8Array | 'wait' {
  const { stdin } = linux.state;
  const first = stdin.chunks[0];
  if (!first) return stdin.ended || count === 0 ? new Uint8Array(0) : 'wait';
  const bytes = first.slice(0, count);
  if (bytes.length < first.length) stdin.chunks[0] = first.slice(bytes.length);
  else stdin.chunks.shift();
  return bytes;
}

function writeTerminal(linux: Linux, task: Task, file: TerminalFile, bytes: Uint8Array): number | bigint {
  return file.kind === 'stdin' ? errno.EBADF : emitOutput(linux, task, file.stream, bytes);
}
function emitOutput(linux: Linux, task: Task, stream: 1 | 2, bytes: Uint8Array): number {
  linux.options.output(stream, bytes);
  linux.events.emit('console', () => ({
    summary: `${stream === 1 ? 'stdout' : 'stderr'}: ${JSON.stringify(new TextDecoder().decode(bytes))}`,
    facts: { stream, bytes: bytes.length, text: new TextDecoder().decode(bytes), pid: task.pid },
  }));
  return bytes.length;
}

function readEvent(linux: Linux, file: EventFile, count: number): Uint8Array | bigint | 'wait' {
  if (count < 8) return errno.EINVAL;
  if (file.counter === 0n) return 'wait';
  const value = file.semaphore ? 1n : file.counter;
  file.counter -= value;
  wake(linux, `event:${file.id}`);
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, value, true);
  return bytes;
}
const EVENT_MAX = 0xfffffffffffffffen;
function writeEvent(linux: Linux, file: EventFile, bytes: Uint8Array): number | bigint | 'wait' {
  if (bytes.length < 8) return errno.EINVAL;
  const value = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
  if (value > EVENT_MAX) return errno.EINVAL;
  if (file.counter + value > EVENT_MAX) return 'wait';
  file.counter += value;
  wake(linux, `event:${file.id}`);
  return 8;
}

/** POLL* bits that hold now. */
export function readiness(linux: Linux, file: OpenFile): number {
  switch (file.kind) {
    case 'pipe':
      return file.end === 'read' ? pipeReadiness(file.pipe, undefined) : pipeReadiness(undefined, file.pipe);
    case 'socket':
      return pipeReadiness(file.receive, file.send);
    case 'stdin': {
      const { stdin } = linux.state;
      return stdin.chunks.length > 0 || stdin.ended ? POLLIN : 0;
    }
    case 'output':
      return POLLOUT;
    case 'event':
      return (file.counter > 0n ? POLLIN : 0) | (file.counter < EVENT_MAX ? POLLOUT : 0);
    case 'epoll':
      return [...file.items.values()].some(
        (item) => (readiness(linux, item.file) & (item.events | POLLERR | POLLHUP)) !== 0,
      )
        ? POLLIN
        : 0;
    default:
      return POLLIN | POLLOUT;
  }
}
function pipeReadiness(source: Pipe | undefined, sink: Pipe | undefined): number {
  let ready = 0;
  if (source && source.length > 0) ready |= POLLIN;
  if (source && source.writers === 0) ready |= sink ? POLLHUP | POLLIN | POLLRDHUP : POLLHUP;
  if (sink && sink.data.length - sink.length >= PIPE_BUF) ready |= POLLOUT;
  if (sink && sink.readers === 0) ready |= POLLERR;
  return ready;
}

/** What signals a change of readiness. */
export function channelsOf(file: OpenFile): string[] {
  switch (file.kind) {
    case 'pipe':
      return [`pipe:${file.pipe.id}`];
    case 'socket':
      return [`pipe:${file.receive.id}`, `pipe:${file.send.id}`];
    case 'stdin':
      return ['stdin'];
    case 'device':
      return file.device === 'tty' ? ['stdin'] : [];
    case 'event':
      return [`event:${file.id}`];
    case 'epoll':
      return [...file.items.values()].flatMap((item) => channelsOf(item.file));
    default:
      return [];
  }
}
