/** Typed values: a type and where its bits are, read when asked, with children and writing back. */
import { littleEndian, type Location } from './dwarf/expression.ts';
import { strip, type ArrayType, type Member, type PointerType, type RecordType, type Type } from './dwarf/types.ts';
import type { StackFrame } from './stack-frame.ts';

/** A value that cannot be had: the message is what the user sees. */
export class ValueError extends Error {
  override readonly name = 'ValueError';
}

/** Objects larger than this are not read whole. */
const MAX_OBJECT = 1 << 20;

export class Value {
  constructor(
    readonly type: Type,
    readonly location: Location,
    readonly frame: StackFrame,
    /** Of a bit-field: width, and bits from the start of `location`. */
    readonly bits?: { readonly size: number; readonly offset: number },
  ) {}

  static ofBits(type: Type, bits: bigint, frame: StackFrame): Value {
    const size = strip(type).size ?? 8;
    return new Value(type, { kind: 'value', bits: BigInt.asUintN(Math.max(size, 1) * 8, bits) }, frame);
  }
  static inMemory(type: Type, address: bigint, frame: StackFrame): Value {
    return new Value(type, { kind: 'memory', address: BigInt.asUintN(64, address) }, frame);
  }

  get optimizedOut(): boolean {
    return this.location.kind === 'optimized-out';
  }
  /** Address of a value in memory. */
  get address(): bigint | undefined {
    return this.location.kind === 'memory' ? this.location.address : undefined;
  }
  /** With typedefs and qualifiers removed. */
  get plainType(): Exclude<Type, { kind: 'typedef' | 'qualified' }> {
    return strip(this.type) as Exclude<Type, { kind: 'typedef' | 'qualified' }>;
  }

  get size(): number {
    const type = this.plainType;
    if (type.size !== undefined) return type.size;
    if (type.kind === 'array') return (strip(type.element).size ?? 0) * this.arrayCount(type);
    return 0;
  }

  /** Elements of an array, asking the frame for lengths known only at run time. Throws ValueError if it does not know. */
  arrayCount(type: ArrayType): number {
    if (type.count !== undefined) return type.count;
    if (!type.bound) return 0;
    const bound = this.frame.numberOf(type.bound.subrange, type.bound.attribute);
    if (bound === undefined) throw new ValueError('<length optimized out>');
    const count = Number(BigInt.asIntN(64, bound)) + (type.bound.isCount ? 0 : 1);
    return count > 0 && count < 0x1_0000_0000 ? count : 0;
  }

  /** The value's bytes. Throws ValueError if it is optimized out or memory cannot be read. */
  bytes(): Uint8Array {
    const size = this.size;
    if (size > MAX_OBJECT) throw new ValueError(`<${size} bytes are too many to show>`);
    return readLocation(this.location, size, this.frame);
  }

  /** The bits as an unsigned integer: bit-fields extracted. */
  unsigned(): bigint {
    if (!this.bits) return littleEndian(this.bytes());
    const { size, offset } = this.bits;
    const first = Math.floor(offset / 8);
    const count = Math.ceil((offset + size) / 8) - first;
    const raw = littleEndian(readLocation(offsetLocation(this.location, first), count, this.frame));
    return BigInt.asUintN(size, raw >> BigInt(offset - first * 8));
  }

  get bitWidth(): number {
    return this.bits ? this.bits.size : this.size * 8;
  }

  /** A member of a record. */
  member(member: Member): Value {
    if (member.bitSize !== undefined)
      return new Value(member.type, this.location, this.frame, { size: member.bitSize, offset: member.bitOffset ?? 0 });
    return new Value(member.type, offsetLocation(this.location, member.offset), this.frame);
  }

  element(type: ArrayType, index: number): Value {
    const size = strip(type.element).size ?? 0;
    return new Value(type.element, offsetLocation(this.location, index * size), this.frame);
  }

  /** What a pointer points to. */
  dereference(type: PointerType): Value {
    if (this.location.kind === 'implicit-pointer') {
      const { target, offset } = this.location;
      if (!target) return new Value(type.target, { kind: 'optimized-out' }, this.frame);
      return new Value(type.target, offsetLocation(this.frame.locationOf(target), offset), this.frame);
    }
    return Value.inMemory(type.target, this.unsigned(), this.frame);
  }

  /** Replaces the value's bits. Throws ValueError with one sentence if it has no place to write to. */
  write(bits: bigint): void {
    if (!this.bits) return writeLocation(this.location, this.size, bits, this.frame);
    const { size, offset } = this.bits;
    const first = Math.floor(offset / 8);
    const count = Math.ceil((offset + size) / 8) - first;
    const place = offsetLocation(this.location, first);
    const shift = BigInt(offset - first * 8);
    const mask = ((1n << BigInt(size)) - 1n) << shift;
    const old = littleEndian(readLocation(place, count, this.frame));
    writeLocation(place, count, (old & ~mask) | ((bits << shift) & mask), this.frame);
  }

  writeBytes(bytes: Uint8Array): void {
    if (bytes.length !== this.size) throw new ValueError(`The value has ${this.size} bytes, not ${bytes.length}.`);
    this.write(littleEndian(bytes));
  }
}

type Pieces = Extract<Location, { kind: 'pieces' }>['pieces'];

function readLocation(location: Location, size: number, frame: StackFrame): Uint8Array {
  switch (location.kind) {
    case 'memory': {
      const bytes = size === 0 ? new Uint8Array(0) : frame.readMemory(location.address, size);
      if (bytes.length < size)
        throw new ValueError(`<cannot read memory at 0x${(location.address + BigInt(bytes.length)).toString(16)}>`);
      return bytes;
    }
    case 'register': {
      const value = frame.register(location.register);
      if (value === undefined) throw new ValueError('<optimized out>');
      return toBytes(value, size);
    }
    case 'value':
      return toBytes(location.bits, size);
    case 'bytes': {
      const bytes = new Uint8Array(size);
      bytes.set(location.bytes.subarray(0, size));
      return bytes;
    }
    case 'pieces':
      return readPieces(location.pieces, size, frame);
    case 'implicit-pointer':
      throw new ValueError('<synthetic pointer>');
    case 'optimized-out':
      throw new ValueError('<optimized out>');
  }
}

/** Only the pieces the first `size` bytes are made of: others may be optimized out. */
function readPieces(pieces: Pieces, size: number, frame: StackFrame): Uint8Array {
  let bits = 0n;
  let width = 0;
  for (const piece of pieces) {
    if (width >= size * 8) break;
    const bytes = readLocation(piece.location, Math.ceil((piece.bits + piece.bitOffset) / 8), frame);
    bits |= BigInt.asUintN(piece.bits, littleEndian(bytes) >> BigInt(piece.bitOffset)) << BigInt(width);
    width += piece.bits;
  }
  if (width < size * 8) throw new ValueError('<optimized out>');
  return toBytes(bits, size);
}

function toBytes(value: bigint, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  let rest = BigInt.asUintN(size * 8, value);
  for (let index = 0; index < size && rest !== 0n; index++) {
    bytes[index] = Number(rest & 0xffn);
    rest >>= 8n;
  }
  return bytes;
}

/** The place `offset` bytes into a location. */
function offsetLocation(location: Location, offset: number): Location {
  if (offset === 0) return location;
  switch (location.kind) {
    case 'memory':
      return { kind: 'memory', address: BigInt.asUintN(64, location.address + BigInt(offset)) };
    case 'value':
      return { kind: 'value', bits: location.bits >> BigInt(Math.max(0, offset) * 8) };
    case 'bytes':
      return { kind: 'bytes', bytes: location.bytes.subarray(offset) };
    case 'register':
      return { kind: 'pieces', pieces: [{ location, bits: 128 - offset * 8, bitOffset: offset * 8 }] };
    case 'pieces':
      return { kind: 'pieces', pieces: dropBits(location.pieces, offset * 8) };
    default:
      return location;
  }
}

function dropBits(pieces: Pieces, bits: number): Pieces {
  const rest: Pieces[number][] = [];
  let skip = bits;
  for (const piece of pieces) {
    if (skip >= piece.bits) {
      skip -= piece.bits;
      continue;
    }
    rest.push({ location: piece.location, bits: piece.bits - skip, bitOffset: piece.bitOffset + skip });
    skip = 0;
  }
  return rest;
}

function writeLocation(location: Location, size: number, bits: bigint, frame: StackFrame): void {
  switch (location.kind) {
    case 'memory':
      if (!frame.target.writeMemory(location.address, toBytes(bits, size)))
        throw new ValueError(`Memory at 0x${location.address.toString(16)} cannot be written.`);
      return;
    case 'register': {
      const width = size * 8;
      const old = frame.register(location.register) ?? 0n;
      const kept = width >= 64 ? 0n : (old >> BigInt(width)) << BigInt(width);
      if (!frame.writeRegister(location.register, kept | BigInt.asUintN(width, bits)))
        throw new ValueError('The register is not known in this frame.');
      return;
    }
    case 'pieces':
      return writePieces(location.pieces, size, bits, frame);
    default:
      throw new ValueError('The value is optimized out or constant here, so there is no place to write to.');
  }
}

function writePieces(pieces: Pieces, size: number, bits: bigint, frame: StackFrame): void {
  let rest = bits;
  let left = size * 8;
  for (const piece of pieces) {
    if (left <= 0) return;
    const width = Math.min(piece.bits, left);
    const bytes = Math.ceil((piece.bitOffset + width) / 8);
    const old = littleEndian(readLocation(piece.location, bytes, frame));
    const mask = ((1n << BigInt(width)) - 1n) << BigInt(piece.bitOffset);
    writeLocation(piece.location, bytes, (old & ~mask) | ((rest << BigInt(piece.bitOffset)) & mask), frame);
    rest >>= BigInt(width);
    left -= width;
  }
}

/** A record's member by name, looking through anonymous members and base classes. */
export function findMember(record: Value, name: string, depth = 0): Value | undefined {
  const type = record.plainType as RecordType;
  for (const member of type.members) if (member.name === name) return record.member(member);
  if (depth > 16) return undefined;
  for (const member of type.members) {
    const inner = strip(member.type);
    if ((member.name !== undefined && !member.inherited) || !isRecord(inner)) continue;
    const found = findMember(record.member(member), name, depth + 1);
    if (found) return found;
  }
  return undefined;
}

export function isRecord(type: Type): type is RecordType {
  return type.kind === 'struct' || type.kind === 'union' || type.kind === 'class';
}
