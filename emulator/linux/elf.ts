/** Reads the headers of an x86-64 ELF executable (System V gABI chapter 4 and 5) and says in one sentence what is wrong with it. */
import { EHDR, EM_X86_64, ET, PF, PHDR, PT } from '../elf/constants.ts';
import type { ProgramHeader } from '../elf/records.ts';
import { LaunchError } from './api.ts';
import { TASK_SIZE } from './vma.ts';

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

const MACHINES: Readonly<Record<number, string>> = {
  3: '32-bit x86',
  40: '32-bit ARM',
  183: 'AArch64',
  243: 'RISC-V',
  8: 'MIPS',
  21: 'PowerPC',
};
export function readExecutable(image: Uint8Array, path: string): Executable {
  const fail = (what: string): never => {
    throw new LaunchError(`${path}: ${what}`);
  };
  const magic = image.length >= 4 && image[0] === 0x7f && image[1] === 0x45 && image[2] === 0x4c && image[3] === 0x46;
  if (!magic) fail(notElf(image));
  if (image.length < EHDR) fail('the file ends inside the ELF header; build or copy the program again.');
  if (image[4] === 1) fail('this is a 32-bit program; build it for x86-64 (without -m32 or -mx32).');
  if (image[4] !== 2) fail(`the ELF class byte is ${image[4]}, which is neither 32 nor 64 bit; the file is damaged.`);
  if (image[5] !== 1) fail('this is a big-endian program; build it for x86-64.');
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  const machine = view.getUint16(18, true);
  if (machine !== EM_X86_64)
    fail(`this program is for ${MACHINES[machine] ?? `ELF machine ${machine}`}; build it for x86-64.`);
  const type = view.getUint16(16, true);
  if (type === ET.rel) fail('this is an object file, not a program; link it (gcc -static).');
  if (type === ET.core) fail('this is a core dump, not a program.');
  if (type !== ET.exec && type !== ET.dyn) fail(`ELF type ${type} is not an executable.`);
  const headerOffset = Number(view.getBigUint64(32, true));
  const headerCount = view.getUint16(56, true);
  if (view.getUint16(54, true) !== PHDR || headerCount === 0)
    fail('it has no usable program headers; link it as a static executable.');
  if (headerOffset + headerCount * PHDR > image.length)
    fail('the program headers lie beyond the end of the file; build or copy the program again.');

  const programHeaders = Array.from({ length: headerCount }, (_, index) =>
    readProgramHeader(view, headerOffset + index * PHDR),
  );
  if (programHeaders.some((header) => header.type === PT.interp))
    fail('this program is dynamically linked (it asks for a program interpreter); link it with -static.');
  const loads = programHeaders.filter((header) => header.type === PT.load);
  if (loads.length === 0) fail('it has nothing to load (no PT_LOAD segment); link it as a static executable.');
  loads.forEach((load, index) => {
    const wrong = checkLoad(load, loads[index - 1], image.length);
    if (wrong) fail(`segment ${index} ${wrong}; the file is damaged or was linked wrongly.`);
  });
  const stack = programHeaders.find((header) => header.type === PT.gnuStack);
  const entry = Number(view.getBigUint64(24, true));
  if (entry >= TASK_SIZE) fail('its entry point is not a user address; the file is damaged.');
  const last = loads[loads.length - 1]!;
  return {
    positionIndependent: type === ET.dyn,
    entry,
    headerOffset,
    headerCount,
    loads,
    programHeaders,
    executableStack: stack === undefined || (stack.flags & PF.x) !== 0,
    low: loads[0]!.address,
    high: last.address + last.memorySize,
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
    address: long(16),
    fileSize: long(32),
    memorySize: long(40),
    alignment: long(48),
  };
}

function checkLoad(load: ProgramHeader, previous: ProgramHeader | undefined, fileSize: number): string | undefined {
  if (load.fileSize > load.memorySize) return 'is larger in the file than in memory';
  if (load.offset + load.fileSize > fileSize) return 'lies beyond the end of the file';
  if (load.address + load.memorySize > TASK_SIZE) return 'lies outside the user address space';
  if (load.address % 4096 !== load.offset % 4096) return 'has a file offset and an address that differ within a page';
  if (previous && load.address < previous.address + previous.memorySize) return 'overlaps the one before it';
  return undefined;
}
