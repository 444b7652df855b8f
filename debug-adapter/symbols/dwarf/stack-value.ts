/** Typed elements of the expression stack (DWARF 5, 2.5.1): the generic 64-bit type, integers and IEEE floats of base types. */
import { SymbolError } from '../errors.ts';
import { At, Encoding } from './constants.ts';
import type { Die } from './die.ts';

/** Undefined stands for the generic type: 64 bits, unsigned unless an operation says otherwise. */
export interface BaseKind {
  /** Bytes. */
  readonly size: number;
  readonly encoding: number;
}
export interface StackValue {
  /** Raw bits. */
  readonly bits: bigint;
  readonly kind?: BaseKind;
}

export function baseKind(die: Die | undefined): BaseKind | undefined {
  if (!die) return undefined;
  return { size: die.number(At.byte_size) ?? 8, encoding: die.number(At.encoding) ?? Encoding.unsigned };
}

export function isFloat(kind: BaseKind | undefined): boolean {
  return kind?.encoding === Encoding.float;
}
export function isSigned(kind: BaseKind | undefined): boolean {
  return kind === undefined || kind.encoding === Encoding.signed || kind.encoding === Encoding.signed_char;
}

const scratch = new DataView(new ArrayBuffer(8));

export function floatFromBits(bits: bigint, size: number): number {
  scratch.setBigUint64(0, BigInt.asUintN(64, bits), true);
  if (size === 4) return scratch.getFloat32(0, true);
  if (size === 8) return scratch.getFloat64(0, true);
  throw new SymbolError(`A floating-point value of ${size} bytes cannot be computed with.`);
}
export function bitsFromFloat(value: number, size: number): bigint {
  if (size === 4) {
    scratch.setFloat32(0, value, true);
    return BigInt(scratch.getUint32(0, true));
  }
  if (size !== 8) throw new SymbolError(`A floating-point value of ${size} bytes cannot be computed with.`);
  scratch.setFloat64(0, value, true);
  return scratch.getBigUint64(0, true);
}

/** The integer an element stands for, by the sign of its type. */
export function integer(value: StackValue): bigint {
  const bits = (value.kind?.size ?? 8) * 8;
  return isSigned(value.kind) ? BigInt.asIntN(bits, value.bits) : BigInt.asUintN(bits, value.bits);
}

/** DW_OP_convert. */
export function convert(value: StackValue, kind: BaseKind | undefined): StackValue {
  const size = kind?.size ?? 8;
  if (isFloat(value.kind)) {
    const number = floatFromBits(value.bits, value.kind!.size);
    if (isFloat(kind)) return { bits: bitsFromFloat(number, size), kind };
    return { bits: Number.isFinite(number) ? BigInt.asUintN(size * 8, BigInt(Math.trunc(number))) : 0n, kind };
  }
  if (isFloat(kind)) return { bits: bitsFromFloat(Number(integer(value)), size), kind };
  return { bits: BigInt.asUintN(size * 8, integer(value)), kind };
}

type Binary = 'plus' | 'minus' | 'mul' | 'div' | 'mod' | 'eq' | 'ne' | 'lt' | 'le' | 'gt' | 'ge';

export function arithmetic(operation: Binary, a: StackValue, b: StackValue): StackValue {
  if (isFloat(a.kind)) return floatArithmetic(operation, a, b);
  const size = (a.kind?.size ?? 8) * 8;
  // The generic type's div is signed, its mod unsigned (DWARF 5, 2.5.1.4).
  const unsigned = a.kind === undefined && operation === 'mod';
  const x = unsigned ? BigInt.asUintN(64, a.bits) : integer(a);
  const y = unsigned ? BigInt.asUintN(64, b.bits) : integer({ bits: b.bits, kind: a.kind });
  const truth = compare(operation, x < y, x === y);
  if (truth !== undefined) return { bits: truth };
  return { bits: BigInt.asUintN(size, integerResult(operation, x, y)), kind: a.kind };
}

function integerResult(operation: Binary, x: bigint, y: bigint): bigint {
  switch (operation) {
    case 'plus':
      return x + y;
    case 'minus':
      return x - y;
    case 'mul':
      return x * y;
    default:
      if (y === 0n) throw new SymbolError('A location expression divides by zero.');
      return operation === 'div' ? x / y : x % y;
  }
}

function compare(operation: Binary, less: boolean, equal: boolean): bigint | undefined {
  switch (operation) {
    case 'eq':
      return equal ? 1n : 0n;
    case 'ne':
      return equal ? 0n : 1n;
    case 'lt':
      return less ? 1n : 0n;
    case 'le':
      return less || equal ? 1n : 0n;
    case 'gt':
      return less || equal ? 0n : 1n;
    case 'ge':
      return less ? 0n : 1n;
    default:
      return undefined;
  }
}

function floatArithmetic(operation: Binary, a: StackValue, b: StackValue): StackValue {
  const size = a.kind!.size;
  const x = floatFromBits(a.bits, size);
  const y = floatFromBits(b.bits, size);
  const truth = compare(operation, x < y, x === y);
  if (truth !== undefined) return { bits: truth };
  const result =
    operation === 'plus'
      ? x + y
      : operation === 'minus'
        ? x - y
        : operation === 'mul'
          ? x * y
          : operation === 'div'
            ? x / y
            : NaN;
  return { bits: bitsFromFloat(result, size), kind: a.kind };
}
