/** Directives of conditional assembly, macros, repetitions and messages. */
import type { Assembler } from './assembler.ts';
import type { Cursor } from './cursor.ts';
import type { Directive } from './directives.ts';
import { AssemblyError } from './model.ts';
import { isDefined } from './sections.ts';

function compares(test: (value: bigint) => boolean): (assembler: Assembler, cursor: Cursor) => boolean {
  return (assembler, cursor) => {
    const value = assembler.absolute(cursor);
    cursor.end();
    return test(value);
  };
}
const names = (assembler: Assembler, cursor: Cursor): boolean => {
  const symbol = assembler.symbols.get(cursor.name('a symbol'));
  return symbol !== undefined && isDefined(symbol);
};
const isBlank = (_assembler: Assembler, cursor: Cursor): boolean => cursor.done;
const isSame = (_assembler: Assembler, cursor: Cursor): boolean => {
  const [first, second] = [part(cursor), part(cursor)];
  return first === second;
};
/** Up to a comma; quotes of one kind may stand around it. */
function part(cursor: Cursor): string {
  const rest = cursor.text.slice(cursor.at);
  const quoted = /^\s*'((?:[^']|'')*)'\s*,?/.exec(rest) ?? /^\s*"([^"]*)"\s*,?/.exec(rest);
  if (quoted) {
    cursor.at += quoted[0].length;
    return quoted[1]!;
  }
  const plain = /^([^,]*),?/.exec(rest)!;
  cursor.at += plain[0].length;
  return plain[1]!.trim();
}
const not =
  (test: (assembler: Assembler, cursor: Cursor) => boolean) =>
  (assembler: Assembler, cursor: Cursor): boolean =>
    !test(assembler, cursor);

const TESTS: Readonly<Record<string, (assembler: Assembler, cursor: Cursor) => boolean>> = {
  if: compares((value) => value !== 0n),
  ifne: compares((value) => value !== 0n),
  ifeq: compares((value) => value === 0n),
  ifge: compares((value) => value >= 0n),
  ifgt: compares((value) => value > 0n),
  ifle: compares((value) => value <= 0n),
  iflt: compares((value) => value < 0n),
  ifdef: names,
  ifndef: not(names),
  ifnotdef: not(names),
  ifb: isBlank,
  ifnb: not(isBlank),
  ifc: isSame,
  ifnc: not(isSame),
  ifeqs: isSame,
  ifnes: not(isSame),
};

const repeat: Directive = (assembler, cursor, statement) =>
  assembler.input.repeat(statement, () => {
    const count = assembler.absolute(cursor);
    cursor.end();
    if (count < 0n || count > 5_000_000n) throw new AssemblyError(`the count ${count} is not between 0 and 5000000`);
    return new Array<undefined>(Number(count)).fill(undefined);
  });

/** `.irp name, values`; `.irpc name, characters`. */
function iterate(valuesOf: (assembler: Assembler, cursor: Cursor) => string[]): Directive {
  return (assembler, cursor, statement) =>
    assembler.input.repeat(statement, () => {
      cursor.take('\\');
      const name = cursor.name('a parameter');
      cursor.take(',');
      return valuesOf(assembler, cursor).map((value) => new Map([[name, value]]));
    });
}

function message(severity: 'error' | 'warning', fallback: string): Directive {
  return (assembler, cursor, statement) => {
    const text = cursor.peek() === '"' ? cursor.quoted() : fallback;
    assembler.report(statement, new AssemblyError(text), severity);
  };
}

export const conditionDirectives: Readonly<Record<string, Directive>> = {
  ...Object.fromEntries(
    Object.entries(TESTS).map(([name, test]): [string, Directive] => [
      name,
      (assembler, cursor, statement) => assembler.input.begin(statement, () => test(assembler, cursor)),
    ]),
  ),
  elseif: (assembler, cursor) => assembler.input.otherwise(() => TESTS['if']!(assembler, cursor)),
  else: (assembler) => assembler.input.otherwise(undefined),
  endif: (assembler) => assembler.input.finish(),
  macro: (assembler, cursor) => assembler.input.define(cursor),
  purgem: (assembler, cursor) => assembler.input.purge(cursor.name('a macro')),
  exitm: (assembler) => assembler.input.leave(),
  endm: () => {
    throw new AssemblyError('`.endm` without a `.macro` before it');
  },
  endr: () => {
    throw new AssemblyError('`.endr` without a `.rept` before it');
  },
  altmacro: (assembler, cursor) => {
    cursor.end();
    assembler.input.isAlternate = true;
  },
  noaltmacro: (assembler, cursor) => {
    cursor.end();
    assembler.input.isAlternate = false;
  },
  rept: repeat,
  irp: iterate((assembler, cursor) => {
    const values: string[] = [];
    while (!cursor.done) {
      values.push(assembler.input.argument(cursor));
      cursor.take(',');
    }
    return values.length > 0 ? values : [''];
  }),
  irpc: iterate((assembler, cursor) => [...assembler.input.argument(cursor)]),
  error: message('error', '.error'),
  err: message('error', '.err'),
  warning: message('warning', '.warning'),
};
