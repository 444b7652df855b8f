/** A digest of plain data and memory, for tests of determinism. Not cryptographic: 2 x 32-bit multiply-xor lanes. */

export class Digest {
  #a = 0x811c9dc5;
  #b = 0x9e3779b9;
  readonly #met = new Map<object, number>();

  word(value: number): void {
    this.#a = Math.imul(this.#a ^ value, 0x01000193);
    this.#b = Math.imul(((this.#b << 13) | (this.#b >>> 19)) ^ value, 0x85ebca6b);
  }

  bytes(data: Uint8Array): void {
    this.word(data.length);
    if (data.byteOffset % 4 === 0) {
      const words = new Uint32Array(data.buffer, data.byteOffset, data.length >>> 2);
      for (let at = 0; at < words.length; at++) this.word(words[at]!);
      for (let at = words.length * 4; at < data.length; at++) this.word(data[at]!);
    } else for (const byte of data) this.word(byte);
  }

  text(value: string): void {
    this.word(value.length);
    for (let at = 0; at < value.length; at++) this.word(value.charCodeAt(at));
  }

  /** Any structured-cloneable value, in insertion order of its keys. An object met again (shared, or a cycle) counts by the order of first meetings. */
  value(value: unknown): void {
    if (typeof value === 'object' && value !== null) {
      const met = this.#met.get(value);
      if (met !== undefined) return this.word(met);
      this.#met.set(value, this.#met.size);
    }
    if (value instanceof Uint8Array) return this.bytes(value);
    if (ArrayBuffer.isView(value)) return this.bytes(new Uint8Array(value.buffer, value.byteOffset, value.byteLength));
    if (value instanceof Map || value instanceof Set) {
      this.text(value.constructor.name);
      for (const entry of value) this.value(entry);
      return;
    }
    if (Array.isArray(value)) {
      this.word(value.length);
      for (const element of value) this.value(element);
      return;
    }
    if (typeof value === 'object' && value !== null) {
      for (const [key, element] of Object.entries(value)) {
        this.text(key);
        this.value(element);
      }
      return;
    }
    this.text(`${typeof value}:${String(value)}`);
  }

  /** 16 hexadecimal digits. */
  toString(): string {
    const hex = (lane: number): string => (lane >>> 0).toString(16).padStart(8, '0');
    return hex(this.#a) + hex(this.#b);
  }
}
