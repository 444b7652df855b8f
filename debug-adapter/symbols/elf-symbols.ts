/** The ELF symbol table, sorted for lookup by address and by name. Addresses are link-time addresses. */
import { SHN, SHT, STB, STT, SYM } from '../../emulator/elf/constants.ts';
import { ByteReader, stringAt } from './dwarf/reader.ts';
import type { ElfImage } from './elf.ts';

export interface ElfSymbol {
  readonly name: string;
  readonly address: number;
  /** Bytes; 0 when the assembler gave none. */
  readonly size: number;
  readonly kind: 'function' | 'object' | 'label';
  readonly binding: 'local' | 'global' | 'weak';
}

export class SymbolTable {
  /** By address; of several at one address the best named comes last. */
  readonly #sorted: ElfSymbol[];
  #byName: Map<string, ElfSymbol[]> | undefined;

  private constructor(
    symbols: ElfSymbol[],
    readonly image: ElfImage,
  ) {
    this.#sorted = symbols.sort((a, b) => a.address - b.address || rank(a) - rank(b) || (a.name < b.name ? 1 : -1));
  }

  static read(image: ElfImage): SymbolTable {
    const symbols: ElfSymbol[] = [];
    const section =
      image.sections.find((s) => s.type === SHT.symtab) ?? image.sections.find((s) => s.type === SHT.dynsym);
    const names = section ? image.sections[section.link] : undefined;
    if (section && names && names.type !== SHT.nobits) {
      const text = image.rawContents(names);
      const reader = new ByteReader(image.rawContents(section), 'The symbol table');
      while (reader.offset + SYM <= reader.end) {
        const symbol = readSymbol(reader, text);
        if (symbol) symbols.push(symbol);
      }
    }
    return new SymbolTable(symbols, image);
  }

  get all(): readonly ElfSymbol[] {
    return this.#sorted;
  }

  byName(name: string): readonly ElfSymbol[] {
    if (!this.#byName) {
      this.#byName = new Map();
      for (const symbol of this.#sorted) {
        const list = this.#byName.get(symbol.name);
        if (list) list.push(symbol);
        else this.#byName.set(symbol.name, [symbol]);
      }
    }
    return this.#byName.get(name) ?? [];
  }

  /** The symbol that covers an address: by its size, or up to the next symbol of the same section when it has none. */
  at(address: number): { symbol: ElfSymbol; offset: number } | undefined {
    let low = 0;
    let high = this.#sorted.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#sorted[middle]!.address <= address) low = middle + 1;
      else high = middle;
    }
    // A local label inside a function must not hide the function: look back a little for one that covers the address by size.
    let unsized: ElfSymbol | undefined;
    for (let index = low - 1, tries = 0; index >= 0 && tries < 16; index--, tries++) {
      const symbol = this.#sorted[index]!;
      if (symbol.size > 0 && address < symbol.address + symbol.size)
        return { symbol, offset: address - symbol.address };
      if (symbol.size === 0 && !unsized && this.#sameSection(symbol.address, address)) unsized = symbol;
    }
    return unsized ? { symbol: unsized, offset: address - unsized.address } : undefined;
  }

  #sameSection(a: number, b: number): boolean {
    return this.image.sections.some((s) => s.address !== 0 && a >= s.address && b >= a && b < s.address + s.size);
  }
}

function rank(symbol: ElfSymbol): number {
  const kind = symbol.kind === 'label' ? 0 : 4;
  const binding = symbol.binding === 'global' ? 2 : symbol.binding === 'weak' ? 1 : 0;
  return kind + binding;
}

function readSymbol(reader: ByteReader, text: Uint8Array): ElfSymbol | undefined {
  const nameOffset = reader.u32();
  const info = reader.u8();
  reader.u8();
  const section = reader.u16();
  const address = reader.u64AsNumber();
  const size = reader.u64AsNumber();
  const type = info & 15;
  if (section === SHN.undef || section >= SHN.loReserve || nameOffset === 0) return undefined;
  if (type === STT.tls || (type > STT.function && type !== STT.ifunc)) return undefined;
  const name = stringAt(text, nameOffset);
  if (name === '') return undefined;
  const binding = info >> 4;
  return {
    name,
    address,
    size,
    kind: type === STT.none ? 'label' : type === STT.object ? 'object' : 'function',
    binding: binding === STB.global ? 'global' : binding === STB.weak ? 'weak' : 'local',
  };
}
