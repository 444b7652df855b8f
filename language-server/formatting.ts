/** Columns: labels at the margin, mnemonics and directives at 8, operands at 16, comments where they were lined up. */
import type { FormattingOptions, Range, TextEdit } from 'vscode-languageserver-types';
import { linesOf, type Document, type Line } from './document.ts';

const MNEMONIC = 8;
const OPERANDS = 16;
const COMMENT = 40;
/** Columns of a tab in assembly. */
const TAB = 8;

class Writer {
  text = '';
  column = 0;

  constructor(readonly withSpaces: boolean) {}

  write(text: string): void {
    this.text += text;
    for (const letter of text)
      this.column = letter === '\t' ? (Math.floor(this.column / TAB) + 1) * TAB : this.column + 1;
  }
  /** To a column; one space if it has been passed. */
  to(column: number): void {
    if (this.column >= column) return this.write(' ');
    if (this.withSpaces) return this.write(' '.repeat(column - this.column));
    while (this.column < column) this.write('\t');
  }
}

/** A line in columns; as it is if it has several statements, or is a comment, or belongs to the preprocessor. */
export function formatLine({ text, tokens, before, after }: Line, withSpaces: boolean): string {
  const trimmed = text.trimEnd();
  if (before.inDirective || tokens[0]?.kind === 'preprocessor') return trimmed;
  if (before.inComment || after.inComment || tokens.some(({ statement }) => statement > 0)) return trimmed;
  const comment = tokens.find(({ kind }) => kind === 'comment');
  const inner = tokens.some(({ kind, end }) => kind === 'comment' && end < trimmed.length);
  if (inner || trimmed === '' || comment?.start === text.length - text.trimStart().length) return trimmed;
  const code = text.slice(0, comment?.start ?? trimmed.length).trim();
  const writer = new Writer(withSpaces);
  let rest = code;
  for (
    let label = /^(?:[A-Za-z_.$][\w.$]*|"[^"]*"|\d+)\s*:/.exec(rest);
    label;
    label = /^(?:[A-Za-z_.$][\w.$]*|"[^"]*"|\d+)\s*:/.exec(rest)
  ) {
    if (writer.text !== '') writer.write(' ');
    writer.write(label[0].replace(/\s+:$/, ':'));
    rest = rest.slice(label[0].length).trimStart();
  }
  const assignment = /^([A-Za-z_.$][\w.$]*)\s*(==?)(?!=)\s*/.exec(rest);
  if (assignment && writer.text === '') {
    writer.write(`${assignment[1]} ${assignment[2]} ${rest.slice(assignment[0].length)}`);
  } else if (rest !== '') {
    writer.to(MNEMONIC);
    const word = /^(?:(?:rep\w*|lock|notrack|bnd|data16|addr32)\s+)*\S+/i.exec(rest)![0];
    writer.write(word.replace(/\s+/g, ' '));
    const operands = withCommas(rest.slice(word.length).trim());
    if (operands !== '') {
      // A long label or mnemonic pushes its operands along; they need no column of their own then.
      writer.to(OPERANDS);
      writer.write(operands);
    }
  }
  if (comment) {
    writer.to(COMMENT);
    writer.write(text.slice(comment.start).trimEnd());
  }
  return writer.text;
}

/** One space after each comma outside strings and parentheses. */
function withCommas(operands: string): string {
  let made = '';
  let depth = 0;
  for (let at = 0; at < operands.length; at++) {
    const letter = operands[at]!;
    if (letter === '"' || letter === "'") {
      const quoted = letter === '"' ? /"(?:\\.|[^"\\])*"?/y : /'(?:\\.|[^\\])'?/y;
      quoted.lastIndex = at;
      const found = quoted.exec(operands)?.[0] ?? letter;
      made += found;
      at += found.length - 1;
    } else if (letter === ',' && depth === 0) {
      made = `${made.trimEnd()}, `;
      while (/[ \t]/.test(operands[at + 1] ?? '')) at++;
    } else {
      if (letter === '(' || letter === '[') depth++;
      if (letter === ')' || letter === ']') depth--;
      made += letter;
    }
  }
  return made.trimEnd();
}

export function format({ lines }: Document, { insertSpaces }: FormattingOptions, range?: Range): TextEdit[] {
  const [first, last] = range ? linesOf(range, lines.length) : [0, lines.length - 1];
  const edits: TextEdit[] = [];
  for (let line = first; line <= last; line++) {
    const { text } = lines[line]!;
    const newText = formatLine(lines[line]!, insertSpaces);
    if (newText !== text.replace(/\r$/, ''))
      edits.push({
        range: { start: { line, character: 0 }, end: { line, character: text.replace(/\r$/, '').length } },
        newText,
      });
  }
  return edits;
}
