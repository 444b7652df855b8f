/** read, write and their kin. */
import * as errno from '../errno.ts';
import { fileOf } from '../fs/descriptors.ts';
import { O_NONBLOCK, channelsOf, readFile, writeFile } from '../fs/io.ts';
import type { SyscallResult } from '../api.ts';
import type { Linux, OpenFile, Task } from '../state.ts';
import { accessible, copyIn, copyOut } from '../usermem.ts';
import { block, kept } from '../wait.ts';
import { int, long, size } from './handler.ts';
import type { Handler } from './handler.ts';

/** Largest transfer of one call (MAX_RW_COUNT). */
const MAX_TRANSFER = 0x7ffff000;
/** A longer one is cut short, as it may be, to bound the emulator's own memory. */
const CHUNK = 0x4000000;

interface Vector {
  readonly base: number;
  readonly length: number;
}

function readInto(linux: Linux, task: Task, fd: number, vectors: readonly Vector[], at?: number): SyscallResult {
  const file = fileOf(task, fd);
  if (!file) return errno.EBADF;
  const count = vectors.reduce((sum, vector) => sum + vector.length, 0);
  if (
    count > 0 &&
    vectors[0] &&
    !accessible(linux, task.process, vectors[0].base, Math.min(1, vectors[0].length), true)
  )
    return errno.EFAULT;
  const got = readFile(linux, file, Math.min(count, available(file, at)), at);
  if (got === 'wait') return waitFor(task, fd, file, 'read');
  if (typeof got === 'bigint') return got;
  let done = 0;
  for (const vector of vectors) {
    const part = got.subarray(done, done + vector.length);
    if (part.length === 0) continue;
    if (!copyOut(linux, task.process, vector.base, part)) return done > 0 ? BigInt(done) : errno.EFAULT;
    done += part.length;
  }
  return BigInt(done);
}
/** Bounds the buffer for files that never end. */
function available(file: OpenFile, at: number | undefined): number {
  if (file.kind === 'file') return Math.max(0, file.inode.size - (at ?? file.offset));
  return 0x100000;
}

interface WriteProgress {
  readonly done: number;
}
function writeFrom(linux: Linux, task: Task, fd: number, vectors: readonly Vector[], at?: number): SyscallResult {
  const file = fileOf(task, fd);
  if (!file) return errno.EBADF;
  const bytes = gather(linux, task, vectors);
  if (!bytes) return errno.EFAULT;
  let done = kept<WriteProgress>(task)?.done ?? 0;
  for (;;) {
    const took = writeFile(linux, task, file, bytes.subarray(done), at === undefined ? undefined : at + done);
    if (typeof took === 'bigint') return done > 0 ? BigInt(done) : took;
    if (took !== 'wait') done += took;
    if (took !== 'wait' && (done >= bytes.length || took === 0)) return BigInt(done);
    if (file.flags & O_NONBLOCK) return done > 0 ? BigInt(done) : errno.EAGAIN;
    const result = waitFor(task, fd, file, 'write', { done });
    return result !== 'blocked' && done > 0 ? BigInt(done) : result;
  }
}

function gather(linux: Linux, task: Task, vectors: readonly Vector[]): Uint8Array | undefined {
  if (vectors.length === 1) return copyIn(linux, task.process, vectors[0]!.base, vectors[0]!.length);
  const bytes = new Uint8Array(vectors.reduce((sum, vector) => sum + vector.length, 0));
  let at = 0;
  for (const { base, length } of vectors) {
    const part = copyIn(linux, task.process, base, length);
    if (!part) return undefined;
    bytes.set(part, at);
    at += length;
  }
  return bytes;
}

function waitFor(task: Task, fd: number, file: OpenFile, what: string, data?: WriteProgress): SyscallResult {
  if (file.flags & O_NONBLOCK) return errno.EAGAIN;
  return block(task, { channels: channelsOf(file), text: `${what}(${fd}, ${file.path})`, data });
}

function readVectors(linux: Linux, task: Task, address: number, count: number): Vector[] | bigint {
  if (count < 0 || count > 1024) return errno.EINVAL;
  const bytes = copyIn(linux, task.process, address, count * 16);
  if (!bytes) return errno.EFAULT;
  const view = new DataView(bytes.buffer);
  const vectors = Array.from({ length: count }, (_, index) => ({
    base: Number(view.getBigUint64(index * 16, true)),
    length: Number(view.getBigUint64(index * 16 + 8, true)),
  }));
  if (vectors.reduce((sum, vector) => sum + vector.length, 0) > MAX_TRANSFER) return errno.EINVAL;
  let room = CHUNK;
  return vectors.map(({ base, length }) => {
    const part = Math.min(length, room);
    room -= part;
    return { base, length: part };
  });
}

function one(args: readonly bigint[]): Vector[] {
  return [{ base: size(args[1]), length: Math.min(size(args[2]), CHUNK) }];
}

export const read: Handler = (linux, task, args) => readInto(linux, task, int(args[0]), one(args));
export const write: Handler = (linux, task, args) => writeFrom(linux, task, int(args[0]), one(args));

export const pread64: Handler = (linux, task, args) => {
  const at = long(args[3]);
  return at < 0n ? errno.EINVAL : readInto(linux, task, int(args[0]), one(args), Number(at));
};
export const pwrite64: Handler = (linux, task, args) => {
  const at = long(args[3]);
  return at < 0n ? errno.EINVAL : writeFrom(linux, task, int(args[0]), one(args), Number(at));
};

export const readv: Handler = (linux, task, args) => {
  const vectors = readVectors(linux, task, size(args[1]), int(args[2]));
  return typeof vectors === 'bigint' ? vectors : readInto(linux, task, int(args[0]), vectors);
};
export const writev: Handler = (linux, task, args) => {
  const vectors = readVectors(linux, task, size(args[1]), int(args[2]));
  return typeof vectors === 'bigint' ? vectors : writeFrom(linux, task, int(args[0]), vectors);
};
export const preadv: Handler = (linux, task, args) => {
  const vectors = readVectors(linux, task, size(args[1]), int(args[2]));
  return typeof vectors === 'bigint' ? vectors : readInto(linux, task, int(args[0]), vectors, Number(long(args[3])));
};
export const pwritev: Handler = (linux, task, args) => {
  const vectors = readVectors(linux, task, size(args[1]), int(args[2]));
  return typeof vectors === 'bigint' ? vectors : writeFrom(linux, task, int(args[0]), vectors, Number(long(args[3])));
};

/** sendto and recvfrom on a socketpair, without addresses or flags. */
export const sendto: Handler = (linux, task, args) => {
  const file = fileOf(task, int(args[0]));
  return file && file.kind !== 'socket' ? -88n : write(linux, task, args);
};
export const recvfrom: Handler = (linux, task, args) => {
  const file = fileOf(task, int(args[0]));
  return file && file.kind !== 'socket' ? -88n : read(linux, task, args);
};

/** Copies within the kernel: sendfile and copy_file_range on regular files and pipes. */
export const sendfile: Handler = (linux, task, args) => {
  const to = fileOf(task, int(args[0]));
  const from = fileOf(task, int(args[1]));
  if (!to || !from) return errno.EBADF;
  if (from.kind !== 'file') return errno.EINVAL;
  const pointer = size(args[2]);
  const stored = pointer === 0 ? undefined : copyIn(linux, task.process, pointer, 8);
  if (pointer !== 0 && !stored) return errno.EFAULT;
  const start = stored ? Number(new DataView(stored.buffer).getBigInt64(0, true)) : from.offset;
  const bytes = readFile(linux, from, Math.min(size(args[3]), 0x10000), start);
  if (bytes === 'wait' || typeof bytes === 'bigint') return errno.EINVAL;
  const took = writeFile(linux, task, to, bytes);
  if (took === 'wait') return waitFor(task, int(args[0]), to, 'sendfile');
  if (typeof took === 'bigint') return took;
  if (stored) {
    new DataView(stored.buffer).setBigInt64(0, BigInt(start + took), true);
    copyOut(linux, task.process, pointer, stored);
  } else from.offset = start + took;
  return BigInt(took);
};
