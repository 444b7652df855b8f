/** What is wrong with a source is said where it is wrong, and nothing is ever thrown for it. */
import assert from 'node:assert/strict';
import { assembleObject } from './index.ts';

function problems(source: string): string[] {
  return assembleObject('source.s', source).diagnostics.map(
    ({ line, column, length, severity, message }) => `${line + 1}:${column + 1}+${length} ${severity}: ${message}`,
  );
}

describe('assembler: errors', () => {
  const cases: readonly (readonly [source: string, ...problems: string[]])[] = [
    ['\tmov $1, %eax\n'],
    ['\tmvo $1, %eax', '1:2+3 error: `mvo` is not an instruction that is known'],
    ['\tmov $1, %eaz', '1:10+4 error: `%eaz` is not a register'],
    ['\tmov %eax', '1:2+8 error: `mov` takes 2 operands, not 1'],
    ['\tmov %al, %eax', '1:2+13 error: `mov` does not take these operands (eax, al)'],
    ['\tadd $1, (%rax)', '1:2+14 warning: the operand size of `add` is not written and taken to be 32 bits: add a suffix, for instance `addl`'],
    ['\tmovb %ah, %r8b', '1:2+14 error: %ah cannot stand in an instruction that needs a REX prefix'],
    ['\tmov (%eax,%rbx), %ecx', '1:17+1 error: eax and rbx have different widths'],
    ['\tlea (%rax,%rsp), %ecx', '1:17+1 error: rsp cannot be an index register'],
    ['\tjmp 1b', '1:6+2 error: there is no label `1:` before this line'],
    ['\tjmp 1f', '1:2+6 error: there is no label `1:` after this line'],
    ['a: nop\na: nop', '2:1+6 error: `a` is defined twice (first in line 1)'],
    ['\t.byte 255, -128, 300', '1:19+3 error: 300 does not fit in 1 byte'],
    ['\t.nosuch 1', '1:2+7 error: `.nosuch` is not a directive'],
    ['\t.if 1\nnop', '1:2+5 error: this `.if` has no `.endif`'],
    ['\t.macro m a:req\n\tmov \\a, %eax\n\t.endm\n\tm', '4:2+1 error: macro `m` needs a value for `a`'],
    ['\t.macro m\n\tfoo\n\t.endm\n\tm', '4:2+1 error: in the expansion: `foo` is not an instruction that is known'],
    ['\t.ascii "x', '1:9+2 error: the string has no closing quote'],
    ['\t.quad a - b\n\t.data\na:\n\t.bss\nb:', '1:2+11 error: the difference of `a` and `b` is not known: they stand in different sections'],
    ['\t.code32', '1:2+7 error: 32-bit code is not assembled: only 64-bit code is'],
    ['a = a + 1\n\t.quad a', '2:2+7 error: a symbol is defined by itself'],
    ['\tloop 1f\n\t.skip 200\n1:', '1:2+7 error: the target is too far away (1 byte)'],
    ['\t.macro m\n\tm\n\t.endm\n\tm', '4:2+1 error: in the expansion: macros or includes are nested too deeply (200 levels)'],
    ['\t.include "none.s"', '1:10+9 error: the file `none.s` cannot be read'],
  ]; // prettier-ignore
  for (const [source, ...wanted] of cases)
    it(JSON.stringify(source), () => {
      assert.deepEqual(problems(source), wanted);
    });

  const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 1e9));
  it(`survives any text (SEED=${seed})`, function () {
    this.timeout(60_000);
    let state = seed >>> 0;
    const below = (limit: number): number => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return Math.floor((state / 2 ** 32) * limit);
    };
    const words = [
      ...[
        'mov',
        'addl',
        '.quad',
        '.macro',
        '.endm',
        '.rept',
        '.endr',
        '.if',
        '.else',
        '.endif',
        'jmp',
        'call',
        '.set',
        'x',
        '1:',
        '1f',
      ],
      ...[
        '%eax',
        '%xmm3',
        '(',
        ')',
        ',',
        '$',
        '-',
        '*',
        '"',
        "'",
        '\\',
        '.',
        '0x',
        '12345678901234567890',
        '[',
        ']',
        '%st(1)',
        '@plt',
      ],
      ...[
        '.align',
        '.org',
        '.fill',
        '.uleb128',
        'lock',
        'rep',
        ';',
        '#',
        '/*',
        '*/',
        '=',
        '<<',
        '.irp',
        '\\x',
        '.section',
        '.bss',
        '2b',
      ],
    ];
    for (let round = 0; round < 3000; round++) {
      let text = '';
      for (let i = below(30); i >= 0; i--)
        text += words[below(words.length)]! + (below(4) === 0 ? '\n' : below(3) === 0 ? '' : ' ');
      try {
        assembleObject('random.s', text);
      } catch (error) {
        assert.fail(`${JSON.stringify(text)}: ${(error as Error).stack}`);
      }
    }
  });
});
