/**
 * The C preprocessor as assembly uses it (C17 6.10): `#include`, `#define` with and without parameters, `#`, `##`, conditions. What it makes says by
 * line markers where each line comes from.
 */

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
  readonly message: string;
}

export interface Preprocessed {
  readonly text: string;
  readonly problems: readonly PreprocessProblem[];
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
  readonly line: number;
}

const PREDEFINED: Readonly<Record<string, string>> = {
  ...{ __ASSEMBLER__: '1', __x86_64__: '1', __x86_64: '1', __amd64__: '1', __amd64: '1', __LP64__: '1', _LP64: '1' },
  ...{ __ELF__: '1', __linux__: '1', __linux: '1', linux: '1', __unix__: '1', __STDC__: '1', __CHAR_BIT__: '8' },
};
const MOST_INCLUDES = 100;
const MOST_EXPANSIONS = 5_000_000;
const TOKEN = /"(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)'|[A-Za-z_]\w*|\.?\d(?:[\w.]|[eEpP][+-])*|\s+|./gs;
const IDENTIFIER = /^[A-Za-z_]\w*$/;

/** What is wrong with a line. */
class Failure extends Error {}
/** The line ends amid the arguments of a macro. */
class Unfinished extends Failure {}

const DIRECTIVE = /^\s*#\s*([a-z_]+)\b\s*(.*)$/s;

class Preprocessor {
  readonly problems: PreprocessProblem[] = [];
  readonly #macros = new Map<string, Macro>();
  readonly #out: string[] = [];
  #expansions = 0;
  #depth = 0;

  constructor(readonly options: PreprocessOptions) {
    for (const [name, body] of Object.entries({ ...PREDEFINED, ...options.defines }))
      this.#macros.set(name, { parameters: undefined, isVariadic: false, body });
  }

  run(file: string, text: string): Preprocessed {
    this.#file(file, text);
    return { text: `${this.#out.join('\n')}\n`, problems: this.problems };
  }

  #file(file: string, text: string): void {
    if (++this.#depth > MOST_INCLUDES) throw new Failure(`includes are nested more than ${MOST_INCLUDES} deep`);
    this.#marker(0, file);
    const conditions: Condition[] = [];
    const lines = logicalLines(text);
    for (let at = 0, first = 0; at < lines.length; at++) {
      let { text: line, count } = lines[at]!;
      for (let isWhole = false; !isWhole;) {
        isWhole = true;
        try {
          this.#line(line, file, first, conditions);
        } catch (error) {
          if (!(error instanceof Failure)) throw error;
          // The arguments of a macro go on in the next line.
          const next = error instanceof Unfinished && !DIRECTIVE.test(line) ? lines[at + 1] : undefined;
          if (next === undefined || DIRECTIVE.test(next.text)) {
            if (!DIRECTIVE.test(line)) this.#out.push('');
            this.problems.push({ file, line: first, message: error.message });
          } else {
            line += ` ${next.text}`;
            count += next.count;
            at++;
            isWhole = false;
          }
        }
      }
      // The number of lines stays what it was.
      for (let left = count; left > 1; left--) this.#out.push('');
      first += count;
    }
    for (const { line } of conditions) this.problems.push({ file, line, message: 'this `#if` has no `#endif`' });
    this.#depth--;
  }
  #marker(line: number, file: string): void {
    this.#out.push(`# ${line + 1} "${file.replace(/["\\]/g, '\\$&')}"`);
  }
  #line(line: string, file: string, number: number, conditions: Condition[]): void {
    const directive = DIRECTIVE.exec(line);
    const active = conditions.at(-1)?.active ?? true;
    if (!directive) {
      this.#out.push(active && !/^\s*#/.test(line) ? this.#expand(line, new Set()) : '');
      return;
    }
    const [, name, rest] = directive as unknown as [string, string, string];
    this.#out.push('');
    if (this.#condition(name, rest.trim(), number, conditions) || !active) return;
    if (name === 'include') return this.#include(rest, file, number);
    if (name === 'define') return this.#define(rest);
    if (name === 'undef') return void this.#macros.delete(rest.trim());
    if (name === 'error') throw new Failure(rest.trim() || '#error');
    // A comment of the assembler, `#pragma`, `#line` and the like.
  }
  #condition(name: string, rest: string, line: number, conditions: Condition[]): boolean {
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
    if (typeof found === 'string') this.#file(path, found);
    else this.#file(found.path, found.text);
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

  #expand(text: string, busy: ReadonlySet<string>): string {
    if (++this.#expansions > MOST_EXPANSIONS) throw new Failure('macros expand without an end');
    const tokens = text.match(TOKEN) ?? [];
    let out = '';
    for (let at = 0; at < tokens.length; at++) {
      const token = tokens[at]!;
      // The rest of the line is a comment of the assembler.
      if (token === '#' && out.trim() !== '') return out + tokens.slice(at).join('');
      const macro = IDENTIFIER.test(token) && !busy.has(token) ? this.#macros.get(token) : undefined;
      if (!macro) {
        out += token;
        continue;
      }
      const inside = new Set([...busy, token]);
      if (!macro.parameters) {
        out += this.#expand(
          substitute(macro, [], (of) => of),
          inside,
        );
        continue;
      }
      const call = readArguments(tokens, at + 1);
      if (!call) {
        out += token;
        continue;
      }
      at = call.end;
      const given = bind(token, macro, call.values);
      out += this.#expand(
        substitute(macro, given, (of) => this.#expand(of, busy)),
        inside,
      );
    }
    return out;
  }

  #holds(text: string): boolean {
    const resolved = text.replace(/\bdefined\s*(?:\(\s*(\w+)\s*\)|(\w+))/g, (_, a?: string, b?: string) =>
      this.#macros.has((a ?? b)!) ? '1' : '0',
    );
    // What is no macro is 0 (C17 6.10.1).
    const numbers = this.#expand(resolved, new Set()).replace(/\b[A-Za-z_]\w*/g, '0');
    return new Condition17(numbers).value() !== 0n;
  }
}

/** Integer expressions of `#if`. */
class Condition17 {
  readonly #tokens: string[];
  #at = 0;

  constructor(readonly text: string) {
    this.#tokens = text.match(/0[xX][\da-fA-F]+|\d+|'(?:[^'\\]|\\.)'|&&|\|\||[<>=!]=|<<|>>|[-+*/%&|^!~<>()?:]/g) ?? [];
  }
  value(): bigint {
    const value = this.#choice();
    if (this.#at < this.#tokens.length) throw new Failure(`unexpected \`${this.#tokens[this.#at]}\` in a condition`);
    return value;
  }
  #choice(): bigint {
    const condition = this.#binary(0);
    if (this.#tokens[this.#at] !== '?') return condition;
    this.#at++;
    const yes = this.#choice();
    if (this.#tokens[this.#at++] !== ':') throw new Failure('expected `:` in a condition');
    const no = this.#choice();
    return condition ? yes : no;
  }
  #binary(least: number): bigint {
    let left = this.#unary();
    for (;;) {
      const operator = this.#tokens[this.#at];
      const level = LEVELS.findIndex((operators) => operators.includes(operator ?? ''));
      if (level < least) return left;
      this.#at++;
      left = calculate(operator!, left, this.#binary(level + 1));
    }
  }
  #unary(): bigint {
    const token = this.#tokens[this.#at++];
    if (token === '(') {
      const value = this.#choice();
      if (this.#tokens[this.#at++] !== ')') throw new Failure('expected `)` in a condition');
      return value;
    }
    if (token === '!') return this.#unary() ? 0n : 1n;
    if (token === '-') return -this.#unary();
    if (token === '+') return this.#unary();
    if (token === '~') return ~this.#unary();
    if (token?.startsWith("'")) return BigInt(token.codePointAt(token.length - 2)!);
    if (token === undefined || !/^\d/.test(token)) throw new Failure('expected a number in a condition');
    return BigInt(/^0\d/.test(token) ? (/[89]/.test(token) ? token.slice(1) : `0o${token.slice(1)}`) : token);
  }
}
/** Operators, those that bind least first. */
const LEVELS = [['||'], ['&&'], ['|'], ['^'], ['&'], ['==', '!='], ['<', '>', '<=', '>='], ['<<', '>>'], ['+', '-'], ['*', '/', '%']]; // prettier-ignore

function calculate(operator: string, a: bigint, b: bigint): bigint {
  const truth = (value: boolean): bigint => (value ? 1n : 0n);
  if ((operator === '/' || operator === '%') && b === 0n) throw new Failure('division by zero in a condition');
  if ((operator === '<<' || operator === '>>') && (b < 0n || b > 63n)) return 0n;
  const results: Readonly<Record<string, () => bigint>> = {
    '||': () => truth(a !== 0n || b !== 0n),
    '&&': () => truth(a !== 0n && b !== 0n),
    '|': () => a | b,
    '^': () => a ^ b,
    '&': () => a & b,
    '==': () => truth(a === b),
    '!=': () => truth(a !== b),
    '<': () => truth(a < b),
    '>': () => truth(a > b),
    '<=': () => truth(a <= b),
    '>=': () => truth(a >= b),
    '<<': () => a << b,
    '>>': () => a >> b,
    '+': () => a + b,
    '-': () => a - b,
    '*': () => a * b,
    '/': () => a / b,
    '%': () => a % b,
  };
  return BigInt.asIntN(64, results[operator]!());
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

/** Stands for the end of a line that does not end a logical one. */
const SPLICE = '\u0001';

/** Lines joined by backslashes and by comments, which become spaces; and how many each was. */
function logicalLines(text: string): { readonly text: string; readonly count: number }[] {
  return text
    .replace(/\r\n/g, '\n')
    .replaceAll('\\\n', SPLICE)
    .replace(/"(?:[^"\\\n]|\\.)*"|\/\*[\s\S]*?(?:\*\/|$)|\/\/[^\n]*/g, (found) => {
      if (found.startsWith('"')) return found;
      return ` ${found.replaceAll('\n', SPLICE).replace(/[^\u0001]/g, '')}`;
    })
    .split('\n')
    .map((line) => ({ text: line.replaceAll(SPLICE, ''), count: line.split(SPLICE).length }));
}

/** Sources that want it are called `.S`. */
export function isPreprocessed(path: string): boolean {
  return path.endsWith('.S');
}

export function preprocess(file: string, text: string, options: PreprocessOptions): Preprocessed {
  return new Preprocessor(options).run(file, text);
}
