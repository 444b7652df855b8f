/**
 * The condition language of event breakpoints: an expression over the facts of an event, checked before it is accepted.
 *
 *   reason == EPT_VIOLATION && gpa in 0x1000..0x2000      ranges hold their start and not their end
 *   syscall in {openat, read} || cpl == 3                  sets list values
 *   !(errorCode & 4) and not cpl == 0                      && || ! or their words
 *
 * Names are facts; in a comparison with a fact, the names of its constants stand for their numbers.
 */
import { ExpressionError } from './errors.ts';
import { describe, length, tokenize, TokenStream, type Token } from './lexer.ts';

/** A fact that conditions may use. */
export interface FactDescription {
  readonly name: string;
  readonly type: 'number' | 'text' | 'truth';
  readonly meaning: string;
  /** Named values, e.g. EPT_VIOLATION. */
  readonly constants?: ReadonlyMap<string, bigint>;
}

export type FactValue = number | bigint | string | boolean | undefined;
/** Undefined for a fact this event does not have: comparisons with it are false. */
export type FactSource = (name: string) => FactValue;
export type Condition = (facts: FactSource) => boolean;

type Type = FactDescription['type'];
type Scalar = bigint | string | boolean | undefined;

interface Term {
  readonly type: Type;
  /** The fact whose constants the other side of a comparison may name. */
  readonly fact?: FactDescription;
  readonly value: (facts: FactSource) => Scalar;
  readonly at: number;
  readonly length: number;
}

const COMPARISONS = new Set(['==', '!=', '<', '<=', '>', '>=', '=']);
const MAX_DEPTH = 100;

/** Throws ExpressionError with the position and the reason if the condition makes no sense for these facts. */
export function parseCondition(text: string, facts: readonly FactDescription[]): Condition {
  const parser = new Parser(new TokenStream(tokenize(text)), facts);
  const term = parser.whole();
  return (source) => truth(term.value(source));
}

function truth(value: Scalar): boolean {
  return value === true || (typeof value === 'bigint' && value !== 0n) || (typeof value === 'string' && value !== '');
}

function scalar(value: FactValue): Scalar {
  return typeof value === 'number' ? (Number.isInteger(value) ? BigInt(value) : undefined) : value;
}

class Parser {
  #depth = 0;

  constructor(
    readonly tokens: TokenStream,
    readonly facts: readonly FactDescription[],
  ) {}

  whole(): Term {
    if (this.tokens.tokens.length === 1) throw new ExpressionError('The condition is empty.', 0);
    const term = this.#or();
    const rest = this.tokens.next;
    if (rest.kind !== 'end') throw new ExpressionError(`Did not expect ${describe(rest)} here.`, rest.at, length(rest));
    return term;
  }

  #or(): Term {
    if (++this.#depth > MAX_DEPTH)
      throw new ExpressionError('The condition is nested too deeply.', this.tokens.next.at);
    let left = this.#and();
    while (this.tokens.accept('||') || this.tokens.accept('or')) {
      const [a, b] = [left, this.#and()];
      left = { ...a, type: 'truth', fact: undefined, value: (facts) => truth(a.value(facts)) || truth(b.value(facts)) };
    }
    this.#depth--;
    return left;
  }

  #and(): Term {
    let left = this.#not();
    while (this.tokens.accept('&&') || this.tokens.accept('and')) {
      const [a, b] = [left, this.#not()];
      left = { ...a, type: 'truth', fact: undefined, value: (facts) => truth(a.value(facts)) && truth(b.value(facts)) };
    }
    return left;
  }

  #not(): Term {
    if (++this.#depth > MAX_DEPTH)
      throw new ExpressionError('The condition is nested too deeply.', this.tokens.next.at);
    try {
      const sign = this.tokens.next;
      if (!this.tokens.accept('!') && !this.tokens.accept('not')) return this.#comparison();
      const operand = this.#not();
      return { type: 'truth', at: sign.at, length: length(sign), value: (facts) => !truth(operand.value(facts)) };
    } finally {
      this.#depth--;
    }
  }

  #comparison(): Term {
    const left = this.#bits(undefined);
    const sign = this.tokens.next;
    if (this.tokens.at('in')) return this.#membership(left);
    if (this.tokens.accept('not')) {
      const inside = this.#membership(left);
      return { ...inside, value: (facts) => left.value(facts) !== undefined && !truth(inside.value(facts)) };
    }
    if (sign.kind !== 'sign' || !COMPARISONS.has(sign.text)) return left;
    this.tokens.take();
    const right = this.#bits(left.fact);
    this.#sameType(left, right, sign);
    if (left.type !== 'number' && sign.text !== '==' && sign.text !== '!=' && sign.text !== '=')
      throw new ExpressionError(`'${sign.text}' compares numbers only.`, sign.at, length(sign));
    const test = comparison(sign.text);
    return {
      type: 'truth',
      at: left.at,
      length: left.length,
      value: (facts) => {
        const [x, y] = [left.value(facts), right.value(facts)];
        return x !== undefined && y !== undefined && test(x, y);
      },
    };
  }

  #sameType(left: Term, right: Term, place: Token): void {
    if (left.type === right.type) return;
    const words = { number: 'a number', text: 'text', truth: 'true or false' };
    throw new ExpressionError(
      `${words[left.type]} cannot be compared with ${words[right.type]}.`.replace(/^./, (c) => c.toUpperCase()),
      place.at,
      length(place),
    );
  }

  #membership(left: Term): Term {
    const place = this.tokens.next;
    this.tokens.expect('in');
    const tests: ((value: Scalar, facts: FactSource) => boolean)[] = [];
    const close = this.tokens.accept('{') ? '}' : this.tokens.accept('[') ? ']' : undefined;
    do {
      const first = this.#bits(left.fact);
      this.#sameType(left, first, place);
      tests.push(this.tokens.accept('..') ? this.#range(first, left) : (value, facts) => value === first.value(facts));
    } while (close && this.tokens.accept(','));
    if (close) this.tokens.expect(close);
    const value = (facts: FactSource): boolean => {
      const found = left.value(facts);
      return found !== undefined && tests.some((test) => test(found, facts));
    };
    return { type: 'truth', at: left.at, length: left.length, value };
  }

  #range(first: Term, left: Term): (value: Scalar, facts: FactSource) => boolean {
    const last = this.#bits(left.fact);
    if (first.type !== 'number' || last.type !== 'number')
      throw new ExpressionError('A range is between two numbers.', first.at, first.length);
    return (value, facts) => {
      const [low, high] = [first.value(facts), last.value(facts)];
      return (
        typeof value === 'bigint' && typeof low === 'bigint' && typeof high === 'bigint' && value >= low && value < high
      );
    };
  }

  /** & | ^ << >> + - * in C's order of binding among themselves, but tighter than comparisons. */
  #bits(constantsOf: FactDescription | undefined, level = 0): Term {
    if (level === ARITHMETIC.length) return this.#primary(constantsOf);
    let left = this.#bits(constantsOf, level + 1);
    for (;;) {
      const sign = this.tokens.next;
      const operate = sign.kind === 'sign' ? ARITHMETIC[level]![sign.text] : undefined;
      if (!operate) return left;
      this.tokens.take();
      const [a, b] = [left, this.#bits(constantsOf ?? left.fact, level + 1)];
      for (const term of [a, b])
        if (term.type !== 'number')
          throw new ExpressionError('Only numbers can be computed with.', term.at, term.length);
      left = {
        type: 'number',
        fact: a.fact,
        at: a.at,
        length: a.length,
        value: (facts) => {
          const [x, y] = [a.value(facts), b.value(facts)];
          return typeof x === 'bigint' && typeof y === 'bigint' ? operate(x, y) : undefined;
        },
      };
    }
  }

  #primary(constantsOf: FactDescription | undefined): Term {
    const token = this.tokens.take();
    const place = { at: token.at, length: length(token) };
    switch (token.kind) {
      case 'integer':
      case 'character':
        return { type: 'number', value: () => token.value, ...place };
      case 'string':
        return { type: 'text', value: () => token.value, ...place };
      case 'name':
        return this.#name(token.text, constantsOf, place);
      case 'sign':
        if (token.text === '(') {
          const inner = this.#or();
          this.tokens.expect(')');
          return inner;
        }
        if (token.text === '-' || token.text === '~') return this.#negated(token.text, this.#primary(constantsOf));
    }
    throw new ExpressionError(
      token.kind === 'end' ? 'The condition ends too early.' : `Did not expect ${describe(token)} here.`,
      token.at,
      length(token),
    );
  }

  #negated(sign: string, operand: Term): Term {
    if (operand.type !== 'number')
      throw new ExpressionError('Only numbers can be computed with.', operand.at, operand.length);
    return {
      ...operand,
      value: (facts) => {
        const value = operand.value(facts);
        return typeof value !== 'bigint' ? undefined : sign === '-' ? -value : ~value;
      },
    };
  }

  #name(name: string, constantsOf: FactDescription | undefined, place: { at: number; length: number }): Term {
    if (name === 'true' || name === 'false') return { type: 'truth', value: () => name === 'true', ...place };
    const constant = constantsOf && this.#constant(name, constantsOf, place.at, place.length);
    if (constant) return constant;
    const fact = this.facts.find((candidate) => candidate.name.toLowerCase() === name.toLowerCase());
    if (fact) return { type: fact.type, fact, value: (facts) => scalar(facts(fact.name)), ...place };
    // A constant before its fact: `EPT_VIOLATION == reason`.
    const holder = this.facts.find((candidate) => lookUp(candidate, name) !== undefined);
    if (holder) return this.#constant(name, holder, place.at, place.length)!;
    if (constantsOf?.constants)
      throw new ExpressionError(
        `'${name}' is not a value of '${constantsOf.name}'${suggestion(name, [...constantsOf.constants.keys()])}.`,
        place.at,
        place.length,
      );
    const names = this.facts.map((candidate) => candidate.name);
    throw new ExpressionError(
      `There is no fact '${name}' here; there are ${names.join(', ')}.`,
      place.at,
      place.length,
    );
  }

  #constant(name: string, fact: FactDescription, at: number, size: number): Term | undefined {
    const value = lookUp(fact, name);
    return value === undefined ? undefined : { type: 'number', value: () => value, at, length: size };
  }
}

function lookUp(fact: FactDescription, name: string): bigint | undefined {
  return (
    fact.constants?.get(name) ?? fact.constants?.get(name.toUpperCase()) ?? fact.constants?.get(name.toLowerCase())
  );
}

function suggestion(name: string, candidates: readonly string[]): string {
  const wanted = name.toLowerCase();
  const close = candidates.filter((candidate) => candidate.toLowerCase().includes(wanted.slice(0, 4))).slice(0, 4);
  return close.length > 0 ? `; did you mean ${close.join(', ')}` : '';
}

const ARITHMETIC: readonly Readonly<Record<string, (a: bigint, b: bigint) => bigint>>[] = [
  { '|': (a, b) => a | b },
  { '^': (a, b) => a ^ b },
  { '&': (a, b) => a & b },
  { '<<': (a, b) => BigInt.asUintN(64, a << (b & 63n)), '>>': (a, b) => a >> (b & 63n) },
  { '+': (a, b) => a + b, '-': (a, b) => a - b },
  { '*': (a, b) => a * b },
];

function comparison(sign: string): (a: Exclude<Scalar, undefined>, b: Exclude<Scalar, undefined>) => boolean {
  switch (sign) {
    case '!=':
      return (a, b) => a !== b;
    case '<':
      return (a, b) => a < b;
    case '<=':
      return (a, b) => a <= b;
    case '>':
      return (a, b) => a > b;
    case '>=':
      return (a, b) => a >= b;
    default:
      return (a, b) => a === b;
  }
}
