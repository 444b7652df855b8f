/** One unit of .debug_info or .debug_types: header, root entry at once, the whole tree when asked (DWARF 5, 7.5.1). */
import { SymbolError } from '../errors.ts';
import type { Abbreviation } from './abbrev.ts';
import { At, Form, UnitType } from './constants.ts';
import { Die } from './die.ts';
import { readForm, type FormContext, type RawValue } from './forms.ts';
import type { Dwarf } from './info.ts';
import type { LineTable } from './line.ts';
import { ByteReader, stringAt } from './reader.ts';
import type { AddressRange } from './ranges.ts';
import { readDieRanges } from './ranges.ts';

export class Unit implements FormContext {
  readonly version: number;
  readonly offsetSize: 4 | 8;
  readonly addressSize: number;
  readonly type: number;
  /** Of a type unit. */
  readonly signature: bigint = 0n;
  readonly typeOffset: number = 0;
  /** Offsets in `section`: of the header, of the first entry, of the end. */
  readonly offset: number;
  readonly #first: number;
  readonly end: number;
  readonly #abbreviationOffset: number;
  #root: Die | undefined;
  #dies: Map<number, Die> | undefined;
  #ranges: readonly AddressRange[] | undefined;

  constructor(
    readonly dwarf: Dwarf,
    readonly section: Uint8Array,
    reader: ByteReader,
    inTypesSection: boolean,
  ) {
    this.offset = reader.offset;
    const { end, offsetSize } = reader.unitLength();
    this.end = end;
    this.offsetSize = offsetSize;
    this.version = reader.u16();
    if (this.version < 2 || this.version > 5)
      throw new SymbolError(
        `The unit at offset ${this.offset} of ${reader.what} has DWARF version ${this.version}; 2 to 5 are supported.`,
      );
    if (this.version >= 5) {
      this.type = reader.u8();
      this.addressSize = reader.u8();
      this.#abbreviationOffset = reader.unsigned(offsetSize);
    } else {
      this.type = inTypesSection ? UnitType.type : UnitType.compile;
      this.#abbreviationOffset = reader.unsigned(offsetSize);
      this.addressSize = reader.u8();
    }
    if (this.type === UnitType.type || this.type === UnitType.split_type) {
      this.signature = reader.u64();
      this.typeOffset = reader.unsigned(offsetSize);
    } else if (this.type === UnitType.skeleton || this.type === UnitType.split_compile) {
      reader.take(8);
    }
    this.#first = reader.offset;
    reader.offset = Math.max(this.end, reader.offset);
  }

  /** The unit's own entry; its children are only there after `dies`. */
  get root(): Die {
    if (!this.#root) {
      const reader = new ByteReader(this.section, 'The section .debug_info', this.#first, this.end);
      const root = this.#readDie(reader, undefined);
      if (!root) throw new SymbolError(`The unit at offset ${this.offset} of .debug_info is empty.`);
      this.#root = root;
    }
    return this.#root;
  }

  /** Every entry of the unit by its offset. Parses the unit the first time. */
  get dies(): ReadonlyMap<number, Die> {
    return (this.#dies ??= this.#parse());
  }
  dieAt(offset: number): Die | undefined {
    return this.dies.get(offset);
  }
  /** The unit's entry with its children. */
  get tree(): Die {
    void this.dies;
    return this.root;
  }

  get name(): string {
    return this.root.string(At.name) ?? '';
  }
  get directory(): string {
    return this.root.string(At.comp_dir) ?? '';
  }
  get producer(): string {
    return this.root.string(At.producer) ?? '';
  }
  /** Compiled with optimisation, as far as the producer says (gcc records its options). */
  get optimized(): boolean {
    return /\s-O([1-9sgz]|fast)\b/.test(this.producer);
  }
  /** Base for offsets in range and location lists. */
  get lowPc(): number {
    return this.root.address(At.low_pc) ?? 0;
  }
  get ranges(): readonly AddressRange[] {
    return (this.#ranges ??= readDieRanges(this.root));
  }
  get lines(): LineTable | undefined {
    return this.dwarf.lineTable(this);
  }

  indexedString(index: number): string {
    const table = this.dwarf.sections.strOffsets;
    const base = this.root.number(At.str_offsets_base) ?? 2 * this.offsetSize;
    const at = base + index * this.offsetSize;
    if (at + this.offsetSize > table.length) return '';
    return stringAt(
      this.dwarf.sections.str,
      new ByteReader(table, 'The section .debug_str_offsets', at).unsigned(this.offsetSize),
    );
  }
  indexedAddress(index: number): number | undefined {
    const table = this.dwarf.sections.addr;
    const base = this.root.number(At.addr_base) ?? 8;
    const at = base + index * this.addressSize;
    if (at + this.addressSize > table.length) return undefined;
    return new ByteReader(table, 'The section .debug_addr', at).unsigned(this.addressSize);
  }

  #parse(): Map<number, Die> {
    const root = this.root;
    const dies = new Map<number, Die>([[root.offset, root]]);
    const reader = new ByteReader(this.section, 'The section .debug_info', this.#first, this.end);
    this.#readDie(reader, undefined);
    let parent: Die | undefined = root.abbreviation.hasChildren ? root : undefined;
    while (parent && !reader.atEnd) {
      const die = this.#readDie(reader, parent);
      if (!die) {
        parent = parent.parent;
        continue;
      }
      parent.children.push(die);
      dies.set(die.offset, die);
      if (die.abbreviation.hasChildren) parent = die;
    }
    return dies;
  }

  /** Undefined for the null entry that ends a list of children. */
  #readDie(reader: ByteReader, parent: Die | undefined): Die | undefined {
    const offset = reader.offset;
    const code = reader.uleb();
    if (code === 0) return undefined;
    const abbreviation = this.#abbreviation(code);
    const values: RawValue[] = [];
    let forms = abbreviation.forms;
    for (let index = 0; index < abbreviation.forms.length; index++) {
      let form = abbreviation.forms[index]!;
      if (form === Form.indirect) {
        form = reader.uleb();
        forms = forms.with(index, form);
      }
      values.push(readForm(reader, form, this, abbreviation.constants[index]!));
    }
    return new Die(this, offset, abbreviation, values, forms, parent);
  }

  #abbreviation(code: number): Abbreviation {
    const abbreviation = this.dwarf.abbreviations(this.#abbreviationOffset).get(code);
    if (!abbreviation)
      throw new SymbolError(
        `The unit at offset ${this.offset} of .debug_info uses abbreviation ${code}, which .debug_abbrev lacks.`,
      );
    return abbreviation;
  }
}
