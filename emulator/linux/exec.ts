/** Loads a program into a fresh address space (fs/binfmt_elf.c): segments, brk, stack, auxiliary vector. */
import { LaunchError } from './api.ts';
import { PF } from '../elf/constants.ts';
import type { ProgramHeader } from '../elf/records.ts';
import { readExecutable } from './elf.ts';
import type { Executable } from './elf.ts';
import { PAGE } from './frames.ts';
import type { HardwareInformation } from './hardware.ts';
import { map, pageUp } from './mapping.ts';
import type { Inode, Linux, Process } from './state.ts';
import { RLIMIT_STACK } from './state.ts';
import { randomBelow, randomBytes } from './random.ts';
import { copyOut, Packer } from './usermem.ts';
import { PROT_EXEC, PROT_READ, PROT_WRITE, TASK_SIZE, insertVma, overlapping } from './vma.ts';

/** Where static-PIE programs are put (ELF_ET_DYN_BASE = 2/3 of TASK_SIZE, as with no randomisation). */
const PIE_BASE = 0x555555554000;
/** Highest user page is left out (STACK_TOP = TASK_SIZE). */
const STACK_TOP = TASK_SIZE;
/** Stack given at exec; it grows from there. */
const INITIAL_STACK = 0x21000;
/** mmap_base leaves at least this much for the stack (MIN_GAP), plus the guard and the room for randomisation. */
const MIN_GAP = 128 * 1024 * 1024;
const STACK_GUARD_GAP = 256 * PAGE;

const AT = {
  NULL: 0,
  PHDR: 3,
  PHENT: 4,
  PHNUM: 5,
  PAGESZ: 6,
  BASE: 7,
  FLAGS: 8,
  ENTRY: 9,
  UID: 11,
  EUID: 12,
  GID: 13,
  EGID: 14,
  PLATFORM: 15,
  HWCAP: 16,
  CLKTCK: 17,
  SECURE: 23,
  RANDOM: 25,
  HWCAP2: 26,
  EXECFN: 31,
  MINSIGSTKSZ: 51,
} as const;

export interface Image {
  readonly entry: number;
  readonly stack: number;
}

export interface ExecRequest {
  readonly path: string;
  readonly inode: Inode;
  readonly image: Uint8Array;
  readonly argv: readonly string[];
  readonly envp: readonly string[];
  readonly hardware: HardwareInformation;
}

/** Fills `process.mm`, which must be empty. Throws LaunchError; nothing of the old program may depend on it then. */
export function loadProgram(linux: Linux, process: Process, request: ExecRequest): Image {
  const executable = readExecutable(request.image, request.path);
  const { mm } = process;
  const bias = executable.positionIndependent ? pieBase(linux, executable) : 0;
  const stackTop = STACK_TOP - (linux.options.aslr ? randomBelow(linux, 0x400000) * PAGE : 0);
  mm.mmapBase = mmapBase(linux, process, stackTop);
  mm.executable = request.path;
  mm.bias = BigInt(bias);
  for (const load of executable.loads) loadSegment(linux, process, request, load, bias);
  mm.brkStart = pageUp(executable.high + bias) + (linux.options.aslr ? randomBelow(linux, 0x2000) * PAGE : 0);
  mm.brk = mm.brkStart;
  if (overlapping(mm.vmas, stackTop - INITIAL_STACK, stackTop).length > 0)
    throw new LaunchError(
      `${request.path}: a segment lies where the stack goes; the file is damaged or was linked wrongly.`,
    );
  insertVma(mm.vmas, {
    start: stackTop - INITIAL_STACK,
    end: stackTop,
    prot: PROT_READ | PROT_WRITE | (executable.executableStack ? PROT_EXEC : 0),
    shared: false,
    inode: undefined,
    offset: 0,
    growsDown: true,
    huge: false,
    name: '[stack]',
  });
  const stack = buildStack(linux, process, request, executable, bias, stackTop);
  return { entry: executable.entry + bias, stack };
}

function pieBase(linux: Linux, executable: Executable): number {
  const align = Math.max(
    PAGE,
    ...executable.loads.map((load) => (load.alignment > 0 && load.alignment <= 0x40000000 ? load.alignment : PAGE)),
  );
  const base = PIE_BASE + (linux.options.aslr ? randomBelow(linux, 0x10000000) * PAGE : 0);
  return base - (base % align) - (executable.low - (executable.low % PAGE));
}

/** mmap_base() of arch/x86/mm/mmap.c: below the largest stack the limit allows. */
function mmapBase(linux: Linux, process: Process, stackTop: number): number {
  const limit = process.limits[RLIMIT_STACK]![0];
  const padding = STACK_GUARD_GAP + (linux.options.aslr ? 0x3fffff * PAGE : 0);
  const gap = Math.max(MIN_GAP, Math.min(Number(limit) + padding, (TASK_SIZE / 6) * 5));
  return pageUp(stackTop - gap - (linux.options.aslr ? randomBelow(linux, 0x10000000) * PAGE : 0));
}

function loadSegment(linux: Linux, process: Process, request: ExecRequest, load: ProgramHeader, bias: number): void {
  const prot =
    (load.flags & PF.r ? PROT_READ : 0) | (load.flags & PF.w ? PROT_WRITE : 0) | (load.flags & PF.x ? PROT_EXEC : 0);
  const start = load.address + bias;
  const skew = start % PAGE;
  const fileEnd = start + load.fileSize;
  const memoryEnd = pageUp(start + load.memorySize);
  const refuse = (what: string): never => {
    throw new LaunchError(`${request.path}: ${what}`);
  };
  let mapped = start - skew;
  if (load.fileSize > 0) {
    const length = pageUp(load.fileSize + skew);
    const at = { address: mapped, length, fixed: true, prot, shared: false };
    const result = map(linux, process, { ...at, inode: request.inode, offset: load.offset - skew });
    if (result < 0n) refuse('its segments cannot be mapped where it asks (they share a page or lie below 64 KB).');
    mapped += length;
  }
  if (memoryEnd > mapped) {
    const at = { address: mapped, length: memoryEnd - mapped, fixed: true, shared: false };
    if (map(linux, process, { ...at, prot }) < 0n) refuse('its zero-initialised data cannot be mapped where it asks.');
  }
  // The rest of the last file page belongs to .bss (padzero): only where the program could write it itself.
  if (load.memorySize > load.fileSize && fileEnd % PAGE !== 0 && load.fileSize > 0 && (prot & PROT_WRITE) !== 0) {
    const zeros = new Uint8Array(PAGE - (fileEnd % PAGE));
    if (!copyOut(linux, process, fileEnd, zeros))
      refuse('there is not enough memory to load it; raise the memory option.');
  }
}

function buildStack(
  linux: Linux,
  process: Process,
  request: ExecRequest,
  executable: Executable,
  bias: number,
  top: number,
): number {
  const { mm } = process;
  const encode = (text: string): Uint8Array => new TextEncoder().encode(`${text}\0`);
  const total = [...request.argv, ...request.envp].reduce((sum, text) => sum + text.length * 3 + 9, 0);
  if (total > 0x600000)
    throw new LaunchError(`${request.path}: arguments and environment are larger than 6 MB; pass less.`);
  const store = (address: number, bytes: Uint8Array): void => {
    if (!copyOut(linux, process, address, bytes))
      throw new LaunchError(`${request.path}: there is not enough memory for its stack; raise the memory option.`);
  };
  let at = top - 8;
  const push = (bytes: Uint8Array): number => {
    at -= bytes.length;
    store(at, bytes);
    return at;
  };
  const execfn = push(encode(request.path));
  const strings = (list: readonly string[]): number[] => list.map(encode).reverse().map(push).reverse();
  mm.envEnd = at;
  const envp = strings(request.envp);
  mm.envStart = at;
  mm.argEnd = at;
  const argv = strings(request.argv);
  mm.argStart = at;
  // arch_align_stack, then platform string and random bytes.
  at -= at % 16;
  const platform = push(encode('x86_64'));
  const random = push(randomBytes(linux, 16));
  at -= at % 16;

  const auxv = auxiliaryVector(executable, request, bias, { execfn, platform, random });
  const words = [BigInt(argv.length), ...argv.map(BigInt), 0n, ...envp.map(BigInt), 0n, ...auxv];
  const block = new Packer(words.length * 8);
  words.forEach((word, index) => block.u64(index * 8, word));
  at -= words.length * 8;
  at -= at % 16;
  store(at, block.bytes);
  mm.auxv = block.bytes.slice((words.length - auxv.length) * 8);
  mm.startStack = at;
  return at;
}

/** No AT_SYSINFO_EHDR: there is no vDSO, so the C library makes real system calls for time. */
function auxiliaryVector(
  executable: Executable,
  request: ExecRequest,
  bias: number,
  at: { execfn: number; platform: number; random: number },
): bigint[] {
  const first = executable.loads.find(
    (load) => executable.headerOffset >= load.offset && executable.headerOffset < load.offset + load.fileSize,
  );
  const headers = first ? executable.headerOffset - first.offset + first.address + bias : 0;
  const pairs: [number, bigint | number][] = [
    [AT.MINSIGSTKSZ, request.hardware.leastSignalStack],
    [AT.HWCAP, request.hardware.capabilities],
    [AT.PAGESZ, PAGE],
    [AT.CLKTCK, 100],
    [AT.PHDR, headers],
    [AT.PHENT, 56],
    [AT.PHNUM, executable.headerCount],
    [AT.BASE, 0],
    [AT.FLAGS, 0],
    [AT.ENTRY, executable.entry + bias],
    [AT.UID, 1000],
    [AT.EUID, 1000],
    [AT.GID, 1000],
    [AT.EGID, 1000],
    [AT.SECURE, 0],
    [AT.RANDOM, at.random],
    [AT.HWCAP2, request.hardware.capabilities2],
    [AT.EXECFN, at.execfn],
    [AT.PLATFORM, at.platform],
    [AT.NULL, 0],
  ];
  return pairs.flatMap(([type, value]) => [BigInt(type), BigInt(value)]);
}
