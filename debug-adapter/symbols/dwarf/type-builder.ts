/** From type entries to types, cached by entry; recursive records resolve their members lazily. */
import { evaluateNumber } from './expression.ts';
import { At, Encoding, Tag } from './constants.ts';
import type { Die } from './die.ts';
import type { Dwarf } from './info.ts';
import {
  declarationKey,
  declarator,
  isRecordTag,
  isSignedEncoding,
  parameterList,
  VOID,
  type ArrayType,
  type DynamicBound,
  type EnumType,
  type FunctionType,
  type Member,
  type PointerType,
  type QualifiedType,
  type RecordType,
  type Type,
} from './types.ts';

/** Type chains deeper than this come from damaged input. */
const MAX_DEPTH = 100;
const MAX_DIMENSIONS = 16;

export class TypeBuilder {
  readonly #types = new Map<Die, Type>();
  #complete: Map<string, Die> | undefined;
  #typedefs: Map<string, Die> | undefined;
  #enumerators: Map<string, Die> | undefined;
  #depth = 0;

  constructor(readonly dwarf: Dwarf) {}

  /** The type an entry's DW_AT_type names; void if it has none. */
  typeOf(die: Die): Type {
    const reference = die.holder(At.type)?.reference(At.type);
    return reference ? this.build(reference) : VOID;
  }

  build(die: Die): Type {
    const known = this.#types.get(die);
    if (known) return known;
    if (this.#depth > MAX_DEPTH) return VOID;
    this.#depth++;
    try {
      const type = this.#construct(die);
      this.#types.set(die, type);
      return type;
    } finally {
      this.#depth--;
    }
  }

  /** A type by its C name: `int`, `struct node`, `node_t`. */
  byName(name: string): Type | undefined {
    this.#index();
    const die = this.#complete!.get(name) ?? this.#typedefs!.get(name) ?? this.#complete!.get(`struct ${name}`);
    return die && this.build(die);
  }

  /** The type of a function's own entry. */
  functionType(die: Die): FunctionType {
    return this.#function(
      die.origins().find((origin) => origin.children.some((child) => child.tag === Tag.formal_parameter)) ?? die,
    );
  }

  /** An enumerator of file scope by name. */
  enumerator(name: string): { type: Type; value: bigint } | undefined {
    this.#index();
    const die = this.#enumerators!.get(name);
    if (!die?.parent) return undefined;
    return { type: this.build(die.parent), value: die.bigint(At.const_value) ?? 0n };
  }

  #construct(die: Die): Type {
    const size = die.number(At.byte_size);
    switch (die.tag) {
      case Tag.base_type:
        return {
          kind: 'base',
          name: die.name ?? '?',
          size: Math.min(size ?? 0, 64),
          encoding: die.number(At.encoding) ?? Encoding.unsigned,
        };
      case Tag.pointer_type:
        return this.#pointer(die, '*');
      case Tag.reference_type:
        return this.#pointer(die, '&');
      case Tag.rvalue_reference_type:
        return this.#pointer(die, '&&');
      case Tag.const_type:
        return this.#qualified(die, 'const');
      case Tag.volatile_type:
        return this.#qualified(die, 'volatile');
      case Tag.restrict_type:
        return this.#qualified(die, 'restrict');
      case Tag.atomic_type:
        return this.#qualified(die, '_Atomic');
      case Tag.typedef: {
        const target = this.typeOf(die);
        return { kind: 'typedef', name: die.name ?? target.name, size: target.size, target };
      }
      case Tag.array_type:
        return this.#array(die);
      case Tag.structure_type:
      case Tag.class_type:
      case Tag.union_type:
        return this.#record(die);
      case Tag.enumeration_type:
        return this.#enumeration(die);
      case Tag.subroutine_type:
        return this.#function(die);
      default:
        return { kind: 'void', name: die.name ?? 'void', size };
    }
  }

  #pointer(die: Die, sign: string): PointerType {
    let target: Type | undefined;
    const resolve = (): Type => (target ??= this.typeOf(die));
    return {
      kind: 'pointer',
      size: die.number(At.byte_size) ?? die.unit.addressSize,
      reference: sign !== '*',
      get target() {
        return resolve();
      },
      get name() {
        return declarator(resolve(), sign);
      },
    };
  }

  #qualified(die: Die, qualifier: QualifiedType['qualifier']): Type {
    const target = this.typeOf(die);
    // `const` binds to what stands left of it: after the star of a pointer.
    const name = target.kind === 'pointer' ? `${target.name} ${qualifier}` : `${qualifier} ${target.name}`;
    return { kind: 'qualified', qualifier, name, size: target.size, target };
  }

  #array(die: Die): Type {
    const ranges = die.children
      .filter((child) => child.tag === Tag.subrange_type || child.tag === Tag.enumeration_type)
      .slice(0, MAX_DIMENSIONS);
    let element = this.typeOf(die);
    if (ranges.length === 0) return array(element, undefined, undefined);
    for (const range of ranges.reverse()) element = array(element, constantCount(range), dynamicBound(range));
    return element;
  }

  #record(die: Die): Type {
    const kind = die.tag === Tag.union_type ? 'union' : die.tag === Tag.class_type ? 'class' : 'struct';
    if (die.flag(At.declaration)) {
      const complete = this.#completion(die);
      if (complete && complete !== die) return this.build(complete);
    }
    const signature = die.reference(At.signature);
    if (signature && signature !== die) return this.build(signature);
    let members: Member[] | undefined;
    const resolve = (): readonly Member[] => (members ??= this.#members(die));
    const record: RecordType = {
      kind,
      name: `${kind} ${die.name ?? '{...}'}`,
      size: die.number(At.byte_size),
      incomplete: die.flag(At.declaration),
      get members() {
        return resolve();
      },
    };
    return record;
  }

  #members(die: Die): Member[] {
    const members: Member[] = [];
    for (const child of die.children) {
      if (child.tag !== Tag.member && child.tag !== Tag.inheritance) continue;
      if (child.tag === Tag.member && (child.flag(At.external) || child.flag(At.declaration))) continue;
      members.push(this.#member(child));
    }
    return members;
  }

  #member(die: Die): Member {
    const type = this.typeOf(die);
    const offset = memberOffset(die);
    const inherited = die.tag === Tag.inheritance ? true : undefined;
    const name = inherited ? type.name : die.name;
    const bitSize = die.number(At.bit_size);
    if (bitSize === undefined) return { name, type, offset, inherited };
    const dataBitOffset = die.number(At.data_bit_offset);
    if (dataBitOffset !== undefined) return { name, type, offset, bitSize, bitOffset: offset * 8 + dataBitOffset };
    // DWARF 3 and 4 count from the most significant bit of the storage unit.
    const storage = die.number(At.byte_size) ?? type.size ?? 4;
    const fromTop = die.number(At.bit_offset) ?? 0;
    return { name, type, offset, bitSize, bitOffset: offset * 8 + storage * 8 - fromTop - bitSize };
  }

  #enumeration(die: Die): EnumType | Type {
    if (die.flag(At.declaration)) {
      const complete = this.#completion(die);
      if (complete && complete !== die) return this.build(complete);
    }
    const underlying = die.has(At.type) ? this.typeOf(die) : undefined;
    const values = die.children
      .filter((child) => child.tag === Tag.enumerator)
      .map((child) => ({ name: child.name ?? '?', value: child.bigint(At.const_value) ?? 0n }));
    const signed =
      underlying?.kind === 'base' ? isSignedEncoding(underlying.encoding) : values.some(({ value }) => value < 0n);
    return {
      kind: 'enum',
      name: `enum ${die.name ?? '{...}'}`,
      size: Math.min(die.number(At.byte_size) ?? underlying?.size ?? 4, 8),
      signed,
      enumerators: values,
    };
  }

  #function(die: Die): FunctionType {
    const result = this.typeOf(die);
    const parameters = die.children
      .filter((child) => child.tag === Tag.formal_parameter)
      .map((child) => this.typeOf(child));
    const variadic = die.children.some((child) => child.tag === Tag.unspecified_parameters);
    const type: FunctionType = { kind: 'function', name: '', size: undefined, result, parameters, variadic };
    return { ...type, name: `${result.name} (${parameterList(type)})` };
  }

  /** The defining entry of a type that this unit only declares. */
  #completion(die: Die): Die | undefined {
    this.#index();
    const key = declarationKey(die);
    return key === undefined ? undefined : this.#complete!.get(key);
  }

  /** Names of complete types in every unit; costs a parse of them all, so only when a name has to be found. */
  #index(): void {
    if (this.#complete) return;
    this.#complete = new Map();
    this.#typedefs = new Map();
    this.#enumerators = new Map();
    for (const unit of this.dwarf.units) this.#indexChildren(unit.tree, 0);
  }
  #indexChildren(parent: Die, depth: number): void {
    for (const die of parent.children) {
      const name = die.string(At.name);
      if (die.tag === Tag.enumeration_type)
        for (const child of die.children) setIfAbsent(this.#enumerators!, child.name ?? '', child);
      if (die.tag === Tag.namespace && depth < 8) this.#indexChildren(die, depth + 1);
      if (name === undefined || die.flag(At.declaration)) continue;
      if (isRecordTag(die.tag) || die.tag === Tag.enumeration_type)
        setIfAbsent(this.#complete!, declarationKey(die)!, die);
      else if (die.tag === Tag.typedef || die.tag === Tag.base_type) setIfAbsent(this.#typedefs!, name, die);
    }
  }
}

function setIfAbsent(map: Map<string, Die>, key: string, die: Die): void {
  if (!map.has(key)) map.set(key, die);
}

function array(element: Type, count: number | undefined, bound: DynamicBound | undefined): ArrayType {
  const size = count !== undefined && element.size !== undefined ? count * element.size : undefined;
  return { kind: 'array', name: declarator(element, `[${count ?? ''}]`), size, element, count, bound };
}

function constantCount(range: Die): number | undefined {
  if (range.tag === Tag.enumeration_type) return range.children.length;
  const count = constant(range, At.count);
  if (count !== undefined) return count;
  const upper = constant(range, At.upper_bound);
  if (upper === undefined || upper < 0 || upper >= 0xffff_ffff_ffff) return undefined;
  return upper - (constant(range, At.lower_bound) ?? 0) + 1;
}

function constant(die: Die, attribute: number): number | undefined {
  return die.block(attribute) || isReference(die, attribute) ? undefined : die.number(attribute);
}
function isReference(die: Die, attribute: number): boolean {
  return die.reference(attribute) !== undefined;
}

function dynamicBound(range: Die): DynamicBound | undefined {
  for (const attribute of [At.count, At.upper_bound])
    if (range.block(attribute) || isReference(range, attribute))
      return { subrange: range, attribute, isCount: attribute === At.count };
  return undefined;
}

/** Old producers give an expression that adds to the object's address. */
function memberOffset(die: Die): number {
  const expression = die.block(At.data_member_location);
  if (!expression) return die.number(At.data_member_location) ?? 0;
  const context = { unit: die.unit, bias: 0n, register: () => undefined, readMemory: () => undefined };
  return Number(evaluateNumber(expression, context, [0n]) ?? 0n);
}
