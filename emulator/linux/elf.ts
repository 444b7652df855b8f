/** Reads the headers of an x86-64 ELF executable (System V gABI chapter 4 and 5) and says in one sentence what is wrong with it. */
import { LaunchError } from './api.ts';
import { TASK_SIZE } from './vma.ts';

export interface ProgramHeader {
  readonly type: number;
  readonly flags: number;
  readonly offset: number;
  readonly vaddr: number;
  readonly fileSize: number;
  readonly memSize: number;
  readonly align: number;
}

export interface Executable {
  /** ET_DYN: loaded at a base of the kernel's choice. */
  readonly positionIndependent: boolean;
  readonly entry: number;
  /** File offset and count of the program headers. */
  readonly headerOffset: number;
  readonly headerCount: number;
  readonly loads: readonly ProgramHeader[];
  readonly programHeaders: readonly ProgramHeader[];
  /** PT_GNU_STACK asks for an executable stack, or is absent. */
  readonly executableStack: boolean;
  /** Lowest and highest address of the segments. */
  readonly low: number;
  readonly high: number;
}

export const PF_X = 1;
export const PF_W = 2;
export const PF_R = 4;
const PT_LOAD = 1;
const PT_INTERP = 3;
const PT_GNU_STACK = 0x6474e551;
const ET_EXEC = 2;
const ET_DYN = 3;
const EM_X86_64 = 62;
const MACHINES: Readonly<Record<number, string>> = {
  3: '32-bit x86',
  40: '32-bit ARM',
  183: 'AArch64',
  243: 'RISC-V',
  8: 'MIPS',
  21: 'PowerPC',
};
const HEADER = 64;
const PROGRAM_HEADER = 56;

export function readExecutable(image: Uint8Array, path: string): Executable {
  const fail = (what: string): never => {
    throw new LaunchError(`${path}: ${what}`);
  };
  const magic = image.length >= 4 && image[0] === 0x7f && image[1] === 0x45 && image[2] === 0x4c && image[3] === 0x46;
  if (!magic) fail(notElf(image));
  if (image.length < HEADER) fail('the file ends inside the ELF header; build or copy the program again.');
  if (image[4] === 1) fail('this is a 32-bit program; build it for x86-64 (without -m32 or -mx32).');
  if (image[4] !== 2) fail(`the ELF class byte is ${image[4]}, which is neither 32 nor 64 bit; the file is damaged.`);
  if (image[5] !== 1) fail('this is a big-endian program; build it for x86-64.');
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  const machine = view.getUint16(18, true);
  if (machine !== EM_X86_64)
    fail(`this program is for ${MACHINES[machine] ?? `ELF machine ${machine}`}; build it for x86-64.`);
  const type = view.getUint16(16, true);
  if (type === 1) fail('this is an object file, not a program; link it (gcc -static).');
  if (type === 4) fail('this is a core dump, not a program.');
  if (type !== ET_EXEC && type !== ET_DYN) fail(`ELF type ${type} is not an executable.`);
  const headerOffset = Number(view.getBigUint64(32, true));
  const headerCount = view.getUint16(56, true);
  if (view.getUint16(54, true) !== PROGRAM_HEADER || headerCount === 0)
    fail('it has no usable program headers; link it as a static executable.');
  if (headerOffset + headerCount * PROGRAM_HEADER > image.length)
    fail('the program headers lie beyond the end of the file; build or copy the program again.');

  const programHeaders = Array.from({ length: headerCount }, (_, index) =>
    readProgramHeader(view, headerOffset + index * PROGRAM_HEADER),
  );
  if (programHeaders.some((header) => header.type === PT_INTERP))
    fail('this program is dynamically linked (it asks for a program interpreter); link it with -static.');
  const loads = programHeaders.filter((header) => header.type === PT_LOAD);
  if (loads.length === 0) fail('it has nothing to load (no PT_LOAD segment); link it as a static executable.');
  loads.forEach((load, index) => {
    const wrong = checkLoad(load, loads[index - 1], image.length);
    if (wrong) fail(`segment ${index} ${wrong}; the file is damaged or was linked wrongly.`);
  });
  const stack = programHeaders.find((header) => header.type === PT_GNU_STACK);
  const entry = Number(view.getBigUint64(24, true));
  if (entry >= TASK_SIZE) fail('its entry point is not a user address; the file is damaged.');
  const last = loads[loads.length - 1]!;
  return {
    positionIndependent: type === ET_DYN,
    entry,
    headerOffset,
    headerCount,
    loads,
    programHeaders,
    executableStack: stack === undefined || (stack.flags & PF_X) !== 0,
    low: loads[0]!.vaddr,
    high: last.vaddr + last.memSize,
  };
}

function notElf(image: Uint8Array): string {
  if (image.length === 0) return 'the file is empty; build the program again.';
  if (image[0] === 0x23 && image[1] === 0x21) return 'this is a script, not a program; name the ELF executable itself.';
  return 'this is not an ELF file; name a static x86-64 Linux executable.';
}

function readProgramHeader(view: DataView, at: number): ProgramHeader {
  const long = (offset: number): number => Number(view.getBigUint64(at + offset, true));
  return {
    type: view.getUint32(at, true),
    flags: view.getUint32(at + 4, true),
    offset: long(8),
    vaddr: long(16),
    fileSize: long(32),
    memSize: long(40),
    align: long(48),
  };
}

function checkLoad(load: ProgramHeader, previous: ProgramHeader | undefined, fileSize: number): string | undefined {
  if (load.fileSize > load.memSize) return 'is larger in the file than in memory';
  if (load.offset + load.fileSize > fileSize) return 'lies beyond the end of the file';
  if (load.vaddr + load.memSize > TASK_SIZE) return 'lies outside the user address space';
  if (load.vaddr % 4096 !== load.offset % 4096) return 'has a file offset and an address that differ within a page';
  if (previous && load.vaddr < previous.vaddr + previous.memSize) return 'overlaps the one before it';
  return undefined;
}
