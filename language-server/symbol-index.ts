/** Where names are defined and used in a document, from its tokens. */
import { candidatesOf } from '../emulator/assembler/mnemonics.ts';
import type { Document } from './document.ts';
import type { Token } from './lexer.ts';

export interface Occurrence {
  readonly line: number;
  readonly token: Token;
  readonly isDefinition: boolean;
}

export interface MacroDefinition {
  readonly name: string;
  readonly parameters: readonly { readonly name: string; readonly text: string }[];
  readonly line: number;
  readonly token: Token;
  /** Line of its `.endm`. */
  readonly end: number;
}

export class SymbolIndex {
  /** Labels, constants and what refers to them, in the order of the source. */
  readonly symbols = new Map<string, Occurrence[]>();
  /** By name in lower case, as the assembler finds them. */
  readonly macros = new Map<string, MacroDefinition>();
  readonly macroUses = new Map<string, Occurrence[]>();
  /** What `.type name, @function` says. */
  readonly functions = new Set<string>();
  readonly globals = new Set<string>();
  /** Names that `#define` gives a meaning. */
  readonly defines = new Set<string>();
  readonly includes: { readonly line: number; readonly token: Token; readonly path: string }[] = [];

  constructor(readonly document: Document) {
    document.lines.forEach((line, number) => this.#line(number, line.tokens));
    for (const [number, { tokens }] of document.lines.entries())
      for (const token of tokens)
        if (token.kind === 'mnemonic' && this.macros.has(token.name.toLowerCase()))
          push(this.macroUses, token.name.toLowerCase(), { line: number, token, isDefinition: false });
  }

  #line(line: number, tokens: readonly Token[]): void {
    for (const [index, token] of tokens.entries()) {
      switch (token.kind) {
        case 'label':
        case 'constant':
          push(this.symbols, token.name, { line, token, isDefinition: true });
          break;
        case 'symbol':
          push(this.symbols, token.name, { line, token, isDefinition: false });
          break;
        case 'mnemonic':
          if (this.document.isPreprocessed && this.#mayBeDefined(token.name))
            push(this.symbols, token.name, { line, token, isDefinition: false });
          break;
        case 'preprocessor':
          this.#preprocessor(line, token, tokens[index + 1]);
          break;
        case 'macro':
          this.#macro(line, tokens.slice(index), token);
          break;
        case 'directive':
          this.#directive(line, token, tokens.slice(index + 1));
      }
    }
  }
  #directive(line: number, { name }: Token, rest: readonly Token[]): void {
    const first = rest[0];
    if (!first) return;
    const directive = name.toLowerCase();
    if (directive === '.type' && rest.some(({ name: type }) => /^(function|STT_FUNC)$/i.test(type)))
      this.functions.add(first.name);
    if (directive === '.globl' || directive === '.global')
      for (const { kind, name: symbol } of rest) if (kind === 'symbol') this.globals.add(symbol);
    if (directive === '.include' && first.kind === 'string')
      this.includes.push({ line, token: first, path: first.name.slice(1, -1) });
  }
  /** What is no instruction may be a macro of the preprocessor. */
  #mayBeDefined(name: string): boolean {
    return /[A-Z]/.test(name) || this.defines.has(name) || !candidatesOf(name, 'intel');
  }
  #preprocessor(line: number, { name }: Token, next: Token | undefined): void {
    if (name === '#include' && next?.kind === 'string')
      this.includes.push({ line, token: next, path: next.name.slice(1, -1) });
    if (name === '#define' && next?.kind === 'constant') this.defines.add(next.name);
  }
  #macro(line: number, tokens: readonly Token[], token: Token): void {
    const { lines } = this.document;
    const { text } = lines[line]!;
    const names = tokens.filter(({ kind }) => kind === 'macroParameter');
    const stop = tokens.find(({ kind }) => kind === 'comment')?.start ?? text.length;
    const parameters = names.map(({ name, start }, index) => ({
      name,
      text: text.slice(start, names[index + 1]?.start ?? stop).replace(/[\s,]+$/, ''),
    }));
    let depth = 1;
    let end = line + 1;
    for (; end < lines.length; end++) {
      const directive = lines[end]!.tokens.find(({ kind }) => kind === 'directive')?.name.toLowerCase();
      if (directive === '.macro') depth++;
      else if ((directive === '.endm' || directive === '.endmacro') && --depth === 0) break;
    }
    this.macros.set(token.name.toLowerCase(), { name: token.name, parameters, line, token, end });
    push(this.macroUses, token.name.toLowerCase(), { line, token, isDefinition: true });
  }

  definition(name: string): Occurrence | undefined {
    return this.symbols.get(name)?.find(({ isDefinition }) => isDefinition);
  }
  /** The macro in whose body, or head, a line stands. */
  macroAround(line: number): MacroDefinition | undefined {
    return [...this.macros.values()].find((macro) => macro.line <= line && line <= macro.end);
  }
}

function push<Key, Value>(map: Map<Key, Value[]>, key: Key, value: Value): void {
  const list = map.get(key);
  if (list) list.push(value);
  else map.set(key, [value]);
}
