/** Directives about symbols. */
import type { Assembler } from './assembler.ts';
import type { Cursor } from './cursor.ts';
import type { Directive } from './directives.ts';
import { parseExpression } from './expression.ts';
import type { AssemblySymbol } from './model.ts';
import { positionOf } from './source.ts';

function eachName(assembler: Assembler, cursor: Cursor, act: (symbol: AssemblySymbol) => void): void {
  do act(assembler.symbol(cursor.name('a symbol')));
  while (cursor.take(','));
  cursor.end();
}

const binding =
  (value: AssemblySymbol['binding']): Directive =>
  (assembler, cursor) =>
    eachName(assembler, cursor, (symbol) => {
      symbol.binding = value;
    });
const visibility =
  (value: AssemblySymbol['visibility']): Directive =>
  (assembler, cursor) =>
    eachName(assembler, cursor, (symbol) => {
      symbol.visibility = value;
    });

const TYPES: Readonly<Record<string, AssemblySymbol['type']>> = {
  function: 'function',
  object: 'object',
  tls_object: 'tls',
  notype: 'none',
  common: 'object',
  gnu_indirect_function: 'ifunc',
  gnu_unique_object: 'object',
  stt_func: 'function',
  stt_object: 'object',
  stt_notype: 'none',
};

const type: Directive = (assembler, cursor) => {
  const symbol = assembler.symbol(cursor.name('a symbol'));
  cursor.take(',');
  if (!cursor.take('@')) cursor.take('%');
  const start = cursor.at;
  const name = cursor.name('a type such as `@function`').toLowerCase();
  symbol.type = TYPES[name] ?? cursor.fail(`\`${name}\` is not a symbol type`, start);
  cursor.end();
};

const set: Directive = (assembler, cursor, statement) => {
  const name = cursor.name('a symbol');
  cursor.expect(',');
  const expression = parseExpression(cursor, assembler);
  cursor.end();
  assembler.assign(name, expression, statement);
};

function common(isLocal: boolean): Directive {
  return (assembler, cursor, statement) => {
    const symbol = assembler.symbol(cursor.name('a symbol'));
    cursor.expect(',');
    const size = assembler.absolute(cursor);
    const alignment = cursor.take(',') ? assembler.absolute(cursor) : isLocal ? 1n : naturalAlignment(size);
    cursor.end();
    symbol.definition ??= positionOf(statement);
    symbol.type = 'object';
    if (!isLocal && symbol.binding !== 'local') {
      symbol.common = { size, alignment };
      return;
    }
    if (!isLocal && !localCommons.has(symbol)) {
      symbol.binding = 'global';
      symbol.common = { size, alignment };
      return;
    }
    // A local common is plain space at the end of .bss.
    const { sections } = assembler;
    sections.push();
    const bss = sections.get('.bss');
    sections.switchTo(bss, 1);
    bss.alignment = Math.max(bss.alignment, Number(alignment));
    sections.add({ kind: 'align', to: Number(alignment), fill: 0, width: 1, most: Infinity, size: 0 });
    sections.place(symbol);
    symbol.size = { kind: 'number', value: size };
    sections.add({ kind: 'fill', count: symbol.size, width: 1, value: 0n, size: 0, position: positionOf(statement) });
    sections.pop();
  };
}
/** Symbols that `.local` named before their `.comm`. */
const localCommons = new WeakSet<AssemblySymbol>();

function naturalAlignment(size: bigint): bigint {
  let alignment = 1n;
  while (alignment < 16n && alignment * 2n <= size) alignment *= 2n;
  return alignment;
}

export const symbolDirectives: Readonly<Record<string, Directive>> = {
  globl: binding('global'),
  global: binding('global'),
  weak: binding('weak'),
  local: (assembler, cursor) =>
    eachName(assembler, cursor, (symbol) => {
      symbol.binding = 'local';
      localCommons.add(symbol);
    }),
  extern: (_assembler, cursor) => void (cursor.at = cursor.text.length),
  hidden: visibility('hidden'),
  internal: visibility('internal'),
  protected: visibility('protected'),
  type,
  size: (assembler, cursor) => {
    const symbol = assembler.symbol(cursor.name('a symbol'));
    cursor.expect(',');
    symbol.size = parseExpression(cursor, assembler);
    cursor.end();
  },
  set,
  equ: set,
  equiv: set,
  eqv: set,
  comm: common(false),
  common: common(false),
  lcomm: common(true),
  symver: (_assembler, cursor) => void (cursor.at = cursor.text.length),
  weakref: (assembler, cursor, statement) => {
    const name = cursor.name('a symbol');
    cursor.expect(',');
    const target = assembler.symbol(cursor.name('a symbol'));
    target.binding = 'weak';
    assembler.assign(name, { kind: 'symbol', symbol: target }, statement);
  },
};
