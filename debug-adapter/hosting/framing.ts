/** DAP's base protocol: `Content-Length` headers around JSON. Works on any byte stream; no Node in it. */

const SEPARATOR = [13, 10, 13, 10];
/** A header longer than this is not one. */
const LONGEST_HEADER = 4096;
/** A message larger than this is refused rather than buffered. */
const LARGEST_MESSAGE = 64 << 20;

export function encodeMessage(message: object): Uint8Array {
  const body = new TextEncoder().encode(JSON.stringify(message));
  const header = new TextEncoder().encode(`Content-Length: ${body.length}\r\n\r\n`);
  const bytes = new Uint8Array(header.length + body.length);
  bytes.set(header);
  bytes.set(body, header.length);
  return bytes;
}

export class MessageReader {
  #buffer = new Uint8Array(0);

  constructor(
    readonly receive: (message: unknown) => void,
    /** Told in one sentence of bytes that are not messages. */
    readonly complain: (sentence: string) => void,
  ) {}

  push(bytes: Uint8Array): void {
    const joined = new Uint8Array(this.#buffer.length + bytes.length);
    joined.set(this.#buffer);
    joined.set(bytes, this.#buffer.length);
    this.#buffer = joined;
    while (this.#next());
  }

  /** Takes one message off the buffer. False if there is none yet. */
  #next(): boolean {
    const end = indexOf(this.#buffer, SEPARATOR);
    if (end < 0) {
      if (this.#buffer.length > LONGEST_HEADER) this.#drop(this.#buffer.length, 'A message has no header that ends.');
      return false;
    }
    const header = new TextDecoder().decode(this.#buffer.subarray(0, end));
    const length = Number(/^content-length:\s*(\d+)\s*$/im.exec(header)?.[1] ?? NaN);
    const start = end + SEPARATOR.length;
    if (!(length <= LARGEST_MESSAGE)) return this.#drop(start, 'A message has no usable Content-Length.');
    if (this.#buffer.length < start + length) return false;
    const text = new TextDecoder().decode(this.#buffer.subarray(start, start + length));
    this.#buffer = this.#buffer.slice(start + length);
    let message: unknown;
    try {
      message = JSON.parse(text);
    } catch {
      this.complain('A message is not JSON.');
      return true;
    }
    this.receive(message);
    return true;
  }

  #drop(count: number, why: string): true {
    this.#buffer = this.#buffer.slice(count);
    this.complain(why);
    return true;
  }
}

function indexOf(bytes: Uint8Array, pattern: readonly number[]): number {
  for (let at = bytes.indexOf(pattern[0]!); at >= 0; at = bytes.indexOf(pattern[0]!, at + 1))
    if (pattern.every((byte, index) => bytes[at + index] === byte)) return at;
  return -1;
}
