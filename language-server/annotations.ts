/** What is drawn into a source: semantic tokens, encodings, the lens that debugs. */
import { InlayHintKind, type CodeLens, type InlayHint, type Range } from 'vscode-languageserver-types';
import { linesOf } from './document.ts';
import { rangeOf } from './navigation.ts';
import { isFunction } from './outline.ts';
import type { Source } from './source.ts';
import type { Token } from './lexer.ts';

export const SEMANTIC_LEGEND = {
  tokenTypes: ['function', 'variable', 'macro', 'parameter', 'enumMember'],
  tokenModifiers: ['declaration', 'readonly'],
};
const DECLARATION = 1;
const READONLY = 2;

/** Only what the grammar cannot know: what names stand for. */
export function semanticTokens(source: Source, range?: Range): number[] {
  const macros = new Set(source.all.flatMap(({ index }) => [...index.macros.keys()]));
  const constants = new Map<string, boolean>();
  const isConstant = (name: string): boolean => {
    let known = constants.get(name);
    if (known === undefined)
      constants.set(name, (known = source.definition(name)?.occurrence.token.kind === 'constant'));
    return known;
  };
  const typeOf = ({ kind, name }: Token): readonly [string, number] | undefined => {
    switch (kind) {
      case 'mnemonic':
        return macros.has(name.toLowerCase()) || (source.document.isPreprocessed && isConstant(name))
          ? ['macro', 0]
          : undefined;
      case 'macro':
        return ['macro', DECLARATION];
      case 'parameter':
        return ['parameter', 0];
      case 'macroParameter':
        return ['parameter', DECLARATION];
      case 'constant':
        return ['enumMember', DECLARATION | READONLY];
      case 'label':
        return [isFunction(source, name) ? 'function' : 'variable', DECLARATION];
      case 'symbol':
        return isConstant(name) ? ['enumMember', READONLY] : [isFunction(source, name) ? 'function' : 'variable', 0];
      default:
        return undefined;
    }
  };
  const data: number[] = [];
  let [lastLine, lastStart] = [0, 0];
  const { lines } = source.document;
  const [first, last] = range ? linesOf(range, lines.length) : [0, lines.length - 1];
  for (let line = first; line <= last; line++)
    for (const token of lines[line]!.tokens) {
      const type = typeOf(token);
      if (!type) continue;
      if (line !== lastLine) lastStart = 0;
      data.push(
        line - lastLine,
        token.start - lastStart,
        token.end - token.start,
        SEMANTIC_LEGEND.tokenTypes.indexOf(type[0]),
        type[1],
      );
      [lastLine, lastStart] = [line, token.start];
    }
  return data;
}

export type EncodingHints = 'off' | 'length' | 'bytes';
/** Bytes shown; an instruction has at most 15, a macro more. */
const MOST_BYTES = 16;

export function inlayHints(source: Source, range: Range, mode: EncodingHints): InlayHint[] {
  if (mode === 'off') return [];
  const hints: InlayHint[] = [];
  const [first, last] = linesOf(range, source.document.lines.length);
  for (let line = first; line <= last; line++) {
    const instructions = source.analysis.instructions.get(line);
    if (!instructions) continue;
    const bytes = instructions.flatMap((instruction) => [...source.analysis.bytes(instruction)]);
    const shown = bytes.slice(0, MOST_BYTES).map((byte) => byte.toString(16).padStart(2, '0'));
    const label = mode === 'length' ? `${bytes.length} B` : shown.join(' ') + (bytes.length > shown.length ? ' …' : '');
    const character = source.document.lines[line]!.text.trimEnd().length;
    hints.push({ position: { line, character }, label, kind: InlayHintKind.Type, paddingLeft: true });
  }
  return hints;
}

/** Where a linker lets a program begin. */
const ENTRY = '_start';

export function codeLenses(source: Source): CodeLens[] {
  if (!/\.(s|S|asm)$/.test(source.uri)) return [];
  const own = source.index.definition(ENTRY);
  // Where the entry is included, the lens stands over the directive.
  const include = source.index.includes.find(({ path }) => source.included(path)?.definition(ENTRY));
  const entry = own ?? include;
  if (!entry) return [];
  const command = { title: '$(debug-alt) Debug', command: 'dune.debugFile', arguments: [source.uri] };
  return [{ range: rangeOf(entry.line, entry.token), command }];
}
