/** Tokens of C expressions and of event conditions. */
import { ExpressionError } from './errors.ts';

export type Token =
  | {
      readonly kind: 'integer';
      readonly value: bigint;
      readonly suffix: string;
      readonly decimal: boolean;
      readonly at: number;
      readonly end: number;
    }
  | {
      readonly kind: 'float';
      readonly value: number;
      readonly single: boolean;
      readonly at: number;
      readonly end: number;
    }
  | { readonly kind: 'string'; readonly value: string; readonly at: number; readonly end: number }
  | { readonly kind: 'character'; readonly value: bigint; readonly at: number; readonly end: number }
  | { readonly kind: 'name'; readonly text: string; readonly at: number; readonly end: number }
  | { readonly kind: 'register'; readonly text: string; readonly at: number; readonly end: number }
  | { readonly kind: 'sign'; readonly text: string; readonly at: number; readonly end: number }
  | { readonly kind: 'end'; readonly at: number; readonly end: number };

const SIGNS = [
  ...[
    '<<=',
    '>>=',
    '...',
    '->',
    '++',
    '--',
    '<<',
    '>>',
    '<=',
    '>=',
    '==',
    '!=',
    '&&',
    '||',
    '+=',
    '-=',
    '*=',
    '/=',
    '%=',
    '&=',
    '|=',
    '^=',
    '..',
    '::',
  ],
  ...[
    '+',
    '-',
    '*',
    '/',
    '%',
    '&',
    '|',
    '^',
    '~',
    '!',
    '<',
    '>',
    '=',
    '?',
    ':',
    '.',
    ',',
    '(',
    ')',
    '[',
    ']',
    '{',
    '}',
  ],
];
const NAME = /[A-Za-z_][A-Za-z0-9_]*/y;
const REGISTER = /\$[A-Za-z_][A-Za-z0-9_.]*/y;
const FLOAT = /(?:\d+\.(?!\.)\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+)([fFlL]?)/y;
const INTEGER = /(0[xX][0-9A-Fa-f]+|0[bB][01]+|\d+)([uUlL]*)/y;
const SIMPLE_ESCAPES: Readonly<Record<string, number>> = { n: 10, t: 9, r: 13, a: 7, b: 8, f: 12, v: 11, e: 27 };

export function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  for (;;) {
    while (/\s/.test(text[at] ?? '')) at++;
    if (at >= text.length) break;
    const token = read(text, at);
    tokens.push(token);
    at = token.end;
  }
  tokens.push({ kind: 'end', at: text.length, end: text.length });
  return tokens;
}

function match(pattern: RegExp, text: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at;
  return pattern.exec(text);
}

function read(text: string, at: number): Token {
  const name = match(NAME, text, at);
  if (name) return { kind: 'name', text: name[0], at, end: at + name[0].length };
  const register = match(REGISTER, text, at);
  if (register) return { kind: 'register', text: register[0].slice(1), at, end: at + register[0].length };
  const float = match(FLOAT, text, at);
  if (float) {
    const digits = float[0].slice(0, float[0].length - float[1]!.length);
    return { kind: 'float', value: Number(digits), single: /f/i.test(float[1]!), at, end: at + float[0].length };
  }
  const integer = match(INTEGER, text, at);
  if (integer) return readInteger(text, at, integer);
  if (text[at] === '"' || text[at] === "'") return readQuoted(text, at);
  const sign = SIGNS.find((candidate) => text.startsWith(candidate, at));
  if (sign) return { kind: 'sign', text: sign, at, end: at + sign.length };
  throw new ExpressionError(`The character '${text[at]}' has no meaning here.`, at);
}

function readInteger(text: string, at: number, found: RegExpExecArray): Token {
  const digits = found[1]!;
  const end = at + found[0].length;
  const after = /[A-Za-z0-9_]/.exec(text[end] ?? '');
  if (after) throw new ExpressionError(`'${found[0]}${after[0]}' is not a number.`, at, found[0].length + 1);
  const octal = /^0[0-9]+$/.test(digits);
  if (octal && /[89]/.test(digits)) throw new ExpressionError(`'${digits}' is not an octal number.`, at, digits.length);
  const value = BigInt(octal ? `0o${digits.slice(1)}` : digits);
  return {
    kind: 'integer',
    value,
    suffix: found[2]!.toLowerCase(),
    decimal: !octal && !/^0[xXbB]/.test(digits),
    at,
    end,
  };
}

function readQuoted(text: string, at: number): Token {
  const quote = text[at]!;
  let value = '';
  let next = at + 1;
  while (text[next] !== quote) {
    if (next >= text.length) throw new ExpressionError(`The closing ${quote} is missing.`, at);
    if (text[next] !== '\\') {
      value += text[next++]!;
      continue;
    }
    const [code, end] = readEscape(text, next);
    value += String.fromCharCode(code);
    next = end;
  }
  if (quote === '"') return { kind: 'string', value, at, end: next + 1 };
  if (value.length !== 1)
    throw new ExpressionError('A character constant holds exactly one character.', at, next + 1 - at);
  return { kind: 'character', value: BigInt(value.charCodeAt(0)), at, end: next + 1 };
}

function readEscape(text: string, at: number): [code: number, end: number] {
  const hexadecimal = /^\\x([0-9A-Fa-f]{1,2})/.exec(text.slice(at));
  if (hexadecimal) return [parseInt(hexadecimal[1]!, 16), at + hexadecimal[0].length];
  const octal = /^\\([0-7]{1,3})/.exec(text.slice(at));
  if (octal) return [parseInt(octal[1]!, 8) & 0xff, at + octal[0].length];
  const letter = text[at + 1] ?? '';
  return [SIMPLE_ESCAPES[letter] ?? letter.charCodeAt(0), at + 2];
}

/** A position in a list of tokens. */
export class TokenStream {
  #index = 0;

  constructor(readonly tokens: readonly Token[]) {}

  get next(): Token {
    return this.tokens[this.#index]!;
  }
  peek(distance: number): Token {
    return this.tokens[Math.min(this.#index + distance, this.tokens.length - 1)]!;
  }
  take(): Token {
    const token = this.next;
    if (token.kind !== 'end') this.#index++;
    return token;
  }
  /** True, and passed over, if the next token is this sign or name. */
  accept(text: string): boolean {
    if (!this.at(text)) return false;
    this.#index++;
    return true;
  }
  at(text: string): boolean {
    const { next } = this;
    return (next.kind === 'sign' || next.kind === 'name') && next.text === text;
  }
  expect(text: string): void {
    if (!this.accept(text))
      throw new ExpressionError(
        `Expected '${text}' but found ${describe(this.next)}.`,
        this.next.at,
        length(this.next),
      );
  }
  save(): number {
    return this.#index;
  }
  restore(index: number): void {
    this.#index = index;
  }
}

export function length(token: Token): number {
  return Math.max(1, token.end - token.at);
}

export function describe(token: Token): string {
  switch (token.kind) {
    case 'end':
      return 'the end';
    case 'name':
    case 'sign':
      return `'${token.text}'`;
    case 'register':
      return `'$${token.text}'`;
    case 'string':
      return 'a string';
    default:
      return 'a number';
  }
}
