/** What the parts of the assembler hand each other: positions, symbols, sections, fragments, operands. */
import type { Register } from './registers.ts';

/** Where something stands in a source: lines and columns count from 0, columns in UTF-16 units. */
export interface Position {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly length: number;
}

export interface Diagnostic extends Position {
  readonly severity: 'error' | 'warning';
  readonly message: string;
}

/** What is wrong with one statement. Caught by the driver, which goes on with the next one. No `Error`: a stack trace would cost more than the statement. */
export class AssemblyError {
  constructor(
    readonly message: string,
    /** Part of the statement's text, if only that is at fault. */
    readonly range?: { readonly start: number; readonly end: number },
  ) {}
}

/** Which code is assembled: `.code16`, `.code32`, `.code64`. */
export type CodeBits = 16 | 32 | 64;

/** How a relocation operator (`sym@PLT`) changes the meaning of a symbol. */
export type Modifier =
  'plt' | 'gotpcrel' | 'gottpoff' | 'tpoff' | 'dtpoff' | 'tlsgd' | 'tlsld' | 'size' | 'got' | 'gotoff';

export type UnaryOperator = '-' | '~' | '!';
export type BinaryOperator =
  | '+' | '-' | '*' | '/' | '%' | '<<' | '>>' | '&' | '|' | '^' | '!'
  | '==' | '!=' | '<' | '<=' | '>' | '>=' | '&&' | '||'; // prettier-ignore

export type Expression =
  | { readonly kind: 'number'; readonly value: bigint }
  | { readonly kind: 'symbol'; readonly symbol: AssemblySymbol; readonly modifier?: Modifier }
  | { readonly kind: 'unary'; readonly operator: UnaryOperator; readonly of: Expression }
  | {
      readonly kind: 'binary';
      readonly operator: BinaryOperator;
      readonly left: Expression;
      readonly right: Expression;
    };

/** A symbol. It is one object for the whole assembly; where it stands becomes known later. */
export interface AssemblySymbol {
  readonly name: string;
  /** A label's place. */
  fragment: Fragment | undefined;
  /** Bytes from the fragment's start. */
  offset: number;
  /** What `.set` made it. */
  expression: Expression | undefined;
  binding: 'local' | 'global' | 'weak';
  type: 'none' | 'object' | 'function' | 'tls' | 'ifunc';
  visibility: 'default' | 'internal' | 'hidden' | 'protected';
  size: Expression | undefined;
  /** `.comm`: bytes and alignment in bytes. */
  common: { readonly size: bigint; readonly alignment: bigint } | undefined;
  /** First definition, for messages and the language server. */
  definition: Position | undefined;
  referenced: boolean;
}

/** A number to be filled in when addresses are known. */
export interface Fixup {
  /** Bytes from the fragment's start. */
  readonly offset: number;
  readonly size: 1 | 2 | 4 | 8;
  /** `relative`: to the address of the byte `base` bytes after the field's start. `signed`: absolute, sign-extended by its user. `branch`: relative, of a call or jump; `near`: the same of 16- and 32-bit code. */
  readonly kind: 'absolute' | 'signed' | 'relative' | 'branch' | 'near';
  readonly base: number;
  readonly expression: Expression;
  /** A linker may turn the instruction's use of the global offset table into a direct one; whether it has a REX prefix. */
  readonly relaxable?: 'rex' | 'plain' | undefined;
  readonly position: Position;
}

/** What every fragment has. */
interface Placed {
  /** Bytes from the section's start, after layout. */
  at: number;
  readonly part: Subsection;
  /** Number within its subsection. */
  readonly index: number;
  /** Number within its section; set by the layout. */
  order: number;
}

export type Fragment = Placed &
  (
    | { readonly kind: 'data'; bytes: number[]; readonly fixups: Fixup[] }
    /** A jump that is short if it can be. `condition` -1: JMP. `width`: bytes of its displacement otherwise. */
    | { readonly kind: 'jump'; readonly condition: number; readonly bits: CodeBits; readonly width: 2 | 4; readonly prefixes: readonly number[]; readonly target: Expression; long: boolean; readonly position: Position }
    | { readonly kind: 'align'; readonly to: number; readonly fill: number | undefined; readonly width: 1 | 2 | 4 | 8; readonly most: number; readonly bits?: CodeBits; size: number }
    | { readonly kind: 'leb128'; readonly signed: boolean; readonly expression: Expression; size: number; readonly position: Position }
    /** `count` times the value in `width` bytes. */
    | { readonly kind: 'fill'; readonly count: Expression; readonly width: number; readonly value: bigint; size: number; readonly position: Position }
    | { readonly kind: 'origin'; readonly to: Expression; readonly value: number; size: number; readonly position: Position }
  ); // prettier-ignore

/** A row of the line table: an instruction at this place belongs to this line. */
export interface LineMark {
  readonly fragment: Fragment;
  readonly offset: number;
  /** Lines count from 1. */
  readonly line: number;
  readonly file: number;
  readonly column: number;
  readonly isStatement: boolean;
  readonly isa: number;
  readonly basicBlock: boolean;
  readonly prologueEnd: boolean;
  readonly epilogueBegin: boolean;
  readonly discriminator: number;
  /** Its view number is 0 even where the row before it has the same address. */
  readonly restart: boolean;
}

/** Sections are written in parts; those with higher numbers follow. */
export interface Subsection {
  readonly section: Section;
  readonly number: number;
  readonly fragments: Fragment[];
}

export interface Section {
  readonly name: string;
  /** SHF_* bits. */
  flags: number;
  /** SHT_* number. */
  type: number;
  entrySize: number;
  /** COMDAT group it belongs to. */
  group: string | undefined;
  alignment: number;
  /** In the order of their numbers. */
  readonly parts: Subsection[];
  size: number;
  readonly lines: LineMark[];
}

export interface MemoryReference {
  readonly kind: 'memory';
  /** ES CS SS DS FS GS as 0..5, if written. */
  readonly segment: number | undefined;
  readonly base: Register | undefined;
  readonly index: Register | undefined;
  readonly scale: 1 | 2 | 4 | 8;
  readonly displacement: Expression | undefined;
  /** Bytes, where the syntax says so (`dword ptr`). */
  readonly size?: number;
}

export type AssemblyOperand = (
  | { readonly kind: 'register'; readonly register: Register }
  | { readonly kind: 'immediate'; readonly value: Expression }
  | MemoryReference
  | { readonly kind: 'target'; readonly target: Expression }
) & {
  /** `*` of AT&T syntax: through a register or memory. */
  readonly indirect?: boolean;
  /** Part of the statement's text. */
  readonly start: number;
  readonly end: number;
};
