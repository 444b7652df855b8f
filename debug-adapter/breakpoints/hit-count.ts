/** Hit conditions: `5` or `>= 5` from the fifth hit on, `== 5` only then, `> < <=` likewise, `% 5` every fifth. */
import { ExpressionError } from '../expressions/errors.ts';

export type HitTest = (hits: number) => boolean;

const TESTS: Readonly<Record<string, (hits: number, count: number) => boolean>> = {
  '': (hits, count) => hits >= count,
  '=': (hits, count) => hits === count,
  '==': (hits, count) => hits === count,
  '>': (hits, count) => hits > count,
  '>=': (hits, count) => hits >= count,
  '<': (hits, count) => hits < count,
  '<=': (hits, count) => hits <= count,
  '%': (hits, count) => hits % count === 0,
};

/** Throws ExpressionError if the text is not a hit condition. */
export function hitTest(text: string): HitTest {
  const found = /^\s*(==|=|>=|<=|>|<|%|)\s*(\d+)\s*$/.exec(text);
  const count = Number(found?.[2]);
  if (!found || (found[1] === '%' && count === 0))
    throw new ExpressionError('A hit count is a number, perhaps after one of == > >= < <= %.', 0, text.length);
  const test = TESTS[found[1]!]!;
  return (hits) => test(hits, count);
}
