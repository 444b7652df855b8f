/** Functions, data, constants and macros of a source; what can be folded. */
import {
  FoldingRangeKind,
  SymbolKind,
  type DocumentSymbol,
  type FoldingRange,
  type WorkspaceSymbol,
} from 'vscode-languageserver-types';
import { rangeOf } from './navigation.ts';
import type { Source } from './source.ts';
import type { Token } from './lexer.ts';

/** Labels of compilers and of no interest to people. */
const isInternal = (name: string): boolean => name.startsWith('.L');

/** A function: `.type` says so, or something calls it. */
export function isFunction(source: Source, name: string): boolean {
  return source.index.functions.has(name) || callTargets(source).has(name);
}

const targets = new WeakMap<object, ReadonlySet<string>>();
function callTargets({ index, document }: Source): ReadonlySet<string> {
  const known = targets.get(index);
  if (known) return known;
  const names = new Set<string>();
  for (const { tokens } of document.lines)
    for (const [at, { kind, name }] of tokens.entries())
      if (kind === 'mnemonic' && /^call[lqw]?$/i.test(name) && tokens[at + 1]?.kind === 'symbol')
        names.add(tokens[at + 1]!.name);
  targets.set(index, names);
  return names;
}

interface Section {
  readonly isCode: boolean;
}

const CODE = /^\.(text|init|fini)\b/;

/** Whether lines are code, by the directives that switch sections. */
function sectionAfter(tokens: readonly Token[], text: string, before: Section): Section {
  for (const { kind, name, end } of tokens) {
    if (kind !== 'directive') continue;
    const directive = name.toLowerCase();
    if (directive === '.text') return { isCode: true };
    if (/^\.(data|bss|rodata)$/.test(directive)) return { isCode: false };
    if (directive === '.section' || directive === '.pushsection')
      return { isCode: CODE.test(text.slice(end).trim()) || /"\w*x\w*"/.test(text.slice(end)) };
  }
  return before;
}

export function documentSymbols(source: Source): DocumentSymbol[] {
  const { document, index } = source;
  const all: DocumentSymbol[] = [];
  let open: { symbol: DocumentSymbol; name: string; isFunction: boolean } | undefined;
  let section: Section = { isCode: true };
  const close = (line: number): void => {
    if (!open) return;
    const { symbol } = open;
    symbol.range = { start: symbol.range.start, end: { line, character: document.lines[line]!.text.length } };
    open = undefined;
  };
  document.lines.forEach(({ text, tokens }, line) => {
    section = sectionAfter(tokens, text, section);
    for (const token of tokens) {
      if (token.kind === 'macro') {
        const macro = index.macros.get(token.name.toLowerCase());
        if (macro?.line !== line) continue;
        const end = { line: Math.min(macro.end, document.lines.length - 1), character: 0 };
        all.push({
          name: token.name,
          detail: 'macro',
          kind: SymbolKind.Method,
          range: { start: { line, character: 0 }, end },
          selectionRange: rangeOf(line, token),
        });
      } else if (token.kind === 'constant') {
        const detail = text
          .slice(token.end)
          .replace(/^[\s,=]+/, '')
          .replace(/\s*(#|\/[/*]).*$/, '');
        all.push(symbolOf(token, line, text, SymbolKind.Constant, detail));
      } else if (token.kind === 'label' && !isInternal(token.name)) {
        const functional = section.isCode && isFunction(source, token.name);
        const kind = functional ? SymbolKind.Function : section.isCode ? SymbolKind.Event : SymbolKind.Variable;
        const symbol = symbolOf(token, line, text, kind, index.globals.has(token.name) ? 'global' : '');
        // A label inside a function belongs to it.
        if (open?.isFunction && section.isCode && !functional) open.symbol.children!.push(symbol);
        else {
          close(Math.max(0, line - 1));
          all.push(symbol);
          open = { symbol, name: token.name, isFunction: functional };
        }
      } else if (
        token.kind === 'directive' &&
        token.name === '.size' &&
        open &&
        tokens.some(({ name }) => name === open?.name)
      )
        close(line);
    }
  });
  close(document.lines.length - 1);
  return all;
}

function symbolOf(token: Token, line: number, text: string, kind: SymbolKind, detail: string): DocumentSymbol {
  const range = { start: { line, character: 0 }, end: { line, character: text.length } };
  return { name: token.name, detail, kind, range, selectionRange: rangeOf(line, token), children: [] };
}

export function workspaceSymbols(sources: Iterable<Source>, query: string): WorkspaceSymbol[] {
  const letters = [...query.toLowerCase()];
  const fits = (name: string): boolean => {
    let at = 0;
    const lower = name.toLowerCase();
    return letters.every((letter) => (at = lower.indexOf(letter, at) + 1) > 0);
  };
  const flat = (symbols: readonly DocumentSymbol[]): DocumentSymbol[] =>
    symbols.flatMap((symbol) => [symbol, ...flat(symbol.children ?? [])]);
  return [...sources].flatMap((source) =>
    flat(documentSymbols(source))
      .filter(({ name }) => fits(name))
      .map(({ name, kind, selectionRange }) => ({ name, kind, location: { uri: source.uri, range: selectionRange } })),
  );
}

const OPENS = /^(\.(macro|rept|irpc?|if\w*)|#if(n?def)?)$/i;
const CLOSES = /^(\.(endm|endmacro|endr|endif)|#endif)$/i;

export function foldingRanges(source: Source): FoldingRange[] {
  const ranges: FoldingRange[] = [];
  const open: number[] = [];
  let comment = -1;
  const { lines } = source.document;
  lines.forEach(({ tokens, text }, line) => {
    const isComment =
      tokens.length > 0 && tokens.every(({ kind }) => kind === 'comment') && /^\s*(#|\/|\*|[^\s])/.test(text);
    if (isComment && comment < 0) comment = line;
    if (!isComment && comment >= 0) {
      if (line - 1 > comment) ranges.push({ startLine: comment, endLine: line - 1, kind: FoldingRangeKind.Comment });
      comment = -1;
    }
    for (const { kind, name } of tokens) {
      if (kind !== 'directive' && kind !== 'preprocessor') continue;
      if (OPENS.test(name)) open.push(line);
      else if (CLOSES.test(name)) {
        const start = open.pop();
        if (start !== undefined && line - 1 > start) ranges.push({ startLine: start, endLine: line - 1 });
      }
    }
  });
  for (const { kind, range } of documentSymbols(source))
    if (kind === SymbolKind.Function && range.end.line > range.start.line)
      ranges.push({ startLine: range.start.line, endLine: range.end.line });
  return ranges;
}
