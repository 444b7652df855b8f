/** Writes the records of an ELF64 file (System V gABI chapters 4 and 5). */
import { ByteWriter } from './bytes.ts';
import { EHDR, EM_X86_64, PHDR, SHDR } from './constants.ts';

export interface ElfHeader {
  /** ET.rel or ET.exec. */
  readonly type: number;
  readonly entry: bigint;
  /** Their number; they follow the header. */
  readonly programHeaders: number;
  /** File offset of the section headers. */
  readonly sectionTable: number;
  readonly sections: number;
  /** Index of the section that holds the sections' names. */
  readonly names: number;
}

export function elfHeader({ type, entry, programHeaders, sectionTable, sections, names }: ElfHeader): Uint8Array {
  const writer = new ByteWriter().bytes([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0]).zero(8);
  writer.u16(type).u16(EM_X86_64).u32(1).u64(entry);
  writer
    .u64(programHeaders > 0 ? EHDR : 0)
    .u64(sectionTable)
    .u32(0)
    .u16(EHDR);
  writer
    .u16(programHeaders > 0 ? PHDR : 0)
    .u16(programHeaders)
    .u16(SHDR)
    .u16(sections)
    .u16(names);
  return writer.finish();
}

export interface ProgramHeader {
  /** One of PT. */
  readonly type: number;
  /** Bits of PF. */
  readonly flags: number;
  /** Where its bytes stand in the file. */
  readonly offset: number;
  readonly address: number;
  readonly fileSize: number;
  readonly memorySize: number;
  readonly alignment: number;
}

export function writeProgramHeader(writer: ByteWriter, header: ProgramHeader): void {
  const { type, flags, offset, address, fileSize, memorySize, alignment } = header;
  // The address is written twice: "physical" ones mean nothing to Linux.
  writer.u32(type).u32(flags).u64(offset).u64(address).u64(address).u64(fileSize).u64(memorySize).u64(alignment);
}

export interface SectionHeader {
  /** Offset in the table of names. */
  readonly name: number;
  readonly type: number;
  readonly flags: number;
  readonly address: number;
  readonly offset: number;
  readonly size: number;
  readonly link: number;
  readonly info: number;
  readonly alignment: number;
  readonly entrySize: number;
}

export function writeSectionHeader(writer: ByteWriter, header: SectionHeader): void {
  const { name, type, flags, address, offset, size, link, info, alignment, entrySize } = header;
  writer.u32(name).u32(type).u64(flags).u64(address).u64(offset).u64(size);
  writer.u32(link).u32(info).u64(alignment).u64(entrySize);
}

export interface SymbolRecord {
  /** Offset in the table of names. */
  readonly name: number;
  readonly binding: number;
  readonly type: number;
  readonly visibility: number;
  /** Section number, or one of SHN. */
  readonly section: number;
  readonly value: bigint | number;
  readonly size: bigint | number;
}

export function writeSymbol(writer: ByteWriter, symbol: SymbolRecord): void {
  const { name, binding, type, visibility, section, value, size } = symbol;
  writer.u32(name).u8((binding << 4) | type).u8(visibility).u16(section).u64(value).u64(size); // prettier-ignore
}
