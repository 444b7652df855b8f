/** Bytes of a WebAssembly function body, with the depth of open blocks kept for branches. */
import { MEMORY_OPCODES, TYPE_CODES } from './opcodes.ts';
import type { MemoryInstruction, ValueType } from './opcodes.ts';

const VOID = 0x40;

export class Writer {
  #bytes: Uint8Array;
  #length = 0;
  /** Open block, loop and if constructs. */
  depth = 0;

  constructor(capacity = 1024) {
    this.#bytes = new Uint8Array(capacity);
  }

  get length(): number {
    return this.#length;
  }
  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  /** A place to come back to: what is written after it can be taken back, if it is whole constructs. */
  mark(): number {
    return this.#length;
  }
  rewind(mark: number): void {
    this.#length = mark;
  }

  #reserve(count: number): void {
    if (this.#length + count <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length + count));
    grown.set(this.#bytes);
    this.#bytes = grown;
  }
  byte(value: number): void {
    this.#reserve(1);
    this.#bytes[this.#length++] = value;
  }
  bytes(values: ArrayLike<number>): void {
    const { length } = values;
    this.#reserve(length);
    // Mostly a few bytes, for which `set` costs more.
    if (length > 16) this.#bytes.set(values, this.#length);
    else for (let index = 0; index < length; index++) this.#bytes[this.#length + index] = values[index]!;
    this.#length += length;
  }
  unsigned(value: number): void {
    if (value >>> 0 < 0x80) this.byte(value);
    else this.bytes(unsignedLeb(value));
  }
  string(text: string): void {
    const encoded = new TextEncoder().encode(text);
    this.unsigned(encoded.length);
    this.bytes(encoded);
  }

  // ---- instructions
  localGet(local: number): void {
    this.byte(0x20);
    this.unsigned(local);
  }
  localSet(local: number): void {
    this.byte(0x21);
    this.unsigned(local);
  }
  localTee(local: number): void {
    this.byte(0x22);
    this.unsigned(local);
  }
  i32Const(value: number): void {
    this.bytes(i32Const(value));
  }
  memory(name: MemoryInstruction, offset: number): void {
    this.bytes(memoryInstruction(name, offset));
  }
  /** An instruction without prefix or immediate. */
  plain(opcode: number): void {
    this.byte(opcode);
  }
  call(index: number): void {
    this.byte(0x10);
    this.unsigned(index);
  }
  callIndirect(type: number): void {
    this.byte(0x11);
    this.unsigned(type);
    this.byte(0);
  }
  return(): void {
    this.byte(0x0f);
  }
  unreachable(): void {
    this.byte(0);
  }

  // ---- structure; each opening answers the depth that `branch` wants
  #open(opcode: number, type: ValueType | undefined): number {
    this.byte(opcode);
    this.byte(type ? TYPE_CODES[type] : VOID);
    return ++this.depth;
  }
  block(type?: ValueType): number {
    return this.#open(0x02, type);
  }
  loop(type?: ValueType): number {
    return this.#open(0x03, type);
  }
  if(type?: ValueType): number {
    return this.#open(0x04, type);
  }
  else(): void {
    this.byte(0x05);
  }
  end(): void {
    this.byte(0x0b);
    this.depth--;
  }
  branch(toDepth: number): void {
    this.byte(0x0c);
    this.unsigned(this.depth - toDepth);
  }
  branchIf(toDepth: number): void {
    this.byte(0x0d);
    this.unsigned(this.depth - toDepth);
  }
  globalGet(index: number): void {
    this.byte(0x23);
    this.unsigned(index);
  }
  globalSet(index: number): void {
    this.byte(0x24);
    this.unsigned(index);
  }
  /** `labels` are relative, as in the binary format. */
  branchTable(labels: readonly number[], otherwise: number): void {
    this.byte(0x0e);
    this.unsigned(labels.length);
    for (const label of labels) this.unsigned(label);
    this.unsigned(otherwise);
  }
}

export function unsignedLeb(value: number): number[] {
  const bytes: number[] = [];
  let rest = value >>> 0;
  while (rest >= 0x80) {
    bytes.push((rest & 0x7f) | 0x80);
    rest >>>= 7;
  }
  bytes.push(rest);
  return bytes;
}

export function signedLeb(value: bigint): number[] {
  if (value >= -0x8000_0000n && value < 0x8000_0000n) return signedLeb32(Number(value));
  const bytes: number[] = [];
  let rest = value;
  for (;;) {
    const low = Number(rest & 0x7fn);
    rest >>= 7n;
    const done = (rest === 0n && !(low & 0x40)) || (rest === -1n && (low & 0x40) !== 0);
    bytes.push(done ? low : low | 0x80);
    if (done) return bytes;
  }
}

function signedLeb32(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (;;) {
    const low = rest & 0x7f;
    rest >>= 7;
    const done = (rest === 0 && !(low & 0x40)) || (rest === -1 && (low & 0x40) !== 0);
    bytes.push(done ? low : low | 0x80);
    if (done) return bytes;
  }
}

export function i32Const(value: number): number[] {
  return [0x41, ...signedLeb32(value | 0)];
}
export function i64Const(value: bigint): number[] {
  return [0x42, ...signedLeb(BigInt.asIntN(64, value))];
}

export function memoryInstruction(name: MemoryInstruction, offset: number): number[] {
  const code = MEMORY_OPCODES[name];
  const opcode = code > 0xff ? [code >> 8, code & 0xff] : [code];
  // Alignment is only a hint; 0 is always valid.
  return offset < 0x80 ? [...opcode, 0, offset] : [...opcode, 0, ...unsignedLeb(offset)];
}
