/** C and C++ types as the debugger needs them, built from type entries on demand (DWARF 5, chapter 5). */
import { At, Encoding, Tag } from './constants.ts';
import type { Die } from './die.ts';

interface Common {
  /** As C writes it, e.g. `struct node *`, `int[4][2]`. */
  readonly name: string;
  /** Bytes; undefined if unknown (incomplete types, functions). */
  readonly size: number | undefined;
}

export interface VoidType extends Common {
  readonly kind: 'void';
}
export interface BaseType extends Common {
  readonly kind: 'base';
  readonly size: number;
  /** DW_ATE. */
  readonly encoding: number;
}
export interface PointerType extends Common {
  readonly kind: 'pointer';
  readonly size: number;
  readonly target: Type;
  /** A C++ reference. */
  readonly reference: boolean;
}
export interface ArrayType extends Common {
  readonly kind: 'array';
  readonly element: Type;
  /** Undefined for flexible arrays and for lengths known only at run time. */
  readonly count: number | undefined;
  /** Entry that says the upper bound at run time (a variable-length array). */
  readonly bound: DynamicBound | undefined;
}
/** The upper bound (inclusive) of a variable-length array: an attribute of a subrange entry, read in a frame. */
export interface DynamicBound {
  readonly subrange: Die;
  readonly attribute: number;
  readonly isCount: boolean;
}
export interface Member {
  /** Undefined for anonymous members. */
  readonly name: string | undefined;
  readonly type: Type;
  /** Bytes from the start of the object. */
  readonly offset: number;
  /** For bit-fields: width, and bits from the start of the object counted from the least significant. */
  readonly bitSize?: number;
  readonly bitOffset?: number;
  readonly inherited?: boolean;
}
export interface RecordType extends Common {
  readonly kind: 'struct' | 'union' | 'class';
  readonly members: readonly Member[];
  /** Only declared, never defined, in any unit. */
  readonly incomplete: boolean;
}
export interface EnumType extends Common {
  readonly kind: 'enum';
  readonly size: number;
  readonly signed: boolean;
  readonly enumerators: readonly { readonly name: string; readonly value: bigint }[];
}
export interface TypedefType extends Common {
  readonly kind: 'typedef';
  readonly target: Type;
}
export interface QualifiedType extends Common {
  readonly kind: 'qualified';
  readonly qualifier: 'const' | 'volatile' | 'restrict' | '_Atomic';
  readonly target: Type;
}
export interface FunctionType extends Common {
  readonly kind: 'function';
  readonly result: Type;
  readonly parameters: readonly Type[];
  readonly variadic: boolean;
}

export type Type =
  VoidType | BaseType | PointerType | ArrayType | RecordType | EnumType | TypedefType | QualifiedType | FunctionType;

export const VOID: VoidType = { kind: 'void', name: 'void', size: undefined };

/** Typedefs and qualifiers removed. Damaged input may chain for ever, so this stops. */
export function strip(type: Type): Type {
  let current = type;
  for (let depth = 0; depth < 64 && (current.kind === 'typedef' || current.kind === 'qualified'); depth++)
    current = current.target;
  return current.kind === 'typedef' || current.kind === 'qualified' ? VOID : current;
}

export function pointerTo(target: Type): PointerType {
  return { kind: 'pointer', name: declarator(target, '*'), size: 8, target, reference: false };
}
export function arrayOf(element: Type, count: number): ArrayType {
  return {
    kind: 'array',
    name: declarator(element, `[${count}]`),
    size: (element.size ?? 0) * count,
    element,
    count,
    bound: undefined,
  };
}
export function baseType(name: string, size: number, encoding: number): BaseType {
  return { kind: 'base', name, size, encoding };
}

/** The C spelling of a type derived from `inner`: pointers to arrays and functions need parentheses. */
export function declarator(inner: Type, suffix: string): string {
  if (suffix.startsWith('*') || suffix.startsWith('&')) {
    if (inner.kind === 'function') return `${inner.result.name} (${suffix})(${parameterList(inner)})`;
    if (inner.kind === 'array') {
      const bracket = inner.name.indexOf('[');
      return bracket < 0
        ? `${inner.name} ${suffix}`
        : `${inner.name.slice(0, bracket)}(${suffix})${inner.name.slice(bracket)}`;
    }
    return inner.name.endsWith('*') ? inner.name + suffix : `${inner.name} ${suffix}`;
  }
  const bracket = inner.kind === 'array' ? inner.name.indexOf('[') : -1;
  return bracket < 0 ? inner.name + suffix : inner.name.slice(0, bracket) + suffix + inner.name.slice(bracket);
}

export function parameterList(type: FunctionType): string {
  const names = type.parameters.map((parameter) => parameter.name);
  if (type.variadic) names.push('...');
  return names.length === 0 ? 'void' : names.join(', ');
}

export function isSignedEncoding(encoding: number): boolean {
  return encoding === Encoding.signed || encoding === Encoding.signed_char;
}

/** Element types, and record tags a declaration may be completed by. */
export function isRecordTag(tag: number): boolean {
  return tag === Tag.structure_type || tag === Tag.class_type || tag === Tag.union_type;
}

export function declarationKey(die: Die): string | undefined {
  const name = die.string(At.name);
  if (name === undefined) return undefined;
  const keyword = die.tag === Tag.union_type ? 'union' : die.tag === Tag.enumeration_type ? 'enum' : 'struct';
  return `${keyword} ${name}`;
}
