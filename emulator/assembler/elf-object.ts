/** Relocatable ELF64 objects (System V gABI chapter 4; AMD64 supplement). */
import { ByteWriter, StringTable } from './bytes.ts';
import { isConstant, reduce } from './expression.ts';
import { distanceAfterLayout } from './layout.ts';
import type { AssemblySymbol, Section } from './model.ts';
import { ABSOLUTE } from './relocations.ts';
import type { Contents } from './relocations.ts';
import { isDefined, offsetOf, sectionOf, SHT } from './sections.ts';

const EHDR = 64;
const SHDR = 64;
const SHF_INFO_LINK = 0x40;
const SHT_SYMTAB = 2;
const SHT_STRTAB = 3;
const SHT_RELA = 4;
const SHT_GROUP = 17;
const SHN_ABS = 0xfff1;
const SHN_COMMON = 0xfff2;
const TYPES: Readonly<Record<AssemblySymbol['type'], number>> = { none: 0, object: 1, function: 2, tls: 6, ifunc: 10 };
const SECTION_SYMBOL = 3;
const BINDINGS: Readonly<Record<AssemblySymbol['binding'], number>> = { local: 0, global: 1, weak: 2 };
const VISIBILITIES: Readonly<Record<AssemblySymbol['visibility'], number>> = {
  default: 0,
  internal: 1,
  hidden: 2,
  protected: 3,
};

interface Header {
  readonly name: string;
  readonly type: number;
  readonly flags: number;
  readonly contents: Uint8Array | undefined;
  readonly size: number;
  readonly alignment: number;
  readonly entrySize: number;
  link?: () => number;
  info?: () => number;
}

export interface ObjectParts {
  readonly sections: readonly Section[];
  readonly contents: ReadonlyMap<Section, Contents>;
  readonly symbols: Iterable<AssemblySymbol>;
}

/** Whether a symbol gets into the symbol table: labels that begin with .L stay inside unless a relocation names them. */
function isKept(symbol: AssemblySymbol, named: ReadonlySet<AssemblySymbol | Section>): boolean {
  if (named.has(symbol)) return true;
  if (symbol.name.startsWith('.L')) return false;
  return isDefined(symbol) || (symbol.binding !== 'local' && symbol.referenced);
}

class ObjectWriter {
  readonly #headers: Header[] = [];
  readonly #strings = new StringTable();
  readonly #sectionIndex = new Map<Section, number>();
  readonly #symbolIndex = new Map<AssemblySymbol | Section, number>();
  #symbolTable = 0;
  #firstGlobal = 0;

  constructor(readonly parts: ObjectParts) {}

  write(): Uint8Array {
    const { sections, contents } = this.parts;
    this.#headers.push({ name: '', type: 0, flags: 0, contents: undefined, size: 0, alignment: 0, entrySize: 0 });
    const groups = [...new Set(sections.flatMap(({ group }) => (group === undefined ? [] : [group])))];
    const groupHeaders = groups.map((group) => this.#addGroup(group));
    for (const section of sections) this.#addSection(section);
    const symbols = this.#orderedSymbols();
    const withRelocations = sections.filter((section) => contents.get(section)!.relocations.length > 0);
    this.#symbolTable = this.#headers.length + withRelocations.length;
    symbols.forEach((symbol, index) => this.#symbolIndex.set(symbol, index + 1));
    for (const section of withRelocations) this.#addRelocations(section);
    this.#addSymbols(symbols);
    groups.forEach((group, index) => this.#fillGroup(groupHeaders[index]!, group));
    this.#addTable('.strtab', this.#strings.finish());
    return this.#assemble();
  }

  #addSection(section: Section): void {
    this.#sectionIndex.set(section, this.#headers.length);
    const { name, type, flags, size, alignment, entrySize } = section;
    const bytes = type === SHT.nobits ? undefined : this.parts.contents.get(section)!.bytes;
    this.#headers.push({ name, type, flags, contents: bytes, size, alignment, entrySize });
  }
  #addGroup(_name: string): number {
    return (
      this.#headers.push({
        name: '.group',
        type: SHT_GROUP,
        flags: 0,
        contents: undefined,
        size: 0,
        alignment: 4,
        entrySize: 4,
      }) - 1
    );
  }
  #fillGroup(at: number, group: string): void {
    const members = this.parts.sections.filter((section) => section.group === group);
    const writer = new ByteWriter().u32(1);
    for (const member of members) writer.u32(this.#sectionIndex.get(member)!);
    const contents = writer.finish();
    const signature = [...this.#symbolIndex].find(([of]) => 'binding' in of && of.name === group)?.[1] ?? 0;
    this.#headers[at] = {
      ...this.#headers[at]!,
      ...{ contents, size: contents.length, link: () => this.#symbolTable, info: () => signature },
    };
  }
  /** Section symbols that relocations use, local symbols, then the others. */
  #orderedSymbols(): (AssemblySymbol | Section)[] {
    const named = new Set<AssemblySymbol | Section>();
    for (const { relocations } of this.parts.contents.values()) for (const { symbol } of relocations) named.add(symbol);
    named.delete(ABSOLUTE);
    const sections = this.parts.sections.filter((section) => named.has(section));
    const groups = new Set(this.parts.sections.map(({ group }) => group));
    const kept = [...this.parts.symbols].filter((symbol) => isKept(symbol, named) || groups.has(symbol.name));
    // What nobody defines is somebody else's.
    const isLocal = (symbol: AssemblySymbol): boolean => symbol.binding === 'local' && isDefined(symbol);
    const locals = kept.filter(isLocal);
    this.#firstGlobal = 1 + sections.length + locals.length;
    return [...sections, ...locals, ...kept.filter((symbol) => !isLocal(symbol))];
  }
  #addRelocations(section: Section): void {
    const writer = new ByteWriter();
    for (const { offset, type, symbol, addend } of this.parts.contents.get(section)!.relocations) {
      const index = this.#symbolIndex.get(symbol) ?? 0;
      writer.u64(offset).u32(type).u32(index).u64(addend);
    }
    const contents = writer.finish();
    const target = this.#sectionIndex.get(section)!;
    this.#headers.push({
      ...{ name: `.rela${section.name}`, type: SHT_RELA, flags: SHF_INFO_LINK, contents, size: contents.length },
      ...{ alignment: 8, entrySize: 24, link: () => this.#symbolTable, info: () => target },
    });
  }
  #addSymbols(symbols: readonly (AssemblySymbol | Section)[]): void {
    const writer = new ByteWriter().zero(24);
    for (const symbol of symbols) {
      if ('binding' in symbol) this.#writeSymbol(writer, symbol);
      else writer.u32(0).u8(SECTION_SYMBOL).u8(0).u16(this.#sectionIndex.get(symbol)!).u64(0).u64(0);
    }
    const contents = writer.finish();
    this.#headers.push({
      ...{ name: '.symtab', type: SHT_SYMTAB, flags: 0, contents, size: contents.length, alignment: 8, entrySize: 24 },
      ...{ link: () => this.#headers.length - 1, info: () => this.#firstGlobal },
    });
  }
  #writeSymbol(writer: ByteWriter, symbol: AssemblySymbol): void {
    const section = sectionOf(symbol);
    const binding = isDefined(symbol) || symbol.binding !== 'local' ? BINDINGS[symbol.binding] : BINDINGS.global;
    const size = numberOf(symbol.size) ?? symbol.common?.size ?? 0n;
    let [index, value] = [0, 0n];
    if (section) [index, value] = [this.#sectionIndex.get(section)!, BigInt(offsetOf(symbol))];
    else if (symbol.common) [index, value] = [SHN_COMMON, symbol.common.alignment];
    else if (symbol.expression) [index, value] = [SHN_ABS, numberOf(symbol.expression) ?? 0n];
    writer
      .u32(this.#strings.add(symbol.name))
      .u8((binding << 4) | TYPES[symbol.type])
      .u8(VISIBILITIES[symbol.visibility]);
    writer.u16(index).u64(value).u64(size);
  }
  #addTable(name: string, contents: Uint8Array): void {
    this.#headers.push({
      name,
      type: SHT_STRTAB,
      flags: 0,
      contents,
      size: contents.length,
      alignment: 1,
      entrySize: 0,
    });
  }

  #assemble(): Uint8Array {
    // The string table holds the sections' names as well.
    const last = this.#headers.length - 1;
    const names = this.#headers.map(({ name }) => this.#strings.add(name));
    const strings = this.#strings.finish();
    this.#headers[last] = { ...this.#headers[last]!, contents: strings, size: strings.length };
    const writer = new ByteWriter().zero(EHDR);
    const offsets = this.#headers.map(({ contents, alignment }) => {
      if (alignment > 1) writer.align(alignment);
      const offset = writer.length;
      if (contents) writer.bytes(contents);
      return offset;
    });
    writer.align(8);
    const table = writer.length;
    this.#headers.forEach((header, index) => {
      const { type, flags, size, alignment, entrySize } = header;
      writer
        .u32(names[index]!)
        .u32(type)
        .u64(flags)
        .u64(0)
        .u64(index === 0 ? 0 : offsets[index]!)
        .u64(size);
      writer
        .u32(header.link?.() ?? 0)
        .u32(header.info?.() ?? 0)
        .u64(alignment)
        .u64(entrySize);
    });
    const file = writer.finish();
    file.set(
      elfHeader({
        type: 1,
        entry: 0n,
        programHeaders: 0,
        sectionTable: table,
        sections: this.#headers.length,
        names: last,
      }),
    );
    return file;
  }
}

function numberOf(expression: AssemblySymbol['size']): bigint | undefined {
  const reduced = expression && reduce(expression, distanceAfterLayout);
  return reduced && isConstant(reduced) ? reduced.constant : undefined;
}

export interface ElfHeader {
  /** ET_REL 1, ET_EXEC 2. */
  readonly type: number;
  readonly entry: bigint;
  /** Their number; they follow the header. */
  readonly programHeaders: number;
  /** File offset of the section headers, or 0. */
  readonly sectionTable: number;
  readonly sections: number;
  /** Index of the section that holds the sections' names. */
  readonly names: number;
}

export function elfHeader({ type, entry, programHeaders, sectionTable, sections, names }: ElfHeader): Uint8Array {
  const writer = new ByteWriter().bytes([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0]).zero(8);
  writer.u16(type).u16(62).u32(1).u64(entry);
  writer
    .u64(programHeaders > 0 ? EHDR : 0)
    .u64(sectionTable)
    .u32(0)
    .u16(EHDR);
  writer
    .u16(programHeaders > 0 ? 56 : 0)
    .u16(programHeaders)
    .u16(SHDR)
    .u16(sections)
    .u16(names);
  return writer.finish();
}

export function writeObject(parts: ObjectParts): Uint8Array {
  return new ObjectWriter(parts).write();
}
