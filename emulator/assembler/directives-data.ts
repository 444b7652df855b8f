/** Directives that write data and space. */
import { littleEndian } from '../elf/bytes.ts';
import { SHF } from '../elf/constants.ts';
import type { Assembler } from './assembler.ts';
import type { Cursor } from './cursor.ts';
import type { Directive } from './directives.ts';
import { isConstant, parseExpression, reduce } from './expression.ts';
import { AssemblyError } from './model.ts';
import { positionOf } from './source.ts';
import type { Statement } from './source.ts';
import { fixedDistance } from './sections.ts';
import { f32Bytes, f64Bytes, f80Bytes } from './floats.ts';
import { leb128 } from './layout.ts';

const TOO_LARGE = 'this would make the section larger than 1 GB';

function list(cursor: Cursor, one: () => void): void {
  if (cursor.done) return;
  do one();
  while (cursor.take(','));
  cursor.end();
}

function integers(size: 1 | 2 | 4 | 8): Directive {
  return (assembler, cursor, statement) => {
    list(cursor, () => {
      cursor.skip();
      const start = cursor.at;
      const expression = parseExpression(cursor, assembler);
      if (expression.kind === 'number') {
        checkRange(cursor, expression.value, size, start);
        return assembler.sections.bytes(littleEndian(expression.value, size));
      }
      const reduced = reduce(expression, fixedDistance);
      if (reduced && isConstant(reduced)) return assembler.sections.bytes(littleEndian(reduced.constant, size));
      assembler.sections.fixup({ size, kind: 'absolute', base: 0, expression, position: positionOf(statement) });
    });
  };
}
function checkRange(cursor: Cursor, value: bigint, size: number, start: number): void {
  const bits = BigInt(size * 8);
  if (value < -(1n << bits) || value >= 1n << bits)
    cursor.fail(`${value} does not fit in ${size} byte${size === 1 ? '' : 's'}`, start);
}

function strings(terminated: boolean): Directive {
  return (assembler, cursor) =>
    list(cursor, () => {
      const bytes = cursor.string();
      while (cursor.peek() === '"') bytes.push(...cursor.string());
      assembler.sections.bytes(terminated ? [...bytes, 0] : bytes);
    });
}

function floats(bytesOf: (value: string) => number[]): Directive {
  return (assembler, cursor) => list(cursor, () => assembler.sections.bytes(bytesOf(float(cursor))));
}
/** A number as the source has it. */
function float(cursor: Cursor): string {
  cursor.skip();
  const text = /^(0[a-z])?([-+]?(\d+\.?\d*(e[-+]?\d+)?|\.\d+(e[-+]?\d+)?|inf(inity)?|s?nan))/i.exec(
    cursor.text.slice(cursor.at),
  );
  if (!text) return cursor.fail('expected a floating-point number');
  cursor.at += text[0].length;
  return text[2]!;
}

/** `.align` in bytes on ELF for x86. */
function align(assembler: Assembler, cursor: Cursor, isPower: boolean, width: 1 | 2 | 4): void {
  const start = cursor.at;
  const value = cursor.done ? 0n : assembler.absolute(cursor);
  if (isPower && (value < 0n || value > 30n)) cursor.fail('the power of two of an alignment is 0 to 30', start);
  const to = isPower ? 1n << value : value || 1n;
  if (to <= 0n || (to & (to - 1n)) !== 0n || to > 1n << 30n) cursor.fail('an alignment is a power of two', start);
  let fill: number | undefined;
  let most = Infinity;
  if (cursor.take(',')) {
    if (cursor.peek() !== ',' && !cursor.done) fill = Number(BigInt.asUintN(width * 8, assembler.absolute(cursor)));
    if (cursor.take(',')) most = Number(assembler.absolute(cursor));
  }
  cursor.end();
  const { section } = assembler.sections.current;
  if (to === 1n) return;
  const isCode = (section.flags & SHF.execute) !== 0;
  // In code 90 means "no-operations".
  if (isCode && fill === 0x90) fill = undefined;
  section.alignment = Math.max(section.alignment, Number(to));
  assembler.sections.add({
    kind: 'align',
    to: Number(to),
    fill: fill ?? (isCode ? undefined : 0),
    width,
    most: most === 0 ? Infinity : most,
    bits: assembler.bits,
    size: 0,
  });
}

/** So many values of a width, 0 if none is named. */
function cells(width: number): Directive {
  return (assembler, cursor, statement) => {
    const count = parseExpression(cursor, assembler);
    const value = cursor.take(',') ? assembler.absolute(cursor) : 0n;
    cursor.end();
    fill(assembler, statement, count, width, value);
  };
}
const space = cells(1);

function floatCells(bytesOf: (value: string) => number[]): Directive {
  return (assembler, cursor) => {
    const count = Number(assembler.absolute(cursor));
    const one = bytesOf(cursor.take(',') ? float(cursor) : '0');
    cursor.end();
    const total = Math.max(0, count) * one.length;
    if (total > 1 << 30) throw new AssemblyError(TOO_LARGE);
    assembler.sections.bytes(Array.from({ length: total }, (_, index) => one[index % one.length]!));
  };
}

function fill(
  assembler: Assembler,
  statement: Statement,
  count: ReturnType<typeof parseExpression>,
  width: number,
  value: bigint,
): void {
  const reduced = reduce(count, fixedDistance);
  if (reduced && isConstant(reduced)) {
    if (reduced.constant < 0n) throw new AssemblyError('the size is negative');
    if (reduced.constant * BigInt(width) > 1n << 30n) throw new AssemblyError(TOO_LARGE);
    // Small ones are plain bytes, so that distances over them are known.
    const total = Number(reduced.constant) * width;
    if (total <= 4096) {
      const one = littleEndian(value, width);
      return assembler.sections.bytes(Array.from({ length: total }, (_, index) => one[index % width]!));
    }
  }
  assembler.sections.add({ kind: 'fill', count, width, value, size: 0, position: positionOf(statement) });
}

function leb(signed: boolean): Directive {
  return (assembler, cursor, statement) =>
    list(cursor, () => {
      const expression = parseExpression(cursor, assembler);
      const reduced = reduce(expression, fixedDistance);
      if (reduced && isConstant(reduced)) return assembler.sections.bytes(leb128(reduced.constant, signed));
      assembler.sections.add({ kind: 'leb128', signed, expression, size: 1, position: positionOf(statement) });
    });
}

export const dataDirectives: Readonly<Record<string, Directive>> = {
  byte: integers(1),
  dc: integers(2),
  'dc.a': integers(8),
  'dc.b': integers(1),
  'dc.w': integers(2),
  'dc.l': integers(4),
  'dc.s': floats(f32Bytes),
  'dc.d': floats(f64Bytes),
  'dc.x': floats(f80Bytes),
  ds: cells(2),
  'ds.b': cells(1),
  'ds.w': cells(2),
  'ds.l': cells(4),
  'ds.s': cells(4),
  'ds.d': cells(8),
  'ds.p': cells(10),
  'ds.x': cells(10),
  dcb: cells(2),
  'dcb.b': cells(1),
  'dcb.w': cells(2),
  'dcb.l': cells(4),
  'dcb.s': floatCells(f32Bytes),
  'dcb.d': floatCells(f64Bytes),
  'dcb.x': floatCells(f80Bytes),
  value: integers(2),
  short: integers(2),
  hword: integers(2),
  word: integers(2),
  '2byte': integers(2),
  long: integers(4),
  int: integers(4),
  '4byte': integers(4),
  quad: integers(8),
  '8byte': integers(8),
  xword: integers(8),
  octa: (assembler, cursor) => list(cursor, () => assembler.sections.bytes(littleEndian(wide(cursor), 16))),
  ascii: strings(false),
  asciz: strings(true),
  string: strings(true),
  string8: strings(true),
  float: floats(f32Bytes),
  single: floats(f32Bytes),
  double: floats(f64Bytes),
  tfloat: floats(f80Bytes),
  ldouble: floats(f80Bytes),
  uleb128: leb(false),
  sleb128: leb(true),
  zero: space,
  skip: space,
  space,
  fill: (assembler, cursor, statement) => {
    const count = parseExpression(cursor, assembler);
    const width = cursor.take(',') ? Number(assembler.absolute(cursor)) : 1;
    const value = cursor.take(',') ? assembler.absolute(cursor) : 0n;
    cursor.end();
    fill(assembler, statement, count, Math.min(Math.max(width, 0), 8), BigInt.asUintN(32, value));
  },
  align: (assembler, cursor) => align(assembler, cursor, false, 1),
  balign: (assembler, cursor) => align(assembler, cursor, false, 1),
  balignw: (assembler, cursor) => align(assembler, cursor, false, 2),
  balignl: (assembler, cursor) => align(assembler, cursor, false, 4),
  p2align: (assembler, cursor) => align(assembler, cursor, true, 1),
  p2alignw: (assembler, cursor) => align(assembler, cursor, true, 2),
  p2alignl: (assembler, cursor) => align(assembler, cursor, true, 4),
  org: (assembler, cursor, statement) => {
    const to = parseExpression(cursor, assembler);
    const value = cursor.take(',') ? Number(assembler.absolute(cursor)) : 0;
    cursor.end();
    assembler.sections.add({ kind: 'origin', to, value, size: 0, position: positionOf(statement) });
  },
  nop: (assembler, cursor) => {
    cursor.end();
    assembler.sections.bytes([0x90]);
  },
  incbin: (assembler, cursor, statement) => {
    const start = cursor.at;
    const path = cursor.quoted();
    const bytes = assembler.options.incbin?.(path, statement.file);
    if (!bytes) return cursor.fail(`the file \`${path}\` cannot be read`, start);
    const skip = cursor.take(',') ? Number(assembler.absolute(cursor)) : 0;
    const count = cursor.take(',') ? Number(assembler.absolute(cursor)) : bytes.length - skip;
    cursor.end();
    assembler.sections.bytes([...bytes.subarray(skip, skip + count)]);
  },
};

/** A number of up to 128 bits. */
function wide(cursor: Cursor): bigint {
  const negative = cursor.take('-');
  const value = cursor.number() ?? cursor.fail('expected a number');
  return negative ? -value : value;
}
