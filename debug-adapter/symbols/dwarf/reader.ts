/** Bounds-checked little-endian reading of a byte range: integers, LEB128, strings, DWARF lengths and offsets. */
import { SymbolError } from '../errors.ts';

const decoder = new TextDecoder();
/** Bits 63:32 of the first address of the upper half. */
const UPPER_HALF = 0xffff_8000;

/** Strings are ASCII nearly always; TextDecoder only pays for the others and for long ones. */
export function decodeText(bytes: Uint8Array, start: number, end: number): string {
  if (end - start > 64) return decoder.decode(bytes.subarray(start, end));
  let text = '';
  for (let at = start; at < end; at++) {
    const byte = bytes[at]!;
    if (byte >= 0x80) return decoder.decode(bytes.subarray(start, end));
    text += String.fromCharCode(byte);
  }
  return text;
}

/** The NUL-terminated string at an offset of a string section. */
export function stringAt(bytes: Uint8Array, offset: number): string {
  if (!(offset >= 0) || offset >= bytes.length) return '';
  const end = bytes.indexOf(0, offset);
  return decodeText(bytes, offset, end < 0 ? bytes.length : end);
}

export class ByteReader {
  readonly view: DataView;

  /** `what` names the section in error messages; `offset` and `end` are relative to `bytes`. */
  constructor(
    readonly bytes: Uint8Array,
    readonly what: string,
    public offset = 0,
    public end = bytes.length,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (!(end <= bytes.length) || !(offset >= 0) || offset > end)
      throw new SymbolError(`${what} refers to offset ${offset}, past its end at ${Math.min(end, bytes.length)}.`);
  }

  get atEnd(): boolean {
    return this.offset >= this.end;
  }

  /** Advances over `count` bytes and returns where they began. */
  take(count: number): number {
    const at = this.offset;
    if (!(count >= 0) || at + count > this.end) throw new SymbolError(`${this.what} is truncated at offset ${at}.`);
    this.offset = at + count;
    return at;
  }

  u8(): number {
    if (this.offset >= this.end) throw new SymbolError(`${this.what} is truncated at offset ${this.offset}.`);
    return this.bytes[this.offset++]!;
  }
  i8(): number {
    return (this.u8() << 24) >> 24;
  }
  u16(): number {
    return this.view.getUint16(this.take(2), true);
  }
  i16(): number {
    return this.view.getInt16(this.take(2), true);
  }
  u24(): number {
    return this.u16() | (this.u8() << 16);
  }
  u32(): number {
    return this.view.getUint32(this.take(4), true);
  }
  i32(): number {
    return this.view.getInt32(this.take(4), true);
  }
  u64(): bigint {
    return this.view.getBigUint64(this.take(8), true);
  }
  i64(): bigint {
    return this.view.getBigInt64(this.take(8), true);
  }
  /** A 64-bit offset or address as a number; exact below 2^53. Addresses of the upper half give their low 48 bits (../link-address.ts). */
  u64AsNumber(): number {
    const at = this.take(8);
    const high = this.view.getUint32(at + 4, true);
    return this.view.getUint32(at, true) + (high < UPPER_HALF ? high : high & 0xffff) * 0x1_0000_0000;
  }
  /** Unsigned integer of 1, 2, 4 or 8 bytes. */
  unsigned(size: number): number {
    if (size === 8) return this.u64AsNumber();
    if (size === 4) return this.u32();
    if (size === 2) return this.u16();
    if (size === 1) return this.u8();
    throw new SymbolError(`${this.what} uses an integer of ${size} bytes at offset ${this.offset}.`);
  }

  uleb(): number {
    let byte = this.u8();
    if (byte < 0x80) return byte;
    let result = byte & 0x7f;
    let factor = 0x80;
    do {
      byte = this.u8();
      result += (byte & 0x7f) * factor;
      factor *= 0x80;
    } while (byte >= 0x80 && factor < 2 ** 77);
    return result;
  }
  sleb(): number {
    let result = 0;
    let factor = 1;
    let byte: number;
    do {
      byte = this.u8();
      result += (byte & 0x7f) * factor;
      factor *= 0x80;
    } while (byte >= 0x80 && factor < 2 ** 77);
    return byte & 0x40 ? result - factor : result;
  }
  /** Unsigned LEB128, exact, modulo 2^64. */
  ulebBig(): bigint {
    return BigInt.asUintN(64, this.#lebBits().value);
  }
  /** Signed LEB128, exact, as a signed 64-bit number. */
  slebBig(): bigint {
    const { value, shift, negative } = this.#lebBits();
    return BigInt.asIntN(64, negative ? value - (1n << shift) : value);
  }
  #lebBits(): { value: bigint; shift: bigint; negative: boolean } {
    let value = 0n;
    let shift = 0n;
    let byte: number;
    do {
      byte = this.u8();
      value |= BigInt(byte & 0x7f) << shift;
      shift += 7n;
    } while (byte >= 0x80 && shift < 77n);
    return { value, shift, negative: (byte & 0x40) !== 0 };
  }

  cstring(): string {
    const start = this.offset;
    this.skipCstring();
    return decodeText(this.bytes, start, this.offset - 1);
  }
  skipCstring(): void {
    const end = this.bytes.indexOf(0, this.offset);
    if (end < 0 || end >= this.end)
      throw new SymbolError(`${this.what} has an unterminated string at offset ${this.offset}.`);
    this.offset = end + 1;
  }
  block(count: number): Uint8Array {
    const at = this.take(count);
    return this.bytes.subarray(at, at + count);
  }

  /** A DWARF unit length (DWARF 5, 7.4): 32-bit, or 64-bit after an escape. Returns the end of the unit, clipped to nothing. */
  unitLength(): { end: number; offsetSize: 4 | 8 } {
    let length = this.u32();
    let offsetSize: 4 | 8 = 4;
    if (length === 0xffffffff) {
      length = this.u64AsNumber();
      offsetSize = 8;
    } else if (length >= 0xfffffff0) {
      throw new SymbolError(`${this.what} has a reserved unit length at offset ${this.offset - 4}.`);
    }
    const end = this.offset + length;
    if (end > this.end)
      throw new SymbolError(`${this.what} has a unit that runs past its end at offset ${this.offset}.`);
    return { end, offsetSize };
  }
}
