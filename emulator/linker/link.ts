/**
 * A small linker for static programs: ELF64 objects and archives for x86-64 to an executable at a fixed address. Enough for assembly and C that bring
 * no C library; what it cannot do it says.
 */
import { ByteWriter, StringTable } from '../elf/bytes.ts';
import { EHDR, ET, PT, SHDR, SHF, SHN, SHT, STB, STT, SYM } from '../elf/constants.ts';
import { elfHeader, writeProgramHeader, writeSectionHeader, writeSymbol } from '../elf/records.ts';
import { gather, place, placeInputs } from './layout.ts';
import type { Layout } from './layout.ts';
import { LinkError } from './model.ts';
import type { InputSymbol, OutputSection } from './model.ts';
import { addressOf, placed, relocate, slotName, wantsGot } from './relocate.ts';
import type { Space } from './relocate.ts';
import { Resolution } from './resolve.ts';
import type { LinkInput } from './resolve.ts';

export { LinkError } from './model.ts';
export type { LinkInput } from './resolve.ts';

export interface LinkOptions {
  /** Name of the entry point; default `_start`. */
  readonly entry?: string;
}

/** Links objects and archives (whose members are taken as they are wanted). Throws a LinkError with one sentence. */
export function link(inputs: readonly LinkInput[], options: LinkOptions = {}): Uint8Array {
  return new Link(inputs, options.entry ?? '_start').write();
}

const output = (name: string, type: number, flags: number, alignment: number): OutputSection => ({
  ...{ name, type, flags, alignment, entrySize: 0, inputs: [], address: 0, size: 0, offset: 0 },
});

class Link {
  readonly #resolution: Resolution;
  readonly #slots = new Map<
    string,
    { readonly symbol: InputSymbol; readonly isTls: boolean; readonly offset: number }
  >();
  readonly #got = output('.got', SHT.progbits, SHF.alloc | SHF.write, 8);
  readonly #bss = output('.bss', SHT.nobits, SHF.alloc | SHF.write, 1);
  readonly #layout: Layout;

  constructor(
    inputs: readonly LinkInput[],
    readonly entry: string,
  ) {
    this.#resolution = new Resolution(inputs, entry);
    this.#makeSlots();
    const extra = [...(this.#slots.size > 0 ? [this.#got] : []), this.#bss];
    const sections = gather(this.#resolution.objects, extra).filter(
      ({ name }) => !/^\.(comment|llvm_addrsig)$/.test(name),
    );
    this.#placeCommons();
    this.#layout = place(sections);
    this.#defineSymbols();
    this.#check();
  }

  #makeSlots(): void {
    for (const object of this.#resolution.objects)
      for (const section of object.sections)
        for (const { type, symbol: index } of section.relocations) {
          const symbol = object.symbols[index];
          if (!symbol || !wantsGot(type)) continue;
          const name = slotName(object, index, symbol, type);
          if (!this.#slots.has(name))
            this.#slots.set(name, { symbol, isTls: name.startsWith('tls '), offset: this.#slots.size * 8 });
        }
    this.#got.size = this.#slots.size * 8;
  }
  /** Common symbols follow the other space. */
  #placeCommons(): void {
    const commons = [...this.#resolution.definitions.values()].filter(({ symbol }) => symbol?.place === 'common');
    let size = placeInputs(this.#bss, 0);
    for (const definition of commons) {
      const alignment = Math.max(1, definition.symbol!.value);
      this.#bss.alignment = Math.max(this.#bss.alignment, alignment);
      definition.commonAt = size = Math.ceil(size / alignment) * alignment;
      size += definition.symbol!.size;
    }
    this.#bss.size = size;
  }
  #defineSymbols(): void {
    for (const definition of this.#resolution.definitions.values()) {
      const { symbol, commonAt } = definition;
      if (commonAt !== undefined) definition.address = this.#bss.address + commonAt;
      else if (symbol) definition.address = placed(symbol);
    }
    for (const [name, address] of linkerSymbols(this.#layout, this.#got)) {
      const definition = this.#resolution.definitions.get(name);
      if (definition && !definition.symbol) definition.address = address;
    }
  }
  #check(): void {
    const missing = [...this.#resolution.undefinedNames()];
    if (missing.length > 0) {
      const [first] = missing;
      const names = missing.slice(0, 8).map(([name]) => `\`${name}\``);
      const more = missing.length > 8 ? ` and ${missing.length - 8} more` : '';
      throw new LinkError(
        `nothing defines ${names.join(', ')}${more}; ${first![1].name} needs it: add the object or archive that has it`,
      );
    }
    if (this.#resolution.definitions.get(this.entry)?.symbol === undefined)
      throw new LinkError(
        `there is no \`${this.entry}\`: a program begins at the global label of that name (\`.globl ${this.entry}\`)`,
      );
  }

  write(): Uint8Array {
    const { sections, segments, fileEnd } = this.#layout;
    const space = this.#space();
    const loaded = new Uint8Array(fileEnd);
    const others: { readonly section: OutputSection; readonly bytes: Uint8Array }[] = [];
    for (const section of sections) {
      if (section.type === SHT.nobits) continue;
      if (section.flags & SHF.alloc)
        this.#fill(section, loaded.subarray(section.offset, section.offset + section.size), space);
      else {
        const bytes = new Uint8Array(placeInputs(section, 0));
        section.size = bytes.length;
        others.push({ section, bytes });
      }
    }
    // Debugging sections refer to one another by offsets, so that all must be placed before.
    for (const { section, bytes } of others) this.#fill(section, bytes, space);
    if (this.#slots.size > 0) this.#writeSlots(loaded, space);
    const headers = new ByteWriter();
    for (const segment of segments) writeProgramHeader(headers, segment);
    loaded.set(headers.finish(), EHDR);
    return this.#assemble(loaded, others);
  }
  #space(): Space {
    const tls = this.#layout.segments.find(({ type }) => type === PT.tls);
    const tlsStart = tls?.address ?? 0;
    return {
      ...{ resolution: this.#resolution, gotAddress: this.#got.address, tlsStart },
      slots: new Map([...this.#slots].map(([name, { offset }]) => [name, this.#got.address + offset])),
      tlsEnd: tls ? tlsStart + Math.ceil(tls.memorySize / tls.alignment) * tls.alignment : 0,
    };
  }
  #fill(section: OutputSection, bytes: Uint8Array, space: Space): void {
    // Gaps in code trap; those between the pieces of .init and .fini are run through.
    if (section.flags & SHF.execute) bytes.fill(/^\.(init|fini)$/.test(section.name) ? 0x90 : 0xcc);
    const base = section.flags & SHF.alloc ? section.address : 0;
    for (const input of section.inputs) {
      const own = bytes.subarray(input.address - base, input.address - base + input.size);
      own.set(input.bytes);
      relocate(input, own, space);
    }
  }
  #writeSlots(file: Uint8Array, space: Space): void {
    const view = new DataView(file.buffer);
    for (const { symbol, isTls, offset } of this.#slots.values()) {
      const address = addressOf(symbol, this.#resolution);
      view.setBigInt64(this.#got.offset + offset, BigInt(isTls ? address - space.tlsEnd : address), true);
    }
  }

  #assemble(
    loaded: Uint8Array,
    others: readonly { readonly section: OutputSection; readonly bytes: Uint8Array }[],
  ): Uint8Array {
    const writer = new ByteWriter().bytes(loaded);
    for (const { section, bytes } of others) {
      writer.align(Math.max(1, section.alignment));
      section.offset = writer.length;
      writer.bytes(bytes);
    }
    const { sections } = this.#layout;
    const strings = new StringTable();
    const { symbols, locals } = this.#symbolTable(strings, sections);
    const symbolTable = {
      ...output('.symtab', SHT.symtab, 0, 8),
      entrySize: SYM,
      offset: writer.align(8).length,
      size: symbols.length,
    };
    writer.bytes(symbols);
    const names = [...sections, symbolTable].map(({ name }) => strings.add(name));
    const stringName = strings.add('.strtab');
    const stringBytes = strings.finish();
    const stringTable = { ...output('.strtab', SHT.strtab, 0, 1), offset: writer.length, size: stringBytes.length };
    writer.bytes(stringBytes).align(8);
    const table = writer.length;
    const all = [...sections, symbolTable, stringTable];
    writer.zero(SHDR);
    all.forEach((section, index) => {
      const isSymbols = index === sections.length;
      writeSectionHeader(writer, {
        ...section,
        ...{ name: names[index] ?? stringName, address: section.flags & SHF.alloc ? section.address : 0 },
        ...{ link: isSymbols ? all.length : 0, info: isSymbols ? locals : 0 },
      });
    });
    const file = writer.finish();
    const entry = BigInt(this.#resolution.definitions.get(this.entry)!.address!);
    file.set(
      elfHeader({
        ...{ type: ET.exec, entry, programHeaders: this.#layout.segments.length, sectionTable: table },
        ...{ sections: all.length + 1, names: all.length },
      }),
    );
    return file;
  }
  #symbolTable(strings: StringTable, sections: readonly OutputSection[]): { symbols: Uint8Array; locals: number } {
    const writer = new ByteWriter().zero(SYM);
    const sectionAt = (address: number): number => {
      const index = sections.findIndex(
        (section) =>
          section.flags & SHF.alloc && address >= section.address && address <= section.address + section.size,
      );
      return index < 0 ? SHN.abs : index + 1;
    };
    const write = (
      { name, address }: { readonly name: string; readonly address: number },
      symbol: InputSymbol | undefined,
      binding: number,
    ): void => {
      const { type = 0, other = 0, size = 0 } = symbol ?? {};
      const section = sectionAt(address);
      writeSymbol(writer, { name: strings.add(name), binding, type, visibility: other, section, value: address, size });
    };
    for (const { symbols } of this.#resolution.objects)
      for (const symbol of symbols) {
        if (!isKeptLocal(symbol)) continue;
        write({ name: symbol.name, address: placed(symbol) }, symbol, STB.local);
      }
    const locals = writer.length / SYM;
    for (const { name, symbol, address, isWeak } of this.#resolution.definitions.values())
      if (address !== undefined) write({ name, address }, symbol, isWeak ? STB.weak : STB.global);
    return { symbols: writer.finish(), locals };
  }
}

/** Local labels that the program's symbol table has: named ones in what is loaded. */
function isKeptLocal({ name, binding, type, place: where }: InputSymbol): boolean {
  if (binding !== 'local' || name === '' || name.startsWith('.L')) return false;
  if (type === STT.section || type === STT.file || typeof where !== 'object') return false;
  return !where.discarded && (where.flags & SHF.alloc) !== 0;
}

/** What GNU ld defines for programs that ask. */
function* linkerSymbols({ sections, end, segments }: Layout, got: OutputSection): Generator<readonly [string, number]> {
  const find = (name: string): OutputSection | undefined => sections.find((section) => section.name === name);
  for (const name of ['preinit_array', 'init_array', 'fini_array']) {
    const section = find(`.${name}`);
    yield [`__${name}_start`, section?.address ?? 0];
    yield [`__${name}_end`, section ? section.address + section.size : 0];
  }
  for (const { name, address, size } of sections) {
    if (!/^[A-Za-z_]\w*$/.test(name)) continue;
    yield [`__start_${name}`, address];
    yield [`__stop_${name}`, address + size];
  }
  const text = find('.text');
  const data = find('.data');
  const bss = find('.bss');
  const afterData = bss?.address ?? end;
  for (const name of ['_etext', 'etext', '__etext']) yield [name, text ? text.address + text.size : 0];
  for (const name of ['_edata', 'edata']) yield [name, data ? data.address + data.size : afterData];
  for (const name of ['_end', 'end']) yield [name, end];
  yield ['__bss_start', afterData];
  yield ['__ehdr_start', segments[0]!.address];
  yield ['__executable_start', segments[0]!.address];
  yield ['_GLOBAL_OFFSET_TABLE_', got.address];
  yield ['__dso_handle', 0];
}
