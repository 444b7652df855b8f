/** Sizes of everything: jumps as short as they can be, alignment, and the offset of every fragment. */
import { littleEndian } from '../elf/bytes.ts';
import { SHF } from '../elf/constants.ts';
import { isConstant, reduce } from './expression.ts';
import type { Distance } from './expression.ts';
import { AssemblyError } from './model.ts';
import type { CodeBits, Expression, Fragment, Position, Section } from './model.ts';
import { offsetOf, sectionOf } from './sections.ts';

/** Bytes of jumps: JMP rel8, Jcc rel8; JMP rel16 or rel32, Jcc rel16 or rel32. */
export function jumpSize({ long, condition, prefixes, width }: Fragment & { kind: 'jump' }): number {
  return prefixes.length + (long ? (condition < 0 ? 1 : 2) + width : 2);
}

export const distanceAfterLayout: Distance = (from, to) =>
  from.fragment && sectionOf(from) === sectionOf(to) ? BigInt(offsetOf(to) - offsetOf(from)) : undefined;

function value(expression: Expression): number {
  const reduced = reduce(expression, distanceAfterLayout);
  if (!reduced || !isConstant(reduced)) throw new AssemblyError('this must be a number that the assembler can know');
  return Number(reduced.constant);
}

export type Report = (position: Position, message: string) => void;

/** A fragment's bytes as they are now. */
function sizeOf(fragment: Fragment): number {
  switch (fragment.kind) {
    case 'data':
      return fragment.bytes.length;
    case 'jump':
      return jumpSize(fragment);
    default:
      return fragment.size;
  }
}

const MAX_PASSES = 200;

function alignmentGap(to: number, most: number, at: number): number {
  const gap = (to - (at % to)) % to;
  return gap > most ? 0 : gap;
}

const enum Kind {
  Fixed,
  /** A jump that is short as yet. */
  Short,
  Align,
  /** Depends on an expression. */
  Computed,
}
const NOWHERE = -1;
const NOWHERE_IN_SOURCE: Position = { file: '', line: 0, column: 0, length: 1 };

/** Bytes of one gap. */
const LARGEST = 1 << 30;
function bounded(size: number): number {
  if (size > LARGEST) throw new AssemblyError('this would make the section larger than 1 GB');
  return size;
}

function kindOf(fragment: Fragment): Kind {
  switch (fragment.kind) {
    case 'jump':
      return fragment.long ? Kind.Fixed : Kind.Short;
    case 'align':
      return Kind.Align;
    case 'data':
      return Kind.Fixed;
    default:
      return Kind.Computed;
  }
}

/** One section's relaxation: passes over its fragments until nothing grows, in the manner of GNU as, so that the same jumps are short. */
class Relaxation {
  readonly #fragments: readonly Fragment[];
  // By fragment. Plain numbers, since large sections take dozens of passes.
  readonly #kind: Uint8Array;
  readonly #at: Int32Array;
  readonly #size: Int32Array;
  /** Alignments and `.org` before it: a target behind one may not move as far as the jump. */
  readonly #region: Int32Array;
  /** Where a jump goes: fragment and offset. */
  readonly #target: Int32Array;
  readonly #targetOffset: Int32Array;
  #isComputed = false;
  readonly #reported = new Set<Fragment>();

  constructor(
    readonly section: Section,
    readonly report: Report,
  ) {
    this.#fragments = section.parts.flatMap(({ fragments }) => fragments);
    const count = this.#fragments.length;
    this.#kind = new Uint8Array(count);
    this.#at = new Int32Array(count);
    this.#size = new Int32Array(count);
    this.#region = new Int32Array(count);
    this.#target = new Int32Array(count).fill(NOWHERE);
    this.#targetOffset = new Int32Array(count);
  }

  run(): void {
    this.#first();
    for (let pass = 0; pass < MAX_PASSES; pass++) if (!this.#pass()) break;
    this.#writeBack();
    const size = this.#size.reduce((sum, bytes) => sum + bytes, 0);
    this.section.size = size > LARGEST ? 0 : size;
    if (size > LARGEST) this.#tooLarge();
  }
  #tooLarge(): void {
    const filled = this.#fragments.find((fragment) => fragment.kind === 'fill' || fragment.kind === 'origin');
    const position = filled ? (filled as Fragment & { kind: 'fill' }).position : NOWHERE_IN_SOURCE;
    this.report(position, `section ${this.section.name} would be larger than 1 GB`);
  }
  /** Jumps that leave the section are long from the first pass on, as GNU as has them: passes are not started by them. */
  #first(): void {
    this.#place();
    let isLong = false;
    for (const fragment of this.#fragments) {
      if (fragment.kind !== 'jump') continue;
      this.#aim(fragment);
      if (this.#target[fragment.order] === NOWHERE) isLong = fragment.long = true;
    }
    if (isLong) this.#place();
  }
  #place(): void {
    let region = 0;
    let at = 0;
    this.#fragments.forEach((fragment, order) => {
      fragment.order = order;
      this.#region[order] = region;
      const { kind } = fragment;
      if (kind === 'align') fragment.size = alignmentGap(fragment.to, fragment.most, at);
      if (kind === 'align' || kind === 'origin') region++;
      this.#kind[order] = kindOf(fragment);
      this.#isComputed ||= this.#kind[order] === Kind.Computed;
      this.#at[order] = fragment.at = at;
      at += this.#size[order] = sizeOf(fragment);
    });
  }
  #aim(fragment: Fragment & { kind: 'jump' }): void {
    const target = reduce(fragment.target, distanceAfterLayout);
    if (!target?.add?.fragment || target.subtract || target.modifier) return;
    const { add, constant } = target;
    if (sectionOf(add) !== this.section || add.binding === 'weak' || add.type === 'ifunc') return;
    this.#target[fragment.order] = add.fragment!.order;
    this.#targetOffset[fragment.order] = add.offset + Number(constant);
  }
  #writeBack(): void {
    this.#fragments.forEach((fragment, order) => {
      fragment.at = this.#at[order]!;
      if (fragment.kind === 'align') fragment.size = this.#size[order]!;
      if (fragment.kind === 'jump') fragment.long = this.#kind[order] !== Kind.Short;
    });
  }

  /** Answers whether anything changed its size. */
  #pass(): boolean {
    let stretch = 0;
    let changed = false;
    const count = this.#fragments.length;
    for (let order = 0; order < count; order++) {
      const at = (this.#at[order]! += stretch);
      if (this.#isComputed) this.#fragments[order]!.at = at;
      const kind = this.#kind[order]!;
      if (kind === Kind.Fixed) continue;
      const before = this.#size[order]!;
      const size = kind === Kind.Short ? this.#jump(order, at, stretch) : this.#other(order, at, kind);
      if (size === before) continue;
      this.#size[order] = size;
      stretch += size - before;
      changed = true;
    }
    return changed;
  }
  /** A short jump's size now: it grows where its target is out of reach. */
  #jump(order: number, at: number, stretch: number): number {
    const size = this.#size[order]!;
    const target = this.#target[order]!;
    if (target !== NOWHERE) {
      let to = this.#at[target]! + this.#targetOffset[order]!;
      if (stretch !== 0 && target > order) {
        if (stretch < 0 || this.#region[target] === this.#region[order]) to += stretch;
        else if (to < at) return size;
      }
      const distance = to - (at + size);
      if (distance >= -128 && distance <= 127) return size;
    }
    this.#kind[order] = Kind.Fixed;
    const fragment = this.#fragments[order] as Fragment & { kind: 'jump' };
    fragment.long = true;
    return jumpSize(fragment);
  }
  #other(order: number, at: number, kind: Kind): number {
    const fragment = this.#fragments[order]!;
    if (kind === Kind.Align && fragment.kind === 'align') return alignmentGap(fragment.to, fragment.most, at);
    try {
      return this.#computed(fragment, at);
    } catch (error) {
      if (!(error instanceof AssemblyError)) throw error;
      if (!this.#reported.has(fragment)) this.report((fragment as Fragment & { kind: 'fill' }).position, error.message);
      this.#reported.add(fragment);
      return this.#size[order]!;
    }
  }
  #computed(fragment: Fragment, at: number): number {
    switch (fragment.kind) {
      case 'fill':
        return (fragment.size = bounded(Math.max(0, value(fragment.count)) * fragment.width));
      case 'origin': {
        const to = this.#origin(fragment.to);
        if (to < at) throw new AssemblyError('`.org` cannot go backwards');
        return (fragment.size = bounded(to - at));
      }
      case 'leb128':
        fragment.size = Math.max(fragment.size, leb128(BigInt(value(fragment.expression)), fragment.signed).length);
        return fragment.size;
      default:
        return sizeOf(fragment);
    }
  }
  #origin(expression: Expression): number {
    const reduced = reduce(expression, distanceAfterLayout);
    const isHere = reduced?.add && !reduced.subtract && sectionOf(reduced.add) === this.section;
    return isHere ? offsetOf(reduced.add!) + Number(reduced.constant) : value(expression);
  }
}

/** Lays out all sections. Sizes that depend on another section's distances settle in a second round. */
export function layOut(sections: readonly Section[], report: Report): void {
  const later = (section: Section): boolean => !(section.flags & SHF.execute);
  for (const section of [...sections].sort((a, b) => Number(later(a)) - Number(later(b))))
    new Relaxation(section, report).run();
}

/** LEB128 bytes (DWARF 5 section 7.6). */
export function leb128(number: bigint, signed: boolean): number[] {
  const bytes: number[] = [];
  let rest = signed ? number : BigInt.asUintN(64, number);
  for (;;) {
    const low = Number(rest & 0x7fn);
    rest >>= 7n;
    const isLast = signed ? (rest === 0n && !(low & 0x40)) || (rest === -1n && !!(low & 0x40)) : rest === 0n;
    bytes.push(isLast ? low : low | 0x80);
    if (isLast) return bytes;
  }
}

const NOPS: readonly (readonly number[])[] = [
  [],
  [0x90],
  [0x66, 0x90],
  [0x0f, 0x1f, 0x00],
  [0x0f, 0x1f, 0x40, 0x00],
  [0x0f, 0x1f, 0x44, 0x00, 0x00],
  [0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00],
  [0x0f, 0x1f, 0x80, 0x00, 0x00, 0x00, 0x00],
  [0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00],
  [0x66, 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00],
  [0x66, 0x2e, 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00],
  [0x66, 0x66, 0x2e, 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00],
];

/** Of 16-bit code: LEA SI, [SI + disp]. */
const NOPS_16: readonly (readonly number[])[] = [
  [],
  [0x90],
  [0x66, 0x90],
  [0x8d, 0x74, 0x00],
  [0x8d, 0xb4, 0x00, 0x00],
];

/** More of the longest than this are jumped over. */
const MOST_NOPS = 7;
const MOST_NOPS_16 = 2;

/** No-operations that fill a gap in code: as few as can be, the longest first, behind a jump if they are many (as GNU as does for x86-64). */
export function nops(count: number, bits: CodeBits = 64): number[] {
  const kinds = bits === 16 ? NOPS_16 : NOPS;
  const longest = kinds.length - 1;
  if (count < ((bits === 16 ? MOST_NOPS_16 : MOST_NOPS) + 1) * longest) return plainNops(count, kinds);
  const long = bits === 16 ? [0x66, 0xe9] : [0xe9];
  const isShort = count - 2 <= 127;
  const over = isShort ? count - 2 : count - long.length - 4;
  const jump = isShort ? [0xeb, over] : [...long, ...littleEndian(BigInt(over), 4)];
  return [...jump, ...plainNops(over, kinds)];
}

function plainNops(count: number, kinds: readonly (readonly number[])[]): number[] {
  const longest = kinds.length - 1;
  const bytes: number[] = [];
  for (let left = count; left > 0;) {
    const size = Math.min(left, longest);
    bytes.push(...kinds[size]!);
    left -= size;
  }
  return bytes;
}
