/** .debug_abbrev: the shapes of debugging information entries (DWARF 5, 7.5.3). */
import { Form } from './constants.ts';
import { ByteReader } from './reader.ts';

export interface Abbreviation {
  readonly tag: number;
  readonly hasChildren: boolean;
  /** Parallel arrays: attribute, form, and the value of DW_FORM_implicit_const. */
  readonly attributes: readonly number[];
  readonly forms: readonly number[];
  readonly constants: readonly number[];
}

export type AbbreviationTable = ReadonlyMap<number, Abbreviation>;

export function readAbbreviations(section: Uint8Array, offset: number): AbbreviationTable {
  const reader = new ByteReader(section, 'The section .debug_abbrev', offset);
  const table = new Map<number, Abbreviation>();
  while (!reader.atEnd) {
    const code = reader.uleb();
    if (code === 0) break;
    const tag = reader.uleb();
    const hasChildren = reader.u8() !== 0;
    const attributes: number[] = [];
    const forms: number[] = [];
    const constants: number[] = [];
    for (;;) {
      const attribute = reader.uleb();
      const form = reader.uleb();
      const constant = form === Form.implicit_const ? reader.sleb() : 0;
      if (attribute === 0 && form === 0) break;
      attributes.push(attribute);
      forms.push(form);
      constants.push(constant);
    }
    table.set(code, { tag, hasChildren, attributes, forms, constants });
  }
  return table;
}
