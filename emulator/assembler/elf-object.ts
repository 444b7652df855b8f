/** Relocatable ELF64 objects (System V gABI chapter 4; AMD64 supplement). */
import { ByteWriter, StringTable } from '../elf/bytes.ts';
import { EHDR, ET, RELA, SHF, SHN, SHT, STB, STT, STV, SYM } from '../elf/constants.ts';
import { elfHeader, writeSectionHeader, writeSymbol } from '../elf/records.ts';
import { isConstant, reduce } from './expression.ts';
import { distanceAfterLayout } from './layout.ts';
import type { AssemblySymbol, Section } from './model.ts';
import { ABSOLUTE } from './relocations.ts';
import type { Contents } from './relocations.ts';
import { isDefined, offsetOf, sectionOf } from './sections.ts';

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

/** A section's own symbol, without its section. */
const SECTION_SYMBOL = { name: 0, binding: STB.local, type: STT.section, visibility: STV.default, value: 0, size: 0 };

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
        type: SHT.group,
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
      ...{ name: `.rela${section.name}`, type: SHT.rela, flags: SHF.infoLink, contents, size: contents.length },
      ...{ alignment: 8, entrySize: RELA, link: () => this.#symbolTable, info: () => target },
    });
  }
  #addSymbols(symbols: readonly (AssemblySymbol | Section)[]): void {
    const writer = new ByteWriter().zero(SYM);
    for (const symbol of symbols) {
      if ('binding' in symbol) this.#writeSymbol(writer, symbol);
      else writeSymbol(writer, { ...SECTION_SYMBOL, section: this.#sectionIndex.get(symbol)! });
    }
    const contents = writer.finish();
    this.#headers.push({
      ...{ name: '.symtab', type: SHT.symtab, flags: 0, contents, size: contents.length, alignment: 8, entrySize: SYM },
      ...{ link: () => this.#headers.length - 1, info: () => this.#firstGlobal },
    });
  }
  #writeSymbol(writer: ByteWriter, symbol: AssemblySymbol): void {
    const section = sectionOf(symbol);
    const { name, type, visibility, common, expression } = symbol;
    const binding = isDefined(symbol) || symbol.binding !== 'local' ? symbol.binding : 'global';
    const size = numberOf(symbol.size) ?? common?.size ?? 0n;
    let [index, value]: [number, bigint] = [SHN.undef, 0n];
    if (section) [index, value] = [this.#sectionIndex.get(section)!, BigInt(offsetOf(symbol))];
    else if (common) [index, value] = [SHN.common, common.alignment];
    else if (expression) [index, value] = [SHN.abs, numberOf(expression) ?? 0n];
    writeSymbol(writer, {
      ...{ name: this.#strings.add(name), binding: STB[binding], type: STT[type], visibility: STV[visibility] },
      ...{ section: index, value, size },
    });
  }
  #addTable(name: string, contents: Uint8Array): void {
    this.#headers.push({
      name,
      type: SHT.strtab,
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
      writeSectionHeader(writer, {
        ...header,
        ...{ name: names[index]!, address: 0, offset: index === 0 ? 0 : offsets[index]! },
        ...{ link: header.link?.() ?? 0, info: header.info?.() ?? 0 },
      });
    });
    const file = writer.finish();
    const count = this.#headers.length;
    file.set(
      elfHeader({ type: ET.rel, entry: 0n, programHeaders: 0, sectionTable: table, sections: count, names: last }),
    );
    return file;
  }
}

function numberOf(expression: AssemblySymbol['size']): bigint | undefined {
  const reduced = expression && reduce(expression, distanceAfterLayout);
  return reduced && isConstant(reduced) ? reduced.constant : undefined;
}

export function writeObject(parts: ObjectParts): Uint8Array {
  return new ObjectWriter(parts).write();
}
