/** A growing little-endian buffer. */
export class ByteWriter {
  #buffer = new Uint8Array(1024);
  #view = new DataView(this.#buffer.buffer);
  length = 0;

  #room(bytes: number): void {
    if (this.length + bytes <= this.#buffer.length) return;
    const larger = new Uint8Array(Math.max(this.#buffer.length * 2, this.length + bytes));
    larger.set(this.#buffer);
    this.#buffer = larger;
    this.#view = new DataView(larger.buffer);
  }
  u8(value: number): this {
    this.#room(1);
    this.#view.setUint8(this.length, value);
    this.length += 1;
    return this;
  }
  u16(value: number): this {
    this.#room(2);
    this.#view.setUint16(this.length, value, true);
    this.length += 2;
    return this;
  }
  u32(value: number): this {
    this.#room(4);
    this.#view.setUint32(this.length, value, true);
    this.length += 4;
    return this;
  }
  u64(value: bigint | number): this {
    this.#room(8);
    this.#view.setBigUint64(this.length, BigInt.asUintN(64, BigInt(value)), true);
    this.length += 8;
    return this;
  }
  bytes(values: ArrayLike<number>): this {
    this.#room(values.length);
    this.#buffer.set(values, this.length);
    this.length += values.length;
    return this;
  }
  /** UTF-8 with a zero after it. */
  string(text: string): this {
    return this.bytes(new TextEncoder().encode(text)).u8(0);
  }
  zero(count: number): this {
    this.#room(count);
    this.#buffer.fill(0, this.length, this.length + count);
    this.length += count;
    return this;
  }
  align(to: number): this {
    return this.zero((to - (this.length % to)) % to);
  }
  /** Overwrites four bytes. */
  patch32(at: number, value: number): void {
    this.#view.setUint32(at, value, true);
  }
  finish(): Uint8Array {
    return this.#buffer.slice(0, this.length);
  }
}

/** Strings of a string table; offset 0 is the empty one. */
export class StringTable {
  readonly #writer = new ByteWriter().u8(0);
  readonly #offsets = new Map<string, number>([['', 0]]);

  add(text: string): number {
    let offset = this.#offsets.get(text);
    if (offset === undefined) {
      offset = this.#writer.length;
      this.#offsets.set(text, offset);
      this.#writer.string(text);
    }
    return offset;
  }
  finish(): Uint8Array {
    return this.#writer.finish();
  }
}

/** The low `size` bytes of a number in two's complement. */
export function littleEndian(value: bigint, size: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (let i = 0; i < size; i++, rest >>= 8n) bytes.push(Number(rest & 255n));
  return bytes;
}
