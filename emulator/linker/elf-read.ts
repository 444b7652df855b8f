/** Reads relocatable ELF64 objects for x86-64. */
import { EHDR, EM_X86_64, ET, RELA, SHDR, SHF, SHN, SHT, SYM } from '../elf/constants.ts';
import type { SectionHeader } from '../elf/records.ts';
import { LinkError } from './model.ts';
import type { InputObject, InputRelocation, InputSection, InputSymbol } from './model.ts';

/** Bytes of a section, and of an alignment. */
const LARGEST = 2 ** 31;
const LARGEST_ALIGNMENT = 2 ** 21;
const BINDINGS = ['local', 'global', 'weak'] as const;
const TEXT = new TextDecoder();

type Header = Omit<SectionHeader, 'address'>;

class Reader {
  readonly #view: DataView;

  constructor(
    readonly image: Uint8Array,
    readonly name: string,
  ) {
    this.#view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  }
  fail(what: string): never {
    throw new LinkError(`${this.name}: ${what}`);
  }
  #check(at: number, bytes: number): void {
    if (at < 0 || at + bytes > this.image.length) this.fail('the file is damaged: it refers to bytes behind its end');
  }
  u16(at: number): number {
    this.#check(at, 2);
    return this.#view.getUint16(at, true);
  }
  u32(at: number): number {
    this.#check(at, 4);
    return this.#view.getUint32(at, true);
  }
  /** Values above 2^53 are damage. */
  u64(at: number): number {
    this.#check(at, 8);
    return this.#view.getUint32(at, true) + this.#view.getUint32(at + 4, true) * 2 ** 32;
  }
  s64(at: number): number {
    this.#check(at, 8);
    return Number(this.#view.getBigInt64(at, true));
  }
  bytes(at: number, size: number): Uint8Array {
    this.#check(at, size);
    return this.image.subarray(at, at + size);
  }
  text(table: Header, offset: number): string {
    const start = table.offset + offset;
    this.#check(start, 1);
    const end = this.image.indexOf(0, start);
    return TEXT.decode(this.image.subarray(start, end < 0 ? this.image.length : end));
  }
}

function header(reader: Reader, at: number): Header {
  return {
    name: reader.u32(at),
    type: reader.u32(at + 4),
    flags: reader.u64(at + 8),
    offset: reader.u64(at + 24),
    size: reader.u64(at + 32),
    link: reader.u32(at + 40),
    info: reader.u32(at + 44),
    alignment: Math.max(1, reader.u64(at + 48)),
    entrySize: reader.u64(at + 56),
  };
}

export function isObject(image: Uint8Array): boolean {
  return image.length >= EHDR && image[0] === 0x7f && image[1] === 0x45 && image[2] === 0x4c && image[3] === 0x46;
}

/**
 * @param name for messages
 * @param groups signatures of COMDAT groups met so far; those of this object are added
 */
export function readObject(image: Uint8Array, name: string, groups: Set<string>): InputObject {
  const reader = new Reader(image, name);
  if (!isObject(image)) reader.fail('this is neither an ELF object nor an archive');
  if (image[4] !== 2 || image[5] !== 1 || reader.u16(18) !== EM_X86_64) reader.fail('this is not an object for x86-64');
  if (reader.u16(16) !== ET.rel) reader.fail('this is a linked program, not an object; link its .o files instead');
  const headers = sectionHeaders(reader);
  const names = headers[reader.u16(62)] ?? reader.fail('the file is damaged: it has no section names');
  const object: InputObject = { name, sections: [], symbols: [] };
  const byIndex = headers.map((of) => inputSection(reader, object, of, names));
  object.sections.push(...byIndex.filter((section) => section !== undefined));
  const table = headers.find(({ type }) => type === SHT.symtab);
  if (table) object.symbols.push(...symbolsOf(reader, table, headers, byIndex));
  headers.forEach((of) => {
    if (of.type === SHT.rela) byIndex[of.info]?.relocations.push(...relocationsOf(reader, of));
    if (of.type === SHT.group) discardDuplicates(reader, of, object, byIndex, groups);
  });
  return object;
}

function sectionHeaders(reader: Reader): Header[] {
  const table = reader.u64(40);
  if (table === 0) return [];
  const size = reader.u16(58);
  if (size !== SHDR) reader.fail(`the file is damaged: section headers of ${size} bytes`);
  const count = reader.u16(60) || header(reader, table).size;
  reader.bytes(table, count * size);
  return Array.from({ length: count }, (_, index) => header(reader, table + index * size));
}

/** Sections about other sections. */
const NOT_CONTENTS: ReadonlySet<number> = new Set([SHT.null, SHT.symtab, SHT.strtab, SHT.rela, SHT.group]);

function inputSection(reader: Reader, object: InputObject, of: Header, names: Header): InputSection | undefined {
  if (NOT_CONTENTS.has(of.type)) return undefined;
  if (of.size > LARGEST)
    reader.fail(`section ${reader.text(names, of.name)} has ${of.size} bytes, more than the 2 GB that are linked`);
  if (of.alignment > LARGEST_ALIGNMENT || (of.alignment & (of.alignment - 1)) !== 0)
    reader.fail(`the file is damaged: an alignment of ${of.alignment}`);
  return {
    ...{ object, name: reader.text(names, of.name), type: of.type, flags: of.flags, alignment: of.alignment },
    ...{ entrySize: of.entrySize, size: of.size, relocations: [], discarded: false, address: 0 },
    bytes: of.type === SHT.nobits ? new Uint8Array() : reader.bytes(of.offset, of.size),
  };
}

function symbolsOf(
  reader: Reader,
  table: Header,
  headers: readonly Header[],
  sections: readonly (InputSection | undefined)[],
): InputSymbol[] {
  reader.bytes(table.offset, table.size);
  const names = headers[table.link] ?? reader.fail('the file is damaged: its symbols have no names');
  return Array.from({ length: Math.floor(table.size / SYM) }, (_, number): InputSymbol => {
    const at = table.offset + number * SYM;
    const [info, other] = reader.bytes(at + 4, 2) as unknown as [number, number];
    const index = reader.u16(at + 6);
    if (index === SHN.xindex) reader.fail('objects with more than 65,000 sections are not linked');
    const place =
      index === SHN.undef
        ? undefined
        : index === SHN.abs
          ? 'absolute'
          : index === SHN.common
            ? 'common'
            : sections[index];
    return {
      ...{ name: reader.text(names, reader.u32(at)), binding: BINDINGS[info >> 4] ?? 'global', type: info & 15, other },
      ...{ place, value: reader.u64(at + 8), size: reader.u64(at + 16) },
    };
  });
}

function relocationsOf(reader: Reader, of: Header): InputRelocation[] {
  reader.bytes(of.offset, of.size);
  return Array.from({ length: Math.floor(of.size / RELA) }, (_, number) => {
    const at = of.offset + number * RELA;
    return {
      offset: reader.u64(at),
      type: reader.u32(at + 8),
      symbol: reader.u32(at + 12),
      addend: reader.s64(at + 16),
    };
  });
}

/** The members of a COMDAT group that an earlier object has brought are left out. */
function discardDuplicates(
  reader: Reader,
  of: Header,
  object: InputObject,
  sections: readonly (InputSection | undefined)[],
  groups: Set<string>,
): void {
  reader.bytes(of.offset, of.size);
  if (of.size < 4 || reader.u32(of.offset) !== 1) return;
  const signature = object.symbols[of.info]?.name ?? '';
  if (!groups.has(signature)) return void groups.add(signature);
  for (let at = 4; at + 4 <= of.size; at += 4) {
    const member = sections[reader.u32(of.offset + at)];
    if (member && member.flags & SHF.group) member.discarded = true;
  }
}
