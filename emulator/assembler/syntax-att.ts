/** Operands in AT&T syntax (GNU as manual, "AT&T Syntax versus Intel Syntax"). */
import type { Cursor } from './cursor.ts';
import { number, parseExpression } from './expression.ts';
import type { SymbolScope } from './expression.ts';
import type { AssemblyOperand, Expression, MemoryReference } from './model.ts';
import { REGISTERS } from './registers.ts';
import type { Register } from './registers.ts';

const STACK_NUMBER = /[ \t]*\([ \t]*([0-7])[ \t]*\)/y;

function register(cursor: Cursor): Register {
  const start = cursor.at;
  cursor.expect('%');
  const name = cursor.name('a register').toLowerCase();
  if (name === 'st') {
    STACK_NUMBER.lastIndex = cursor.at;
    const found = STACK_NUMBER.exec(cursor.text);
    if (found) {
      cursor.at = STACK_NUMBER.lastIndex;
      return REGISTERS.get(`st(${found[1]})`)!;
    }
  }
  return REGISTERS.get(name) ?? cursor.fail(`\`%${name}\` is not a register`, start);
}

/** What stands after a displacement: `(base, index, scale)`. */
function addressing(cursor: Cursor): Pick<MemoryReference, 'base' | 'index' | 'scale'> {
  cursor.expect('(');
  let base: Register | undefined;
  let index: Register | undefined;
  let scale: 1 | 2 | 4 | 8 = 1;
  if (cursor.peek() === '%') base = register(cursor);
  if (cursor.take(',')) {
    if (cursor.peek() === '%') index = register(cursor);
    if (cursor.take(',') && cursor.peek() !== ')') {
      const start = cursor.at;
      const value = Number(cursor.number() ?? cursor.fail('expected a scale of 1, 2, 4 or 8'));
      if (value !== 1 && value !== 2 && value !== 4 && value !== 8)
        cursor.fail('the scale must be 1, 2, 4 or 8', start);
      scale = value;
    }
  }
  cursor.expect(')');
  checkAddress(cursor, base, index);
  return { base, index, scale };
}

export function checkAddress(cursor: Cursor, base: Register | undefined, index: Register | undefined): void {
  const isAddress = (of: Register): boolean => /^(r64|r32|ip64|ip32)$/.test(of.class) || of.name === 'dx';
  if (base && !isAddress(base)) cursor.fail(`${base.name} cannot be a base register in 64-bit code`);
  if (!index) return;
  if (!/^(r64|r32|xmm|ymm)$/.test(index.class)) cursor.fail(`${index.name} cannot be an index register in 64-bit code`);
  if (index.number === 4 && index.class.startsWith('r')) cursor.fail(`${index.name} cannot be an index register`);
  if (base && index.class.startsWith('r') && base.class !== index.class)
    cursor.fail(`${base.name} and ${index.name} have different widths`);
}

/** @param isBranch a name alone is where to go, not memory to read */
export function parseAttOperand(cursor: Cursor, scope: SymbolScope, isBranch: boolean): AssemblyOperand {
  cursor.skip();
  const start = cursor.at;
  const indirect = cursor.take('*');
  const extent = (): { start: number; end: number; indirect?: boolean } => ({
    start,
    end: cursor.at,
    ...(isBranch ? { indirect } : {}),
  });
  if (cursor.take('$')) {
    const value = parseExpression(cursor, scope);
    return { kind: 'immediate', value, ...extent() };
  }
  let segment: number | undefined;
  if (cursor.peek() === '%') {
    const first = register(cursor);
    if (first.class !== 'segment' || !cursor.take(':')) return { kind: 'register', register: first, ...extent() };
    segment = first.number;
  }
  let displacement: Expression | undefined;
  if (!/^\(\s*[%,]/.test(cursor.text.slice(skipped(cursor)))) displacement = parseExpression(cursor, scope);
  if (cursor.peek() === '(') {
    const address = addressing(cursor);
    return { kind: 'memory', segment, displacement, ...address, ...extent() };
  }
  if (isBranch && !indirect && segment === undefined)
    return { kind: 'target', target: displacement ?? number(0), ...extent() };
  return { kind: 'memory', segment, displacement, base: undefined, index: undefined, scale: 1, ...extent() };
}

function skipped(cursor: Cursor): number {
  cursor.skip();
  return cursor.at;
}
