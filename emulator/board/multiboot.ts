/**
 * Loading a kernel as a Multiboot 1 boot loader does (Multiboot Specification 0.6.96): ELF32, also one that holds 64-bit code, ELF64, or the flat image that the
 * header's own addresses describe.
 */
import type { PhysicalMemory } from '../mmu/physical.ts';
import { LaunchError } from '../linux/api.ts';

/** What EAX holds when the kernel starts. */
export const BOOTLOADER_MAGIC = 0x2badb002;

const HEADER_MAGIC = 0x1badb002;
/** The header lies in the first so many bytes of the file, at a multiple of 4. */
const HEADER_SEARCH = 8192;
const HEADER_BYTES = 12;
/** Header flag: the address fields of the header are valid. */
const ADDRESS_FIELDS = 0x10000;

/** Where the information for the kernel stands: behind conventional memory as the map tells it, where a PC has its extended BIOS data; kernels load anywhere below. */
const INFORMATION = 0x9e000;
const MODULES = INFORMATION + 0x80;
const STRINGS = INFORMATION + 0x100;
const STRINGS_END = INFORMATION + 0x1000;
const INFORMATION_BYTES = 88;

// Flags of the information structure (3.3).
const HAS_MEMORY = 1;
const HAS_COMMAND_LINE = 4;
const HAS_MODULES = 8;
const HAS_MEMORY_MAP = 0x40;
const HAS_LOADER_NAME = 0x200;

/** End of conventional memory, and where the hole below 1 MB ends. */
const LOW_MEMORY_END = INFORMATION;
const HIGH_MEMORY = 0x100000;

const ELF_MAGIC = 0x464c457f;
const PT_LOAD = 1;
const EM_386 = 3;
const EM_X86_64 = 62;

export interface LoadedKernel {
  /** Physical addresses. */
  readonly entry: number;
  readonly information: number;
}

interface Segment {
  readonly offset: number;
  readonly physical: number;
  readonly virtual: bigint;
  readonly fileBytes: number;
  readonly memoryBytes: number;
}

interface Kernel {
  readonly entry: number;
  readonly segments: readonly Segment[];
}

/** Puts the kernel and what it is told into memory. Throws LaunchError. */
export function loadKernel(
  physical: PhysicalMemory,
  { path, image }: { readonly path: string; readonly image: Uint8Array },
  append: string,
  environment: readonly string[] = [],
): LoadedKernel {
  const fail = (what: string): never => {
    throw new LaunchError(`${path}: ${what}`);
  };
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  const header = findHeader(view);
  if (header === undefined)
    fail('there is no Multiboot header in its first 8 KB; a bare-metal kernel needs one (magic 0x1BADB002).');
  const isElf = image.length >= 52 && view.getUint32(0, true) === ELF_MAGIC;
  const kernel = isElf ? readElf(view, fail) : readFlat(view, header!, fail);
  for (const segment of kernel.segments) {
    const { physical: at, memoryBytes, offset, fileBytes } = segment;
    if (offset + fileBytes > image.length) fail('a segment lies beyond the end of the file; build or copy it again.');
    if (!physical.has(at, memoryBytes))
      fail(`its segment at 0x${at.toString(16)} needs memory up to ${Math.ceil((at + memoryBytes) / 0x100000)} MB.`);
    physical.write(at, image.subarray(offset, offset + fileBytes));
    if (memoryBytes > fileBytes) physical.fill(at + fileBytes, memoryBytes - fileBytes);
  }
  const module = loadEnvironment(physical, kernel, environment, fail);
  writeInformation(physical, module, commandLine(path, append), fail);
  return { entry: kernel.entry, information: INFORMATION };
}

function commandLine(path: string, append: string): string {
  return `${path.slice(path.lastIndexOf('/') + 1)}${append ? ` ${append}` : ''}`;
}

/** Gives a kernel that is loaded, and has not run yet, another command line. */
export function changeCommandLine(physical: PhysicalMemory, path: string, append: string): void {
  const hasModule = (physical.read32(INFORMATION) & HAS_MODULES) !== 0;
  const module = hasModule ? { start: physical.read32(MODULES), end: physical.read32(MODULES + 4) } : undefined;
  physical.fill(INFORMATION, STRINGS_END - INFORMATION);
  writeInformation(physical, module, commandLine(path, append), (what) => {
    throw new LaunchError(`${path}: ${what}`);
  });
}

interface Module {
  readonly start: number;
  readonly end: number;
}

/** A module with a line NAME=VALUE each, on the page behind the kernel. */
function loadEnvironment(
  physical: PhysicalMemory,
  { segments }: Kernel,
  environment: readonly string[],
  fail: (what: string) => never,
): Module | undefined {
  if (environment.length === 0) return undefined;
  const text = new TextEncoder().encode(environment.map((line) => `${line}\n`).join(''));
  const kernelEnd = Math.max(...segments.map((segment) => segment.physical + segment.memoryBytes));
  const start = Math.ceil(kernelEnd / 4096) * 4096;
  if (!physical.has(start, text.length)) fail('there is no memory left behind it for its environment.');
  physical.write(start, text);
  return { start, end: start + text.length };
}

/** Offset of the header. */
function findHeader(view: DataView): number | undefined {
  const end = Math.min(view.byteLength - HEADER_BYTES, HEADER_SEARCH - HEADER_BYTES);
  for (let at = 0; at <= end; at += 4) {
    if (view.getUint32(at, true) !== HEADER_MAGIC) continue;
    const sum = HEADER_MAGIC + view.getUint32(at + 4, true) + view.getUint32(at + 8, true);
    if (sum >>> 0 === 0) return at;
  }
  return undefined;
}

function readElf(view: DataView, fail: (what: string) => never): Kernel {
  const wide = view.getUint8(4) === 2;
  const machine = view.getUint16(18, true);
  if (machine !== EM_386 && machine !== EM_X86_64) fail(`ELF machine ${machine} is not x86.`);
  const word = (at: number): number => (wide ? Number(view.getBigUint64(at, true)) : view.getUint32(at, true));
  const table = word(wide ? 32 : 28);
  const size = view.getUint16(wide ? 54 : 42, true);
  const count = view.getUint16(wide ? 56 : 44, true);
  if (table + size * count > view.byteLength) fail('its program headers lie beyond the end of the file.');
  const address = (at: number): bigint => (wide ? view.getBigUint64(at, true) : BigInt(view.getUint32(at, true)));
  const segments: Segment[] = [];
  for (let at = table; at < table + size * count; at += size) {
    if (view.getUint32(at, true) !== PT_LOAD) continue;
    const field = (narrow: number, ofWide: number): number => word(at + (wide ? ofWide : narrow));
    segments.push({
      offset: field(4, 8),
      virtual: address(at + (wide ? 16 : 8)),
      physical: field(12, 24),
      fileBytes: field(16, 32),
      memoryBytes: field(20, 40),
    });
  }
  if (segments.length === 0) fail('it has no segment to load.');
  const entry = address(24);
  // The entry is a virtual address: kernels linked high name their entry by it.
  const home = segments.find(({ virtual, memoryBytes }) => entry >= virtual && entry < virtual + BigInt(memoryBytes));
  return { entry: Number(home ? entry - home.virtual : entry) + (home?.physical ?? 0), segments };
}

function readFlat(view: DataView, header: number, fail: (what: string) => never): Kernel {
  if (!(view.getUint32(header + 4, true) & ADDRESS_FIELDS))
    fail('it is neither an ELF file nor has its Multiboot header the addresses to load it by.');
  const [at, load, loadEnd, bssEnd, entry] = [12, 16, 20, 24, 28].map((field) => view.getUint32(header + field, true));
  const offset = header - (at! - load!);
  const fileBytes = loadEnd ? loadEnd - load! : view.byteLength - offset;
  const memoryBytes = Math.max(fileBytes, bssEnd ? bssEnd - load! : 0);
  return { entry: entry!, segments: [{ offset, physical: load!, virtual: BigInt(load!), fileBytes, memoryBytes }] };
}

/** RAM as the memory map tells it: base and bytes. */
function ramRanges(size: number): readonly (readonly [number, number])[] {
  return [
    [0, LOW_MEMORY_END],
    [HIGH_MEMORY, size - HIGH_MEMORY],
  ];
}

function writeInformation(
  physical: PhysicalMemory,
  module: Module | undefined,
  commandLine: string,
  fail: (what: string) => never,
): void {
  const text = new TextEncoder();
  const line = text.encode(`${commandLine}\0`);
  const name = text.encode('dune-debug\0');
  const map = STRINGS;
  const ranges = ramRanges(physical.size);
  const mapBytes = ranges.length * 24;
  const lineAt = map + mapBytes;
  const nameAt = lineAt + line.length;
  if (nameAt + name.length > STRINGS_END) fail('its command line is too long: use at most 2 KB.');
  ranges.forEach(([base, bytes], index) => {
    const at = map + index * 24;
    const entry = [20, base, 0, bytes, 0, 1];
    entry.forEach((value, word) => physical.write32(at + word * 4, value));
  });
  physical.write(lineAt, line);
  physical.write(nameAt, name);
  physical.fill(INFORMATION, INFORMATION_BYTES);
  if (module) {
    const entry = [module.start, module.end, nameAt, 0];
    entry.forEach((value, word) => physical.write32(MODULES + word * 4, value));
  }
  const fields: Readonly<Record<number, number>> = {
    0: (module ? HAS_MODULES : 0) | HAS_MEMORY | HAS_COMMAND_LINE | HAS_MEMORY_MAP | HAS_LOADER_NAME,
    4: Math.floor(LOW_MEMORY_END / 1024),
    8: (physical.size - HIGH_MEMORY) / 1024,
    16: lineAt,
    20: module ? 1 : 0,
    24: module ? MODULES : 0,
    44: mapBytes,
    48: map,
    64: nameAt,
  };
  for (const [offset, value] of Object.entries(fields)) physical.write32(INFORMATION + Number(offset), value);
}
