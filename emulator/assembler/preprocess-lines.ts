/** Logical lines of C (C17 5.1.1.2): joined by backslashes and by comments, which become spaces; and where each part of one stands in the source. */

/** From `at` on a logical line's text is the source's, from this line and column on. */
interface Piece {
  readonly at: number;
  readonly line: number;
  readonly column: number;
}

export interface LogicalLine {
  readonly text: string;
  /** Its first line in the source, from 0, and how many lines it is. */
  readonly line: number;
  readonly count: number;
  /** Absent if it is its line of the source as it stands. */
  readonly pieces?: readonly Piece[];
}

const SPECIAL = /\\\r?\n|\/[*/]|\r/;
/** What does not stay as it is: strings are kept whole, comments are a space, backslashes before line ends nothing. */
const PART = /"(?:[^"\\\n]|\\[^\n])*"?|\/\*[\s\S]*?(?:\*\/|$)|\/\/(?:\\\r?\n|[^\n])*|\\\r?\n|\r(?=\n)|\n/g;

export function logicalLines(text: string): LogicalLine[] {
  if (!SPECIAL.test(text)) return text.split('\n').map((of, line) => ({ text: of, line, count: 1 }));
  const lines: LogicalLine[] = [];
  let [line, column, first] = [0, 0, 0];
  let made = '';
  let pieces: Piece[] = [{ at: 0, line, column }];
  const end = (): void => {
    const isPlain = pieces.length === 1 && line === first;
    lines.push({ text: made, line: first, count: line - first + 1, ...(isPlain ? {} : { pieces }) });
  };
  const take = (part: string): void => {
    made += part;
    column += part.length;
  };
  /** A part that is not copied; another piece begins behind it. */
  const drop = (part: string): void => {
    const breaks = part.split('\n');
    line += breaks.length - 1;
    column = breaks.length > 1 ? breaks.at(-1)!.length : column + part.length;
    pieces.push({ at: made.length, line, column });
  };
  let at = 0;
  for (const found of text.matchAll(PART)) {
    take(text.slice(at, found.index));
    const [part] = found;
    at = found.index + part.length;
    if (part === '\n') {
      end();
      line++;
      [column, first, made] = [0, line, ''];
      pieces = [{ at: 0, line, column }];
    } else if (part.startsWith('"')) take(part);
    else {
      if (part.startsWith('/')) made += ' ';
      drop(part);
    }
  }
  take(text.slice(at));
  end();
  return lines;
}

/** One line made of two, a space between. */
export function joined(a: LogicalLine, b: LogicalLine): LogicalLine {
  const piecesOf = ({ pieces, line }: LogicalLine): readonly Piece[] => pieces ?? [{ at: 0, line, column: 0 }];
  const shift = a.text.length + 1;
  return {
    text: `${a.text} ${b.text}`,
    line: a.line,
    count: a.count + b.count,
    pieces: [...piecesOf(a), ...piecesOf(b).map((piece) => ({ ...piece, at: piece.at + shift }))],
  };
}

/** A macro's expansion in an output line, and the use of the macro in the logical line. */
export interface Expansion {
  readonly out: number;
  readonly length: number;
  readonly at: number;
  readonly end: number;
}

export interface SourcePlace {
  readonly line: number;
  readonly column: number;
  readonly length: number;
}

/** What an output line was made of. */
export class LineOrigin {
  constructor(
    readonly source: LogicalLine,
    readonly expansions: readonly Expansion[],
  ) {}

  /** Where part of the output line comes from: of an expansion the macro's use. */
  place(column: number, length: number): SourcePlace {
    const from = this.#sourceOf(this.#logical(column)[0]);
    const last = Math.max(column, column + length - 1);
    const to = this.#sourceOf(Math.max(0, this.#logical(last)[1] - 1));
    // What ends in another line is shown to its first character.
    return { ...from, length: to.line === from.line ? Math.max(1, to.column + 1 - from.column) : 1 };
  }
  #logical(column: number): readonly [start: number, end: number] {
    let shift = 0;
    for (const { out, length, at, end } of this.expansions) {
      if (column < out) break;
      if (column < out + length) return [at, end];
      shift = end - (out + length);
    }
    return [column + shift, column + shift + 1];
  }
  #sourceOf(at: number): { line: number; column: number } {
    const { pieces, line, text } = this.source;
    const within = Math.min(at, text.length);
    const piece = pieces?.findLast((of) => of.at <= within);
    return piece ? { line: piece.line, column: piece.column + within - piece.at } : { line, column: within };
  }
}
