/** What stands at a place, where it is defined and used: definition, references, highlights, rename. */
import type { Location, Position, Range, TextEdit, WorkspaceEdit } from 'vscode-languageserver-types';
import type { Token } from './lexer.ts';
import type { Source } from './source.ts';

export interface Place {
  readonly uri: string;
  readonly line: number;
  readonly token: Token;
  readonly isDefinition: boolean;
}

export function rangeOf(line: number, { start, end }: Pick<Token, 'start' | 'end'>): Range {
  return { start: { line, character: start }, end: { line, character: end } };
}
const locationOf = ({ uri, line, token }: Place): Location => ({ uri, range: rangeOf(line, token) });

/** Every place of the thing at a position, in this source and what it includes; the first is the one asked about. */
export function placesOf(source: Source, { line, character }: Position): Place[] {
  const token = source.document.tokenAt(line, character);
  if (!token) return [];
  const at = { uri: source.uri, line, token };
  switch (token.kind) {
    case 'label':
    case 'symbol':
    case 'constant':
      return symbolPlaces(source, token.name);
    case 'localLabel':
    case 'localReference':
      return localPlaces(source, line, token);
    case 'macro':
    case 'mnemonic':
      return source.macro(token.name) ? macroPlaces(source, token.name) : symbolPlaces(source, token.name);
    case 'parameter':
    case 'macroParameter':
      return parameterPlaces(source, line, token.name);
    case 'register':
      return registerPlaces(source, line, token.name);
    default:
      return [{ ...at, isDefinition: false }];
  }
}

function symbolPlaces(source: Source, name: string): Place[] {
  return source.all.flatMap(({ uri, index }) =>
    (index.symbols.get(name) ?? []).map(({ line, token, isDefinition }) => ({ uri, line, token, isDefinition })),
  );
}

function macroPlaces(source: Source, name: string): Place[] {
  if (!source.macro(name)) return [];
  return source.all.flatMap(({ uri, index, document }) => {
    const known = index.macroUses.get(name.toLowerCase());
    if (known?.some(({ isDefinition }) => isDefinition)) return known.map((use) => ({ uri, ...use }));
    // Defined in another file: its uses here are mnemonics.
    return document.lines.flatMap(({ tokens }, line) =>
      tokens
        .filter((token) => token.kind === 'mnemonic' && token.name.toLowerCase() === name.toLowerCase())
        .map((token) => ({ uri, line, token, isDefinition: false })),
    );
  });
}

/** A parameter within its macro. */
function parameterPlaces(source: Source, line: number, name: string): Place[] {
  const macro = source.index.macroAround(line);
  if (!macro) return [];
  const places: Place[] = [];
  for (let at = macro.line; at <= macro.end && at < source.document.lines.length; at++)
    for (const token of source.document.lines[at]!.tokens)
      if ((token.kind === 'parameter' || token.kind === 'macroParameter') && token.name === name)
        places.push({ uri: source.uri, line: at, token, isDefinition: token.kind === 'macroParameter' });
  return places;
}

/** The label `1:` that a line means, and what means the same. */
function localPlaces(source: Source, line: number, { kind, name }: Token): Place[] {
  const { lines } = source.document;
  const number = kind === 'localLabel' ? name : name.slice(0, -1);
  const labels = lines.flatMap(({ tokens }, at) =>
    tokens.filter((token) => token.kind === 'localLabel' && token.name === number).map((token) => ({ at, token })),
  );
  const meant = (at: number, direction: string): number =>
    direction === 'b' ? labels.findLastIndex((label) => label.at <= at) : labels.findIndex((label) => label.at > at);
  const wanted = kind === 'localLabel' ? labels.findIndex(({ at }) => at === line) : meant(line, name.at(-1)!);
  const label = labels[wanted];
  if (!label) return [];
  const uses = lines.flatMap(({ tokens }, at) =>
    tokens
      .filter(
        (token) =>
          token.kind === 'localReference' &&
          token.name.slice(0, -1) === number &&
          meant(at, token.name.at(-1)!) === wanted,
      )
      .map((token) => ({ uri: source.uri, line: at, token, isDefinition: false })),
  );
  return [{ uri: source.uri, line: label.at, token: label.token, isDefinition: true }, ...uses];
}

/** A register between the labels around a line. */
function registerPlaces(source: Source, line: number, name: string): Place[] {
  const { lines } = source.document;
  const hasLabel = (at: number): boolean =>
    lines[at]!.tokens.some((token) => token.kind === 'label' && !token.name.startsWith('.L'));
  let first = line;
  while (first > 0 && !hasLabel(first)) first--;
  let last = line + 1;
  while (last < lines.length && !hasLabel(last)) last++;
  return lines
    .slice(first, last)
    .flatMap(({ tokens }, offset) =>
      tokens
        .filter((token) => token.kind === 'register' && token.name === name)
        .map((token) => ({ uri: source.uri, line: first + offset, token, isDefinition: false })),
    );
}

export function definition(source: Source, position: Position): Location[] {
  const token = source.document.tokenAt(position.line, position.character);
  if (!token) return [];
  if (token.kind === 'string') {
    const included = source.index.includes.find((include) => include.line === position.line);
    const other = included && source.included(included.path);
    return other ? [{ uri: other.uri, range: rangeOf(0, { start: 0, end: 0 }) }] : [];
  }
  return placesOf(source, position)
    .filter(({ isDefinition }) => isDefinition)
    .map(locationOf);
}

export function references(source: Source, position: Position, withDefinition: boolean): Location[] {
  const token = source.document.tokenAt(position.line, position.character);
  if (!token || token.kind === 'register' || token.kind === 'string') return [];
  return placesOf(source, position)
    .filter(({ isDefinition }) => withDefinition || !isDefinition)
    .map(locationOf);
}

export function highlights(source: Source, position: Position): { range: Range; kind: 1 | 2 | 3 }[] {
  return placesOf(source, position)
    .filter(({ uri }) => uri === source.uri)
    .map(({ line, token, isDefinition }) => ({ range: rangeOf(line, token), kind: isDefinition ? 3 : 2 }));
}

/** What a rename would replace; undefined if nothing there has a name of its own. */
export function renameRange(source: Source, position: Position): { range: Range; placeholder: string } | undefined {
  const token = source.document.tokenAt(position.line, position.character);
  const places = placesOf(source, position);
  if (!token || token.kind === 'register' || !places.some(({ isDefinition }) => isDefinition)) return undefined;
  const { start, end } = nameOf(token);
  return {
    range: rangeOf(position.line, { start, end }),
    placeholder: source.document.lines[position.line]!.text.slice(start, end),
  };
}

/** The part of a token that is the name: without `\` of a parameter and the direction of `1f`. */
function nameOf({ kind, start, end }: Token): { start: number; end: number } {
  return { start: kind === 'parameter' ? start + 1 : start, end: kind === 'localReference' ? end - 1 : end };
}

/** Throws one sentence for a name that cannot be. */
export function rename(source: Source, position: Position, name: string): WorkspaceEdit {
  const token = source.document.tokenAt(position.line, position.character);
  const isLocal = token?.kind === 'localLabel' || token?.kind === 'localReference';
  if (isLocal ? !/^\d+$/.test(name) : !/^[A-Za-z_.$][\w.$]*$/.test(name))
    throw new Error(isLocal ? 'A local label is a number.' : `${name} is not a name of a symbol.`);
  if (!isLocal && (source.definition(name) ?? source.macro(name))) throw new Error(`${name} is defined already.`);
  const changes: Record<string, TextEdit[]> = {};
  for (const { uri, line, token: place } of placesOf(source, position))
    (changes[uri] ??= []).push({ range: rangeOf(line, nameOf(place)), newText: name });
  return { changes };
}
