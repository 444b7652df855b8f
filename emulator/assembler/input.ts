/** Where statements come from: sources, macros, repetitions, and what conditions leave out. */
import { Cursor } from './cursor.ts';
import { argument, type Evaluate, LocalNames, remainder, substituted } from './macro-text.ts';
import { AssemblyError } from './model.ts';
import { positionOf, splitStatements } from './source.ts';
import type { Statement } from './source.ts';

interface Parameter {
  readonly name: string;
  readonly default: string | undefined;
  readonly required: boolean;
  readonly isRest: boolean;
}

interface Macro {
  readonly name: string;
  readonly parameters: readonly Parameter[];
  readonly body: readonly Statement[];
}

interface Condition {
  /** Statements of the present part are assembled. */
  active: boolean;
  /** A part of it was. */
  taken: boolean;
  /** What is around it is assembled. */
  readonly outer: boolean;
  seenElse: boolean;
  readonly statement: Statement;
}

interface Frame {
  readonly statements: readonly Statement[];
  next: number;
  readonly macro: Macro | undefined;
  /** Conditions open when it began. */
  readonly conditions: number;
}

const MAX_DEPTH = 200;
/** Statements that macros and repetitions may make. */
const MAX_EXPANDED = 5_000_000;
const BLOCK_START = /^\s*(?:[\w.$]+:\s*)?\.(macro|rept|irpc?)\b/i;
const BLOCK_END = /^\s*\.(endm|endmacro|endr)\b/i;
const WORD = /^\s*(?:[\w.$]+:\s*)*\.?([a-z]+)/i;

type Report = (statement: Statement, message: string, severity: 'error' | 'warning') => void;

export class Input {
  readonly #frames: Frame[] = [];
  readonly macros = new Map<string, Macro>();
  readonly #conditions: Condition[] = [];
  #expansions = 0;
  #expanded = 0;

  /** `.altmacro` is in force. */
  isAlternate = false;
  readonly #locals = new LocalNames();

  constructor(
    readonly report: Report,
    readonly evaluate: Evaluate,
  ) {}

  /** An argument as the mode in force reads it. */
  argument(cursor: Cursor): string {
    return argument(cursor, this.isAlternate ? this.evaluate : undefined);
  }

  push(file: string, text: string): void {
    this.#pushFrame(splitStatements(file, text), undefined);
  }
  #pushFrame(statements: readonly Statement[], macro: Macro | undefined): void {
    if (this.#frames.length >= MAX_DEPTH)
      throw new AssemblyError('macros or includes are nested too deeply (200 levels)');
    this.#frames.push({ statements, next: 0, macro, conditions: this.#conditions.length });
  }

  /** The next statement to assemble; undefined at the end. */
  next(): Statement | undefined {
    for (;;) {
      const frame = this.#frames.at(-1);
      if (!frame) return undefined;
      const statement = frame.statements[frame.next++];
      if (!statement) {
        this.#frames.pop();
        continue;
      }
      const name = WORD.exec(statement.text)?.[1]?.toLowerCase();
      const isConditional = /^\s*\.(if|else|endif)/i.test(statement.text);
      if (!this.active && !isConditional) {
        if (name && BLOCK_START.test(statement.text)) this.#skipBlock(statement);
        continue;
      }
      return statement;
    }
  }
  #skipBlock(statement: Statement): void {
    try {
      this.#block();
    } catch (error) {
      if (!(error instanceof AssemblyError)) throw error;
      this.report(statement, error.message, 'error');
    }
  }
  get active(): boolean {
    return this.#conditions.at(-1)?.active ?? true;
  }
  end(): void {
    for (const { statement } of this.#conditions) this.report(statement, 'this `.if` has no `.endif`', 'error');
    this.#conditions.length = 0;
  }
  /** `.end`: nothing after it counts. */
  stop(): void {
    this.#frames.length = 0;
  }

  // ---- conditions

  /** `.if...` whose outcome is known only if it matters. */
  begin(statement: Statement, holds: () => boolean): void {
    const outer = this.active;
    const active = outer && holds();
    this.#conditions.push({ active, taken: active, outer, seenElse: false, statement });
  }
  otherwise(holds: (() => boolean) | undefined): void {
    const condition = this.#conditions.at(-1);
    if (!condition) throw new AssemblyError('`.else` without an `.if` before it');
    if (condition.seenElse) throw new AssemblyError('`.else` after `.else`');
    condition.seenElse = holds === undefined;
    condition.active = condition.outer && !condition.taken && (holds?.() ?? true);
    condition.taken ||= condition.active;
  }
  finish(): void {
    if (!this.#conditions.pop()) throw new AssemblyError('`.endif` without an `.if` before it');
  }

  // ---- macros

  /** Statements up to the `.endm` or `.endr` that belongs to the block that was just begun. */
  #block(): Statement[] {
    const frame = this.#frames.at(-1)!;
    const body: Statement[] = [];
    for (let depth = 1; ;) {
      const statement = frame.statements[frame.next++];
      if (!statement) throw new AssemblyError('this block has no `.endm` or `.endr`');
      if (BLOCK_START.test(statement.text)) depth++;
      else if (BLOCK_END.test(statement.text) && --depth === 0) return body;
      body.push(statement);
    }
  }
  /** `.macro name parameters`. */
  define(cursor: Cursor): void {
    let name: string;
    let parameters: Parameter[];
    let failure: AssemblyError | undefined;
    try {
      name = cursor.name('a name for the macro');
      cursor.take(',');
      parameters = this.#parameterList(cursor);
    } catch (error) {
      if (!(error instanceof AssemblyError)) throw error;
      failure = error;
    }
    const body = this.#block();
    if (failure) throw failure;
    this.macros.set(name!.toLowerCase(), { name: name!, parameters: parameters!, body });
  }
  purge(name: string): void {
    if (!this.macros.delete(name.toLowerCase())) throw new AssemblyError(`there is no macro \`${name}\``);
  }
  /** `.exitm`: leaves the macro. */
  leave(): void {
    for (let frame = this.#frames.pop(); frame; frame = this.#frames.pop()) {
      this.#conditions.length = Math.min(this.#conditions.length, frame.conditions);
      if (frame.macro) return;
    }
    throw new AssemblyError('`.exitm` outside a macro');
  }
  /** Expands the macro of this name, if there is one. */
  expand(name: string, statement: Statement, cursor: Cursor): boolean {
    const macro = this.macros.get(name);
    if (!macro) return false;
    const values = this.#arguments(macro, cursor);
    const number = this.#expansions++;
    const from = positionOf(statement);
    const { isAlternate } = this;
    const body: Statement[] = [];
    for (const line of macro.body) {
      if (isAlternate && this.#locals.declare(line.text, values)) continue;
      body.push(this.#made({ ...line, text: substituted(line.text, values, number, isAlternate), from }));
    }
    this.#pushFrame(body, macro);
    return true;
  }
  #parameterList(cursor: Cursor): Parameter[] {
    const parameters: Parameter[] = [];
    while (!cursor.done) {
      cursor.take('\\');
      const name = cursor.name('a parameter');
      let required = false;
      let isRest = false;
      if (cursor.take(':')) {
        const qualifier = cursor.name('`req` or `vararg`').toLowerCase();
        if (qualifier === 'req') required = true;
        else if (qualifier === 'vararg') isRest = true;
        else cursor.fail(`expected \`req\` or \`vararg\`, found \`${qualifier}\``);
      }
      const value = cursor.take('=') ? this.argument(cursor) : undefined;
      parameters.push({ name, default: value, required, isRest });
      cursor.take(',');
    }
    return parameters;
  }
  #arguments({ name, parameters }: Macro, cursor: Cursor): Map<string, string> {
    const values = new Map<string, string>();
    let position = 0;
    while (!cursor.done) {
      const named = /^([A-Za-z_.$][\w.$]*)\s*=(?!=)/.exec(cursor.text.slice(cursor.at));
      // The alternate mode knows no arguments by name.
      const byName = !this.isAlternate && named && parameters.find((parameter) => parameter.name === named[1]);
      if (byName) {
        cursor.at += named[0].length;
        values.set(byName.name, this.argument(cursor));
      } else {
        const parameter = parameters[position++];
        if (!parameter)
          cursor.fail(
            `macro \`${name}\` takes ${parameters.length} argument${parameters.length === 1 ? '' : 's'}, here are more`,
          );
        if (parameter.isRest) {
          values.set(parameter.name, remainder(cursor));
        } else values.set(parameter.name, this.argument(cursor));
      }
      cursor.take(',');
    }
    for (const parameter of parameters) {
      if (values.get(parameter.name)) continue;
      if (parameter.required) throw new AssemblyError(`macro \`${name}\` needs a value for \`${parameter.name}\``);
      if (!values.has(parameter.name) || parameter.default !== undefined)
        values.set(parameter.name, parameter.default ?? '');
    }
    return values;
  }
  #made(statement: Statement): Statement {
    if (++this.#expanded > MAX_EXPANDED)
      throw new AssemblyError('macros and repetitions make more than five million statements');
    return statement;
  }

  // ---- repetitions

  /** `.rept`: the body `count` times; `.irp`, `.irpc`: once for each value of a parameter. */
  repeat(statement: Statement, values: () => readonly (ReadonlyMap<string, string> | undefined)[]): void {
    let list: readonly (ReadonlyMap<string, string> | undefined)[] = [];
    let failure: AssemblyError | undefined;
    try {
      list = values();
    } catch (error) {
      if (!(error instanceof AssemblyError)) throw error;
      failure = error;
    }
    const body = this.#block();
    if (failure) throw failure;
    const from = positionOf(statement);
    const number = this.#expansions;
    const { isAlternate } = this;
    this.#pushFrame(
      list.flatMap((of) =>
        body.map((line) =>
          this.#made({ ...line, from, text: of ? substituted(line.text, of, number, isAlternate) : line.text }),
        ),
      ),
      undefined,
    );
  }
}
