/** Who calls whom, by call instructions and jumps to functions. */
import {
  SymbolKind,
  type CallHierarchyIncomingCall,
  type CallHierarchyItem,
  type CallHierarchyOutgoingCall,
  type Position,
} from 'vscode-languageserver-types';
import { rangeOf } from './navigation.ts';
import { documentSymbols, isFunction } from './outline.ts';
import type { Source } from './source.ts';

interface Edge {
  readonly uri: string;
  readonly from: CallHierarchyItem;
  readonly to: string;
  readonly line: number;
  readonly start: number;
  readonly end: number;
}

function functionsOf(source: Source): CallHierarchyItem[] {
  return documentSymbols(source)
    .filter(({ kind }) => kind === SymbolKind.Function || kind === SymbolKind.Event)
    .map(({ name, kind, range, selectionRange }) => ({ name, kind, uri: source.uri, range, selectionRange }));
}

function edgesOf(source: Source): Edge[] {
  return source.all.flatMap((other) => {
    const functions = functionsOf(other);
    return functions.flatMap((from) => {
      const edges: Edge[] = [];
      for (let line = from.range.start.line; line <= from.range.end.line; line++) {
        const { tokens } = other.document.lines[line]!;
        for (const [at, token] of tokens.entries()) {
          const target = tokens[at + 1];
          if (token.kind !== 'mnemonic' || target?.kind !== 'symbol') continue;
          const isCall = /^call[lqw]?$/i.test(token.name);
          // A jump to another function is a call in the place of a return.
          const isTail = /^j/i.test(token.name) && target.name !== from.name && isFunction(other, target.name);
          if (isCall || isTail)
            edges.push({ uri: other.uri, from, to: target.name, line, start: target.start, end: target.end });
        }
      }
      return edges;
    });
  });
}

function itemOf(source: Source, name: string): CallHierarchyItem | undefined {
  for (const other of source.all) {
    const item = functionsOf(other).find((candidate) => candidate.name === name);
    if (item) return item;
  }
  return undefined;
}

export function prepareCallHierarchy(source: Source, { line, character }: Position): CallHierarchyItem[] {
  const token = source.document.tokenAt(line, character);
  if (token?.kind !== 'label' && token?.kind !== 'symbol') return [];
  const item = itemOf(source, token.name);
  return item ? [item] : [];
}

export function incomingCalls(source: Source, { name }: CallHierarchyItem): CallHierarchyIncomingCall[] {
  const calls = new Map<string, CallHierarchyIncomingCall>();
  for (const { from, to, line, start, end } of edgesOf(source)) {
    if (to !== name) continue;
    const call = calls.get(from.name) ?? { from, fromRanges: [] };
    call.fromRanges.push(rangeOf(line, { start, end }));
    calls.set(from.name, call);
  }
  return [...calls.values()];
}

export function outgoingCalls(source: Source, { name, uri }: CallHierarchyItem): CallHierarchyOutgoingCall[] {
  const calls = new Map<string, CallHierarchyOutgoingCall>();
  for (const { from, to: target, line, start, end } of edgesOf(source)) {
    if (from.name !== name || from.uri !== uri) continue;
    const to = itemOf(source, target);
    if (!to) continue;
    const call = calls.get(target) ?? { to, fromRanges: [] };
    call.fromRanges.push(rangeOf(line, { start, end }));
    calls.set(target, call);
  }
  return [...calls.values()];
}
