/** Conditions of the C preprocessor (C17 6.10.1). */

/** What is wrong with a line. */
export class Failure extends Error {}

/** Integer expressions of `#if`. */
export class Condition17 {
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
