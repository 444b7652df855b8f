/** C expressions as one writes them in watches, hovers and conditions: a precedence climber over tokens. */
import { ExpressionError } from './errors.ts';
import { describe, length, tokenize, TokenStream, type Token } from './lexer.ts';

export interface TypeName {
  /** Words of the base type as written: `unsigned long`, `struct node`, `node_t`. */
  readonly words: string;
  readonly pointers: number;
  /** Array lengths, outermost first. */
  readonly dimensions: readonly number[];
}

interface Place {
  /** Offset and length in the text. */
  readonly at: number;
  readonly length: number;
}

export type Node = Place &
  (
    | { readonly kind: 'integer'; readonly value: bigint; readonly suffix: string; readonly decimal: boolean }
    | { readonly kind: 'float'; readonly value: number; readonly single: boolean }
    | { readonly kind: 'string'; readonly value: string }
    | { readonly kind: 'character'; readonly value: bigint }
    | { readonly kind: 'name'; readonly name: string }
    | { readonly kind: 'register'; readonly name: string }
    | { readonly kind: 'unary'; readonly operator: '-' | '+' | '!' | '~' | '*' | '&'; readonly operand: Node }
    | { readonly kind: 'binary'; readonly operator: string; readonly left: Node; readonly right: Node }
    | { readonly kind: 'conditional'; readonly condition: Node; readonly then: Node; readonly otherwise: Node }
    | { readonly kind: 'assign'; readonly operator: string; readonly target: Node; readonly value: Node }
    | { readonly kind: 'step'; readonly operator: '++' | '--'; readonly prefix: boolean; readonly operand: Node }
    | { readonly kind: 'member'; readonly object: Node; readonly name: string; readonly arrow: boolean }
    | { readonly kind: 'index'; readonly object: Node; readonly index: Node }
    | { readonly kind: 'cast'; readonly type: TypeName; readonly operand: Node }
    | { readonly kind: 'sizeof'; readonly type?: TypeName; readonly operand?: Node }
  );

const PRECEDENCE: Readonly<Record<string, number>> = {
  '||': 1,
  '&&': 2,
  '|': 3,
  '^': 4,
  '&': 5,
  '==': 6,
  '!=': 6,
  '<': 7,
  '>': 7,
  '<=': 7,
  '>=': 7,
  '<<': 8,
  '>>': 8,
  '+': 9,
  '-': 9,
  '*': 10,
  '/': 10,
  '%': 10,
};
const ASSIGNMENTS = new Set(['=', '+=', '-=', '*=', '/=', '%=', '&=', '|=', '^=', '<<=', '>>=']);
const TYPE_WORDS = new Set([
  'void',
  'char',
  'short',
  'int',
  'long',
  'float',
  'double',
  'signed',
  'unsigned',
  '_Bool',
  'bool',
  'const',
  'volatile',
  'struct',
  'union',
  'enum',
  'class',
]);
const MAX_DEPTH = 200;

export interface ParsedExpression {
  readonly node: Node;
  /** After a comma: `x` hexadecimal, `d` decimal, or a number of elements. */
  readonly format?: 'x' | 'd' | number;
}

/** `isTypeName` decides whether a plain name is a type (a typedef that no variable hides). */
export function parseExpression(text: string, isTypeName: (name: string) => boolean): ParsedExpression {
  const parser = new Parser(text, isTypeName);
  const node = parser.assignment();
  return { node, format: parser.format() };
}

class Parser {
  readonly #tokens: TokenStream;
  #depth = 0;

  constructor(
    text: string,
    readonly isTypeName: (name: string) => boolean,
  ) {
    this.#tokens = new TokenStream(tokenize(text));
  }

  /** What follows the expression: nothing, or a comma and a format. */
  format(): ParsedExpression['format'] {
    const tokens = this.#tokens;
    let format: ParsedExpression['format'];
    if (tokens.accept(',')) {
      const token = tokens.take();
      if (token.kind === 'integer') format = Number(token.value);
      else if (token.kind === 'name' && (token.text === 'x' || token.text === 'd')) format = token.text;
      else
        throw new ExpressionError(
          "After a comma comes a format: 'x', 'd' or a number of elements.",
          token.at,
          length(token),
        );
    }
    if (tokens.next.kind !== 'end') throw this.#unexpected(tokens.next);
    return format;
  }

  #unexpected(token: Token): ExpressionError {
    return new ExpressionError(
      token.kind === 'end' ? 'The expression ends too early.' : `Did not expect ${describe(token)} here.`,
      token.at,
      length(token),
    );
  }

  assignment(): Node {
    if (++this.#depth > MAX_DEPTH)
      throw new ExpressionError('The expression is nested too deeply.', this.#tokens.next.at);
    const target = this.#conditional();
    const operator = this.#tokens.next;
    if (operator.kind === 'sign' && ASSIGNMENTS.has(operator.text)) {
      this.#tokens.take();
      const value = this.assignment();
      this.#depth--;
      return {
        kind: 'assign',
        operator: operator.text.slice(0, -1),
        target,
        value,
        at: operator.at,
        length: length(operator),
      };
    }
    this.#depth--;
    return target;
  }

  #conditional(): Node {
    const condition = this.#binary(1);
    const sign = this.#tokens.next;
    if (!this.#tokens.accept('?')) return condition;
    const then = this.assignment();
    this.#tokens.expect(':');
    const otherwise = this.assignment();
    return { kind: 'conditional', condition, then, otherwise, at: sign.at, length: 1 };
  }

  #binary(minimum: number): Node {
    let left = this.#unary();
    for (;;) {
      const operator = this.#tokens.next;
      const precedence = operator.kind === 'sign' ? (PRECEDENCE[operator.text] ?? 0) : 0;
      if (operator.kind !== 'sign' || precedence < minimum || precedence === 0) return left;
      this.#tokens.take();
      const right = this.#binary(precedence + 1);
      left = { kind: 'binary', operator: operator.text, left, right, at: operator.at, length: length(operator) };
    }
  }

  #unary(): Node {
    if (++this.#depth > MAX_DEPTH)
      throw new ExpressionError('The expression is nested too deeply.', this.#tokens.next.at);
    try {
      const token = this.#tokens.next;
      const place = { at: token.at, length: length(token) };
      if (token.kind === 'sign') {
        switch (token.text) {
          case '-':
          case '+':
          case '!':
          case '~':
          case '*':
          case '&':
            this.#tokens.take();
            return { kind: 'unary', operator: token.text, operand: this.#unary(), ...place };
          case '++':
          case '--':
            this.#tokens.take();
            return { kind: 'step', operator: token.text, prefix: true, operand: this.#unary(), ...place };
          case '(':
            if (this.#startsType(1)) return this.#cast(place);
        }
      }
      if (token.kind === 'name' && token.text === 'sizeof') return this.#sizeof(place);
      return this.#postfix(this.#primary());
    } finally {
      this.#depth--;
    }
  }

  #cast(place: Place): Node {
    this.#tokens.expect('(');
    const type = this.#typeName();
    this.#tokens.expect(')');
    return { kind: 'cast', type, operand: this.#unary(), ...place };
  }

  #sizeof(place: Place): Node {
    this.#tokens.take();
    if (!this.#tokens.at('(') || !this.#startsType(1)) return { kind: 'sizeof', operand: this.#unary(), ...place };
    this.#tokens.expect('(');
    const type = this.#typeName();
    this.#tokens.expect(')');
    return { kind: 'sizeof', type, ...place };
  }

  #startsType(distance: number): boolean {
    const token = this.#tokens.peek(distance);
    return token.kind === 'name' && (TYPE_WORDS.has(token.text) || this.isTypeName(token.text));
  }

  #typeName(): TypeName {
    const words: string[] = [];
    for (;;) {
      const token = this.#tokens.next;
      if (token.kind !== 'name') break;
      this.#tokens.take();
      if (token.text === 'const' || token.text === 'volatile') continue;
      words.push(token.text);
      if (!TYPE_WORDS.has(token.text)) break;
    }
    let pointers = 0;
    while (this.#tokens.accept('*') || this.#tokens.accept('const') || this.#tokens.accept('volatile')) {
      const previous = this.#tokens.tokens[this.#tokens.save() - 1]!;
      if (previous.kind === 'sign') pointers++;
    }
    const dimensions: number[] = [];
    while (this.#tokens.accept('[')) {
      const token = this.#tokens.take();
      if (token.kind !== 'integer')
        throw new ExpressionError('An array type needs a number of elements.', token.at, length(token));
      dimensions.push(Number(token.value));
      this.#tokens.expect(']');
    }
    return { words: words.join(' '), pointers, dimensions };
  }

  #primary(): Node {
    const token = this.#tokens.take();
    const place = { at: token.at, length: length(token) };
    switch (token.kind) {
      case 'integer':
        return { kind: 'integer', value: token.value, suffix: token.suffix, decimal: token.decimal, ...place };
      case 'float':
        return { kind: 'float', value: token.value, single: token.single, ...place };
      case 'string':
        return { kind: 'string', value: token.value, ...place };
      case 'character':
        return { kind: 'character', value: token.value, ...place };
      case 'name':
        return { kind: 'name', name: this.#qualified(token.text), ...place };
      case 'register':
        return { kind: 'register', name: token.text, ...place };
      case 'sign':
        if (token.text === '(') {
          const inner = this.assignment();
          this.#tokens.expect(')');
          return inner;
        }
    }
    throw this.#unexpected(token);
  }

  #qualified(first: string): string {
    let name = first;
    while (this.#tokens.at('::')) {
      this.#tokens.take();
      const token = this.#tokens.take();
      if (token.kind !== 'name') throw this.#unexpected(token);
      name = token.text;
    }
    return name;
  }

  #postfix(object: Node): Node {
    let node = object;
    for (;;) {
      const token = this.#tokens.next;
      const place = { at: token.at, length: length(token) };
      if (this.#tokens.accept('[')) {
        const index = this.assignment();
        this.#tokens.expect(']');
        node = { kind: 'index', object: node, index, ...place };
      } else if (this.#tokens.at('.') || this.#tokens.at('->')) {
        const arrow = this.#tokens.accept('->') || !this.#tokens.accept('.');
        const name = this.#tokens.take();
        if (name.kind !== 'name')
          throw new ExpressionError(`Expected a member's name but found ${describe(name)}.`, name.at, length(name));
        node = { kind: 'member', object: node, name: name.text, arrow, at: name.at, length: length(name) };
      } else if (this.#tokens.at('++') || this.#tokens.at('--')) {
        const operator = this.#tokens.accept('++') ? '++' : this.#tokens.accept('--') ? '--' : '++';
        node = { kind: 'step', operator, prefix: false, operand: node, ...place };
      } else if (this.#tokens.at('(')) {
        throw new ExpressionError('Functions of the program cannot be called from an expression.', token.at);
      } else {
        return node;
      }
    }
  }
}
