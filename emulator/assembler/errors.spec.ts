/** What is wrong with a source is said where it is wrong, and nothing is ever thrown for it. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { DIRECTIVES } from './directives.ts';
import { assembleObject } from './index.ts';
import { preprocess } from './preprocess.ts';

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
    ['\t.code16gcc', '1:2+10 error: 16-bit code of a 32-bit compiler is not assembled: only `.code16` is'],
    ['\t.code32\n\tmov %rax, %rbx', '2:6+4 error: %rax does not exist in 32-bit code'],
    ['\t.code32\n\tmov (%r8d), %eax', '2:12+1 error: r8d cannot be a base register in 32-bit code'],
    ['\t.code16\n\tmov (%ax), %eax', '2:11+1 error: ax cannot be a base register'],
    ['\t.code16\n\tmov (%si,%bx), %eax', '2:15+1 error: 16-bit addresses have BX or BP as base and SI or DI as index'],
    ['\t.code16\n\taddr16 nop', '2:2+10 error: `addr16` is what 16-bit code does without it'],
    ['\t.code16\n\tadd $1, (%bx)', '2:2+13 warning: the operand size of `add` is not written and taken to be 16 bits: add a suffix, for instance `addw`'],
    ['\t.code64\n\tpusha', '2:2+5 error: `pusha` does not exist in 64-bit code'],
    ['a = a + 1\n\t.quad a', '2:2+7 error: a symbol is defined by itself'],
    ['\tloop 1f\n\t.skip 200\n1:', '1:2+7 error: the target is too far away (1 byte)'],
    ['\t.macro m\n\tm\n\t.endm\n\tm', '4:2+1 error: in the expansion: macros or includes are nested too deeply (200 levels)'],
    ['\t.include "none.s"', '1:10+9 error: the file `none.s` cannot be read'],
  ]; // prettier-ignore
  for (const [source, ...wanted] of cases)
    it(JSON.stringify(source), () => {
      assert.deepEqual(problems(source), wanted);
    });

  it('says where a preprocessed source is wrong', () => {
    const source = [
      ...['#include "a.h"', '#define MOVE(from, to) mov from, \\', '\tto', '#if VALUE > 40 && defined(MOVE)'],
      ...['\tMOVE($VALUE,', '\t     %eax)', '#else', '#error not this', '#endif', '\tmvo', '#ifdef MOVE', ''],
    ];
    const include = (name: string): string | undefined =>
      name === 'a.h' ? '/* two\n lines */\n#define VALUE 42 // here\n\tfoo\n' : undefined;
    const { diagnostics } = assembleObject('source.S', source.join('\n'), { include });
    assert.deepEqual(diagnostics.map(({ file, line, message }) => `${file}:${line + 1}: ${message}`).sort(), [
      'a.h:4: `foo` is not an instruction that is known',
      'source.S:10: `mvo` is not an instruction that is known',
      'source.S:11: this `#if` has no `#endif`',
    ]);
  });

  it('says in which column, behind macros and comments, and over lines', () => {
    const source = [
      ...['#define LONG $0x1234567, %eax', '#define ADD(a, b) add a, b', '\tmov LONG; mvo LONG', '/* c */ mov /* d */ %eaz, %eax'],
      ...['\tADD($1, \\', '  %rbz); foo', '\tADD(%eax,', '\t    %ebx); bar', '\tmov $1, %eax /* two', ' lines */; baz', '  #else'],
    ]; // prettier-ignore
    const { diagnostics } = assembleObject('source.S', source.join('\n'));
    const shown = diagnostics.map(
      ({ line, column, length, message }) => `${line + 1}:${column + 1}+${length} ${message}`,
    );
    assert.deepEqual(shown, [
      '3:12+3 `mvo` is not an instruction that is known',
      '4:21+4 `%eaz` is not a register',
      '5:2+1 `%rbz` is not a register',
      '6:10+3 `foo` is not an instruction that is known',
      '8:13+3 `bar` is not an instruction that is known',
      '10:12+3 `baz` is not an instruction that is known',
      '11:3+5 `#else` without an `#if` before it',
    ]);
  });

  it('leaves out what conditions exclude, and knows the macros that are always there', () => {
    const source = [
      '#if __has_include("b.h")',
      'bad',
      '#else',
      '.long __LINE__, __COUNTER__, __COUNTER__',
      '#endif',
      '.ascii __FILE__',
      '',
    ];
    const { inactive, text, problems } = preprocess('a.S', source.join('\n'), { include: () => undefined });
    assert.deepEqual([inactive, problems], [[{ file: 'a.S', first: 1, last: 1 }], []]);
    assert.deepEqual(text.split('\n').filter(Boolean), ['# 1 "a.S"', '.long 4, 0, 1', '.ascii "a.S"']);
  });

  it('reads a file once that says so', () => {
    const include = (path: string): { path: string; text: string } => ({ path, text: '#pragma once\nnop\n' });
    const { text } = preprocess('a.S', '#include "a.h"\n#include "a.h"\n', { include });
    assert.equal(text.match(/nop/g)!.length, 1);
  });

  // Every run has another seed, which a failure prints; FC_SEED repeats one.
  const seed = Number(process.env['FC_SEED'] ?? Date.now() % 2 ** 31);
  const survives = (text: string, file = 'random.s'): void => {
    if (file === 'random.s') survives(text, 'random.S');
    const { diagnostics } = assembleObject(file, text, {
      debugDirectory: '/',
      include: (name) => (name === 'a' ? `${text}\n` : undefined),
      incbin: () => Uint8Array.of(1, 2, 3),
    });
    const lines = text.split('\n');
    for (const { file: from, line, column, length } of diagnostics) {
      if (from !== file) continue;
      assert.ok(line < lines.length && column <= lines[line]!.length && length > 0, `${line}:${column}+${length}`);
    }
  };

  it('survives any words', function () {
    this.timeout(120_000);
    const word = fc.constantFrom(...WORDS, ...[...DIRECTIVES.keys()]);
    const separator = fc.constantFrom(' ', ' ', ' ', '', ',', '\n', '\n\t');
    const text = fc.array(fc.tuple(word, separator), { maxLength: 40 }).map((parts) => parts.flat().join(''));
    fc.assert(
      fc.property(text, (of) => survives(of)),
      { seed, numRuns: 2000 },
    );
  });

  it('survives sources with something wrong in them', function () {
    this.timeout(120_000);
    const paths = ['asm-pagefault', 'asm-rings', 'asm-libdune'].map((name) => `${name}/${name}.s`);
    const sources = [...paths, 'bare-timer/boot.S'].flatMap((path) => {
      const lines = readFileSync(join(import.meta.dirname, '../../examples', path), 'latin1').split('\n');
      return [lines, ...[16, 32].map((bits) => [`.code${bits}`, ...lines])];
    });
    const change = fc.record({
      line: fc.nat(),
      at: fc.nat(),
      drop: fc.nat(6),
      put: fc.oneof(
        fc.constantFrom(...WORDS),
        fc.string({ maxLength: 4 }),
        fc.string({ unit: 'grapheme', maxLength: 2 }),
      ),
    });
    const changed = fc.tuple(fc.constantFrom(...sources), fc.array(change, { minLength: 1, maxLength: 8 }));
    fc.assert(
      fc.property(changed, ([source, changes]) => {
        const lines = [...source];
        for (const { line, at, drop, put } of changes) {
          const index = line % lines.length;
          const text = lines[index]!;
          const from = at % (text.length + 1);
          lines[index] = text.slice(0, from) + put + text.slice(from + drop);
        }
        survives(lines.join('\n'));
      }),
      { seed, numRuns: 600 },
    );
  });
});

const WORDS = [
  ...['.code16\n', '.code32\n', '.code64\n', '(%bx,%si)', '%ax', 'ljmp', 'pusha', 'data32'],
  ...['#define x', '#define m(x)', '#if', '#endif', '#include "a"', '##', 'm(', 'defined x'],
  ...[
    'mov',
    'addl',
    'jmp',
    'call',
    'lock',
    'rep',
    'x',
    '1:',
    '1f',
    '2b',
    'x:',
    '\\x',
    '\\@',
    'm',
    '12345678901234567890',
    '0x',
    '-1',
    '255',
  ],
  ...[
    '%eax',
    '%xmm3',
    '%st(1)',
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
    '[',
    ']',
    '@plt',
    '@gotpcrel',
    ';',
    '#',
    '/*',
    '*/',
    '=',
    '<<',
  ],
  ...[
    '"a"',
    '"ax"',
    '@progbits',
    '@function',
    'simple',
    'view',
    'is_stmt',
    'md5',
    '.macro m x',
    '.endm',
    '.set x,',
    'x-.',
    'movq $x(%rip),%rax',
  ],
];
