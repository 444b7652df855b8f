import assert from 'node:assert/strict';
import { formatValue } from '../symbols/format.ts';
import { build, symbolsOf } from '../symbols/testdata/build.ts';
import { Snapshot } from '../symbols/testdata/snapshot.ts';
import { ExpressionError } from './errors.ts';
import { evaluate, evaluateCondition } from './evaluate.ts';
import type { FrameScope } from './scope.ts';

describe('C expressions', () => {
  let scope: FrameScope;
  let pc: bigint;
  before(() => {
    const path = build('gcc', ['values.c', 'snapshot.S'], ['-O0', '-gdwarf-5', '-static']);
    const scopes = new Snapshot(path).scopes(symbolsOf(path));
    ({ scope } = scopes.find(({ name }) => name === 'inner')!);
    pc = scope.frame.pc;
  });

  const cases: readonly [string, string][] = [
    ['1 + 2 * 3', '7'],
    ['-7 / 2', '-3'],
    ['-7 % 3', '-1'],
    ['1u - 2', '4294967295'],
    ['0x7fffffff + 1', '-2147483648'],
    ['1 << 4 | 3', '19'],
    ['~0', '-1'],
    ['!5', '0'],
    ['1 ? 2 : 3', '2'],
    ["'a' + 1", '98'],
    ['1.5f * 2', '3'],
    ['7 / 2.0', '3.5'],
    ['(unsigned char)300', "44 ','"],
    ['(char)-1', "-1 '\\xff'"],
    ['(uint16_t)-1', '65535'],
    ['sizeof(struct node)', '40'],
    ['sizeof bits', '8'],
    ['sizeof(int[4])', '16'],
    ['depth', '3'],
    ['depth++', '3'],
    ['depth--', '4'],
    ['head->next->key + depth', '11'],
    ['(*head).at.x', '-1'],
    ['head->raw', '1080033280'],
    ['&head->next == &(head->next)', '1'],
    ['numbers[1]', '-2.25'],
    ['*numbers', '1.5'],
    ['&numbers[2] - numbers', '2'],
    ['matrix[1][2]', '6'],
    ['*(matrix[1] + 1)', '5'],
    ['word[1]', "101 'e'"],
    ['*head, x', '{key = 7'],
    ['variable, 2', '{0, 1}'],
    ['text[0]', "116 't'"],
    ['GREEN', 'GREEN (5)'],
    ['paint == GREEN && access & EXECUTE', '1'],
    ['(enum color)6', 'BLUE (6)'],
    ['((struct node *)head)->key', '7'],
    ['global_counter', '1234567'],
    ['static_ratio', '0.125'],
    ['per_thread', '77'],
    ['op == add', '1'],
    ['$rsp > 0', '1'],
    ['hidden == 0', '1'],
    ['(long)head->next > 0 && depth < 4', '1'],
  ];
  for (const [text, expected] of cases) {
    it(`${text} is ${expected}`, () => {
      const got = formatValue(evaluate(text, scope).value);
      assert.ok(got === expected || (text === '*head, x' && got.startsWith(expected)), got);
    });
  }

  it('know registers by all their names', () => {
    assert.equal(evaluate('$rip', scope).value.unsigned(), pc);
    assert.equal(evaluate('$pc', scope).value.unsigned(), pc);
    assert.equal(evaluate('$eip', scope).value.unsigned(), pc & 0xffffffffn);
  });

  it('serve as conditions', () => {
    assert.equal(evaluateCondition('depth == 3 && head->key == 7', scope), true);
    assert.equal(evaluateCondition('head->next->next', scope), false);
  });

  const refusals: readonly [string, number, RegExp][] = [
    ['', 0, /too early/],
    ['depth +', 7, /too early/],
    ['nothing', 0, /no variable, function or symbol 'nothing'/],
    ['head->nokey', 6, /no member 'nokey'; it has key, label, next/],
    ['depth->x', 7, /has no members/],
    ['*depth', 0, /not a pointer/],
    ['1 / 0', 2, /Division by zero/],
    ['$r99', 0, /no register/],
    ['*(int *)0 + 1', 0, /Cannot read memory at 0x0/],
    ['(depth', 6, /Expected '\)'/],
    ['printf("x")', 6, /cannot be called/],
    ['head * 2', 5, /no meaning for pointers/],
    ['&3', 1, /no address/],
    ['depth, z', 7, /a format/],
    ['0x12g', 0, /not a number/],
    ["'ab'", 0, /exactly one/],
    ['"ab', 0, /closing "/],
  ];
  for (const [text, position, reason] of refusals) {
    it(`refuse '${text}' at ${position}`, () => {
      assert.throws(
        () => evaluate(text, scope),
        (error) => error instanceof ExpressionError && error.position === position && reason.test(error.message),
      );
    });
  }
});
