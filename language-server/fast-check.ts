/**
 * Diagnostics of a keystroke without assembling the whole source: lines that are nothing but instructions can only be wrong by themselves.
 * The whole source is assembled soon after (see workspace.ts), which also finds what depends on distances.
 */
import { Assembler } from '../emulator/assembler/assembler.ts';
import type { Diagnostic, Position } from '../emulator/assembler/model.ts';
import { contentsOf } from '../emulator/assembler/relocations.ts';
import type { Analysis } from './analysis.ts';
import type { Change, Document, Line } from './document.ts';

/** Whether a line holds only instructions and comments: it changes nothing for other lines. */
export function isPlain({ tokens, before, after }: Line, isMacro: (name: string) => boolean): boolean {
  return (
    before === after &&
    !before.inComment &&
    !before.inDirective &&
    tokens.every(({ kind, name }) => {
      switch (kind) {
        case 'mnemonic':
          return !isMacro(name);
        case 'label':
        case 'localLabel':
        case 'constant':
        case 'directive':
        case 'preprocessor':
        case 'macro':
        case 'macroParameter':
        case 'parameter':
          return false;
        default:
          return true;
      }
    })
  );
}

const OPENS = /^(\.(macro|rept|irpc?|if\w*)|#if(n?def)?)$/i;
const CLOSES = /^(\.(endm|endmacro|endr|endif)|#endif)$/i;

/** Whether a line stands in a macro, a repetition or a conditional part. */
function isInBlock(document: Document, line: number): boolean {
  let depth = 0;
  for (let number = 0; number < line; number++)
    for (const { kind, name } of document.lines[number]!.tokens) {
      if (kind !== 'directive' && kind !== 'preprocessor') continue;
      if (OPENS.test(name)) depth++;
      else if (CLOSES.test(name)) depth--;
    }
  return depth > 0;
}

/** Labels that a line refers to as `1b` and `1f`, which stand somewhere. */
function localLabels(document: Document, line: number, count: number): string {
  const wanted = new Set(
    document.lines
      .slice(line, line + count)
      .flatMap(({ tokens }) => tokens.filter(({ kind }) => kind === 'localReference').map(({ name }) => name)),
  );
  const stands = (number: string, from: number, step: 1 | -1): boolean => {
    for (let at = from; at >= 0 && at < document.lines.length; at += step)
      if (document.lines[at]!.tokens.some(({ kind, name }) => kind === 'localLabel' && name === number)) return true;
    return false;
  };
  return [...wanted]
    .filter((name) => stands(name.slice(0, -1), line, name.endsWith('b') ? -1 : 1))
    .map((name) => `${name.slice(0, -1)}:`)
    .join(' ');
}

/**
 * Diagnostics of a document after a change, from those before it; undefined if the change may matter elsewhere.
 * @param old lines that the change took away
 */
export function fastCheck(
  document: Document,
  { first, removed, added }: Change,
  old: readonly Line[],
  analysis: Analysis,
  diagnostics: readonly Diagnostic[],
  isMacro: (name: string) => boolean,
  /** Names that the preprocessor replaces. */
  isDefined: (name: string) => boolean = () => false,
): Diagnostic[] | undefined {
  const lines = document.lines.slice(first, first + added);
  if (
    lines.some(({ tokens }) =>
      tokens.some(({ kind, name }) => /^(symbol|mnemonic|register|word)$/.test(kind) && isDefined(name)),
    )
  )
    return undefined;
  if (lines.length > 50 || ![...old, ...lines].every((line) => isPlain(line, isMacro))) return undefined;
  if (isInBlock(document, first)) return undefined;
  if (analysis.inactive.length > 0 && added !== removed) return undefined;
  const symbols: Record<string, bigint> = {};
  for (const { tokens } of lines)
    for (const { kind, name } of tokens) {
      const value = kind === 'symbol' ? analysis.value(name) : undefined;
      if (value !== undefined) symbols[name] = value;
    }
  const assembler = new Assembler({ symbols });
  assembler.lines.marksSource = false;
  assembler.syntax = lines[0]?.before.syntax ?? 'att';
  assembler.bits = lines[0]?.before.bits ?? 64;
  const around = localLabels(document, first, added);
  const [from, to] = [first, first + removed];
  assembler.assemble(document.uri, [around, ...lines.map(({ text }) => text), around].join('\n'));
  const report = (position: Position, message: string): void =>
    void assembler.diagnostics.push({ ...position, severity: 'error', message });
  for (const section of assembler.sections.all) contentsOf(section, report);
  const fresh = assembler.diagnostics
    .filter(({ line }) => line > 0 && line <= added)
    .map((diagnostic) => ({ ...diagnostic, line: diagnostic.line - 1 + first }));
  const kept = diagnostics
    .filter(({ file, line }) => file !== document.uri || line < from || line >= to)
    .map((diagnostic) =>
      diagnostic.file === document.uri && diagnostic.line >= to
        ? { ...diagnostic, line: diagnostic.line + added - removed }
        : diagnostic,
    );
  return [...kept, ...fresh];
}
