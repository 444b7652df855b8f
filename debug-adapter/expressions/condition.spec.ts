import assert from 'node:assert/strict';
import { parseCondition, type FactDescription } from './condition.ts';
import { ExpressionError } from './errors.ts';

const FACTS: readonly FactDescription[] = [
  {
    name: 'reason',
    type: 'number',
    meaning: 'exit reason',
    constants: new Map([
      ['EPT_VIOLATION', 48n],
      ['CPUID', 10n],
      ['CR_ACCESS', 28n],
    ]),
  },
  {
    name: 'syscall',
    type: 'number',
    meaning: 'system call',
    constants: new Map([
      ['openat', 257n],
      ['read', 0n],
    ]),
  },
  { name: 'gpa', type: 'number', meaning: 'guest-physical address' },
  { name: 'cpl', type: 'number', meaning: 'ring' },
  { name: 'errorCode', type: 'number', meaning: 'error code' },
  { name: 'by', type: 'text', meaning: 'what did it' },
  { name: 'user', type: 'truth', meaning: 'from ring 3' },
];

const holds = (text: string, facts: Record<string, number | bigint | string | boolean>): boolean =>
  parseCondition(text, FACTS)((name) => facts[name]);

describe('event conditions', () => {
  it('compare facts with numbers, constants, ranges and sets', () => {
    const event = { reason: 48, gpa: 0x1800, cpl: 3, by: 'IRETQ', user: true, errorCode: 6 };
    assert.equal(holds('reason == EPT_VIOLATION && gpa in 0x1000..0x2000', event), true);
    assert.equal(holds('reason == EPT_VIOLATION && gpa in 0x1000..0x1800', event), false);
    assert.equal(holds('EPT_VIOLATION == reason', event), true);
    assert.equal(holds('reason in {CPUID, CR_ACCESS}', event), false);
    assert.equal(holds('reason not in {CPUID, CR_ACCESS}', event), true);
    assert.equal(holds('gpa in {0x1800, 0x4000..0x5000}', { gpa: 0x4fffn }), true);
    assert.equal(holds('cpl == 3 and not cpl == 0', event), true);
    assert.equal(holds('errorCode & 4 == 4', event), true);
    assert.equal(holds('!(errorCode & 1)', event), true);
    assert.equal(holds('by == "IRETQ" || false', event), true);
    assert.equal(holds('user', event), true);
    assert.equal(holds('syscall == openat', { syscall: 257n }), true);
    assert.equal(holds('gpa >> 12 == 1', event), true);
  });

  it('are false about facts an event does not have', () => {
    assert.equal(holds('gpa == 0', {}), false);
    assert.equal(holds('gpa != 0', {}), false);
    assert.equal(holds('gpa not in 1..2', {}), false);
  });

  const refusals: readonly [string, number, RegExp][] = [
    ['', 0, /empty/],
    ['reson == 48', 0, /no fact 'reson'/],
    ['reason == EPT_VIOLATON', 10, /'EPT_VIOLATON' is not a value of 'reason'; did you mean EPT_VIOLATION/],
    ['reason == ', 10, /ends too early/],
    ['cpl == "three"', 4, /number cannot be compared with text/],
    ['by < "x"', 3, /compares numbers only/],
    ['cpl == 3 cpl', 9, /Did not expect 'cpl'/],
    ['(cpl == 3', 9, /Expected '\)'/],
    ['gpa in "a".."b"', 4, /number cannot be compared with text/],
    ['cpl == 3z', 7, /not a number/],
    ['cpl @ 3', 4, /no meaning/],
  ];
  for (const [text, position, reason] of refusals) {
    it(`refuse '${text}' at ${position}`, () => {
      assert.throws(
        () => parseCondition(text, FACTS),
        (error) => error instanceof ExpressionError && error.position === position && reason.test(error.message),
      );
    });
  }
});
