/** Hovers: instructions, directives, registers, numbers, symbols, macros. */
import { MarkupKind, type Hover, type Position } from 'vscode-languageserver-types';
import { GPR_BYTES, REGISTERS } from '../emulator/assembler/registers.ts';
import { BITS } from '../emulator/describe/bits.ts';
import { hex, meaningOf, numberInWords } from './constants.ts';
import { DIRECTIVE_DOCUMENTS } from './directive-docs.ts';
import { instructionText } from './instruction-text.ts';
import type { LibrarySymbol } from './libdune.ts';
import { rangeOf } from './navigation.ts';
import { usesOfNumber } from './number-use.ts';
import type { Source } from './source.ts';
import type { Token } from './lexer.ts';

export function hover(
  source: Source,
  position: Position,
  library: ReadonlyMap<string, LibrarySymbol>,
): Hover | undefined {
  const token = source.document.tokenAt(position.line, position.character);
  const value = token && textOf(source, position.line, token, library);
  if (!value) return undefined;
  return { contents: { kind: MarkupKind.Markdown, value }, range: rangeOf(position.line, token) };
}

function textOf(
  source: Source,
  line: number,
  token: Token,
  library: ReadonlyMap<string, LibrarySymbol>,
): string | undefined {
  switch (token.kind) {
    case 'mnemonic':
    case 'macro':
    case 'prefix':
      return macroText(source, token.name) ?? defineText(source, line, token.name) ?? mnemonicText(source, line, token);
    case 'directive':
      return directiveText(token.name);
    case 'register':
      return registerText(token.name);
    case 'number': {
      const value = valueOf(token.name);
      return value === undefined ? undefined : numberText(source, line, value);
    }
    case 'symbol':
    case 'label':
    case 'constant':
      return defineText(source, line, token.name) ?? symbolText(source, line, token.name, library);
    default:
      return undefined;
  }
}

function mnemonicText(source: Source, line: number, { name, start }: Token): string | undefined {
  const { syntax, bits } = source.document.lines[line]!.before;
  const own = (source.analysis.instructions.get(line) ?? []).filter(
    (of) => !of.isExpanded && of.mnemonic === name.toLowerCase(),
  );
  const order = source.document.lines[line]!.tokens.filter(
    (of) => of.kind === 'mnemonic' && of.name.toLowerCase() === name.toLowerCase(),
  ).findIndex((other) => other.start === start);
  const instruction = own[order];
  const text = instructionText(name, { syntax, bits }, instruction?.selected.choice.row);
  if (!text || !instruction) return text;
  const bytes = [...source.analysis.bytes(instruction)].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
  return `${text}\n\nHere: \`${bytes}\``;
}

function macroText(source: Source, name: string): string | undefined {
  const found = source.macro(name);
  if (!found) return undefined;
  const { macro, uri } = found;
  const { lines } = source.other(uri)?.document ?? source.document;
  const body = lines.slice(macro.line, Math.min(macro.end + 1, macro.line + 12)).map(({ text }) => text);
  if (macro.end - macro.line >= 12) body.push('\t…');
  return ['```gas', ...body, '```'].join('\n');
}

/** A macro of the preprocessor: its definition, and the value if it is a number. */
function defineText(source: Source, at: number, name: string): string | undefined {
  const found = source.definition(name);
  if (found?.occurrence.token.kind !== 'constant') return undefined;
  const { lines } = source.other(found.uri)?.document ?? source.document;
  const { line } = found.occurrence;
  if (lines[line]!.tokens[0]?.name !== '#define') return undefined;
  let end = line;
  while (lines[end]!.after.inDirective && end + 1 < lines.length && end < line + 12) end++;
  const text = lines.slice(line, end + 1).map((of) => of.text);
  const value = VALUE_OF_DEFINE.exec(text.join(' ').trim())?.[1];
  const number = value === undefined ? undefined : valueOf(value);
  const said = number === undefined ? [] : [numberText(source, at, number)];
  return [['```c', ...text, '```'].join('\n'), ...said].join('\n\n');
}
const VALUE_OF_DEFINE = /^#\s*define\s+\w+\s+\(?(0[xX][\da-fA-F]+|\d+)[uUlL]*\)?\s*(?:\/[*/].*)?$/;

function directiveText(name: string): string | undefined {
  const known = DIRECTIVE_DOCUMENTS.get(name.toLowerCase());
  return known && `\`${known.syntax}\`\n\n${known.text}`;
}

const WIDTHS: Readonly<Record<number, string>> = { 1: '8', 2: '16', 4: '32', 8: '64' };

function registerText(name: string): string | undefined {
  const register = REGISTERS.get(name);
  if (!register) return undefined;
  const bits = (BITS as Readonly<Record<string, (typeof BITS)['cr0'] | undefined>>)[name];
  const lines = [`**%${name}**`];
  const bytes = GPR_BYTES[register.class];
  if (bytes) {
    const part = register.high ? 'bits 15:8 of' : bytes === 8 ? '' : `low ${WIDTHS[bytes]} bits of`;
    if (part)
      lines.push(
        `${part} %${wholeName(register.number, register.high)}${bytes === 4 ? '; a write clears the upper 32' : ''}`,
      );
  }
  if (bits)
    lines.push(
      bits
        .map(({ name: bit, hi, lo, meaning }) => `- ${hi === lo ? hi : `${hi}:${lo}`} **${bit}** ${meaning}`)
        .join('\n'),
    );
  return lines.length > 1 ? lines.join('\n\n') : undefined;
}

function wholeName(number: number, high: boolean | undefined): string {
  const wanted = high ? number - 4 : number;
  return [...REGISTERS.values()].find((register) => register.class === 'r64' && register.number === wanted)!.name;
}

/** Of a token as the lexer gives it. */
export function valueOf(text: string): bigint | undefined {
  if (text.startsWith("'")) return BigInt(text.codePointAt(text[1] === '\\' ? 2 : 1) ?? 0);
  if (text.includes('.')) return undefined;
  return /^0\d/.test(text) ? (/[89]/.test(text) ? undefined : BigInt(`0o${text.slice(1)}`)) : BigInt(text);
}

function numberText(source: Source, line: number, value: bigint): string {
  const meanings = usesOfNumber(source, line).flatMap((use) => meaningOf(value, use) ?? []);
  return [...meanings, `\`${numberInWords(value)}\``].join('\n\n');
}

function symbolText(
  source: Source,
  line: number,
  name: string,
  library: ReadonlyMap<string, LibrarySymbol>,
): string | undefined {
  const symbol = source.analysis.symbols.get(name);
  const value = source.analysis.value(name);
  if (value !== undefined) {
    const meanings = usesOfNumber(source, line).flatMap((use) => meaningOf(value, use) ?? []);
    return [`**${name}** = \`${numberInWords(value)}\``, ...meanings].join('\n\n');
  }
  const known = library.get(name);
  if (symbol?.fragment) {
    const { section } = symbol.fragment.part;
    const place = `${section.name} + ${hex(symbol.fragment.at + symbol.offset)}`;
    return [
      `**${name}** - ${symbol.binding} ${symbol.type === 'none' ? 'label' : symbol.type}, ${place}`,
      comment(source, name),
    ]
      .filter(Boolean)
      .join('\n\n');
  }
  if (known) return ['```c', known.prototype, '```', known.comment].join('\n');
  return symbol ? `**${name}** is not defined in this source: it must come from what it is linked with.` : undefined;
}

/** Comment lines right above a definition. */
function comment(source: Source, name: string): string {
  const found = source.definition(name);
  const document = found && (source.other(found.uri)?.document ?? source.document);
  if (!found || !document) return '';
  const lines: string[] = [];
  for (let line = found.occurrence.line - 1; line >= 0; line--) {
    const { text } = document.lines[line]!;
    if (/^\s*\.(type|globl|global|p2align|align|balign|size)\b/.test(text)) continue;
    const remark = /^\s*(?:#|\/\/)\s?(.*)$/.exec(text);
    if (!remark || /^-{3,}/.test(remark[1]!)) break;
    lines.unshift(remark[1]!);
  }
  return lines.join('\n');
}
