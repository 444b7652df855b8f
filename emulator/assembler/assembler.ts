/** The assembler: statements to sections and symbols. Errors are collected; it never throws for what a source says. */
import { SHF } from '../elf/constants.ts';
import { Cursor } from './cursor.ts';
import { Frames } from './cfi.ts';
import { DIRECTIVES } from './directives.ts';
import { isConstant, parseExpression, reduce } from './expression.ts';
import type { SymbolScope } from './expression.ts';
import { layOut } from './layout.ts';
import { Input } from './input.ts';
import { LineMarks } from './line-marks.ts';
import { select } from './match.ts';
import type { Selected } from './match.ts';
import { candidatesOf, PREFIXES } from './mnemonics.ts';
import type { Candidate, Syntax } from './mnemonics.ts';
import { AssemblyError } from './model.ts';
import type { AssemblyOperand, AssemblySymbol, Diagnostic, Expression, Position } from './model.ts';
import { fixedDistance, isDefined, localName, Sections } from './sections.ts';
import { positionOf } from './source.ts';
import type { Statement } from './source.ts';
import { parseAttOperand } from './syntax-att.ts';
import { parseIntelOperand } from './syntax-intel.ts';

/** An included file by the name under which it was found: the `from` of what it includes itself. */
export interface Included {
  readonly path: string;
  readonly text: string;
}

export interface AssembleOptions {
  /** Text of a file that `.include` names, or undefined if there is none. */
  readonly include?: (path: string, from: string) => string | Included | undefined;
  /** Bytes of a file that `.incbin` names. */
  readonly incbin?: (path: string, from: string) => Uint8Array | undefined;
  /** Symbols with values, as `--defsym` gives them. */
  readonly symbols?: Readonly<Record<string, bigint>>;
}

/** What an instruction was made of: for listings, hovers and line tables. */
export interface AssembledInstruction {
  readonly statement: Statement;
  readonly mnemonic: string;
  readonly selected: Selected;
}

const LABEL = /^\s*(?:([A-Za-z_.$][\w.$]*|"[^"]*")|(\d+))\s*:/;
const ASSIGNMENT = /^\s*([A-Za-z_.$][\w.$]*)\s*(==?)(?!=)/;
const WORD = /^\s*([A-Za-z_.][\w.]*)/;
/** Two immediates are written in the order of the manual in both syntaxes. */
const NOT_REVERSED = /^(enter|extrq|insertq|lcall|ljmp)/;

export class Assembler implements SymbolScope {
  readonly sections = new Sections();
  readonly symbols = new Map<string, AssemblySymbol>();
  readonly diagnostics: Diagnostic[] = [];
  readonly input: Input;
  syntax: Syntax = 'att';
  readonly lines = new LineMarks(this.sections);
  readonly frames = new Frames(this.sections, () => this.here());
  /** Called for every instruction. */
  onInstruction: ((instruction: AssembledInstruction) => void) | undefined;
  readonly #localLabels = new Map<number, number>();
  readonly #branches = new Map<string, boolean>();

  constructor(readonly options: AssembleOptions = {}) {
    this.input = new Input((statement, message, severity) =>
      this.report(statement, new AssemblyError(message), severity),
    );
    for (const [name, value] of Object.entries(options.symbols ?? {}))
      this.symbol(name).expression = { kind: 'number', value };
  }

  // ---- symbols

  symbol(name: string): AssemblySymbol {
    let known = this.symbols.get(name);
    if (!known) this.symbols.set(name, (known = newSymbol(name)));
    return known;
  }
  localLabel(number: number, direction: 'b' | 'f'): AssemblySymbol | undefined {
    const instance = (this.#localLabels.get(number) ?? 0) + (direction === 'f' ? 1 : 0);
    return instance === 0 ? undefined : this.symbol(localName(number, instance));
  }
  here(): AssemblySymbol {
    const symbol = newSymbol('.');
    this.sections.place(symbol);
    return symbol;
  }
  defineLabel(name: string, statement: Statement): void {
    const symbol = this.symbol(name);
    if (isDefined(symbol)) {
      const where = symbol.definition ? ` (first in line ${symbol.definition.line + 1})` : '';
      throw new AssemblyError(`\`${name}\` is defined twice${where}`);
    }
    this.sections.place(symbol);
    symbol.definition = positionOf(statement);
    if (this.sections.current.section.flags & SHF.tls) symbol.type = 'tls';
  }
  assign(name: string, expression: Expression, statement: Statement): void {
    let symbol = this.symbol(name);
    if (symbol.fragment) throw new AssemblyError(`\`${name}\` is a label and cannot be set`);
    // A new value is a new symbol: what was assembled before keeps the old one.
    if (symbol.expression) {
      const { binding, type, visibility } = symbol;
      symbol = { ...newSymbol(name), binding, type, visibility };
      this.symbols.set(name, symbol);
    }
    const reduced = reduce(expression, fixedDistance);
    symbol.expression = reduced && isConstant(reduced) ? { kind: 'number', value: reduced.constant } : expression;
    symbol.definition = positionOf(statement);
  }
  /** A number that must be known now. */
  absolute(cursor: Cursor): bigint {
    const start = cursor.at;
    const reduced = reduce(parseExpression(cursor, this), fixedDistance);
    if (!reduced || !isConstant(reduced)) return cursor.fail('this must be a number that is known here', start);
    return reduced.constant;
  }

  // ---- driving

  assemble(file: string, text: string): void {
    this.input.push(file, text);
    for (let statement = this.input.next(); statement; statement = this.input.next()) this.#guarded(statement);
    this.input.end();
    for (const { position } of this.frames.open)
      this.#reportAt(position, 'this `.cfi_startproc` has no `.cfi_endproc`', 'error');
    for (const symbol of this.symbols.values()) materialise(symbol);
    layOut(this.sections.all, (position, message) => this.#reportAt(position, message, 'error'));
  }
  #guarded(statement: Statement): void {
    try {
      this.#statement(statement);
    } catch (error) {
      if (!(error instanceof AssemblyError)) throw error;
      this.report(statement, error);
    }
  }
  report(statement: Statement, error: AssemblyError, severity: Diagnostic['severity'] = 'error'): void {
    const { text, column } = statement;
    const trimmed = text.length - text.trimStart().length;
    const start = error.range?.start ?? trimmed;
    const end = error.range?.end ?? text.trimEnd().length;
    const here = {
      file: statement.file,
      line: statement.line,
      column: column + start,
      length: Math.max(1, end - start),
    };
    this.#reportAt(
      statement.from ?? here,
      statement.from ? `in the expansion: ${error.message}` : error.message,
      severity,
    );
  }
  #reportAt(position: Position, message: string, severity: Diagnostic['severity']): void {
    this.diagnostics.push({ ...position, severity, message });
  }

  #statement(statement: Statement): void {
    let { text } = statement;
    let skipped = 0;
    for (let label = LABEL.exec(text); label; label = LABEL.exec(text)) {
      if (text[label[0].length] === '=') break;
      const [whole, name, number] = label;
      if (number !== undefined) this.#defineLocal(Number(number), statement);
      else this.defineLabel(name!.replaceAll('"', ''), statement);
      text = text.slice(whole.length);
      skipped += whole.length;
    }
    if (text.trim() === '') return;
    const cursor = new Cursor(statement.text);
    cursor.at = skipped;
    const assignment = ASSIGNMENT.exec(text);
    if (assignment) {
      cursor.at += assignment[0].length;
      const expression = parseExpression(cursor, this);
      cursor.end();
      return this.assign(assignment[1]!, expression, statement);
    }
    const word = WORD.exec(text)?.[1];
    if (word === undefined) throw new AssemblyError('expected a label, a directive or an instruction');
    cursor.skip();
    cursor.at += word.length;
    const name = word.toLowerCase();
    if (this.input.expand(name, statement, cursor)) return;
    if (!name.startsWith('.')) return this.#instruction(name, cursor, statement, []);
    const directive = DIRECTIVES.get(name);
    if (!directive)
      throw new AssemblyError(`\`${word}\` is not a directive`, { start: cursor.at - word.length, end: cursor.at });
    directive(this, cursor, statement);
  }
  #defineLocal(number: number, statement: Statement): void {
    const instance = (this.#localLabels.get(number) ?? 0) + 1;
    this.#localLabels.set(number, instance);
    this.defineLabel(localName(number, instance), statement);
  }

  // ---- instructions

  #instruction(name: string, cursor: Cursor, statement: Statement, prefixes: number[]): void {
    const prefix = PREFIXES[name];
    if (prefix !== undefined) {
      prefixes.push(prefix);
      if (cursor.done) return this.sections.bytes(prefixes);
      const start = cursor.at;
      const next = cursor.identifier()?.toLowerCase();
      if (next === undefined) cursor.fail(`expected an instruction after \`${name}\``, start);
      return this.#instruction(next, cursor, statement, prefixes);
    }
    const candidates = candidatesOf(name, this.syntax);
    let hint: number | undefined;
    // Branch hints: `jne,pt`.
    if (candidates && /^j/.test(name) && /^,p[nt]/.test(cursor.text.slice(cursor.at))) {
      hint = cursor.text[cursor.at + 2] === 't' ? 0x3e : 0x2e;
      cursor.at += 3;
    }
    if (!candidates) {
      const end = cursor.at;
      throw new AssemblyError(`\`${name}\` is not an instruction that is known`, { start: end - name.length, end });
    }
    const isBranch = this.#isBranch(name, candidates);
    const operands = this.#operands(cursor, isBranch);
    if (this.syntax === 'att' && !(NOT_REVERSED.test(name) && operands.every(({ kind }) => kind === 'immediate')))
      operands.reverse();
    const all = hint === undefined ? prefixes : [...prefixes, hint];
    const { before } = candidates[0]!;
    const selected = select(name, candidates, operands, this.syntax, before === undefined ? all : [before, ...all]);
    if (selected.isGuess) {
      const how = this.syntax === 'att' ? `a suffix, for instance \`${name}l\`` : 'a size such as `dword ptr`';
      this.report(
        statement,
        new AssemblyError(`the operand size of \`${name}\` is not written and taken to be 32 bits: add ${how}`),
        'warning',
      );
    }
    this.#emit(selected, statement, all);
    this.onInstruction?.({ statement, mnemonic: name, selected });
  }
  #isBranch(name: string, candidates: readonly Candidate[]): boolean {
    let known = this.#branches.get(name);
    if (known === undefined) {
      known = candidates.some(
        ({ row }) => row.operands?.some((code) => code.startsWith('J')) || /^(call|jmp)_/.test(row.op),
      );
      this.#branches.set(name, known);
    }
    return known;
  }
  #operands(cursor: Cursor, isBranch: boolean): AssemblyOperand[] {
    const operands: AssemblyOperand[] = [];
    if (cursor.done) return operands;
    const parse = this.syntax === 'att' ? parseAttOperand : parseIntelOperand;
    do operands.push(parse(cursor, this, isBranch));
    while (cursor.take(','));
    cursor.end();
    return operands;
  }
  #emit(selected: Selected, statement: Statement, prefixes: readonly number[]): void {
    const { choice, encoded } = selected;
    const fragment = this.sections.data();
    const start = fragment.bytes.length;
    this.lines.instruction(statement);
    const position = positionOf(statement);
    const target = choice.operands[0];
    if (/^(jcc|jmp)$/.test(choice.row.op) && target?.kind === 'target') {
      const condition = choice.row.op === 'jmp' ? -1 : choice.condition;
      const jump = {
        kind: 'jump' as const,
        condition,
        target: target.target,
        prefixes: [...prefixes],
        long: false,
        position,
      };
      this.sections.add(jump);
      return;
    }
    for (const byte of encoded.bytes) fragment.bytes.push(byte);
    for (const { offset, ...field } of encoded.fields) {
      const { kind } = field;
      const base = kind === 'relative' || kind === 'branch' ? encoded.bytes.length - offset : 0;
      fragment.fixups.push({ ...field, offset: start + offset, base, position });
    }
  }
}

/** A symbol set to a label plus a number is a label, too. */
function materialise(symbol: AssemblySymbol): void {
  if (!symbol.expression || symbol.expression.kind === 'number') return;
  let reduced;
  try {
    reduced = reduce(symbol.expression, fixedDistance);
  } catch {
    return; // Reported where it is used.
  }
  if (!reduced?.add?.fragment || reduced.subtract || reduced.modifier) return;
  symbol.fragment = reduced.add.fragment;
  symbol.offset = reduced.add.offset + Number(reduced.constant);
  symbol.expression = undefined;
  if (symbol.type === 'none') symbol.type = reduced.add.type;
}

function newSymbol(name: string): AssemblySymbol {
  return {
    ...{ name, fragment: undefined, offset: 0, expression: undefined, binding: 'local', type: 'none' },
    ...{ visibility: 'default', size: undefined, common: undefined, definition: undefined, referenced: false },
  };
}
