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
import type { AssemblyOperand, AssemblySymbol, CodeBits, Diagnostic, Expression, Position } from './model.ts';
import { isRelativeKind } from './relocations.ts';
import { isOnlyWide } from './registers.ts';
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
/** Prefixes that ask for what a mode does anyway; there are no 16-bit addresses in 64-bit code. */
const REDUNDANT: Readonly<Record<CodeBits, ReadonlySet<string>>> = {
  16: new Set(['data16', 'addr16']),
  32: new Set(['data32', 'addr32']),
  64: new Set(['data32', 'addr16']),
};
/** Two immediates are written in the order of the manual in both syntaxes. */
const NOT_REVERSED = /^(enter|extrq|insertq)/;

export class Assembler implements SymbolScope {
  readonly sections = new Sections();
  readonly symbols = new Map<string, AssemblySymbol>();
  readonly diagnostics: Diagnostic[] = [];
  readonly input: Input;
  syntax: Syntax = 'att';
  bits: CodeBits = 64;
  readonly lines = new LineMarks(this.sections);
  readonly frames = new Frames(this.sections, () => this.here());
  /** Called for every instruction. */
  onInstruction: ((instruction: AssembledInstruction) => void) | undefined;
  readonly #localLabels = new Map<number, number>();
  readonly #branches = new Map<string, boolean>();

  constructor(readonly options: AssembleOptions = {}) {
    this.input = new Input(
      (statement, message, severity) => this.report(statement, new AssemblyError(message), severity),
      (cursor) => this.absolute(cursor),
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
      if (REDUNDANT[this.bits].has(name))
        throw new AssemblyError(`\`${name}\` is what ${this.bits}-bit code does without it`);
      prefixes.push(prefix);
      if (cursor.done) return this.sections.bytes(prefixes);
      const start = cursor.at;
      const next = cursor.identifier()?.toLowerCase();
      if (next === undefined) cursor.fail(`expected an instruction after \`${name}\``, start);
      return this.#instruction(next, cursor, statement, prefixes);
    }
    const candidates = candidatesOf(this.#sized(name, prefixes), this.syntax, this.bits);
    let hint: number | undefined;
    // Branch hints: `jne,pt`.
    if (candidates && /^j/.test(name) && /^,p[nt]/.test(cursor.text.slice(cursor.at))) {
      hint = cursor.text[cursor.at + 2] === 't' ? 0x3e : 0x2e;
      cursor.at += 3;
    }
    if (!candidates) {
      const end = cursor.at;
      const isElsewhere = ([16, 32, 64] as const).some((bits) => candidatesOf(name, this.syntax, bits));
      const why = isElsewhere ? `does not exist in ${this.bits}-bit code` : 'is not an instruction that is known';
      throw new AssemblyError(`\`${name}\` ${why}`, { start: end - name.length, end });
    }
    const isBranch = this.#isBranch(name, candidates);
    const operands = this.#operands(cursor, isBranch);
    if (this.syntax === 'att' && !(NOT_REVERSED.test(name) && operands.every(({ kind }) => kind === 'immediate')))
      operands.reverse();
    const all = hint === undefined ? prefixes : [...prefixes, hint];
    const { before } = candidates[0]!;
    const dialect = { syntax: this.syntax, bits: this.bits };
    const selected = select(name, candidates, operands, dialect, before === undefined ? all : [before, ...all]);
    if (selected.isGuess) {
      const how =
        this.syntax === 'att'
          ? `a suffix, for instance \`${name}${this.bits === 16 ? 'w' : 'l'}\``
          : 'a size such as `dword ptr`';
      this.report(
        statement,
        new AssemblyError(
          `the operand size of \`${name}\` is not written and taken to be ${selected.choice.size * 8} bits: add ${how}`,
        ),
        'warning',
      );
    }
    this.#emit(selected, statement, all);
    this.onInstruction?.({ statement, mnemonic: name, selected });
  }
  /** `data32 ljmp` is `ljmpl` in 16-bit code, `data16 ljmp` is `ljmpw` in 32-bit code. */
  #sized(name: string, prefixes: readonly number[]): string {
    if (this.bits === 64 || !/^l(call|jmp)$/.test(name) || !prefixes.includes(0x66)) return name;
    return name + (this.bits === 16 ? 'l' : 'w');
  }
  #isBranch(name: string, candidates: readonly Candidate[]): boolean {
    const key = `${this.bits}${name}`;
    let known = this.#branches.get(key);
    if (known === undefined) {
      known = candidates.some(
        ({ row }) => row.operands?.some((code) => code.startsWith('J')) || /^(call|jmp)_/.test(row.op),
      );
      this.#branches.set(key, known);
    }
    return known;
  }
  #operands(cursor: Cursor, isBranch: boolean): AssemblyOperand[] {
    const operands: AssemblyOperand[] = [];
    if (cursor.done) return operands;
    const parse = this.syntax === 'att' ? parseAttOperand : parseIntelOperand;
    do {
      const operand = parse(cursor, this, isBranch, this.bits);
      if (this.bits !== 64 && operand.kind === 'register' && isOnlyWide(operand.register))
        cursor.fail(`%${operand.register.name} does not exist in ${this.bits}-bit code`, operand.start);
      operands.push(operand);
    } while (cursor.take(','));
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
        bits: this.bits,
        width: isNarrowJump(this.bits, prefixes) ? (2 as const) : (4 as const),
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
      const base = isRelativeKind({ kind }) ? encoded.bytes.length - offset : 0;
      fragment.fixups.push({ ...field, offset: start + offset, base, position });
    }
  }
}

/** Jumps have displacements of 16 bits in 16-bit code without prefix 66, and in 32-bit code with it. */
function isNarrowJump(bits: CodeBits, prefixes: readonly number[]): boolean {
  return bits !== 64 && (bits === 16) !== prefixes.includes(0x66);
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
    name,
    fragment: undefined,
    offset: 0,
    expression: undefined,
    binding: 'local',
    type: 'none',
    visibility: 'default',
    size: undefined,
    common: undefined,
    definition: undefined,
    referenced: false,
  };
}
