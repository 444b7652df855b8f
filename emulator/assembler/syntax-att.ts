/** Operands in AT&T syntax (GNU as manual, "AT&T Syntax versus Intel Syntax"). */
import type { Cursor } from './cursor.ts';
import { number, parseExpression } from './expression.ts';
import type { SymbolScope } from './expression.ts';
import type { AssemblyOperand, CodeBits, Expression, MemoryReference } from './model.ts';
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
function addressing(cursor: Cursor, bits: CodeBits): Pick<MemoryReference, 'base' | 'index' | 'scale'> {
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
  checkAddress(cursor, bits, base, index, scale);
  return { base, index, scale };
}

export function checkAddress(
  cursor: Cursor,
  bits: CodeBits,
  base: Register | undefined,
  index: Register | undefined,
  scale = 1,
): void {
  const isWide = (of: Register): boolean => /^(r64|ip64|ip32)$/.test(of.class) || (of.class === 'r32' && of.number > 7);
  const allowed = bits === 64 ? /^(r64|r32|ip64|ip32)$/ : /^(r32|r16)$/;
  const refuse = (of: Register, what: string): never => cursor.fail(`${of.name} cannot be ${what} in ${bits}-bit code`);
  if (base && base.name !== 'dx' && (!allowed.test(base.class) || (bits !== 64 && isWide(base))))
    refuse(base, 'a base register');
  const isShort = bits !== 64 && (base ?? index)?.class === 'r16';
  if (index && !(bits === 64 ? /^(r64|r32|[xy]mm)$/ : /^(r32|r16|[xy]mm)$/).test(index.class))
    refuse(index, 'an index register');
  if (isShort && (base?.name !== 'dx' || index)) return checkShortAddress(cursor, base, index, scale);
  if (!index) return;
  if (index.number === 4 && index.class.startsWith('r')) cursor.fail(`${index.name} cannot be an index register`);
  if (base && index.class.startsWith('r') && base.class !== index.class)
    cursor.fail(`${base.name} and ${index.name} have different widths`);
}

/** 16-bit addresses (SDM 2A table 2-1). */
function checkShortAddress(
  cursor: Cursor,
  base: Register | undefined,
  index: Register | undefined,
  scale: number,
): void {
  if (!base) cursor.fail('an index register of 16 bits needs a base register');
  if (!/^(bx|bp|si|di)$/.test(base.name)) cursor.fail(`${base.name} cannot be a base register`);
  if (!index) return;
  if (!/^b/.test(base.name) || !/^[sd]i$/.test(index.name))
    cursor.fail('16-bit addresses have BX or BP as base and SI or DI as index');
  if (scale !== 1) cursor.fail('16-bit addresses have no scale');
}

/** @param isBranch a name alone is where to go, not memory to read */
export function parseAttOperand(
  cursor: Cursor,
  scope: SymbolScope,
  isBranch: boolean,
  bits: CodeBits,
): AssemblyOperand {
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
    const address = addressing(cursor, bits);
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
