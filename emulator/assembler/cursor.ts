/** Scanning of one statement: identifiers, numbers, strings, punctuation. */
import { AssemblyError } from './model.ts';

const IDENTIFIER = /[A-Za-z_.$][\w.$]*/y;
const SPACE = /[ \t\f\r\n]*/y;
const NUMBER = /0[xX][0-9a-fA-F]+|0[bB][01]+|\d+/y;
const ESCAPES: Readonly<Record<string, number>> = {
  b: 8,
  f: 12,
  n: 10,
  r: 13,
  t: 9,
  v: 11,
  '"': 34,
  '\\': 92,
  "'": 39,
};

export class Cursor {
  at = 0;

  constructor(readonly text: string) {}

  skip(): void {
    if (this.at >= this.text.length) return;
    SPACE.lastIndex = this.at;
    SPACE.exec(this.text);
    this.at = SPACE.lastIndex;
  }
  get done(): boolean {
    this.skip();
    return this.at >= this.text.length;
  }
  /** The next character after spaces, or an empty string. */
  peek(): string {
    this.skip();
    return this.text[this.at] ?? '';
  }
  /** Takes `what` if it stands here. */
  take(what: string): boolean {
    this.skip();
    if (!this.text.startsWith(what, this.at)) return false;
    this.at += what.length;
    return true;
  }
  expect(what: string): void {
    if (!this.take(what)) this.fail(`expected \`${what}\`${this.#found()}`);
  }
  #found(): string {
    const rest = this.text.slice(this.at).trim();
    return rest === '' ? ', the line ends here' : `, found \`${rest.length > 20 ? `${rest.slice(0, 20)}…` : rest}\``;
  }
  fail(message: string, start = this.at): never {
    const from = Math.min(start, this.text.length);
    throw new AssemblyError(message, { start: from, end: Math.max(Math.min(this.at, this.text.length), from + 1) });
  }
  /** Fails unless the statement ends here. */
  end(): void {
    if (!this.done) this.fail(`unexpected text${this.#found().replace(', found', '')}`);
  }
  #match(pattern: RegExp): string | undefined {
    this.skip();
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text)?.[0];
    if (found !== undefined) this.at = pattern.lastIndex;
    return found;
  }
  /** A symbol name (also in quotes), register or mnemonic; undefined if none stands here. */
  identifier(): string | undefined {
    if (this.peek() === '"') return new TextDecoder('latin1').decode(Uint8Array.from(this.string()));
    return this.#match(IDENTIFIER);
  }
  name(what: string): string {
    return this.identifier() ?? this.fail(`expected ${what}${this.#found()}`);
  }
  number(): bigint | undefined {
    const start = this.at;
    const digits = this.#match(NUMBER);
    if (digits === undefined) return undefined;
    if (!/^0[0-9]/.test(digits)) return BigInt(digits);
    if (/[89]/.test(digits)) this.fail(`${digits} is not an octal number: drop its leading zero`, start);
    return BigInt(`0o${digits}`);
  }
  /** Bytes of a string in double quotes. */
  string(): number[] {
    this.skip();
    const start = this.at;
    this.expect('"');
    const bytes: number[] = [];
    for (;;) {
      const point = this.text.codePointAt(this.at);
      if (point === undefined) return this.fail('the string has no closing quote', start);
      const character = String.fromCodePoint(point);
      this.at += character.length;
      if (character === '"') return bytes;
      if (character === '\\') bytes.push(this.escape());
      else if (point < 0x80) bytes.push(point);
      else bytes.push(...new TextEncoder().encode(character));
    }
  }
  /** A string in double quotes as text: a path, a message. */
  quoted(): string {
    return new TextDecoder().decode(Uint8Array.from(this.string()));
  }
  /** Takes a word if it stands here, whole. */
  word(what: string): boolean {
    this.skip();
    const { at } = this;
    if (this.take(what) && !/[\w.$]/.test(this.text[this.at] ?? '')) return true;
    this.at = at;
    return false;
  }
  /** What follows a backslash. */
  escape(): number {
    const rest = this.text.slice(this.at);
    const octal = /^[0-7]{1,3}/.exec(rest)?.[0];
    if (octal !== undefined) {
      this.at += octal.length;
      return parseInt(octal, 8) & 255;
    }
    const hex = /^[xX][0-9a-fA-F]+/.exec(rest)?.[0];
    if (hex !== undefined) {
      this.at += hex.length;
      return parseInt(hex.slice(1).slice(-2), 16);
    }
    const character = rest[0] ?? this.fail('the string ends after a backslash');
    this.at++;
    return ESCAPES[character] ?? character.charCodeAt(0);
  }
}
