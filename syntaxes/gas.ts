/** The TextMate grammar of GNU assembly for x86-64. Mnemonics and registers come from the assembler's tables. */
import type { Grammar, Rule, Words } from './grammar.ts';

const SYMBOL = '[A-Za-z_.$][\\w.$]*';
/** What may stand before a statement: the line's start, a label, a separator. */
const STATEMENT = '(?:^|(?<=[;:]))\\s*';

/**
 * Rules that both the grammar of files and that of inline assembly include.
 * @param start what a mnemonic begins after
 */
export function instructionRules({ branches, privileged, ordinary, prefixes }: Words, start = '\\b'): readonly Rule[] {
  const word = (names: readonly string[]): string => `${start}(?i:(${names.join('|')})(?![\\w.$:]))`;
  return [
    { name: 'keyword.control.branch.gas', match: word(branches) },
    { name: 'support.function.privileged.gas', match: word(privileged) },
    { name: 'storage.modifier.prefix.gas', match: word(prefixes) },
    { name: 'keyword.mnemonic.gas', match: word(ordinary) },
  ];
}

export function gasGrammar(words: Words): Grammar {
  const registers = words.registers.join('|');
  return {
    scopeName: 'source.gas',
    name: 'GNU Assembly (x86-64)',
    patterns: [
      { include: '#preprocessor' },
      { include: '#comments' },
      { include: '#cfi' },
      { include: '#macro' },
      { include: '#sections' },
      { include: '#definitions' },
      { include: '#directives' },
      { include: '#labels' },
      { include: '#instructions' },
      { include: '#operands' },
    ],
    repository: {
      comments: {
        patterns: [
          { name: 'comment.block.gas', begin: '/\\*', end: '\\*/' },
          { name: 'comment.line.number-sign.gas', match: '#.*$' },
          { name: 'comment.line.double-slash.gas', match: '//.*$' },
        ],
      },
      preprocessor: {
        patterns: [
          {
            name: 'meta.preprocessor.include.gas',
            match: '^\\s*(#\\s*include)\\s+(<[^>]*>|"[^"]*")',
            captures: {
              1: { name: 'keyword.control.directive.include.gas' },
              2: { name: 'string.quoted.include.gas' },
            },
          },
          {
            match: '^\\s*(#\\s*define)\\s+([A-Za-z_]\\w*)(?:\\(([^)]*)\\))?',
            captures: {
              1: { name: 'keyword.control.directive.gas' },
              2: { name: 'entity.name.function.preprocessor.gas' },
              3: { name: 'variable.parameter.preprocessor.gas' },
            },
          },
          {
            name: 'meta.preprocessor.gas',
            begin: '^\\s*(#\\s*(?:undef|ifdef|ifndef|if|elif|else|endif|error|warning|pragma|line)\\b)',
            beginCaptures: { 1: { name: 'keyword.control.directive.gas' } },
            end: '(?<!\\\\)$',
            patterns: [
              { name: 'comment.block.gas', begin: '/\\*', end: '\\*/' },
              { include: '#instructions' },
              { include: '#operands' },
            ],
          },
        ],
      },
      cfi: {
        match: `${STATEMENT}(\\.cfi_\\w+)`,
        captures: { 1: { name: 'keyword.other.cfi.gas' } },
      },
      macro: {
        patterns: [
          {
            name: 'meta.macro.gas',
            begin: `(?i)${STATEMENT}(\\.macro)\\s+(${SYMBOL})`,
            beginCaptures: { 1: { name: 'keyword.control.macro.gas' }, 2: { name: 'entity.name.function.macro.gas' } },
            end: '$|(?=#|//|/\\*)',
            patterns: [
              { match: ':(req|vararg)\\b', captures: { 1: { name: 'storage.modifier.gas' } } },
              { name: 'variable.parameter.gas', match: SYMBOL },
              { include: '#operands' },
            ],
          },
          {
            match: `(?i)${STATEMENT}(\\.(?:endm|endmacro|exitm|purgem|rept|irpc?|endr|if\\w*|else|elseif|endif|include|incbin))\\b`,
            captures: { 1: { name: 'keyword.control.macro.gas' } },
          },
        ],
      },
      sections: {
        match: `(?i)${STATEMENT}(\\.(?:text|data|bss|rodata|section|subsection|pushsection|popsection|previous))\\b(?:\\s+([.\\w$-]+))?`,
        captures: { 1: { name: 'keyword.other.section.gas' }, 2: { name: 'entity.name.section.gas' } },
      },
      definitions: {
        patterns: [
          {
            match: `(?i)${STATEMENT}(\\.(?:set|equ|equiv|eqv))\\s+(${SYMBOL})`,
            captures: { 1: { name: 'keyword.other.directive.gas' }, 2: { name: 'variable.other.constant.gas' } },
          },
          {
            match: `^\\s*(${SYMBOL})\\s*(==?)(?!=)`,
            captures: { 1: { name: 'variable.other.constant.gas' }, 2: { name: 'keyword.operator.assignment.gas' } },
          },
          {
            match: `(?i)${STATEMENT}(\\.(?:globl|global|weak|local|hidden|protected|internal|type|size|comm|lcomm))\\s+(${SYMBOL})`,
            captures: { 1: { name: 'keyword.other.directive.gas' }, 2: { name: 'entity.name.function.gas' } },
          },
        ],
      },
      directives: {
        match: `${STATEMENT}(\\.[A-Za-z_]\\w*)(?![\\w.$:])`,
        captures: { 1: { name: 'keyword.other.directive.gas' } },
      },
      labels: {
        patterns: [
          {
            match: `${STATEMENT}(${SYMBOL}|"[^"]*")\\s*(:)`,
            captures: { 1: { name: 'entity.name.function.gas' }, 2: { name: 'punctuation.separator.label.gas' } },
          },
          {
            match: `${STATEMENT}(\\d+)(:)`,
            captures: { 1: { name: 'entity.name.label.local.gas' }, 2: { name: 'punctuation.separator.label.gas' } },
          },
        ],
      },
      instructions: { patterns: [...instructionRules(words)] },
      operands: {
        patterns: [
          { include: '#strings' },
          {
            name: 'variable.language.register.gas',
            match: `(?i:%(?:st\\s*\\(\\s*[0-7]\\s*\\)|(?:${registers})(?![\\w$])))`,
          },
          { name: 'variable.language.register.gas', match: `(?i:(?<![\\w.$%])(?:${registers})(?![\\w.$:@]))` },
          {
            name: 'storage.type.size.gas',
            match: '(?i:\\b(?:byte|word|dword|qword|tbyte|oword|xmmword|ymmword|fword)\\s+ptr\\b|\\boffset\\b)',
          },
          { name: 'variable.parameter.macro.gas', match: '\\\\(?:@|\\(\\)|[A-Za-z_$][\\w$]*)' },
          { name: 'storage.modifier.relocation.gas', match: '@[A-Za-z]\\w*' },
          { name: 'entity.name.label.local.gas', match: '\\b\\d+[bf]\\b' },
          { name: 'constant.numeric.hex.gas', match: '\\$?-?\\b0[xX][0-9a-fA-F]+\\b' },
          { name: 'constant.numeric.binary.gas', match: '\\$?-?\\b0[bB][01]+\\b' },
          { name: 'constant.numeric.decimal.gas', match: '\\$?-?\\b\\d+(?:\\.\\d+)?\\b' },
          { name: 'variable.other.constant.gas', match: '\\$[A-Za-z_.][\\w.$]*' },
          { name: 'keyword.operator.gas', match: '<<|>>|&&|\\|\\||[-+*/%&|^~!<>]' },
        ],
      },
      strings: {
        patterns: [
          {
            name: 'string.quoted.double.gas',
            begin: '"',
            end: '"|$',
            patterns: [
              {
                name: 'constant.character.escape.gas',
                match: '\\\\(?:[0-7]{1,3}|[xX][0-9a-fA-F]+|[bfnrtv"\\\\])',
              },
            ],
          },
          { name: 'constant.character.gas', match: "'(?:\\\\.|[^\\\\])'?" },
        ],
      },
    },
  };
}
