/** C arithmetic on scalars: promotions, usual conversions, operators (C17 6.3.1, 6.5). */
import { Encoding } from '../symbols/dwarf/constants.ts';
import { bitsFromFloat, floatFromBits } from '../symbols/dwarf/stack-value.ts';
import { baseType, isSignedEncoding, strip, type BaseType, type Type } from '../symbols/dwarf/types.ts';
import { formatFloat } from '../symbols/format.ts';

export const INT = baseType('int', 4, Encoding.signed);
export const UNSIGNED = baseType('unsigned int', 4, Encoding.unsigned);
export const LONG = baseType('long', 8, Encoding.signed);
export const UNSIGNED_LONG = baseType('unsigned long', 8, Encoding.unsigned);
export const CHAR = baseType('char', 1, Encoding.signed_char);
export const FLOAT = baseType('float', 4, Encoding.float);
export const DOUBLE = baseType('double', 8, Encoding.float);

/** A number with its C type. Pointers are integers here; long double is computed as double. */
export type Scalar =
  { readonly type: Type; readonly integer: bigint } | { readonly type: Type; readonly float: number };

export function isFloating(type: Type): boolean {
  const plain = strip(type);
  return plain.kind === 'base' && plain.encoding === Encoding.float;
}
export function isSigned(type: Type): boolean {
  const plain = strip(type);
  if (plain.kind === 'enum') return plain.signed;
  return plain.kind === 'base' && isSignedEncoding(plain.encoding);
}
export function isScalar(type: Type): boolean {
  const { kind } = strip(type);
  return kind === 'base' || kind === 'enum' || kind === 'pointer';
}

/** `width` in bits, smaller than the type's for bit-fields. */
export function fromBits(type: Type, bits: bigint, width: number): Scalar {
  const plain = strip(type);
  if (isFloating(type))
    return {
      type,
      float:
        plain.size === 4 || plain.size === 8 ? floatFromBits(bits, plain.size) : Number(formatFloat(bits, plain.size!)),
    };
  return { type, integer: isSigned(type) ? BigInt.asIntN(width, bits) : BigInt.asUintN(width, bits) };
}

export function toNumber(scalar: Scalar): number {
  return 'float' in scalar ? scalar.float : Number(scalar.integer);
}
export function toInteger(scalar: Scalar): bigint {
  if ('integer' in scalar) return scalar.integer;
  return Number.isFinite(scalar.float) ? BigInt(Math.trunc(scalar.float)) : 0n;
}
export function isTrue(scalar: Scalar): boolean {
  return 'float' in scalar ? scalar.float !== 0 : scalar.integer !== 0n;
}

/** The scalar converted to a type, as an assignment or cast does. */
export function convert(scalar: Scalar, type: Type): Scalar {
  const plain = strip(type);
  if (isFloating(type)) {
    const number = toNumber(scalar);
    return { type, float: plain.size === 4 ? Math.fround(number) : number };
  }
  if (plain.kind === 'base' && plain.encoding === Encoding.boolean) return { type, integer: isTrue(scalar) ? 1n : 0n };
  const width = (plain.size ?? 8) * 8;
  const integer = toInteger(scalar);
  return { type, integer: isSigned(type) ? BigInt.asIntN(width, integer) : BigInt.asUintN(width, integer) };
}

/** Bits to store for a scalar of its type. */
export function toBits(scalar: Scalar): bigint {
  const size = strip(scalar.type).size ?? 8;
  if ('integer' in scalar) return BigInt.asUintN(size * 8, scalar.integer);
  return size > 8 ? extendedBits(scalar.float) : bitsFromFloat(scalar.float, size);
}

/** A double as x87 80-bit extended precision. */
function extendedBits(value: number): bigint {
  const double = bitsFromFloat(value, 8);
  const sign = (double >> 63n) << 79n;
  const exponent = Number((double >> 52n) & 0x7ffn);
  const fraction = double & 0xf_ffff_ffff_ffffn;
  if (exponent === 0x7ff) return sign | (0x7fffn << 64n) | (1n << 63n) | (fraction << 11n);
  if (value === 0) return sign;
  if (exponent === 0) {
    const shift = 52 - fraction.toString(2).length + 1;
    return sign | (BigInt(-1022 - shift + 16383) << 64n) | (fraction << BigInt(11 + shift));
  }
  return sign | (BigInt(exponent - 1023 + 16383) << 64n) | (1n << 63n) | (fraction << 11n);
}

function promoted(type: Type): BaseType {
  const plain = strip(type);
  if (plain.kind === 'base' && plain.size >= 4) return plain;
  if (plain.kind === 'enum' && plain.size >= 4)
    return plain.size === 8 ? (plain.signed ? LONG : UNSIGNED_LONG) : plain.signed ? INT : UNSIGNED;
  return plain.kind === 'pointer' ? UNSIGNED_LONG : INT;
}

/** Integer promotions (6.3.1.1). */
export function promote(scalar: Scalar): Scalar {
  return 'float' in scalar ? scalar : convert(scalar, promoted(scalar.type));
}

/** The usual arithmetic conversions (6.3.1.8). */
export function commonType(a: Type, b: Type): Type {
  if (isFloating(a) || isFloating(b)) {
    if (!isFloating(a)) return b;
    if (!isFloating(b)) return a;
    return (strip(a).size ?? 8) >= (strip(b).size ?? 8) ? a : b;
  }
  const left = promoted(a);
  const right = promoted(b);
  if (left.size !== right.size) return left.size > right.size ? left : right;
  return isSigned(left) ? right : left;
}

const COMPARISONS: Readonly<Record<string, (order: number) => boolean>> = {
  '==': (order) => order === 0,
  '!=': (order) => order !== 0,
  '<': (order) => order < 0,
  '>': (order) => order > 0,
  '<=': (order) => order <= 0,
  '>=': (order) => order >= 0,
};

export function isComparison(operator: string): boolean {
  return operator in COMPARISONS;
}

/** A binary operator on arithmetic operands; undefined when it has no meaning for them; division by zero throws RangeError. */
export function binary(operator: string, a: Scalar, b: Scalar): Scalar | undefined {
  if (operator === '<<' || operator === '>>') return shift(operator, promote(a), promote(b));
  const type = commonType(a.type, b.type);
  const left = convert(a, type);
  const right = convert(b, type);
  if ('float' in left && 'float' in right) return floating(operator, left.float, right.float, type);
  if (!('integer' in left) || !('integer' in right)) return undefined;
  const compare = COMPARISONS[operator];
  if (compare) return truth(compare(left.integer < right.integer ? -1 : left.integer > right.integer ? 1 : 0));
  const result = integral(operator, left.integer, right.integer);
  return result === undefined ? undefined : convert({ type, integer: result }, type);
}

export function truth(value: boolean): Scalar {
  return { type: INT, integer: value ? 1n : 0n };
}

function shift(operator: string, a: Scalar, b: Scalar): Scalar | undefined {
  if (!('integer' in a) || !('integer' in b)) return undefined;
  const width = BigInt((strip(a.type).size ?? 8) * 8);
  const by = ((b.integer % width) + width) % width; // as the processor does; C leaves it undefined
  return convert({ type: a.type, integer: operator === '<<' ? a.integer << by : a.integer >> by }, a.type);
}

function floating(operator: string, a: number, b: number, type: Type): Scalar | undefined {
  const compare = COMPARISONS[operator];
  if (compare)
    return truth(
      Number.isNaN(a) || Number.isNaN(b) ? operator === '!=' : compare(a - b || (a === b ? 0 : a < b ? -1 : 1)),
    );
  const result =
    operator === '+'
      ? a + b
      : operator === '-'
        ? a - b
        : operator === '*'
          ? a * b
          : operator === '/'
            ? a / b
            : undefined;
  return result === undefined ? undefined : convert({ type, float: result }, type);
}

function integral(operator: string, a: bigint, b: bigint): bigint | undefined {
  switch (operator) {
    case '+':
      return a + b;
    case '-':
      return a - b;
    case '*':
      return a * b;
    case '/':
    case '%':
      if (b === 0n) throw new RangeError('Division by zero.');
      return operator === '/' ? a / b : a % b;
    case '&':
      return a & b;
    case '|':
      return a | b;
    case '^':
      return a ^ b;
    default:
      return undefined;
  }
}
