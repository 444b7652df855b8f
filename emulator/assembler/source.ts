/** Lines of a source to statements: comments go, `;` separates. */
import type { Position } from './model.ts';

export interface Statement {
  readonly text: string;
  readonly file: string;
  /** Counts from 0. */
  readonly line: number;
  /** Of the statement's first character, from 0. */
  readonly column: number;
  /** Where it was invoked, if it comes from a macro or a repetition. */
  readonly from?: Position;
}

/** Anything that makes a line more than one plain statement. */
const SPECIAL = /["'#;/]/;

/** What a C preprocessor writes: the next line is this one of this file. */
const LINE_MARKER = /^# (\d+) "((?:[^"\\]|\\.)*)"/;

/** Statements of a text, empty ones left out. Columns are those of the source. */
export function splitStatements(name: string, text: string): Statement[] {
  const statements: Statement[] = [];
  let inComment = false;
  let file = name;
  let skipped = 0;
  const lines = text.split('\n');
  for (let index = 0; index < lines.length; index++) {
    const source = lines[index]!;
    const marker = inComment || source[0] !== '#' ? undefined : LINE_MARKER.exec(source);
    if (marker) {
      file = marker[2]!.replace(/\\(.)/g, '$1');
      skipped = index + 2 - Number(marker[1]);
      continue;
    }
    const line = index - skipped;
    if (!inComment && !SPECIAL.test(source)) {
      if (source.trim() !== '') statements.push({ text: source, file, line, column: 0 });
      continue;
    }
    let start = 0;
    let current = '';
    const flush = (end: number): void => {
      if (current.trim() !== '') statements.push({ text: current, file, line, column: start });
      current = '';
      start = end + 1;
    };
    let at = 0;
    while (at < source.length) {
      const character = source[at]!;
      if (inComment) {
        const end = source.indexOf('*/', at);
        const stop = end < 0 ? source.length : end + 2;
        if (end >= 0) inComment = false;
        current += ' '.repeat(stop - at);
        at = stop;
      } else if (character === '/' && source[at + 1] === '*') {
        inComment = true;
        current += '  ';
        at += 2;
      } else if (character === '#' || (character === '/' && source[at + 1] === '/')) {
        break;
      } else if (character === ';') {
        flush(at);
        at++;
      } else if (character === '"' || character === "'") {
        const end = endOfQuoted(source, at);
        current += source.slice(at, end);
        at = end;
      } else {
        current += character;
        at++;
      }
    }
    flush(source.length);
  }
  return statements;
}

/** After a string, or a character constant ('x, 'x', '\n'). */
function endOfQuoted(source: string, at: number): number {
  if (source[at] === "'") {
    const end = at + (source[at + 1] === '\\' ? 3 : 2);
    return Math.min(source[end] === "'" ? end + 1 : end, source.length);
  }
  for (let end = at + 1; end < source.length; end++) {
    if (source[end] === '\\') end++;
    else if (source[end] === '"') return end + 1;
  }
  return source.length;
}

/** Where a statement stands; for one of a macro, where the macro was invoked. */
export function positionOf({ text, file, line, column, from }: Statement): Position {
  if (from) return from;
  const indent = text.length - text.trimStart().length;
  return { file, line, column: column + indent, length: Math.max(1, text.trim().length) };
}
