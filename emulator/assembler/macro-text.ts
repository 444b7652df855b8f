/** Text of macros: arguments, and what is put in place of parameters (GNU as manual, "Macro", "Altmacro"). */
import type { Cursor } from './cursor.ts';

/** The value of an expression that must be known now. */
export type Evaluate = (cursor: Cursor) => bigint;

/** What GNU as leaves a space between: it drops those beside any other character before macros see the line. */
const IS_KEPT_BESIDE = /[\w.$%*([{}\-"'\\\x80-\uffff]/;

/**
 * One argument: to the next comma, or to a space outside of parentheses that does not stand beside an operator. With `evaluate` as `.altmacro` has it: `%expression`, `<text>`, `!`
 * before a character in quotes.
 */
export function argument(cursor: Cursor, evaluate?: Evaluate): string {
  cursor.skip();
  const { text } = cursor;
  if (evaluate) {
    if (cursor.take('%')) return String(evaluate(cursor));
    if (text[cursor.at] === '<') return bracketed(cursor);
    if (text[cursor.at] === '"') return escaped(cursor);
  }
  if (text[cursor.at] === '"') {
    const start = cursor.at;
    cursor.string();
    const quoted = text.slice(start + 1, cursor.at - 1).replaceAll('\\"', '"');
    return quoted;
  }
  return gathered(cursor, false);
}

/** All that is left of the line, as a `vararg` parameter takes it. */
export function remainder(cursor: Cursor): string {
  cursor.skip();
  return gathered(cursor, true);
}

/** Text without the spaces that GNU as drops: of an argument, or of the whole line. */
function gathered(cursor: Cursor, whole: boolean): string {
  const { text } = cursor;
  let made = '';
  let depth = 0;
  while (cursor.at < text.length) {
    const character = text[cursor.at]!;
    if (/\s/.test(character)) {
      const before = made.at(-1) ?? '';
      while (/\s/.test(text[cursor.at] ?? '')) cursor.at++;
      if (!IS_KEPT_BESIDE.test(before) || !IS_KEPT_BESIDE.test(text[cursor.at] ?? '')) continue;
      if (!whole && depth === 0) break;
      made += ' ';
      continue;
    }
    if (!whole && character === ',') break;
    if (character === '(' || character === '[') depth++;
    else if (character === ')' || character === ']') depth = Math.max(0, depth - 1);
    const start = cursor.at++;
    if (character === "'") cursor.at += text[cursor.at] === '\\' ? 2 : 1;
    else if (character === '"') cursor.at = endOfString(text, cursor.at);
    made += text.slice(start, cursor.at);
  }
  return made;
}

/** Behind the quote that closes a string, or the end of the text. */
function endOfString(text: string, at: number): number {
  while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
  return Math.min(at + 1, text.length);
}

/** `<text>`: brackets nest, the outer ones go; `!` takes the next character as it is. */
function bracketed(cursor: Cursor): string {
  const start = cursor.at;
  const { text } = cursor;
  let made = '';
  for (let depth = 0; cursor.at < text.length;) {
    const character = text[cursor.at++]!;
    if (character === '!') {
      made += text[cursor.at++] ?? '';
      continue;
    }
    if (character === '<' && depth++ === 0) continue;
    if (character === '>' && --depth === 0) return made;
    made += character;
  }
  return cursor.fail('this `<` has no `>`', start);
}

/** A string with its quotes; `!` takes the next character as it is. */
function escaped(cursor: Cursor): string {
  const start = cursor.at++;
  const { text } = cursor;
  let made = '"';
  while (cursor.at < text.length) {
    const character = text[cursor.at++]!;
    made += character === '!' ? (text[cursor.at++] ?? '') : character;
    if (character === '"') return made;
    if (character === '\\') made += text[cursor.at++] ?? '';
  }
  return cursor.fail('the string has no closing quote', start);
}

const LOCAL = /^\s*local\s+(.*)$/i;

/** Names that LOCAL makes unique. */
export class LocalNames {
  #count = 0;

  /** Whether a line of a macro is a LOCAL; its names get values from here on. */
  declare(text: string, values: Map<string, string>): boolean {
    const names = LOCAL.exec(text)?.[1];
    if (names === undefined) return false;
    for (const name of names.split(/[\s,]+/))
      if (name) values.set(name, `.LL${(++this.#count).toString(16).padStart(4, '0')}`);
    return true;
  }
}

/** The C preprocessor may have put a space after the backslash. */
const PARAMETER = /\\(?:(@)|(\(\))|[ \t]*([A-Za-z_$][\w$]*))/g;
/** What is looked at after `.altmacro`: a parameter also by its name, in strings, too; ampersands beside it go. */
const ALTERNATE =
  /\\(?:(@)|(\(\))|[ \t]*([A-Za-z_$][\w$]*)(&?))|(&?)([A-Za-z_.$][\w.$]*)(&?)|'(?:\\.|[^\\])'?|\d[\w.]*/g;

export function substituted(
  text: string,
  values: ReadonlyMap<string, string>,
  number: number,
  isAlternate: boolean,
): string {
  if (isAlternate) return alternate(text, values, number);
  if (!text.includes('\\')) return text;
  return text.replace(PARAMETER, (whole, at?: string, empty?: string, name?: string) => {
    if (at) return String(number);
    return empty ? '' : (values.get(name!) ?? whole);
  });
}

function alternate(text: string, values: ReadonlyMap<string, string>, number: number): string {
  let made = '';
  let last = 0;
  ALTERNATE.lastIndex = 0;
  for (let found = ALTERNATE.exec(text); found; found = ALTERNATE.exec(text)) {
    const [, at, empty, escaped, , , name, after] = found;
    let value: string | undefined;
    if (at) value = String(number);
    else if (empty) value = '';
    else if (escaped) value = values.get(escaped);
    else if (name) value = values.get(name);
    if (value === undefined) {
      // An ampersand behind may stand before the next name.
      if (after) ALTERNATE.lastIndex--;
      continue;
    }
    made += text.slice(last, found.index) + value;
    last = ALTERNATE.lastIndex;
  }
  return made + text.slice(last);
}
