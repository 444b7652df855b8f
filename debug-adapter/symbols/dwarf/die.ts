/** A debugging information entry: raw attribute values, given their meaning when asked. */
import type { Abbreviation } from './abbrev.ts';
import { At, Form } from './constants.ts';
import { asBigInt, asNumber, type RawValue } from './forms.ts';
import { stringAt } from './reader.ts';
import type { Unit } from './unit.ts';

/** Chains of abstract_origin and specification are two or three long; longer ones come from damaged input. */
const MAX_ORIGINS = 8;

export class Die {
  readonly children: Die[] = [];

  constructor(
    readonly unit: Unit,
    /** In .debug_info. */
    readonly offset: number,
    readonly abbreviation: Abbreviation,
    readonly values: readonly RawValue[],
    /** Forms after DW_FORM_indirect has been followed. */
    readonly forms: readonly number[],
    readonly parent: Die | undefined,
  ) {}

  get tag(): number {
    return this.abbreviation.tag;
  }

  #index(attribute: number): number {
    return this.abbreviation.attributes.indexOf(attribute);
  }
  has(attribute: number): boolean {
    return this.#index(attribute) >= 0;
  }
  form(attribute: number): number | undefined {
    return this.forms[this.#index(attribute)];
  }
  raw(attribute: number): RawValue | undefined {
    return this.values[this.#index(attribute)];
  }
  number(attribute: number): number | undefined {
    return asNumber(this.raw(attribute));
  }
  /** Sign as the form has it: data forms are unsigned, sdata and implicit_const signed. */
  bigint(attribute: number): bigint | undefined {
    return asBigInt(this.raw(attribute));
  }
  flag(attribute: number): boolean {
    const value = this.raw(attribute);
    return value !== undefined && value !== 0;
  }
  /** A block or expression. */
  block(attribute: number): Uint8Array | undefined {
    const value = this.raw(attribute);
    return value instanceof Uint8Array ? value : undefined;
  }

  string(attribute: number): string | undefined {
    const index = this.#index(attribute);
    if (index < 0) return undefined;
    const value = asNumber(this.values[index]);
    if (value === undefined) return undefined;
    const sections = this.unit.dwarf.sections;
    switch (this.forms[index]) {
      case Form.string:
        return stringAt(this.unit.section, value);
      case Form.strp:
        return stringAt(sections.str, value);
      case Form.line_strp:
        return stringAt(sections.lineStr, value);
      case Form.strx:
      case Form.strx1:
      case Form.strx2:
      case Form.strx3:
      case Form.strx4:
        return this.unit.indexedString(value);
      default:
        return undefined;
    }
  }

  /** An address attribute, through .debug_addr if it is an index. */
  address(attribute: number): number | undefined {
    const index = this.#index(attribute);
    if (index < 0) return undefined;
    const value = asNumber(this.values[index]);
    if (value === undefined) return undefined;
    switch (this.forms[index]) {
      case Form.addrx:
      case Form.addrx1:
      case Form.addrx2:
      case Form.addrx3:
      case Form.addrx4:
        return this.unit.indexedAddress(value);
      default:
        return value;
    }
  }

  /** The entry a reference attribute names; undefined if absent or dangling. */
  reference(attribute: number): Die | undefined {
    const index = this.#index(attribute);
    if (index < 0) return undefined;
    const value = this.values[index];
    switch (this.forms[index]) {
      case Form.ref1:
      case Form.ref2:
      case Form.ref4:
      case Form.ref8:
      case Form.ref_udata:
        return this.unit.dieAt(this.unit.offset + (asNumber(value) ?? 0));
      case Form.ref_addr:
        return this.unit.dwarf.dieAt(asNumber(value) ?? -1);
      case Form.ref_sig8:
        return this.unit.dwarf.typeBySignature(asBigInt(value) ?? 0n);
      default:
        return undefined;
    }
  }

  /** This entry and those it completes: concrete instance, abstract instance, declaration. */
  origins(): Die[] {
    const chain: Die[] = [this];
    while (chain.length < MAX_ORIGINS) {
      const die = chain[chain.length - 1]!;
      const next = die.reference(At.abstract_origin) ?? die.reference(At.specification);
      if (!next || chain.includes(next)) break;
      chain.push(next);
    }
    return chain;
  }
  /** The first of `origins` that has the attribute. */
  holder(attribute: number): Die | undefined {
    if (this.has(attribute)) return this;
    return this.origins().find((die) => die.has(attribute));
  }
  get name(): string | undefined {
    return this.holder(At.name)?.string(At.name);
  }
}
