/** Assembly in the strings of asm statements in C, injected into the C grammars. */
import { instructionRules } from './gas.ts';
import type { Grammar, Words } from './grammar.ts';

export function inlineAssemblyGrammar(words: Words): Grammar {
  return {
    scopeName: 'source.gas.inline',
    name: 'Inline assembly',
    injectionSelector:
      'L:source.c -comment -string -meta.inline-assembly, L:source.cpp -comment -string -meta.inline-assembly',
    patterns: [
      {
        name: 'meta.inline-assembly.gas',
        begin:
          '\\b(__asm__|__asm|asm)\\b((?:\\s+(?:__volatile__|__volatile|volatile|__inline__|inline|goto))*)\\s*(\\()',
        beginCaptures: {
          1: { name: 'storage.type.asm.gas' },
          2: { name: 'storage.modifier.gas' },
          3: { name: 'punctuation.section.parens.begin.gas' },
        },
        end: '\\)',
        endCaptures: { 0: { name: 'punctuation.section.parens.end.gas' } },
        patterns: [{ include: '#constraints' }, { include: '#template' }, { include: '#comments' }],
      },
    ],
    repository: {
      comments: {
        patterns: [
          { name: 'comment.block.gas', begin: '/\\*', end: '\\*/' },
          { name: 'comment.line.double-slash.gas', match: '//.*$' },
        ],
      },
      // After the first colon stand operands: their strings are constraints and names of registers.
      constraints: {
        begin: ':',
        beginCaptures: { 0: { name: 'punctuation.separator.operands.gas' } },
        end: '(?=\\))',
        patterns: [
          { include: '#comments' },
          { name: 'string.quoted.double.constraint.gas', match: '"[^"]*"' },
          { match: '\\[(\\w+)\\]', captures: { 1: { name: 'variable.parameter.gas' } } },
          {
            name: 'meta.parens.gas',
            begin: '\\(',
            end: '\\)',
            patterns: [{ include: '#parens' }, { include: '$base' }],
          },
        ],
      },
      parens: { begin: '\\(', end: '\\)', patterns: [{ include: '#parens' }, { include: '$base' }] },
      template: {
        name: 'string.quoted.double.gas',
        contentName: 'meta.embedded.inline-assembly',
        begin: '"',
        end: '"',
        patterns: [
          { name: 'constant.character.escape.gas', match: '\\\\(?:[abfnrtv"\\\\]|[0-7]{1,3}|x[0-9a-fA-F]+)' },
          { name: 'variable.language.register.gas', match: `(?i:%%(?:${words.registers.join('|')})(?!\\w))` },
          { name: 'variable.parameter.operand.gas', match: '%[a-zA-Z]?(?:\\d+|\\[\\w+\\]|=)' },
          { name: 'comment.line.number-sign.gas', match: '#[^"\\\\]*' },
          { name: 'keyword.other.directive.gas', match: '(?<=["nt; ])\\.[A-Za-z_]\\w*' },
          { name: 'entity.name.label.local.gas', match: '(?:(?<=\\\\[nt])|\\b)\\d+(?:[bf]\\b|(?=:))' },
          { name: 'constant.numeric.gas', match: '\\$?-?\\b(?:0[xX][0-9a-fA-F]+|\\d+)\\b' },
          ...instructionRules(words, '(?:(?<=\\\\[nt])|\\b)'),
        ],
      },
    },
  };
}
