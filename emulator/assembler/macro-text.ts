/** Text of macros: arguments, and what is put in place of parameters (GNU as manual, "Macro", "Altmacro"). */
import type { Cursor } from './cursor.ts';

/** The value of an expression that must be known now. */
export type Evaluate = (cursor: Cursor) => bigint;

/** One argument, to the next comma or space outside quotes and parentheses. With `evaluate` as `.altmacro` has it: `%expression`, `<text>`, `!` before a character in quotes. */
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
  const start = cursor.at;
  let depth = 0;
  for (; cursor.at < text.length; cursor.at++) {
    const character = text[cursor.at]!;
    if (character === '(' || character === '[') depth++;
    else if (character === ')' || character === ']') depth--;
    else if (character === "'") cursor.at += text[cursor.at + 1] === '\\' ? 2 : 1;
    else if (depth <= 0 && character === ',') break;
    else if (depth <= 0 && /\s/.test(character)) {
      // A space ends it unless an operator stands beside.
      const before = text.slice(start, cursor.at).trimEnd().at(-1) ?? '';
      const after = text.slice(cursor.at).trimStart()[0] ?? ',';
      if (!/[-+*/%&|^<>=!~]/.test(before) && !/[-+*/&|^<>=!]/.test(after)) break;
    }
  }
  return text.slice(start, cursor.at).trim();
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
