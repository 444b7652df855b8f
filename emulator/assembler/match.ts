/** Which row of the instruction table a mnemonic with its operands means, as GNU as would choose. */
import { usesStack } from '../cpu/table/legacy.ts';
import type { OpcodeRow } from '../cpu/table/row.ts';
import { encode } from './encode.ts';
import type { Choice, Encoded } from './encode.ts';
import { number } from './expression.ts';
import { AssemblyError } from './model.ts';
import type { AssemblyOperand, CodeBits, Expression } from './model.ts';
import { sizesOf } from './mnemonics.ts';
import type { Candidate, Syntax } from './mnemonics.ts';
import { GPR_BYTES, SEGMENTS } from './registers.ts';

type Operands = readonly (AssemblyOperand | undefined)[];

/** How instructions are written, and for which mode. */
export interface Dialect {
  readonly syntax: Syntax;
  readonly bits: CodeBits;
}

export interface Selected {
  readonly choice: Choice;
  readonly encoded: Encoded;
  /** Nothing said what the operand size is: it is that of the mode, at most 32 bits. */
  readonly isGuess: boolean;
}

const FIXED: Readonly<Record<string, string>> = { AL: 'al', AX: 'ax', CL: 'cl', DX: 'dx', xmm0: 'xmm0', st0: 'st' };
const ACCUMULATOR: Readonly<Record<number, string>> = { 1: 'al', 2: 'ax', 4: 'eax', 8: 'rax' };
const WIDTHS: Readonly<Record<string, number>> = { b: 1, w: 2, d: 4, q: 8, t: 10 };

/** Operand codes that need not be written. */
const IMPLICIT = new Set(['xmm0', 'X', 'Y', 'Xbx', 'Xdi', '1', 'Kx', 'Kqq']);
/** x87 instructions that may leave out ST(1). */
const SECOND_OF_STACK = /^f(add|mul|sub|subr|div|divr)p$|^fu?comp?p?$|^fxch$/;

/** Bytes of a general register or memory operand. */
function widthOf(code: string, size: number): number | undefined {
  const letter = code[1];
  if (code.endsWith('qq')) return 32;
  if (letter === 'v' || letter === 'y') return size;
  if (letter === 'z') return Math.min(size, 4);
  if (code === 'Wss') return 4;
  if (code === 'Wsd') return undefined;
  if (letter === 'x') return code === 'Mx' ? undefined : 16;
  if (code === 'Mdq') return 16;
  return letter === undefined ? undefined : WIDTHS[letter];
}

function immediateFits(code: string, size: number, value: bigint | undefined): boolean {
  const within = (least: bigint, most: bigint): boolean => value === undefined || (value >= least && value <= most);
  switch (code) {
    case '1':
      return value === 1n;
    case 'Ib':
      return within(-128n, 255n);
    case 'Iw':
      return within(-0x8000n, 0xffffn);
    case 'Ibs': {
      if (size === 1) return within(-128n, 255n);
      if (value === undefined) return false;
      const bits = (size || 8) * 8;
      if (value < -(1n << BigInt(bits - 1)) || value >= 1n << BigInt(bits)) return false;
      // FFFF... is -1.
      const wrapped = BigInt.asIntN(bits, value);
      return wrapped >= -128n && wrapped <= 127n;
    }
    case 'Iz':
      if (size === 2) return within(-0x8000n, 0xffffn);
      if (size === 8 && value !== undefined && value >= 1n << 63n)
        return value >= 0xffff_ffff_8000_0000n && value < 1n << 64n;
      return size === 8 ? within(-0x8000_0000n, 0x7fff_ffffn) : within(-0x8000_0000n, 0xffff_ffffn);
    default:
      return size === 2
        ? within(-0x8000n, 0xffffn)
        : size === 4
          ? within(-0x8000_0000n, 0xffff_ffffn)
          : within(-(1n << 63n), (1n << 64n) - 1n);
  }
}

/** Instructions that take the low 16 bits of a register written in any width. */
function readsSelector({ system, op }: OpcodeRow): boolean {
  return system === true && op !== 'arpl';
}

function fits(row: OpcodeRow, code: string, operand: AssemblyOperand, size: number, syntax: Syntax): boolean {
  const isIndirect = /^(call|jmp)_(far|indirect)$/.test(row.op) && row.operands![0] !== 'Iv';
  if (syntax === 'att' && operand.indirect !== undefined && operand.indirect !== isIndirect) return false;
  switch (operand.kind) {
    case 'immediate':
      if (code[0] !== 'I' && code !== '1') return false;
      return immediateFits(code, size, operand.value.kind === 'number' ? operand.value.value : undefined);
    case 'target':
      return code === 'Jb' || code === 'Jz';
    case 'memory': {
      if (code === 'DX') return operand.base?.name === 'dx';
      if (code.startsWith('O')) return !operand.base && !operand.index;
      if (!/^([EMWQX](?!S)|Y$)/.test(code)) return false;
      const vectorIndex = operand.index && !GPR_BYTES[operand.index.class] ? operand.index.class : undefined;
      const wantedIndex = code === 'Mx' ? (row.operands!.includes('Kqq') ? 'ymm' : 'xmm') : undefined;
      if (vectorIndex !== wantedIndex) return false;
      const width = code === 'Wsd' ? row.sizes![0] : widthOf(code, size);
      return (
        operand.size === undefined ||
        width === undefined ||
        operand.size === width ||
        (code === 'Ed' && size === 4 && row.sizes!.length === 1)
      );
    }
    case 'register': {
      const { register } = operand;
      const bytes = GPR_BYTES[register.class];
      const fixed = FIXED[code];
      if (fixed !== undefined) return register.name === fixed || (code === 'st0' && register.name === 'st(0)');
      if (code === 'rAX' || code === 'eAX') return register.name === ACCUMULATOR[size];
      if (SEGMENTS.includes(code.toLowerCase() as 'es')) return register.name === code.toLowerCase();
      if (code === 'Sw') return register.class === 'segment';
      if (code === 'sti') return register.class === 'st';
      if (code === 'Cy') return register.class === 'control';
      if (code === 'Dy') return register.class === 'debug';
      if (/^[EGZBR]/.test(code)) {
        const width = widthOf(code, size);
        if (bytes === width) return true;
        // The upper half is zero in any case.
        if (code === 'Gd' || code === 'Ed')
          return (
            bytes === 8 &&
            row.prefix !== undefined &&
            !/^crc32/.test(row.op) &&
            row.operands!.some((other) => /^[VUN]/.test(other))
          );
        return code === 'Ew' && bytes > 2 && readsSelector(row);
      }
      if (/^[PN]|^Q/.test(code)) return register.class === 'mmx';
      if (/^[VWUHL]/.test(code)) return register.class === (code.endsWith('qq') ? 'ymm' : 'xmm');
      return false;
    }
  }
}

/** The operands written, at the row's places; undefined if their number cannot be right. */
function assigned({ row, immediate }: Candidate, written: readonly AssemblyOperand[]): Operands | undefined {
  const codes = row.operands ?? [];
  const implied: AssemblyOperand | undefined =
    immediate === undefined ? undefined : { kind: 'immediate', value: number(immediate), start: 0, end: 0 };
  const fill = (isLeftOut: (code: string) => boolean): Operands | undefined => {
    let next = 0;
    const operands = codes.map((code) =>
      implied && code === 'Ib' ? implied : isLeftOut(code) ? undefined : written[next++],
    );
    return next === written.length ? operands : undefined;
  };
  if (row.op === 'imul3' && written.length === 2) return [written[0], written[0], written[1]];
  const all = fill(() => false);
  if (all) return all;
  const without = fill((code) => IMPLICIT.has(code) || (code === 'CL' && /^sh[lr]d$/.test(row.op)));
  if (without) return without;
  if (!codes.includes('sti')) return undefined;
  if (written.length === 0) return SECOND_OF_STACK.test(row.op) ? codes.map(() => undefined) : undefined;
  return fill((code) => code === 'st0');
}

/** In AT&T syntax FSUB and FSUBR, FDIV and FDIVR with a destination other than ST change places (GNU as manual, "i386-Bugs"). */
function isSwapped({ row }: Candidate, syntax: Syntax): boolean {
  return syntax === 'att' && /^f(sub|div)r?p?$/.test(row.op) && row.operands![0] === 'sti';
}
const SWAPPED: Readonly<Record<string, string>> = { E0: 'E8', E8: 'E0', F0: 'F8', F8: 'F0' };
const swappedRows = new Map<OpcodeRow, OpcodeRow>();
function swapped(row: OpcodeRow): OpcodeRow {
  let other = swappedRows.get(row);
  if (!other) {
    const encoding = row.encoding.replace(/ (..)\+i/, (_, modrm: string) => ` ${SWAPPED[modrm]}+i`);
    swappedRows.set(row, (other = { ...row, encoding }));
  }
  return other;
}

/** A choice, and what it was made of: enough to make it again of other operands of the same shape. */
interface Possible {
  readonly choice: Choice;
  readonly candidate: Candidate;
  readonly size: number;
  /** The two operands were taken in the other order. */
  readonly isExchanged: boolean;
}

/** Sizes that a candidate may have with these operands. */
function* choices(
  candidate: Candidate,
  written: readonly AssemblyOperand[],
  dialect: Dialect,
  prefixes: readonly number[],
  isExchanged = false,
): Generator<Possible> {
  const operands = assigned(candidate, written);
  if (!operands) return;
  const codes = candidate.row.operands ?? [];
  for (const size of sizesOf(candidate.row, dialect.bits)) {
    if (candidate.size !== undefined && candidate.size !== size) continue;
    const isFit = operands.every(
      (operand, index) => operand === undefined || fits(candidate.row, codes[index]!, operand, size, dialect.syntax),
    );
    if (!isFit) continue;
    const choice = choiceOf(candidate, size, operands, dialect, prefixes);
    yield { choice, candidate, size, isExchanged };
  }
}

function choiceOf(
  candidate: Candidate,
  size: number,
  operands: Operands,
  { syntax, bits }: Dialect,
  prefixes: readonly number[],
): Choice {
  const row = isSwapped(candidate, syntax) ? swapped(candidate.row) : candidate.row;
  const { condition = 0 } = candidate;
  return { row, size: selectorSize(row, size, operands, bits), operands, condition, prefixes, bits };
}

/** SLDT, STR and MOV from a segment register store 16 bits to memory and clear the upper ones of any wider register, so that no prefix is needed; SMSW to memory likewise. */
function selectorSize({ op }: OpcodeRow, size: number, [operand]: Operands, bits: CodeBits): number {
  if (operand?.kind === 'memory' && /^(sldt|str|smsw|mov_from_segment)$/.test(op)) return bits === 16 ? 2 : 4;
  return size === 8 && /^(sldt|str|mov_from_segment)$/.test(op) ? 4 : size;
}

/** Two operands that may be written in either order. */
const COMMUTES = /^(test|xchg)[bwlq]?$/;

/** What was chosen for operands of a shape; the bytes too if no symbol is among them. */
interface Remembered extends Omit<Possible, 'choice'> {
  readonly isGuess: boolean;
  readonly encoded: Encoded | undefined;
}

const remembered = new Map<string, Remembered>();
/** Shapes kept; sources have some thousands. */
const MOST_REMEMBERED = 50_000;

const shapeOfExpression = (expression: Expression | undefined): string =>
  expression === undefined ? '' : expression.kind === 'number' ? String(expression.value) : '?';

/** All of an operand that the choice depends on; `?` stands for symbols. */
function shapeOfOperand(operand: AssemblyOperand): string {
  const star = operand.indirect ? '*' : '';
  switch (operand.kind) {
    case 'register':
      return `${star}%${operand.register.name}`;
    case 'immediate':
      return `$${shapeOfExpression(operand.value)}`;
    case 'target':
      return `>${shapeOfExpression(operand.target)}`;
    case 'memory': {
      const { segment = '', base, index, scale, displacement, size = '' } = operand;
      return `${star}${size}:${segment}:${shapeOfExpression(displacement)}(${base?.name},${index?.name},${scale}`;
    }
  }
}

/**
 * The shortest encoding that fits; among equal ones the first of the table, and one with a byte immediate before others.
 * @param written operands in Intel order
 */
export function select(
  mnemonic: string,
  candidates: readonly Candidate[],
  written: readonly AssemblyOperand[],
  dialect: Dialect,
  prefixes: readonly number[],
): Selected {
  let shape = `${dialect.syntax === 'att' ? '' : '!'}${dialect.bits}${mnemonic} ${prefixes.join()}`;
  for (const operand of written) shape += ` ${shapeOfOperand(operand)}`;
  const known = remembered.get(shape);
  if (known) {
    const ordered = known.isExchanged ? [written[1]!, written[0]!] : written;
    const choice = choiceOf(known.candidate, known.size, assigned(known.candidate, ordered)!, dialect, prefixes);
    return { choice, encoded: known.encoded ?? encode(choice), isGuess: known.isGuess };
  }
  const { possible, encoded, isGuess } = search(mnemonic, candidates, written, dialect, prefixes);
  const { choice, candidate, size, isExchanged } = possible;
  if (remembered.size >= MOST_REMEMBERED) remembered.clear();
  remembered.set(shape, { candidate, size, isExchanged, isGuess, encoded: shape.includes('?') ? undefined : encoded });
  return { choice, encoded, isGuess };
}

interface Found {
  readonly possible: Possible;
  readonly encoded: Encoded;
  readonly isGuess: boolean;
}

function search(
  mnemonic: string,
  candidates: readonly Candidate[],
  written: readonly AssemblyOperand[],
  dialect: Dialect,
  prefixes: readonly number[],
): Found {
  const found = candidates.flatMap((candidate) => [...choices(candidate, written, dialect, prefixes)]);
  if (written.length === 2 && COMMUTES.test(mnemonic)) {
    const other = [written[1]!, written[0]!];
    found.push(...candidates.flatMap((candidate) => [...choices(candidate, other, dialect, prefixes, true)]));
  }
  if (found.length === 0) throw new AssemblyError(mismatch(mnemonic, candidates, written));
  const { choices: sized, isGuess } = withDefaultSize(found, dialect.bits);
  let best: Found | undefined;
  let refused: AssemblyError | undefined;
  for (const possible of sized) {
    const { choice } = possible;
    if (isExchangeOfAccumulator(choice)) continue;
    try {
      const encoded = encode(choice);
      const isShorter = !best || cost(choice, encoded) < cost(best.possible.choice, best.encoded);
      const isPreferred =
        best !== undefined &&
        cost(choice, encoded) === cost(best.possible.choice, best.encoded) &&
        choice.row.operands!.includes('Ibs') &&
        !best.possible.choice.row.operands!.includes('Ibs');
      if (isShorter || isPreferred) best = { possible, encoded, isGuess };
    } catch (error) {
      if (!(error instanceof AssemblyError)) throw error;
      refused = error;
    }
  }
  if (!best) throw refused ?? new AssemblyError(mismatch(mnemonic, candidates, written));
  return best;
}

/** Bytes; of two equally long vector moves the one that does without REX.W or VEX.W. */
function cost({ row, size, operands }: Choice, { bytes }: Encoded): number {
  const isWide = size === 8 && (row.sizes ?? []).length > 1;
  const isVector = operands.some((operand) => operand?.kind === 'register' && /mm/.test(operand.register.class));
  return isWide && isVector ? bytes.length + 0.5 : bytes.length;
}

/** 90 is NOP, so XCHG EAX, EAX (which clears the upper half) has another encoding. */
function isExchangeOfAccumulator({ row, size, operands, bits }: Choice): boolean {
  const [first] = operands;
  return (
    bits === 64 && row.encoding === '90+r' && size === 4 && first?.kind === 'register' && first.register.number === 0
  );
}

/** Rows whose operand size a suffix or a register must give. */
function isSized({ row }: Choice): boolean {
  return (row.sizes ?? []).length > 1 || (row.operands ?? []).some((code) => /^[EGM]b$|^[XY]$/.test(code));
}

/** Where neither a register nor a suffix gives the size: the instruction's default. */
function withDefaultSize(
  found: readonly Possible[],
  bits: CodeBits,
): {
  readonly choices: readonly Possible[];
  readonly isGuess: boolean;
} {
  const sizes = new Set(found.map(({ choice }) => choice.size));
  if (sizes.size < 2 || !found.every(({ choice }) => isSized(choice))) return { choices: found, isGuess: false };
  if (found.every(({ choice }) => choice.row.default64))
    return { choices: found.filter(({ choice }) => choice.size === 8), isGuess: false };
  const standard = bits === 16 ? 2 : 4;
  const choices = found.filter(({ choice }) => choice.size === standard);
  const isOneSize = found.every(
    ({ choice: { row } }) =>
      row.system ??
      (row.branch !== undefined || usesStack(row.op) || row.prefix !== undefined || row.op.startsWith('f')),
  );
  return { choices: choices.length > 0 ? choices : found, isGuess: !isOneSize };
}

function mismatch(mnemonic: string, candidates: readonly Candidate[], written: readonly AssemblyOperand[]): string {
  const counts = [
    ...new Set(candidates.map(({ row }) => (row.operands ?? []).filter((code) => !IMPLICIT.has(code)).length)),
  ];
  if (!counts.includes(written.length)) {
    const wanted = counts.sort().join(' or ');
    return `\`${mnemonic}\` takes ${wanted} operand${wanted === '1' ? '' : 's'}, not ${written.length}`;
  }
  const kinds = written.map((operand) => (operand.kind === 'register' ? operand.register.name : KINDS[operand.kind]));
  const immediate = written.find((operand) => operand.kind === 'immediate');
  if (
    immediate?.value.kind === 'number' &&
    candidates.some(({ row }) => (row.operands ?? []).some((code) => code.startsWith('I')))
  )
    return `\`${mnemonic}\` does not take these operands (${kinds.join(', ')}); the immediate may be too large`;
  return `\`${mnemonic}\` does not take these operands (${kinds.join(', ')})`;
}
const KINDS = { memory: 'memory', immediate: 'immediate', target: 'label' } as const;
