/** Contents of sections after layout, and what only a linker can fill in (System V ABI, AMD64 supplement, 4.4). */
import { littleEndian } from '../elf/bytes.ts';
import { R, SHF, SHT } from '../elf/constants.ts';
import { isConstant, reduce } from './expression.ts';
import type { Reduced } from './expression.ts';
import { distanceAfterLayout, jumpSize, leb128, nops } from './layout.ts';
import { AssemblyError } from './model.ts';
import type { AssemblySymbol, Fixup, Fragment, Modifier, Position, Section } from './model.ts';
import { localLabelNumber, offsetOf, sectionOf } from './sections.ts';

export interface Relocation {
  /** Bytes from the section's start. */
  readonly offset: number;
  readonly type: number;
  /** A local label is its section's symbol, with the label's offset in the addend. */
  readonly symbol: AssemblySymbol | Section;
  readonly addend: bigint;
}

export interface Contents {
  readonly bytes: Uint8Array;
  readonly relocations: Relocation[];
}

export type ReportAt = (position: Position, message: string) => void;

/** Bytes and relocations of a section. */
export function contentsOf(section: Section, report: ReportAt): Contents {
  const relocations: Relocation[] = [];
  // A section that is too large has been reported and has no size.
  if (section.type === SHT.nobits || section.size === 0) return { bytes: new Uint8Array(), relocations };
  const bytes = new Uint8Array(section.size);
  for (const { fragments } of section.parts)
    for (const fragment of fragments) write(fragment, fragment.at, section, bytes, relocations, report);
  return { bytes, relocations };
}

function write(
  fragment: Fragment,
  at: number,
  section: Section,
  bytes: Uint8Array,
  relocations: Relocation[],
  report: ReportAt,
): void {
  const fill = (fixup: Fixup): void => {
    try {
      const relocation = resolve(fixup, at, section, bytes, fragment.kind === 'jump');
      if (relocation) relocations.push(relocation);
    } catch (error) {
      if (!(error instanceof AssemblyError)) throw error;
      report(fixup.position, error.message);
    }
  };
  switch (fragment.kind) {
    case 'data':
      bytes.set(fragment.bytes, at);
      fragment.fixups.forEach(fill);
      return;
    case 'jump':
      return fill(writeJump(fragment, at, bytes));
    case 'align':
      return writeAlignment(fragment, at, bytes);
    case 'fill':
      for (let i = 0; i < fragment.size; i++)
        bytes[at + i] =
          i % fragment.width < 8 ? Number((fragment.value >> BigInt(8 * (i % fragment.width))) & 255n) : 0;
      return;
    case 'origin':
      bytes.fill(fragment.value, at, at + fragment.size);
      return;
    case 'leb128': {
      const reduced = reduce(fragment.expression, distanceAfterLayout);
      if (!reduced || !isConstant(reduced)) return;
      const shortest = leb128(reduced.constant, fragment.signed);
      // It may have become shorter than the place that was made for it.
      while (shortest.length < fragment.size) {
        shortest[shortest.length - 1]! |= 0x80;
        shortest.push(fragment.signed && reduced.constant < 0n ? 0x7f : 0);
      }
      bytes.set(shortest, at);
    }
  }
}

function writeJump(fragment: Fragment & { kind: 'jump' }, at: number, bytes: Uint8Array): Fixup {
  const { condition, long, prefixes, target, width, bits, position } = fragment;
  const opcode = long ? (condition < 0 ? [0xe9] : [0x0f, 0x80 | condition]) : [condition < 0 ? 0xeb : 0x70 | condition];
  bytes.set([...prefixes, ...opcode], at);
  const size = long ? width : 1;
  const offset = jumpSize(fragment) - size;
  const kind = bits === 64 ? 'branch' : 'near';
  return { offset, size, kind, base: size, expression: target, position };
}

function writeAlignment(fragment: Fragment & { kind: 'align' }, at: number, bytes: Uint8Array): void {
  const { fill, size, width } = fragment;
  if (fill === undefined) return bytes.set(nops(size, fragment.bits), at);
  // Bytes before the first whole unit are zero.
  const first = size % width;
  for (let i = first; i < size; i++) bytes[at + i] = (fill >>> (8 * ((i - first) % width))) & 255;
}

/** Fills a field, or answers the relocation that will. */
function resolve(
  fixup: Fixup,
  fragmentAt: number,
  section: Section,
  bytes: Uint8Array,
  isJump: boolean,
): Relocation | undefined {
  const offset = fragmentAt + fixup.offset;
  const reduced = reduce(fixup.expression, distanceAfterLayout);
  if (!reduced) throw new AssemblyError('this expression can neither be computed nor left to a linker');
  const isRelative = isRelativeKind(fixup);
  if (!isRelative && isConstant(reduced)) return void put(bytes, offset, fixup, reduced.constant);
  if (isRelative && isResolvable(reduced, section, isJump)) {
    const target = BigInt(offsetOf(reduced.add!)) + reduced.constant;
    return void put(bytes, offset, fixup, target - BigInt(offset + fixup.base));
  }
  const missing = reduced.add && localLabelNumber(reduced.add);
  if (missing !== undefined) throw new AssemblyError(`there is no label \`${missing}:\` after this line`);
  return relocationOf(fixup, reduced, offset, section);
}

/** Jumps within a section are the assembler's; calls and data references of global symbols are left to the linker. */
function isResolvable({ add, subtract, modifier }: Reduced, section: Section, isJump: boolean): boolean {
  if (!add || subtract || modifier || sectionOf(add) !== section || add.type === 'ifunc') return false;
  return isJump ? add.binding !== 'weak' : add.binding === 'local';
}

export const isRelativeKind = ({ kind }: Pick<Fixup, 'kind'>): boolean =>
  kind === 'relative' || kind === 'branch' || kind === 'near';

function put(bytes: Uint8Array, offset: number, { size, kind }: Fixup, value: bigint): void {
  const bits = BigInt(size * 8);
  const least = -(1n << (bits - 1n));
  const most = kind === 'absolute' ? 1n << bits : 1n << (bits - 1n);
  if (value < least || value >= most) {
    const what = isRelativeKind({ kind }) ? 'the target is too far away' : `${value} does not fit`;
    throw new AssemblyError(`${what} (${size} byte${size === 1 ? '' : 's'})`);
  }
  bytes.set(littleEndian(value, size), offset);
}

/** What the linker is to do. */
export function relocationOf(fixup: Fixup, reduced: Reduced, offset: number, section: Section): Relocation {
  const { add, subtract, modifier } = reduced;
  let { constant } = reduced;
  let isRelative = isRelativeKind(fixup);
  if (isRelative) constant -= BigInt(fixup.base);
  if (subtract) {
    if (sectionOf(subtract) !== section || isRelative || !add)
      throw new AssemblyError(
        `the difference of \`${add?.name ?? 0}\` and \`${subtract.name}\` is not known: they stand in different sections`,
      );
    // A symbol minus a place in this section is relative to the field.
    constant += BigInt(offset - offsetOf(subtract));
    isRelative = true;
  }
  const type = typeOf(fixup, modifier, isRelative);
  if (!add) return { offset, type, symbol: ABSOLUTE, addend: constant };
  const keepsSymbol =
    add.binding !== 'local' || !add.fragment || modifier !== undefined || add.type === 'ifunc' || add.type === 'tls';
  // The linker may move the entries of a merged section about.
  const isMerged = isRelative && ((sectionOf(add)?.flags ?? 0) & SHF.merge) !== 0;
  if (keepsSymbol || isMerged) return { offset, type, symbol: add, addend: constant };
  constant += BigInt(offsetOf(add));
  return { offset, type: type === R.PLT32 ? R.PC32 : type, symbol: sectionOf(add)!, addend: constant };
}

/** Stands for no symbol at all: a branch to a number. */
export const ABSOLUTE = { name: '', fragment: undefined } as unknown as AssemblySymbol;

/** By relocation operator; of two, the second is for fields of eight bytes. */
const TYPES: Readonly<Record<Modifier, readonly [number, number?]>> = {
  plt: [R.PLT32],
  gotpcrel: [R.GOTPCREL],
  gottpoff: [R.GOTTPOFF],
  tpoff: [R.TPOFF32, R.TPOFF64],
  dtpoff: [R.DTPOFF32, R.DTPOFF64],
  tlsgd: [R.TLSGD],
  tlsld: [R.TLSLD],
  size: [R.SIZE32, R.SIZE64],
  got: [R.GOT32],
  gotoff: [R.GOTOFF64],
};

function typeOf({ size, kind, relaxable }: Fixup, modifier: Modifier | undefined, isRelative: boolean): number {
  if (modifier === 'gotpcrel' && relaxable) return relaxable === 'rex' ? R.REX_GOTPCRELX : R.GOTPCRELX;
  if (modifier) {
    const [type, wide] = TYPES[modifier];
    return size === 8 ? (wide ?? type) : type;
  }
  if (kind === 'branch' && size === 4) return R.PLT32;
  if (isRelative) return { 1: R.PC8, 2: R.PC16, 4: R.PC32, 8: R.PC64 }[size];
  if (kind === 'signed' && size === 4) return R['32S'];
  return { 1: R[8], 2: R[16], 4: R[32], 8: R[64] }[size];
}
