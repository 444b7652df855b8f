/** Completion of mnemonics, registers, directives, labels, constants and names of libdune; signatures of macros and directives. */
import {
  CompletionItemKind,
  InsertTextFormat,
  MarkupKind,
  type CompletionItem,
  type Position,
  type SignatureHelp,
} from 'vscode-languageserver-types';
import { DIRECTIVES } from '../emulator/assembler/directives.ts';
import type { Dialect } from '../emulator/assembler/match.ts';
import { mnemonics, PREFIXES } from '../emulator/assembler/mnemonics.ts';
import { isOnlyWide, REGISTERS } from '../emulator/assembler/registers.ts';
import { CONSTANTS, hex } from './constants.ts';
import { DIRECTIVE_DOCUMENTS } from './directive-docs.ts';
import { instructionText, summary } from './instruction-text.ts';
import type { LibrarySymbol } from './libdune.ts';
import { isFunction } from './outline.ts';
import type { Source } from './source.ts';

const mnemonicItems = new Map<string, readonly CompletionItem[]>();

function mnemonicsOf({ syntax, bits }: Dialect): readonly CompletionItem[] {
  const known = mnemonicItems.get(`${syntax}${bits}`);
  if (known) return known;
  const items = [...mnemonics(syntax, bits)].map(([label, candidates]) => ({
    label,
    kind: CompletionItemKind.Keyword,
    detail: summary(label, candidates[0]!),
    data: { mnemonic: label, syntax, bits },
    // The names of the manual before those with a size.
    sortText: `${label === (candidates[0]!.row.mnemonic ?? candidates[0]!.row.op) ? '1' : '2'}${label}`,
  }));
  for (const label of Object.keys(PREFIXES))
    items.push({
      label,
      kind: CompletionItemKind.Keyword,
      detail: 'prefix',
      data: { mnemonic: label, syntax, bits },
      sortText: `3${label}`,
    });
  mnemonicItems.set(`${syntax}${bits}`, items);
  return items;
}

const directiveItems: readonly CompletionItem[] = [...DIRECTIVES.keys()].map((label) => {
  const known = DIRECTIVE_DOCUMENTS.get(label);
  return {
    label,
    kind: CompletionItemKind.Keyword,
    ...(known ? { detail: known.syntax, documentation: known.text, sortText: `1${label}` } : { sortText: `2${label}` }),
  };
});

const registerItems: readonly CompletionItem[] = [...REGISTERS.keys()].map((name) => ({
  label: `%${name}`,
  kind: CompletionItemKind.Variable,
  detail: REGISTERS.get(name)!.class,
}));

const constantItems: readonly CompletionItem[] = CONSTANTS.map(({ name, value, group, text }) => ({
  label: name,
  kind: CompletionItemKind.Constant,
  detail: `${hex(value)} - ${group}`,
  documentation: text,
  insertText: hex(value),
  filterText: name,
  sortText: `5${name}`,
}));

/** What the text before the position leaves to be written. */
function contextOf(source: Source, { line, character }: Position): 'start' | 'operand' | 'none' {
  const { text, tokens } = source.document.lines[line]!;
  const comment = tokens.find(
    ({ kind, start, end }) =>
      (kind === 'comment' || kind === 'string') && start < character && character < end + (kind === 'comment' ? 1 : 0),
  );
  if (comment) return 'none';
  const before = text.slice(0, character);
  const statement = before.slice(before.lastIndexOf(';') + 1).replace(/^(\s*[\w.$]+:)+/, '');
  return /^\s*(?:(?:rep\w*|lock|notrack|bnd)\s+)*[\w.$]*$/i.test(statement) ? 'start' : 'operand';
}

export function completion(
  source: Source,
  position: Position,
  library: ReadonlyMap<string, LibrarySymbol>,
): CompletionItem[] {
  const context = contextOf(source, position);
  const line = source.document.lines[position.line]!;
  const before = line.text.slice(0, position.character);
  const word = /[%.$\\]?[\w.$]*$/.exec(before)![0];
  const range = {
    start: { line: position.line, character: position.character - word.length },
    end: position,
  };
  const replacing = (items: readonly CompletionItem[]): CompletionItem[] =>
    items.map((item) => ({ ...item, textEdit: { range, newText: item.insertText ?? item.label } }));
  if (context === 'none') return [];
  if (context === 'start') {
    if (word.startsWith('.')) return replacing(directiveItems);
    return [
      ...replacing([...macroItems(source), ...mnemonicsOf(line.before)]),
      ...(word === '' ? replacing(directiveItems) : []),
    ];
  }
  if (word.startsWith('\\')) return replacing(parameterItems(source, position.line));
  const isIntel = line.before.syntax === 'intel';
  const all =
    line.before.bits === 64
      ? registerItems
      : registerItems.filter(({ label }) => !isOnlyWide(REGISTERS.get(label.slice(1))!));
  if (word.startsWith('%')) return replacing(all);
  const symbols = [...symbolItems(source), ...libraryItems(library), ...constantItems];
  if (word.startsWith('$') && !isIntel)
    return replacing(
      symbols.map((item) => ({
        ...item,
        insertText: `$${item.insertText ?? item.label}`,
        filterText: `$${item.filterText ?? item.label}`,
      })),
    );
  const registers = isIntel ? all.map((item) => ({ ...item, label: item.label.slice(1) })) : all;
  return replacing([...registers, ...symbols]);
}

function macroItems(source: Source): CompletionItem[] {
  return source.all.flatMap(({ index }) =>
    [...index.macros.values()].map(({ name, parameters }) => ({
      label: name,
      kind: CompletionItemKind.Snippet,
      detail: `macro ${parameters.map(({ text }) => text).join(', ')}`,
      insertTextFormat: InsertTextFormat.PlainText,
      sortText: `0${name}`,
    })),
  );
}

function parameterItems(source: Source, line: number): CompletionItem[] {
  return (source.index.macroAround(line)?.parameters ?? []).map(({ name, text }) => ({
    label: `\\${name}`,
    kind: CompletionItemKind.TypeParameter,
    detail: text,
  }));
}

function symbolItems(source: Source): CompletionItem[] {
  const items = new Map<string, CompletionItem>();
  for (const other of source.all)
    for (const [label, occurrences] of other.index.symbols) {
      const definition = occurrences.find(({ isDefinition }) => isDefinition);
      if (items.has(label) || !definition) continue;
      const isConstant = definition.token.kind === 'constant';
      const value = isConstant
        ? other.document.lines[definition.line]!.text.slice(definition.token.end).replace(/^[\s,=]+/, '')
        : '';
      items.set(label, {
        label,
        kind: isConstant
          ? CompletionItemKind.Constant
          : isFunction(other, label)
            ? CompletionItemKind.Function
            : CompletionItemKind.Reference,
        detail: value || 'label',
        sortText: `1${label}`,
      });
    }
  return [...items.values()];
}

function libraryItems(library: ReadonlyMap<string, LibrarySymbol>): CompletionItem[] {
  return [...library.values()].map(({ name, prototype, comment }) => ({
    label: name,
    kind: CompletionItemKind.Function,
    detail: `libdune: ${prototype}`,
    documentation: comment,
    sortText: `4${name}`,
  }));
}

/** What is said of an item only when it is looked at. */
export function resolveCompletion(item: CompletionItem): CompletionItem {
  const data = item.data as ({ mnemonic: string } & Partial<Dialect>) | undefined;
  const value = data && instructionText(data.mnemonic, { syntax: data.syntax ?? 'att', bits: data.bits ?? 64 });
  return value ? { ...item, documentation: { kind: MarkupKind.Markdown, value } } : item;
}

/** Arguments of a macro or directive. */
export function signatureHelp(source: Source, { line, character }: Position): SignatureHelp | undefined {
  const before = source.document.lines[line]!.text.slice(0, character);
  const statement = before.slice(before.lastIndexOf(';') + 1).replace(/^(\s*[\w.$]+:)+/, '');
  const written = /^\s*([\w.$]+)\s+(.*)$/.exec(statement);
  if (!written) return undefined;
  const [, name, rest] = written as unknown as [string, string, string];
  const active = [...rest.replace(/"[^"]*"?|\([^)]*\)?/g, '')].filter((letter) => letter === ',').length;
  const macro = source.macro(name)?.macro;
  if (macro) {
    const label = `${macro.name} ${macro.parameters.map(({ text }) => text).join(', ')}`;
    return {
      signatures: [{ label, parameters: macro.parameters.map(({ text }) => ({ label: text })) }],
      activeSignature: 0,
      activeParameter: Math.min(active, Math.max(0, macro.parameters.length - 1)),
    };
  }
  const directive = DIRECTIVE_DOCUMENTS.get(name.toLowerCase());
  if (!directive || directive.syntax === name) return undefined;
  return { signatures: [{ label: directive.syntax, documentation: directive.text }], activeSignature: 0 };
}
