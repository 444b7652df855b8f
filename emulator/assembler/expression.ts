/** Expressions of GNU assembly: parsing, and reducing them to "a symbol minus a symbol plus a constant". */
import type { Cursor } from './cursor.ts';
import { AssemblyError } from './model.ts';
import type { AssemblySymbol, BinaryOperator, Expression, Modifier } from './model.ts';

/** Where names come from. */
export interface SymbolScope {
  symbol(name: string): AssemblySymbol;
  /** The label `number:` before (b) or after (f) this place. */
  localLabel(number: number, direction: 'b' | 'f'): AssemblySymbol | undefined;
  /** A nameless label at this place: what `.` means. */
  here(): AssemblySymbol;
}

const MODIFIERS: Readonly<Record<string, Modifier>> = {
  plt: 'plt',
  gotpcrel: 'gotpcrel',
  gottpoff: 'gottpoff',
  tpoff: 'tpoff',
  ntpoff: 'tpoff',
  dtpoff: 'dtpoff',
  tlsgd: 'tlsgd',
  tlsld: 'tlsld',
  size: 'size',
  got: 'got',
  gotoff: 'gotoff',
};

/** What GNU as does (its manual puts + and comparisons on one level): a higher number binds more tightly. Operators stand before those that they begin with. */
const PRECEDENCE: Readonly<Record<BinaryOperator, number>> = {
  '<<': 5, '>>': 5, '<=': 2, '>=': 2, '==': 2, '!=': 2, '&&': 1, '||': 0,
  '*': 5, '/': 5, '%': 5, '|': 4, '&': 4, '^': 4, '!': 4, '+': 3, '-': 3, '<': 2, '>': 2,
}; // prettier-ignore
const OPERATORS = Object.entries(PRECEDENCE) as [BinaryOperator, number][];

export const number = (value: bigint | number): Expression => ({ kind: 'number', value: BigInt(value) });
export const reference = (symbol: AssemblySymbol): Expression => ({ kind: 'symbol', symbol });

export function parseExpression(cursor: Cursor, scope: SymbolScope): Expression {
  return binary(cursor, scope, 0);
}

function binary(cursor: Cursor, scope: SymbolScope, least: number): Expression {
  let left = primary(cursor, scope);
  for (;;) {
    const found = operatorAt(cursor);
    if (!found || found[1] < least) return left;
    const [operator, precedence, length] = found;
    cursor.at += length;
    const right = binary(cursor, scope, precedence + 1);
    left = folded({ kind: 'binary', operator, left, right });
  }
}

function operatorAt(cursor: Cursor): [BinaryOperator, number, number] | undefined {
  cursor.skip();
  if (cursor.text.startsWith('<>', cursor.at)) return ['!=', PRECEDENCE['!='], 2];
  for (const [operator, precedence] of OPERATORS)
    if (cursor.text.startsWith(operator, cursor.at)) return [operator, precedence, operator.length];
  return undefined;
}

function folded(expression: Expression & { kind: 'binary' }): Expression {
  const { left, right, operator } = expression;
  if (left.kind !== 'number' || right.kind !== 'number') return expression;
  return number(calculate(operator, left.value, right.value));
}

const LOCAL_LABEL = /(\d+)([bf])(?![\w.$])/y;

function primary(cursor: Cursor, scope: SymbolScope): Expression {
  const character = cursor.peek();
  const start = cursor.at;
  if (character === '(') {
    cursor.at++;
    const inner = binary(cursor, scope, 0);
    cursor.expect(')');
    return inner;
  }
  if (character === '-' || character === '~' || character === '!' || character === '+') {
    cursor.at++;
    const of = primary(cursor, scope);
    if (character === '+') return of;
    if (of.kind !== 'number') return { kind: 'unary', operator: character, of };
    return number(character === '-' ? -of.value : character === '~' ? ~of.value : of.value === 0n ? 1n : 0n);
  }
  if (character === "'") return characterConstant(cursor);
  LOCAL_LABEL.lastIndex = cursor.at;
  const local = LOCAL_LABEL.exec(cursor.text);
  if (local && !(local[2] === 'b' && local[1] === '0' && /[01]/.test(cursor.text[LOCAL_LABEL.lastIndex] ?? ''))) {
    cursor.at = LOCAL_LABEL.lastIndex;
    const symbol = scope.localLabel(Number(local[1]), local[2] as 'b' | 'f');
    return symbol ? reference(symbol) : cursor.fail(`there is no label \`${local[1]}:\` before this line`, start);
  }
  const value = cursor.number();
  if (value !== undefined) return number(value);
  const name = cursor.identifier();
  if (name === undefined) cursor.fail('expected a number, a symbol or `(`');
  if (name === '.') return reference(scope.here());
  const symbol = scope.symbol(name);
  symbol.referenced = true;
  // A symbol that is a number now is that number for good, whatever it becomes later.
  if (symbol.expression?.kind === 'number') return symbol.expression;
  if (!cursor.text.startsWith('@', cursor.at)) return reference(symbol);
  cursor.at++;
  const modifierName = cursor.name('a relocation operator');
  const modifier = MODIFIERS[modifierName.toLowerCase()];
  if (!modifier) cursor.fail(`\`@${modifierName}\` is not a relocation operator that is known here`, start);
  return { kind: 'symbol', symbol, modifier };
}

function characterConstant(cursor: Cursor): Expression {
  cursor.at++;
  const character = cursor.text[cursor.at++] ?? cursor.fail("expected a character after `'`");
  const code = character === '\\' ? cursor.escape() : character.charCodeAt(0);
  if (cursor.text[cursor.at] === "'") cursor.at++;
  return number(code);
}

const isTrue = (value: boolean): bigint => (value ? -1n : 0n);

function calculate(operator: BinaryOperator, a: bigint, b: bigint): bigint {
  switch (operator) {
    case '+':
      return BigInt.asIntN(64, a + b);
    case '-':
      return BigInt.asIntN(64, a - b);
    case '*':
      return BigInt.asIntN(64, a * b);
    case '/':
    case '%':
      if (b === 0n) throw new AssemblyError('division by zero');
      return operator === '/' ? a / b : a % b;
    case '<<':
      return b < 0n || b > 63n ? 0n : BigInt.asIntN(64, a << b);
    case '>>':
      return b < 0n || b > 63n ? 0n : BigInt.asUintN(64, a) >> b;
    case '&':
      return a & b;
    case '|':
      return a | b;
    case '^':
      return a ^ b;
    case '!':
      return a | ~b;
    case '==':
      return isTrue(a === b);
    case '!=':
      return isTrue(a !== b);
    case '<':
      return isTrue(a < b);
    case '<=':
      return isTrue(a <= b);
    case '>':
      return isTrue(a > b);
    case '>=':
      return isTrue(a >= b);
    case '&&':
      return a !== 0n && b !== 0n ? 1n : 0n;
    case '||':
      return a !== 0n || b !== 0n ? 1n : 0n;
  }
}

/** `add - subtract + constant`, either symbol may be absent. */
export interface Reduced {
  readonly add: AssemblySymbol | undefined;
  readonly subtract: AssemblySymbol | undefined;
  readonly modifier: Modifier | undefined;
  readonly constant: bigint;
}

/** Distance in bytes between two labels, if it is known by now. */
export type Distance = (from: AssemblySymbol, to: AssemblySymbol) => bigint | undefined;

/** Undefined where the expression is not of that form (yet). */
export function reduce(expression: Expression, distance: Distance, depth = 0): Reduced | undefined {
  if (depth > 100) throw new AssemblyError('a symbol is defined by itself');
  const constant = (value: bigint): Reduced => ({
    add: undefined,
    subtract: undefined,
    modifier: undefined,
    constant: value,
  });
  switch (expression.kind) {
    case 'number':
      return constant(expression.value);
    case 'symbol': {
      const { symbol, modifier } = expression;
      if (symbol.expression) {
        const inner = reduce(symbol.expression, distance, depth + 1);
        return inner && modifier ? { ...inner, modifier } : inner;
      }
      return { add: symbol, subtract: undefined, modifier, constant: 0n };
    }
    case 'unary': {
      const of = reduce(expression.of, distance, depth + 1);
      if (!of) return undefined;
      if (expression.operator === '-') return combined(constant(0n), of, -1n, distance);
      if (of.add || of.subtract) return undefined;
      return constant(expression.operator === '~' ? ~of.constant : of.constant === 0n ? 1n : 0n);
    }
    case 'binary': {
      const left = reduce(expression.left, distance, depth + 1);
      const right = reduce(expression.right, distance, depth + 1);
      if (!left || !right) return undefined;
      const { operator } = expression;
      if (operator === '+') return combined(left, right, 1n, distance);
      if (operator === '-') return combined(left, right, -1n, distance);
      const [a, b] = [left, right].map((side) => isConstant(side));
      if (a && b) return constant(calculate(operator, left.constant, right.constant));
      const difference = isComparison(operator) ? combined(left, right, -1n, distance) : undefined;
      return difference && isConstant(difference) ? constant(calculate(operator, difference.constant, 0n)) : undefined;
    }
  }
}

export function isConstant({ add, subtract }: Reduced): boolean {
  return add === undefined && subtract === undefined;
}

function isComparison(operator: BinaryOperator): boolean {
  return ['==', '!=', '<', '<=', '>', '>='].includes(operator);
}

/** left + sign * right. */
function combined(left: Reduced, right: Reduced, sign: 1n | -1n, distance: Distance): Reduced | undefined {
  let [add, subtract] = [left.add, left.subtract];
  let constant = left.constant + sign * right.constant;
  const put = (symbol: AssemblySymbol | undefined, positive: boolean): boolean => {
    if (!symbol) return true;
    const opposite = positive ? subtract : add;
    const between = opposite && (opposite === symbol ? 0n : distance(opposite, symbol));
    if (between !== undefined) {
      constant += positive ? between : -between;
      if (positive) subtract = undefined;
      else add = undefined;
    } else if (positive && !add) add = symbol;
    else if (!positive && !subtract) subtract = symbol;
    else return false;
    return true;
  };
  if (!put(right.add, sign === 1n) || !put(right.subtract, sign === -1n)) return undefined;
  return { add, subtract, modifier: left.modifier ?? right.modifier, constant: BigInt.asIntN(64, constant) };
}
