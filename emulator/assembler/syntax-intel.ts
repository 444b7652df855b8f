/** Operands in Intel syntax as GNU as reads it (`.intel_syntax noprefix`). */
import { Cursor } from './cursor.ts';
import { number, parseExpression } from './expression.ts';
import type { SymbolScope } from './expression.ts';
import type { AssemblyOperand, CodeBits, Expression } from './model.ts';
import { REGISTERS } from './registers.ts';
import type { Register } from './registers.ts';
import { checkAddress } from './syntax-att.ts';

const SIZES: Readonly<Record<string, number | undefined>> = {
  byte: 1, word: 2, dword: 4, qword: 8, mmword: 8, tbyte: 10, tword: 10, fword: 6, xmmword: 16, oword: 16, ymmword: 32,
}; // prettier-ignore

const NAME = /%?[A-Za-z][\w.]*/y;

/** The register that stands here, and is taken. */
function register(cursor: Cursor): Register | undefined {
  cursor.skip();
  NAME.lastIndex = cursor.at;
  const text = NAME.exec(cursor.text)?.[0];
  if (text === undefined) return undefined;
  let found = REGISTERS.get(text.replace('%', '').toLowerCase());
  if (!found) return undefined;
  cursor.at += text.length;
  if (found.name !== 'st') return found;
  const number = /^\s*\(\s*([0-7])\s*\)/.exec(cursor.text.slice(cursor.at));
  if (!number) return found;
  cursor.at += number[0].length;
  found = REGISTERS.get(`st(${number[1]})`)!;
  return found;
}

interface Address {
  base: Register | undefined;
  index: Register | undefined;
  scale: 1 | 2 | 4 | 8;
  displacement: Expression | undefined;
}

function add(address: Address, term: Expression, negative: boolean): void {
  if (negative)
    address.displacement = { kind: 'binary', operator: '-', left: address.displacement ?? number(0), right: term };
  else if (address.displacement)
    address.displacement = { kind: 'binary', operator: '+', left: address.displacement, right: term };
  else address.displacement = term;
  const { displacement } = address;
  if (displacement.kind !== 'binary') return;
  const { left, right, operator } = displacement;
  if (left.kind === 'number' && right.kind === 'number')
    address.displacement = number(operator === '-' ? left.value - right.value : left.value + right.value);
}

/** `[base + index * scale + displacement]`: terms in any order. */
function bracketed(cursor: Cursor, scope: SymbolScope, address: Address): void {
  cursor.expect('[');
  let negative = cursor.take('-');
  do {
    term(cursor, scope, address, negative);
    negative = false;
    if (cursor.take('-')) {
      negative = true;
      continue;
    }
    if (!cursor.take('+')) break;
  } while (true);
  cursor.expect(']');
}

function term(cursor: Cursor, scope: SymbolScope, address: Address, negative: boolean): void {
  const start = cursor.at;
  const found = register(cursor);
  if (found) {
    if (negative) cursor.fail('a register cannot be subtracted', start);
    return place(cursor, address, found, cursor.take('*') ? scaleOf(cursor) : undefined);
  }
  const scaled = /^\s*([1248])\s*\*\s*%?(?=[a-z])/i.exec(cursor.text.slice(cursor.at));
  if (scaled && !negative) {
    const before = cursor.at;
    cursor.at += scaled[0].length;
    const index = register(cursor);
    if (index) return place(cursor, address, index, Number(scaled[1]) as 1 | 2 | 4 | 8);
    cursor.at = before;
  }
  add(address, parseTerm(cursor, scope), negative);
}
/** One term of a sum: what binds more tightly than + and -. */
function parseTerm(cursor: Cursor, scope: SymbolScope): Expression {
  const rest = cursor.text.slice(cursor.at);
  // The expression ends at the first sign at depth 0.
  let depth = 0;
  let end = 0;
  for (; end < rest.length; end++) {
    const character = rest[end]!;
    if (character === '(') depth++;
    else if (character === ')') depth--;
    else if (depth === 0 && end > 0 && /[+\-\]]/.test(character)) break;
  }
  const piece = rest.slice(0, end);
  const inner = new Cursor(piece);
  const value = parseExpression(inner, scope);
  inner.end();
  cursor.at += end;
  return value;
}
function scaleOf(cursor: Cursor): 1 | 2 | 4 | 8 {
  const start = cursor.at;
  const value = Number(cursor.number() ?? cursor.fail('expected a scale of 1, 2, 4 or 8'));
  if (value === 1 || value === 2 || value === 4 || value === 8) return value;
  return cursor.fail('the scale must be 1, 2, 4 or 8', start);
}
function place(cursor: Cursor, address: Address, found: Register, scale: 1 | 2 | 4 | 8 | undefined): void {
  if (scale !== undefined) {
    if (address.index) {
      if (address.base) cursor.fail('an address has one index register');
      address.base = address.index;
    }
    address.index = found;
    address.scale = scale;
  } else if (!address.base) address.base = found;
  else if (!address.index) address.index = found;
  else cursor.fail('an address has one base and one index register');
}

/** @param isBranch a name alone is where to go, not memory to read */
export function parseIntelOperand(
  cursor: Cursor,
  scope: SymbolScope,
  isBranch: boolean,
  bits: CodeBits,
): AssemblyOperand {
  cursor.skip();
  const start = cursor.at;
  // `[qword ptr [...]]` is one reference in two pairs of brackets.
  if (/^\[\s*\w+\s+ptr\b/i.test(cursor.text.slice(start))) {
    cursor.expect('[');
    const inner = parseIntelOperand(cursor, scope, isBranch, bits);
    cursor.expect(']');
    return { ...inner, start, end: cursor.at };
  }
  let size: number | undefined;
  const sizeName = /^(\w+)\s+ptr\b/i.exec(cursor.text.slice(start));
  if (sizeName) {
    size = SIZES[sizeName[1]!.toLowerCase()];
    if (size === undefined) cursor.fail(`\`${sizeName[1]}\` is not a size`, start);
    cursor.at += sizeName[0].length;
  }
  const extent = (): { start: number; end: number } => ({ start, end: cursor.at });
  if (/^\s*offset\b/i.test(cursor.text.slice(cursor.at))) {
    cursor.identifier();
    return { kind: 'immediate', value: parseExpression(cursor, scope), ...extent() };
  }
  let segment: number | undefined;
  const first = register(cursor);
  if (first) {
    if (first.class !== 'segment' || !cursor.take(':')) return { kind: 'register', register: first, ...extent() };
    segment = first.number;
  }
  const address: Address = { base: undefined, index: undefined, scale: 1, displacement: undefined };
  let isMemory = segment !== undefined || size !== undefined;
  if (cursor.peek() !== '[') add(address, parseExpression(cursor, scope), false);
  while (cursor.peek() === '[') {
    bracketed(cursor, scope, address);
    isMemory = true;
  }
  const { displacement, base, index, scale } = address;
  if (index?.number === 4 && scale === 1 && index.class.startsWith('r')) {
    // RSP can only be the base.
    [address.base, address.index] = [index, base];
  }
  if (index && /^b[xp]$/.test(index.name) && scale === 1) [address.base, address.index] = [index, base];
  if (!isMemory && displacement) {
    if (isBranch) return { kind: 'target', target: displacement, ...extent() };
    if (displacement.kind === 'number') return { kind: 'immediate', value: displacement, ...extent() };
  }
  checkAddress(cursor, bits, address.base, address.index, scale);
  return {
    kind: 'memory',
    segment,
    base: address.base,
    index: address.index,
    scale,
    displacement,
    ...(size === undefined ? {} : { size }),
    ...extent(),
  };
}
