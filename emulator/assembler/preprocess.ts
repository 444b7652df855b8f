/**
 * The C preprocessor as assembly uses it (C17 6.10): `#include`, `#define` with and without parameters, `#`, `##`, conditions. What it makes says by
 * line markers where each line comes from.
 */
import { Condition17, Failure } from './preprocess-conditions.ts';
import {
  joined,
  LineOrigin,
  logicalLines,
  type Expansion,
  type LogicalLine,
  type SourcePlace,
} from './preprocess-lines.ts';

export interface PreprocessOptions {
  /** Text of a file, or undefined if there is none. */
  readonly include: (
    path: string,
    from: string,
  ) => string | { readonly path: string; readonly text: string } | undefined;
  /** Macros without parameters beside `__ASSEMBLER__`, `__x86_64__` and the like. */
  readonly defines?: Readonly<Record<string, string>>;
}

export interface PreprocessProblem {
  readonly file: string;
  /** Counts from 0. */
  readonly line: number;
  readonly column: number;
  readonly length: number;
  readonly message: string;
}

/** Lines that a condition leaves out, from 0. */
export interface InactiveLines {
  readonly file: string;
  readonly first: number;
  readonly last: number;
}

export interface Preprocessed {
  readonly text: string;
  readonly problems: readonly PreprocessProblem[];
  readonly inactive: readonly InactiveLines[];
  /** Where a part of the output, by the line that a marker gives it, stands in its file. */
  place(file: string, line: number, column: number, length: number): SourcePlace;
}

interface Macro {
  readonly parameters: readonly string[] | undefined;
  readonly isVariadic: boolean;
  readonly body: string;
}

interface Condition {
  readonly outer: boolean;
  active: boolean;
  taken: boolean;
  readonly line: LogicalLine;
}

const PREDEFINED: Readonly<Record<string, string>> = {
  ...{ __ASSEMBLER__: '1', __x86_64__: '1', __x86_64: '1', __amd64__: '1', __amd64: '1', __LP64__: '1', _LP64: '1' },
  ...{ __ELF__: '1', __linux__: '1', __linux: '1', linux: '1', __unix__: '1', __STDC__: '1', __CHAR_BIT__: '8' },
};
const MOST_INCLUDES = 100;
const MOST_EXPANSIONS = 5_000_000;
const TOKEN = /"(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)'|[A-Za-z_]\w*|\.?\d(?:[\w.]|[eEpP][+-])*|\s+|./gs;
const IDENTIFIER = /^[A-Za-z_]\w*$/;

/** The line ends amid the arguments of a macro. */
class Unfinished extends Failure {}

const DIRECTIVE = /^\s*#\s*([a-z_]+)\b\s*(.*)$/s;

class Preprocessor {
  readonly problems: PreprocessProblem[] = [];
  readonly inactive: { readonly file: string; readonly first: number; last: number }[] = [];
  readonly #macros = new Map<string, Macro>();
  readonly #out: string[] = [];
  /** Of lines that are not as they stand in their file, by file and line. */
  readonly #origins = new Map<string, Map<number, LineOrigin>>();
  /** Files with `#pragma once`. */
  readonly #once = new Set<string>();
  #expansions = 0;
  #depth = 0;
  #counter = 0;
  #here = { file: '', line: 0 };

  constructor(readonly options: PreprocessOptions) {
    for (const [name, body] of Object.entries({ ...PREDEFINED, ...options.defines }))
      this.#macros.set(name, { parameters: undefined, isVariadic: false, body });
  }

  run(file: string, text: string): Preprocessed {
    this.#file(file, text);
    const place: Preprocessed['place'] = (of, line, column, length) =>
      this.#origins.get(of)?.get(line)?.place(column, length) ?? { line, column, length };
    return { text: `${this.#out.join('\n')}\n`, problems: this.problems, inactive: this.inactive, place };
  }

  #file(file: string, text: string): void {
    if (++this.#depth > MOST_INCLUDES) throw new Failure(`includes are nested more than ${MOST_INCLUDES} deep`);
    this.#marker(0, file);
    const conditions: Condition[] = [];
    const lines = logicalLines(text);
    for (let at = 0; at < lines.length; at++) {
      let line = lines[at]!;
      for (let isWhole = false; !isWhole;) {
        isWhole = true;
        try {
          this.#line(line, file, conditions);
        } catch (error) {
          if (!(error instanceof Failure)) throw error;
          // The arguments of a macro go on in the next line.
          const next = error instanceof Unfinished && !DIRECTIVE.test(line.text) ? lines[at + 1] : undefined;
          if (next === undefined || DIRECTIVE.test(next.text)) {
            if (!DIRECTIVE.test(line.text)) this.#out.push('');
            this.#problem(file, line, error.message);
          } else {
            line = joined(line, next);
            at++;
            isWhole = false;
          }
        }
      }
      // The number of lines stays what it was.
      for (let left = line.count; left > 1; left--) this.#out.push('');
    }
    for (const { line } of conditions) this.#problem(file, line, 'this `#if` has no `#endif`');
    this.#depth--;
  }
  #problem(file: string, source: LogicalLine, message: string): void {
    const start = source.text.length - source.text.trimStart().length;
    const place = new LineOrigin(source, []).place(start, source.text.trim().length);
    this.problems.push({ file, ...place, message });
  }
  #marker(line: number, file: string): void {
    this.#out.push(`# ${line + 1} "${file.replace(/["\\]/g, '\\$&')}"`);
  }
  #line(line: LogicalLine, file: string, conditions: Condition[]): void {
    const directive = DIRECTIVE.exec(line.text);
    const active = conditions.at(-1)?.active ?? true;
    this.#here = { file, line: line.line };
    if (!directive) {
      if (!active) this.#leaveOut(file, line);
      const expansions: Expansion[] = [];
      this.#out.push(active && !/^\s*#/.test(line.text) ? this.#expand(line.text, new Set(), expansions) : '');
      if (line.pieces || expansions.length > 0) this.#setOrigin(file, new LineOrigin(line, expansions));
      return;
    }
    const [, name, rest] = directive as unknown as [string, string, string];
    this.#out.push('');
    if (this.#condition(name, rest.trim(), line, conditions)) return;
    if (!active) return this.#leaveOut(file, line);
    if (name === 'include') return this.#include(rest, file, line.line + line.count - 1);
    if (name === 'define') return this.#define(rest);
    if (name === 'undef') return void this.#macros.delete(rest.trim());
    if (name === 'error') throw new Failure(rest.trim() || '#error');
    if (name === 'pragma' && rest.trim() === 'once') this.#once.add(file);
    // A comment of the assembler, other `#pragma`, `#line` and the like.
  }
  #setOrigin(file: string, origin: LineOrigin): void {
    let lines = this.#origins.get(file);
    if (!lines) this.#origins.set(file, (lines = new Map()));
    lines.set(origin.source.line, origin);
  }
  #leaveOut(file: string, { line, count }: LogicalLine): void {
    const known = this.inactive.at(-1);
    if (known?.file === file && known.last === line - 1) known.last = line + count - 1;
    else this.inactive.push({ file, first: line, last: line + count - 1 });
  }
  #condition(name: string, rest: string, line: LogicalLine, conditions: Condition[]): boolean {
    const outer = conditions.at(-1)?.active ?? true;
    const begin = (holds: () => boolean): void => {
      const active = outer && holds();
      conditions.push({ outer, active, taken: active, line });
    };
    const otherwise = (holds: () => boolean): void => {
      const condition = conditions.at(-1);
      if (!condition) throw new Failure(`\`#${name}\` without an \`#if\` before it`);
      condition.active = condition.outer && !condition.taken && holds();
      condition.taken ||= condition.active;
    };
    switch (name) {
      case 'if':
        begin(() => this.#holds(rest));
        return true;
      case 'ifdef':
        begin(() => this.#macros.has(rest));
        return true;
      case 'ifndef':
        begin(() => !this.#macros.has(rest));
        return true;
      case 'elif':
        otherwise(() => this.#holds(rest));
        return true;
      case 'else':
        otherwise(() => true);
        return true;
      case 'endif':
        if (!conditions.pop()) throw new Failure('`#endif` without an `#if` before it');
        return true;
      default:
        return false;
    }
  }
  #include(rest: string, file: string, line: number): void {
    const named = /^\s*(?:"([^"]*)"|<([^>]*)>)\s*$/.exec(this.#expand(rest, new Set()));
    const path = named?.[1] ?? named?.[2];
    if (path === undefined) throw new Failure('expected `"file"` or `<file>`');
    const found = this.options.include(path, file);
    if (found === undefined) throw new Failure(`the file \`${path}\` cannot be read`);
    const [name, text] = typeof found === 'string' ? [path, found] : [found.path, found.text];
    if (!this.#once.has(name)) this.#file(name, text);
    this.#marker(line + 1, file);
  }
  #define(rest: string): void {
    const found = /^([A-Za-z_]\w*)(\(([^)]*)\))?\s*(.*)$/s.exec(rest);
    if (!found) throw new Failure('expected the name of a macro');
    const [, name, list, inside, body] = found;
    const parameters = list === undefined ? undefined : inside!.split(',').map((parameter) => parameter.trim());
    const isVariadic = parameters?.at(-1) === '...';
    if (isVariadic) parameters!.splice(-1, 1, '__VA_ARGS__');
    const own = parameters?.length === 1 && parameters[0] === '' ? [] : parameters;
    this.#macros.set(name!, { parameters: own, isVariadic, body: body!.trim() });
  }

  /** @param expansions is told which part of the result comes of which part of the text */
  #expand(text: string, busy: ReadonlySet<string>, expansions?: Expansion[]): string {
    if (++this.#expansions > MOST_EXPANSIONS) throw new Failure('macros expand without an end');
    const tokens = text.match(TOKEN) ?? [];
    let out = '';
    let position = 0;
    for (let at = 0; at < tokens.length; at++) {
      const token = tokens[at]!;
      const start = position;
      position += token.length;
      // The rest of the line is a comment of the assembler.
      if (token === '#' && out.trim() !== '') return out + tokens.slice(at).join('');
      const macro = IDENTIFIER.test(token) && !busy.has(token) ? this.#macro(token) : undefined;
      if (!macro) {
        out += token;
        continue;
      }
      const inside = new Set([...busy, token]);
      if (!macro.parameters) {
        const made = this.#expand(
          substitute(macro, [], (of) => of),
          inside,
        );
        expansions?.push({ out: out.length, length: made.length, at: start, end: position });
        out += made;
        continue;
      }
      const call = readArguments(tokens, at + 1);
      if (!call) {
        out += token;
        continue;
      }
      for (; at < call.end; at++) position += tokens[at + 1]!.length;
      const given = bind(token, macro, call.values);
      const made = this.#expand(
        substitute(macro, given, (of) => this.#expand(of, busy)),
        inside,
      );
      expansions?.push({ out: out.length, length: made.length, at: start, end: position });
      out += made;
    }
    return out;
  }

  #macro(name: string): Macro | undefined {
    const known = this.#macros.get(name);
    if (known || !name.startsWith('__')) return known;
    const plain = (body: string): Macro => ({ parameters: undefined, isVariadic: false, body });
    if (name === '__LINE__') return plain(String(this.#here.line + 1));
    if (name === '__FILE__') return plain(JSON.stringify(this.#here.file));
    return name === '__COUNTER__' ? plain(String(this.#counter++)) : undefined;
  }

  #holds(text: string): boolean {
    const included = text.replace(
      /\b__has_include\s*\(\s*(?:"([^"]*)"|<([^>]*)>)\s*\)/g,
      (_, a?: string, b?: string) => (this.options.include((a ?? b)!, this.#here.file) === undefined ? '0' : '1'),
    );
    const resolved = included.replace(/\bdefined\s*(?:\(\s*(\w+)\s*\)|(\w+))/g, (_, a?: string, b?: string) =>
      this.#macros.has((a ?? b)!) ? '1' : '0',
    );
    // What is no macro is 0 (C17 6.10.1).
    const numbers = this.#expand(resolved, new Set()).replace(/\b[A-Za-z_]\w*/g, '0');
    return new Condition17(numbers).value() !== 0n;
  }
}

/** Arguments in parentheses; undefined if none stand here. */
function readArguments(tokens: readonly string[], from: number): { values: string[]; end: number } | undefined {
  let at = from;
  while (/^\s+$/.test(tokens[at] ?? '')) at++;
  if (tokens[at] !== '(') return undefined;
  const values = [''];
  for (let depth = 0; at < tokens.length; at++) {
    const token = tokens[at]!;
    if (token === '(' && depth++ === 0) continue;
    if (token === ')' && --depth === 0) return { values: values.map((value) => value.trim()), end: at };
    if (token === ',' && depth === 1) values.push('');
    else values[values.length - 1] += token;
  }
  throw new Unfinished('the arguments of a macro have no closing parenthesis');
}

type Bound = readonly (readonly [name: string, value: string])[];
function bind(name: string, { parameters, isVariadic }: Macro, values: string[]): Bound {
  const wanted = parameters!;
  const given = wanted.length === 0 && values.length === 1 && values[0] === '' ? [] : values;
  if (isVariadic && given.length >= wanted.length)
    given.splice(wanted.length - 1, given.length, given.slice(wanted.length - 1).join(', '));
  if (given.length !== wanted.length && !(isVariadic && given.length === wanted.length - 1))
    throw new Failure(`macro \`${name}\` takes ${wanted.length} arguments, not ${given.length}`);
  return wanted.map((parameter, index) => [parameter, given[index] ?? '']);
}

/** The body with arguments put in: as they are beside `##` and behind `#`, expanded elsewhere. */
function substitute({ body, parameters }: Macro, bound: Bound, expanded: (value: string) => string): string {
  const values = new Map(bound);
  const tokens = body.match(TOKEN) ?? [];
  let out = '';
  for (let at = 0; at < tokens.length; at++) {
    const token = tokens[at]!;
    if (token === '#' && tokens[at + 1] === '#') {
      at++;
      while (/^\s+$/.test(tokens[at + 1] ?? '')) at++;
      const next = tokens[++at] ?? '';
      out = out.trimEnd() + (values.get(next) ?? next);
    } else if (token === '#' && parameters && values.has(tokens[at + 1] ?? '')) {
      out += JSON.stringify(values.get(tokens[++at]!));
    } else if (values.has(token)) {
      const isPasted = /^\s*##/.test(tokens.slice(at + 1).join(''));
      out += isPasted ? values.get(token)! : expanded(values.get(token)!);
    } else out += token;
  }
  return out;
}

/** Sources that want it are called `.S`. */
export function isPreprocessed(path: string): boolean {
  return path.endsWith('.S');
}

export function preprocess(file: string, text: string, options: PreprocessOptions): Preprocessed {
  return new Preprocessor(options).run(file, text);
}
