/** A source as lines of tokens. An edit lexes what it touched; the rest is kept. */
import type { Range } from 'vscode-languageserver-types';
import { isPreprocessed } from '../emulator/assembler/preprocess.ts';
import { lexLine, START, type LexerState, type Token } from './lexer.ts';

export interface Line {
  readonly text: string;
  readonly tokens: readonly Token[];
  readonly before: LexerState;
  readonly after: LexerState;
}

/** First and last line of a range; one that ends before a line's first character does not touch that line. The last may lie before the first. */
export function linesOf({ start, end }: Range, count: number): readonly [number, number] {
  const last = end.character === 0 ? end.line - 1 : end.line;
  return [start.line, Math.min(last, count - 1)];
}

export interface Change {
  /** First line that is another one now. */
  readonly first: number;
  /** Lines that were there, and lines that took their place. */
  readonly removed: number;
  readonly added: number;
}

export class Document {
  lines: Line[] = [];
  version = -1;

  /** Read by the C preprocessor. */
  readonly isPreprocessed: boolean;

  constructor(readonly uri: string) {
    this.isPreprocessed = isPreprocessed(uri) || /\.h$/.test(uri);
  }

  get text(): string {
    return this.lines.map(({ text }) => text).join('\n');
  }
  line(number: number): Line | undefined {
    return this.lines[number];
  }
  tokenAt(line: number, character: number): Token | undefined {
    const tokens = this.lines[line]?.tokens ?? [];
    const under = tokens.find(({ start, end }) => start <= character && character < end);
    return under ?? tokens.find(({ end }) => end === character);
  }

  /** Takes a new text; says which lines are new. */
  update(text: string, version: number): Change {
    this.version = version;
    const texts = text.split('\n');
    const old = this.lines;
    const most = Math.min(texts.length, old.length);
    let first = 0;
    while (first < most && texts[first] === old[first]!.text) first++;
    let kept = 0;
    while (kept < most - first && texts[texts.length - 1 - kept] === old[old.length - 1 - kept]!.text) kept++;
    const made: Line[] = [];
    let state = first > 0 ? old[first - 1]!.after : START;
    let next = first;
    const lex = (line: string): void => {
      const { tokens, after } = lexLine(line, state, this.isPreprocessed);
      made.push({ text: line, tokens, before: state, after });
      state = after;
    };
    for (; next < texts.length - kept; next++) lex(texts[next]!);
    // A comment opened or closed, or another syntax, goes on until a line begins as it did.
    while (kept > 0 && old[old.length - kept]!.before !== state) {
      lex(texts[next++]!);
      kept--;
    }
    const removed = old.length - kept - first;
    this.lines = first === 0 && kept === 0 ? made : [...old.slice(0, first), ...made, ...old.slice(old.length - kept)];
    return { first, removed, added: made.length };
  }
}
