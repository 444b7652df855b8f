/** ELF64 little-endian x86-64 images: header, segments, sections (decompressed on demand) and the symbol table. */
import { unzlibSync } from 'fflate';
import { EHDR, EM_X86_64, PF, PHDR, PT, SHDR, SHF, SHT } from '../../emulator/elf/constants.ts';
import type { ProgramHeader, SectionHeader } from '../../emulator/elf/records.ts';
import { ByteReader, stringAt } from './dwarf/reader.ts';
import { SymbolTable } from './elf-symbols.ts';
import { SymbolError } from './errors.ts';

/** ch_type of a section header of compressed contents. */
const COMPRESS_ZLIB = 1;
/** Deflate cannot expand more than this (zlib's technical notes); a larger claim is a lie that would only cost memory. */
const MAX_DEFLATE_RATIO = 1032;

export type ElfSection = Pick<SectionHeader, 'type' | 'flags' | 'address' | 'offset' | 'size' | 'link'> & {
  readonly name: string;
};

export class ElfImage {
  readonly #contents = new Map<ElfSection, Uint8Array>();
  #symbols: SymbolTable | undefined;

  private constructor(
    readonly image: Uint8Array,
    /** 2 executable at fixed addresses, 3 position independent. */
    readonly type: number,
    readonly entry: number,
    readonly segments: readonly ProgramHeader[],
    readonly sections: readonly ElfSection[],
  ) {}

  /** Throws SymbolError when the image is not a whole x86-64 ELF file. */
  static parse(image: Uint8Array): ElfImage {
    if (image.length < EHDR || image[0] !== 0x7f || image[1] !== 0x45 || image[2] !== 0x4c || image[3] !== 0x46)
      throw new SymbolError('The file is not an ELF program.');
    if (image[4] !== 2 || image[5] !== 1) throw new SymbolError('The file is not a 64-bit little-endian ELF program.');
    const header = new ByteReader(image, 'The ELF header', 16);
    const type = header.u16();
    const machine = header.u16();
    if (machine !== EM_X86_64) throw new SymbolError(`The ELF file is for machine ${machine}, not for x86-64 (62).`);
    header.take(4);
    const entry = header.u64AsNumber();
    const programHeaders = header.u64AsNumber();
    const sectionHeaders = header.u64AsNumber();
    header.take(6);
    const programHeaderSize = header.u16();
    const programHeaderCount = header.u16();
    const sectionHeaderSize = header.u16();
    const sectionHeaderCount = header.u16();
    const namesIndex = header.u16();
    const segments = readSegments(image, programHeaders, programHeaderSize, programHeaderCount);
    const sections = readSections(image, sectionHeaders, sectionHeaderSize, sectionHeaderCount, namesIndex);
    return new ElfImage(image, type, entry, segments, sections);
  }

  section(name: string): ElfSection | undefined {
    return this.sections.find((section) => section.name === name);
  }

  /** Contents of a section, inflated if it is compressed; empty if absent or without bytes in the file. */
  contents(name: string): Uint8Array {
    const section = this.section(name);
    if (!section || section.type === SHT.nobits) return new Uint8Array(0);
    let bytes = this.#contents.get(section);
    if (!bytes) {
      bytes = this.rawContents(section);
      if (section.flags & SHF.compressed) bytes = inflate(bytes, name);
      this.#contents.set(section, bytes);
    }
    return bytes;
  }

  rawContents(section: ElfSection): Uint8Array {
    if (section.offset + section.size > this.image.length)
      throw new SymbolError(`The section ${section.name || '(unnamed)'} lies outside the file.`);
    return this.image.subarray(section.offset, section.offset + section.size);
  }

  get symbols(): SymbolTable {
    return (this.#symbols ??= SymbolTable.read(this));
  }

  /** True if the link-time address lies in an executable section, or segment when there are no sections. */
  isCode(address: number): boolean {
    if (this.sections.length === 0)
      return this.segments.some(
        (s) => s.type === PT.load && s.flags & PF.x && within(address, s.address, s.memorySize),
      );
    return this.sections.some(
      (section) =>
        section.flags & SHF.alloc && section.flags & SHF.execute && within(address, section.address, section.size),
    );
  }

  /** Bytes of the file that are loaded at a link-time address; fewer, or none, at the end of a segment. */
  bytesAt(address: number, count: number): Uint8Array {
    for (const segment of this.segments) {
      if (segment.type !== PT.load || !within(address, segment.address, segment.fileSize)) continue;
      const start = segment.offset + (address - segment.address);
      const left = segment.fileSize - (address - segment.address);
      return this.image.subarray(start, start + Math.min(count, left));
    }
    return new Uint8Array(0);
  }
}

function within(address: number, start: number, size: number): boolean {
  return address >= start && address < start + size;
}

function readSegments(image: Uint8Array, offset: number, size: number, count: number): ProgramHeader[] {
  const segments: ProgramHeader[] = [];
  if (count === 0) return segments;
  if (size < PHDR || offset + size * count > image.length)
    throw new SymbolError('The program headers lie outside the file.');
  for (let index = 0; index < count; index++) {
    const reader = new ByteReader(image, 'A program header', offset + index * size);
    const type = reader.u32();
    const flags = reader.u32();
    const fileOffset = reader.u64AsNumber();
    const address = reader.u64AsNumber();
    reader.take(8);
    segments.push({
      type,
      flags,
      offset: fileOffset,
      address,
      fileSize: reader.u64AsNumber(),
      memorySize: reader.u64AsNumber(),
      alignment: reader.u64AsNumber(),
    });
  }
  return segments;
}

function readSections(
  image: Uint8Array,
  offset: number,
  size: number,
  count: number,
  namesIndex: number,
): ElfSection[] {
  if (count === 0 || offset === 0) return [];
  if (size < SHDR || offset + size * count > image.length)
    throw new SymbolError('The section headers lie outside the file.');
  const raw: (ElfSection & { nameOffset: number })[] = [];
  for (let index = 0; index < count; index++) {
    const reader = new ByteReader(image, 'A section header', offset + index * size);
    raw.push({
      name: '',
      nameOffset: reader.u32(),
      type: reader.u32(),
      flags: reader.u64AsNumber(),
      address: reader.u64AsNumber(),
      offset: reader.u64AsNumber(),
      size: reader.u64AsNumber(),
      link: reader.u32(),
    });
  }
  const names = raw[namesIndex];
  const namesEnd = names ? names.offset + names.size : 0;
  if (names && namesEnd > image.length) throw new SymbolError('The section names lie outside the file.');
  const text = names ? image.subarray(names.offset, namesEnd) : new Uint8Array(0);
  return raw.map(({ nameOffset, ...section }) => ({ ...section, name: stringAt(text, nameOffset) }));
}

/** Elf64_Chdr (gABI, "Compressed sections") followed by a zlib stream. */
function inflate(bytes: Uint8Array, name: string): Uint8Array {
  const reader = new ByteReader(bytes, `The compressed section ${name}`);
  const type = reader.u32();
  reader.take(4);
  const size = reader.u64AsNumber();
  reader.take(8);
  if (type !== COMPRESS_ZLIB)
    throw new SymbolError(`The section ${name} is compressed by method ${type}; only zlib (1) is supported.`);
  if (size > bytes.length * MAX_DEFLATE_RATIO)
    throw new SymbolError(`The compressed section ${name} claims an impossible size.`);
  try {
    const inflated = unzlibSync(bytes.subarray(reader.offset), { out: new Uint8Array(size) });
    if (inflated.length !== size) throw new Error(`${inflated.length} bytes instead of ${size}`);
    return inflated;
  } catch (error) {
    throw new SymbolError(
      `The compressed section ${name} is damaged: ${error instanceof Error ? error.message : String(error)}.`,
    );
  }
}
