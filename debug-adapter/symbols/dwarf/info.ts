/** All units of an image, found by address, by offset and by type signature. */
import type { ElfImage } from '../elf.ts';
import { readAbbreviations, type AbbreviationTable } from './abbrev.ts';
import { At, UnitType } from './constants.ts';
import type { Die } from './die.ts';
import { readLineTable, type LineTable } from './line.ts';
import { ByteReader } from './reader.ts';
import { DwarfSections } from './sections.ts';
import { Unit } from './unit.ts';

interface UnitRange {
  readonly low: number;
  readonly high: number;
  readonly unit: Unit;
}

export class Dwarf {
  readonly sections: DwarfSections;
  readonly units: readonly Unit[];
  readonly #typeUnits: readonly Unit[];
  readonly #abbreviations = new Map<number, AbbreviationTable>();
  readonly #lineTables = new Map<number, LineTable>();
  #ranges: UnitRange[] | undefined;

  /** Reads the unit headers only. */
  constructor(
    readonly elf: ElfImage,
    empty = false,
  ) {
    this.sections = new DwarfSections(elf);
    const all = empty
      ? []
      : [
          ...this.#readUnits(this.sections.info, '.debug_info', false),
          ...this.#readUnits(this.sections.types, '.debug_types', true),
        ];
    this.units = all.filter((unit) => unit.signature === 0n && unit.type !== UnitType.type);
    this.#typeUnits = all.filter((unit) => unit.type === UnitType.type);
  }

  /** For images whose debugging information cannot be read. */
  static empty(elf: ElfImage): Dwarf {
    return new Dwarf(elf, true);
  }

  #readUnits(section: Uint8Array, name: string, types: boolean): Unit[] {
    const units: Unit[] = [];
    const reader = new ByteReader(section, `The section ${name}`);
    while (!reader.atEnd) units.push(new Unit(this, section, reader, types));
    return units;
  }

  abbreviations(offset: number): AbbreviationTable {
    let table = this.#abbreviations.get(offset);
    if (!table) this.#abbreviations.set(offset, (table = readAbbreviations(this.sections.abbrev, offset)));
    return table;
  }

  lineTable(unit: Unit): LineTable | undefined {
    const offset = unit.root.number(At.stmt_list);
    if (offset === undefined) return undefined;
    let table = this.#lineTables.get(offset);
    if (!table) this.#lineTables.set(offset, (table = readLineTable(this.sections, offset, unit)));
    return table;
  }

  /** The compilation unit with code at a link-time address. */
  unitAt(address: number): Unit | undefined {
    this.#ranges ??= this.units
      .flatMap((unit) => unit.ranges.map(({ low, high }) => ({ low, high, unit })))
      .sort((a, b) => a.low - b.low);
    let low = 0;
    let high = this.#ranges.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#ranges[middle]!.low <= address) low = middle + 1;
      else high = middle;
    }
    const found = this.#ranges[low - 1];
    return found && address < found.high ? found.unit : undefined;
  }

  /** The entry at an offset of .debug_info. */
  dieAt(offset: number): Die | undefined {
    return this.units.find((unit) => offset >= unit.offset && offset < unit.end)?.dieAt(offset);
  }

  typeBySignature(signature: bigint): Die | undefined {
    const unit = this.#typeUnits.find((candidate) => candidate.signature === signature);
    return unit?.dieAt(unit.offset + unit.typeOffset);
  }
}
