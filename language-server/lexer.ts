/** Tokens of one line of GNU assembly. What a word is follows from its place; whether it means anything is the assembler's business. */
import { PREFIXES, type Syntax } from '../emulator/assembler/mnemonics.ts';
import type { CodeBits } from '../emulator/assembler/model.ts';
import { REGISTERS } from '../emulator/assembler/registers.ts';

export type TokenKind =
  /** A label before its colon, with its name; `1:` is a `localLabel`. */
  | 'label'
  | 'localLabel'
  /** The name before `=`, or after `.set` and its like. */
  | 'constant'
  | 'directive'
  /** `#define` and its like, in a source that the C preprocessor reads. */
  | 'preprocessor'
  | 'mnemonic'
  | 'prefix'
  | 'register'
  | 'symbol'
  /** `1b`, `2f`. */
  | 'localReference'
  /** `\name` in the body of a macro. */
  | 'parameter'
  /** After `.macro`. */
  | 'macro'
  | 'macroParameter'
  | 'number'
  | 'string'
  | 'comment'
  /** The name after `@`. */
  | 'modifier'
  | 'word';

export interface Token {
  readonly kind: TokenKind;
  readonly start: number;
  readonly end: number;
  /** Names without sigils; empty for comments. */
  readonly name: string;
  /** Number of its statement within the line. */
  readonly statement: number;
}

/** What a line leaves to the next. */
export interface LexerState {
  readonly inComment: boolean;
  readonly syntax: Syntax;
  readonly bits: CodeBits;
  /** The line goes on one of the preprocessor. */
  readonly inDirective: boolean;
}

export const START: LexerState = { inComment: false, syntax: 'att', bits: 64, inDirective: false };

/** Each state is one object, so that equal states are identical. */
const STATES = new Map<string, LexerState>([[keyOf(START), START]]);
function keyOf({ inComment, syntax, bits, inDirective }: LexerState): string {
  return `${inComment} ${syntax} ${bits} ${inDirective}`;
}
function stateOf(state: LexerState): LexerState {
  const key = keyOf(state);
  let known = STATES.get(key);
  if (!known) STATES.set(key, (known = state));
  return known;
}

const SPACE = /[ \t\r\f]+/y;
const NAME = /[A-Za-z_.$][\w.$]*/y;
const REGISTER = /%(st[ \t]*\([ \t]*[0-7][ \t]*\)|[A-Za-z]\w*)/iy;
const PARAMETER = /\\(@|\(\)|[A-Za-z_$][\w$]*)/y;
const LOCAL = /\d+[bf](?![\w.$])/y;
const NUMBER = /0[xX][0-9a-fA-F]+|0[bB][01]+|\d+(?:\.\d+)?/y;
const STRING = /"(?:\\.|[^"\\])*"?/y;
const CHARACTER = /'(?:\\.|[^\\])'?/y;
const COLON = /[ \t]*:/y;
const EQUALS = /[ \t]*==?(?!=)/y;
const SIZE_WORDS = /^(byte|word|dword|qword|tbyte|oword|xmmword|ymmword|fword|ptr|offset|short|flat)$/i;

const DEFINES_CONSTANT = new Set(['.set', '.equ', '.equiv', '.eqv']);
/** Directives whose words are no symbols. */
const WITHOUT_SYMBOLS = new Set([
  '.section',
  '.pushsection',
  '.file',
  '.ident',
  '.intel_syntax',
  '.att_syntax',
  '.arch',
]);

class Lexer {
  readonly tokens: Token[] = [];
  at = 0;
  statement = 0;
  /** Of the statement: nothing yet but labels. */
  atStart = true;
  directive = '';
  /** Names of the statement so far, after its first word. */
  names = 0;
  /** Of the `#define` in this line. */
  readonly parameters = new Set<string>();

  constructor(
    readonly text: string,
    public syntax: Syntax,
    public bits: CodeBits,
  ) {}

  match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.at;
    return pattern.exec(this.text)?.[0];
  }
  add(kind: TokenKind, length: number, name = this.text.slice(this.at, this.at + length)): void {
    this.tokens.push({ kind, start: this.at, end: this.at + length, name, statement: this.statement });
    this.at += length;
  }
  endStatement(): void {
    this.at++;
    this.statement++;
    this.atStart = true;
    this.directive = '';
    this.names = 0;
  }
  followedBy(pattern: RegExp, length: number): boolean {
    pattern.lastIndex = this.at + length;
    return pattern.test(this.text);
  }
}

export interface LexedLine {
  readonly tokens: readonly Token[];
  readonly after: LexerState;
}

const PREPROCESSOR =
  /[ \t]*(#[ \t]*(?:include|define|undef|if|ifdef|ifndef|elif|else|endif|error|warning|pragma|line)\b)/y;

/** The `#define` at the start of a line, and what it defines. */
function preprocessorLine(lexer: Lexer): void {
  const found = lexer.match(PREPROCESSOR)!;
  lexer.at += found.length - found.trimStart().length;
  const name = found.trim().replace(/\s/g, '');
  lexer.add('preprocessor', found.trim().length, name);
  lexer.atStart = false;
  lexer.directive = name;
  if (name === '#include') {
    const path = lexer.match(/[ \t]*<[^>]*>/y);
    if (!path) return;
    lexer.at += path.length - path.trimStart().length;
    return lexer.add('string', path.trim().length);
  }
  if (/^#(error|warning|pragma|line)$/.test(name)) {
    lexer.add('comment', lexer.text.length - lexer.at, '');
    return;
  }
  if (name !== '#define') return;
  const defined = lexer.match(/[ \t]*[A-Za-z_]\w*/y);
  if (!defined) return;
  lexer.at += defined.length - defined.trimStart().length;
  lexer.add('constant', defined.trim().length);
  lexer.names++;
  const list = lexer.match(/\([^)]*\)?/y);
  if (!list) return;
  const end = lexer.at + list.length;
  for (const { index, 0: parameter } of list.matchAll(/[A-Za-z_]\w*|\.\.\./g)) {
    lexer.at = end - list.length + index;
    lexer.add('macroParameter', parameter.length);
    lexer.parameters.add(parameter);
  }
  lexer.at = end;
}

/** @param isPreprocessed lines that begin with `#` may be the C preprocessor's */
export function lexLine(text: string, before: LexerState, isPreprocessed = false): LexedLine {
  const lexer = new Lexer(text, before.syntax, before.bits);
  let { inComment } = before;
  let isDirective = before.inDirective;
  if (isDirective) {
    lexer.atStart = false;
    lexer.directive = '#define';
    lexer.names = 1;
  } else if (isPreprocessed && !inComment && lexer.followedBy(PREPROCESSOR, 0)) {
    isDirective = true;
    preprocessorLine(lexer);
  }
  while (lexer.at < text.length) {
    if (inComment) {
      const end = text.indexOf('*/', lexer.at);
      lexer.add('comment', (end < 0 ? text.length : end + 2) - lexer.at, '');
      inComment = end < 0;
      continue;
    }
    const space = lexer.match(SPACE);
    if (space) {
      lexer.at += space.length;
      continue;
    }
    if (text.startsWith('/*', lexer.at)) {
      const end = text.indexOf('*/', lexer.at + 2);
      lexer.add('comment', (end < 0 ? text.length : end + 2) - lexer.at, '');
      inComment = end < 0;
      continue;
    }
    const character = text[lexer.at]!;
    if ((character === '#' && !isDirective) || text.startsWith('//', lexer.at))
      lexer.add('comment', text.length - lexer.at, '');
    else if (character === ';') lexer.endStatement();
    else if (lexer.atStart) first(lexer);
    else operand(lexer, character);
  }
  const { syntax, bits, tokens } = lexer;
  const inDirective = isDirective && /\\\r?$/.test(text);
  const isSame =
    inComment === before.inComment &&
    syntax === before.syntax &&
    bits === before.bits &&
    inDirective === before.inDirective;
  return { tokens, after: isSame ? before : stateOf({ inComment, syntax, bits, inDirective }) };
}

/** Labels, and the word that says what the statement is. */
function first(lexer: Lexer): void {
  const digits = lexer.match(/\d+(?=[ \t]*:)/y);
  const name = digits ?? lexer.match(NAME);
  if (name === undefined) {
    const parameter = lexer.match(PARAMETER);
    if (parameter) return lexer.add('parameter', parameter.length, parameter.slice(1));
    lexer.atStart = false;
    return operand(lexer, lexer.text[lexer.at]!);
  }
  if (lexer.followedBy(COLON, name.length)) {
    lexer.add(digits ? 'localLabel' : 'label', name.length);
    lexer.at = lexer.text.indexOf(':', lexer.at) + 1;
    return;
  }
  if (lexer.followedBy(EQUALS, name.length)) lexer.add('constant', name.length);
  else if (name.startsWith('.')) {
    lexer.directive = name.toLowerCase();
    if (lexer.directive === '.intel_syntax') lexer.syntax = 'intel';
    if (lexer.directive === '.att_syntax') lexer.syntax = 'att';
    const code = /^\.code(16|32|64)$/.exec(lexer.directive);
    if (code) lexer.bits = Number(code[1]) as CodeBits;
    lexer.add('directive', name.length);
  } else if (PREFIXES[name.toLowerCase()] !== undefined) return lexer.add('prefix', name.length);
  else lexer.add('mnemonic', name.length);
  lexer.atStart = false;
}

function operand(lexer: Lexer, character: string): void {
  switch (character) {
    case '%': {
      const register = lexer.match(REGISTER);
      if (register) return lexer.add('register', register.length, register.slice(1).toLowerCase().replace(/\s+/g, ''));
      break;
    }
    case '"':
      return lexer.add('string', lexer.match(STRING)!.length);
    case "'": {
      const constant = lexer.match(CHARACTER);
      if (constant) return lexer.add('number', constant.length);
      break;
    }
    case '\\': {
      const parameter = lexer.match(PARAMETER);
      if (parameter) return lexer.add('parameter', parameter.length, parameter.slice(1));
      break;
    }
    case '$':
      // AT&T: the sign of an immediate, not a part of the name after it.
      if (lexer.syntax === 'att') {
        lexer.at++;
        return;
      }
      break;
    case '@': {
      lexer.at++;
      const modifier = lexer.match(NAME);
      if (modifier) lexer.add('modifier', modifier.length);
      return;
    }
  }
  const number = lexer.match(LOCAL) ?? lexer.match(NUMBER);
  if (number)
    return lexer.add(/[bf]$/.test(number) && !/^0x/i.test(number) ? 'localReference' : 'number', number.length);
  const name = lexer.match(NAME);
  if (!name) {
    lexer.at++;
    return;
  }
  lexer.add(kindOfName(lexer, name), name.length);
  lexer.names++;
}

function kindOfName(lexer: Lexer, name: string): TokenKind {
  const { directive, names, syntax } = lexer;
  if (directive === '') {
    if (syntax === 'att') return 'symbol';
    if (REGISTERS.has(name.toLowerCase())) return 'register';
    return SIZE_WORDS.test(name) ? 'word' : 'symbol';
  }
  if (lexer.parameters.has(name)) return 'macroParameter';
  if (/^#(undef|ifdef|ifndef|if|elif)$/.test(directive)) return name === 'defined' ? 'word' : 'symbol';
  if (directive === '#define' && names > 0 && REGISTERS.has(name.toLowerCase()) && syntax === 'intel')
    return 'register';
  if (directive === '.macro') return names === 0 ? 'macro' : /^(req|vararg)$/i.test(name) ? 'word' : 'macroParameter';
  if (directive === '.irp' || directive === '.irpc') return names === 0 ? 'macroParameter' : 'symbol';
  if (directive === '.purgem') return 'macro';
  if (DEFINES_CONSTANT.has(directive) && names === 0) return 'constant';
  if (WITHOUT_SYMBOLS.has(directive) || directive.startsWith('.cfi_')) return 'word';
  return name === '.' ? 'word' : 'symbol';
}
