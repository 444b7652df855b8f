/** Values in words: numbers, characters, strings, enumerators, flags, summaries of nested objects. */
import { Encoding } from './dwarf/constants.ts';
import { floatFromBits } from './dwarf/stack-value.ts';
import { isSignedEncoding, strip, type BaseType, type EnumType, type PointerType, type Type } from './dwarf/types.ts';
import { isRecord, Value, ValueError } from './values.ts';

export interface FormatOptions {
  readonly hex?: boolean;
}

const SUMMARY_MEMBERS = 6;
const SUMMARY_ELEMENTS = 10;
const SUMMARY_DEPTH = 2;
const MAX_STRING = 200;

/** One line for a value; what cannot be read says why in angle brackets. */
export function formatValue(value: Value, options: FormatOptions = {}, depth = 0): string {
  try {
    return format(value, options, depth);
  } catch (error) {
    if (error instanceof ValueError) return error.message;
    throw error;
  }
}

function format(value: Value, options: FormatOptions, depth: number): string {
  const type = value.plainType;
  switch (type.kind) {
    case 'base':
      return formatBase(type, value, options);
    case 'enum':
      return formatEnum(type, value.unsigned(), value.bitWidth, options);
    case 'pointer':
      return formatPointer(type, value);
    case 'array':
      return formatArray(value, options, depth);
    case 'struct':
    case 'class':
    case 'union':
      return formatRecord(value, options, depth);
    case 'function':
      return value.address === undefined ? type.name : functionName(value, value.address);
    default:
      return value.optimizedOut ? '<optimized out>' : 'void';
  }
}

export function hex(value: bigint): string {
  return `0x${BigInt.asUintN(64, value).toString(16)}`;
}

function formatBase(type: BaseType, value: Value, options: FormatOptions): string {
  const bits = value.unsigned();
  const width = value.bitWidth;
  switch (type.encoding) {
    case Encoding.float:
      return formatFloat(bits, type.size);
    case Encoding.complex_float: {
      const half = type.size / 2;
      const mask = (1n << BigInt(half * 8)) - 1n;
      return `${formatFloat(bits & mask, half)} + ${formatFloat(bits >> BigInt(half * 8), half)}i`;
    }
    case Encoding.boolean:
      return bits === 0n ? 'false' : bits === 1n ? 'true' : `true (${bits})`;
    case Encoding.signed_char:
    case Encoding.unsigned_char:
    case Encoding.UTF: {
      const number = type.encoding === Encoding.signed_char ? BigInt.asIntN(width, bits) : bits;
      return options.hex ? `0x${bits.toString(16)}` : `${number} ${quoteCharacter(Number(bits))}`;
    }
    default:
      if (options.hex || type.encoding === Encoding.address) return `0x${bits.toString(16)}`;
      return (isSignedEncoding(type.encoding) ? BigInt.asIntN(width, bits) : bits).toString();
  }
}

/** Shortest text that reads back as the same number of its width. */
export function formatFloat(bits: bigint, size: number): string {
  if (size === 10 || size === 16) return formatExtended(bits);
  if (size !== 4 && size !== 8) return `0x${bits.toString(16)}`;
  const number = floatFromBits(bits, size);
  if (size === 8 || !Number.isFinite(number)) return Object.is(number, -0) ? '-0' : String(number);
  for (let digits = 1; digits < 10; digits++) {
    const text = Number(number.toPrecision(digits));
    if (Math.fround(text) === number) return Object.is(text, -0) ? '-0' : String(text);
  }
  return String(number);
}

/** x87 80-bit extended precision, shown to the precision of a double. */
function formatExtended(bits: bigint): string {
  const mantissa = BigInt.asUintN(64, bits);
  const exponent = Number((bits >> 64n) & 0x7fffn);
  const sign = (bits >> 79n) & 1n ? '-' : '';
  if (exponent === 0x7fff) return BigInt.asUintN(63, mantissa) === 0n ? `${sign}Infinity` : 'NaN';
  if (mantissa === 0n) return `${sign}0`;
  return `${sign}${(Number(mantissa) / 2 ** 63) * 2 ** (exponent - 16383)}`;
}

const ESCAPES = new Map([
  [0, '\\0'],
  [7, '\\a'],
  [8, '\\b'],
  [9, '\\t'],
  [10, '\\n'],
  [11, '\\v'],
  [12, '\\f'],
  [13, '\\r'],
  [92, '\\\\'],
]);

function escape(code: number, quote: string): string {
  const known = ESCAPES.get(code);
  if (known) return known;
  if (code < 32 || code === 127) return `\\x${code.toString(16).padStart(2, '0')}`;
  const text = String.fromCodePoint(Math.min(code, 0x10ffff));
  return text === quote ? `\\${quote}` : text;
}

export function quoteCharacter(code: number): string {
  if (code >= 128 && code < 256) return `'\\x${code.toString(16)}'`;
  return `'${escape(code, "'")}'`;
}

/** The C string in bytes, as UTF-8 where it is. `ended` is false when there was more than could be looked at. */
export function quoteString(bytes: Uint8Array, ended: boolean): string {
  const text = new TextDecoder().decode(bytes);
  let quoted = '';
  for (const character of text) quoted += escape(character.codePointAt(0)!, '"');
  return `"${quoted}"${ended ? '' : '...'}`;
}

export function isCharacter(type: Type): boolean {
  const plain = strip(type);
  return (
    plain.kind === 'base' &&
    plain.size === 1 &&
    (plain.encoding === Encoding.signed_char || plain.encoding === Encoding.unsigned_char)
  );
}

/** An enumerator's name, or the flags a value is made of, or the number. */
export function formatEnum(type: EnumType, bits: bigint, width: number, options: FormatOptions = {}): string {
  const number = type.signed ? BigInt.asIntN(width, bits) : bits;
  const exact = type.enumerators.find(
    (enumerator) => enumerator.value === number || BigInt.asUintN(width, enumerator.value) === bits,
  );
  const shown = options.hex ? `0x${bits.toString(16)}` : number.toString();
  if (exact) return `${exact.name} (${shown})`;
  const flags: string[] = [];
  let rest = bits;
  for (const { name, value } of type.enumerators) {
    if (value <= 0n || (value & (value - 1n)) !== 0n || (rest & value) === 0n) continue;
    flags.push(name);
    rest &= ~value;
  }
  if (flags.length === 0) return shown;
  if (rest !== 0n) flags.push(hex(rest));
  return `${flags.join(' | ')} (${shown})`;
}

function formatPointer(type: PointerType, value: Value): string {
  if (value.location.kind === 'implicit-pointer')
    return `&${formatValue(value.dereference(type), {}, SUMMARY_DEPTH)} <not in memory>`;
  const address = value.unsigned();
  const target = strip(type.target);
  if (type.reference) return formatValue(Value.inMemory(type.target, address, value.frame));
  if (address === 0n) return 'NULL';
  if (target.kind === 'function') return functionName(value, address);
  if (isCharacter(target)) return `${hex(address)} ${stringAt(value, address)}`;
  const symbol = value.frame.program.symbolAt(address);
  return symbol && symbol.symbol.kind === 'object'
    ? `${hex(address)} <${symbol.name}${symbol.offset ? `+${symbol.offset}` : ''}>`
    : hex(address);
}

function functionName(value: Value, address: bigint): string {
  const symbol = value.frame.program.symbolAt(address);
  return symbol ? `${hex(address)} <${symbol.name}${symbol.offset ? `+${symbol.offset}` : ''}>` : hex(address);
}

function stringAt(value: Value, address: bigint): string {
  const bytes = value.frame.readMemory(address, MAX_STRING);
  if (bytes.length === 0) return '<cannot read memory>';
  const end = bytes.indexOf(0);
  return quoteString(end < 0 ? bytes : bytes.subarray(0, end), end >= 0);
}

function formatArray(value: Value, options: FormatOptions, depth: number): string {
  const type = value.plainType;
  if (type.kind !== 'array') return '';
  if (value.optimizedOut) return '<optimized out>';
  const count = value.arrayCount(type);
  if (isCharacter(type.element)) return formatCharacters(value, count);
  if (depth >= SUMMARY_DEPTH) return count === 0 ? '{}' : '{...}';
  const parts: string[] = [];
  for (let index = 0; index < Math.min(count, SUMMARY_ELEMENTS); index++)
    parts.push(formatValue(value.element(type, index), options, depth + 1));
  if (count > SUMMARY_ELEMENTS) parts.push('...');
  return `{${parts.join(', ')}}`;
}

function formatCharacters(value: Value, count: number): string {
  const length = Math.min(count, MAX_STRING);
  const bytes = new Uint8Array(length);
  if (value.address !== undefined) {
    const read = value.frame.readMemory(value.address, length);
    if (read.length < length) throw new ValueError(`<cannot read memory at ${hex(value.address)}>`);
    bytes.set(read);
  } else {
    bytes.set(value.bytes().subarray(0, length));
  }
  const end = bytes.indexOf(0);
  if (end < 0) return quoteString(bytes, count <= MAX_STRING);
  return quoteString(bytes.subarray(0, end), true);
}

function formatRecord(value: Value, options: FormatOptions, depth: number): string {
  const type = value.plainType;
  if (!isRecord(type)) return '';
  if (type.incomplete) return '<incomplete type>';
  if (value.optimizedOut) return '<optimized out>';
  if (depth >= SUMMARY_DEPTH) return '{...}';
  const parts = type.members.slice(0, SUMMARY_MEMBERS).map((member) => {
    const text = formatValue(value.member(member), options, depth + 1);
    return member.name === undefined ? text : `${member.name} = ${text}`;
  });
  if (type.members.length > SUMMARY_MEMBERS) parts.push('...');
  return `{${parts.join(', ')}}`;
}
