/** Sections while they are written: fragments, labels, what is known of distances. */
import { SHF, SHT } from '../elf/constants.ts';
import { AssemblyError } from './model.ts';
import type { AssemblySymbol, Fixup, Fragment, Section, Subsection } from './model.ts';

/** Attributes that follow from a name (ELF gABI "Special Sections"). */
function defaults(name: string): { flags: number; type: number } {
  const base = /^\.[^.]+/.exec(name)?.[0] ?? name;
  switch (base) {
    case '.text':
    case '.init':
    case '.fini':
      return { flags: SHF.alloc | SHF.execute, type: SHT.progbits };
    case '.data':
    case '.data1':
      return { flags: SHF.alloc | SHF.write, type: SHT.progbits };
    case '.bss':
      return { flags: SHF.alloc | SHF.write, type: SHT.nobits };
    case '.rodata':
    case '.rodata1':
      return { flags: SHF.alloc, type: SHT.progbits };
    case '.tdata':
      return { flags: SHF.alloc | SHF.write | SHF.tls, type: SHT.progbits };
    case '.tbss':
      return { flags: SHF.alloc | SHF.write | SHF.tls, type: SHT.nobits };
    case '.init_array':
      return { flags: SHF.alloc | SHF.write, type: SHT.initArray };
    case '.fini_array':
      return { flags: SHF.alloc | SHF.write, type: SHT.finiArray };
    case '.preinit_array':
      return { flags: SHF.alloc | SHF.write, type: SHT.preinitArray };
    case '.note':
      return { flags: 0, type: SHT.note };
    default:
      return { flags: 0, type: SHT.progbits };
  }
}

/** A fragment without its place. */
export type NewFragment = Fragment extends infer F
  ? F extends Fragment
    ? Omit<F, 'at' | 'part' | 'index' | 'order'>
    : never
  : never;

function append(part: Subsection, fragment: NewFragment): Fragment {
  // Callers hand over an object of their own: copying it is a part of the time that large sources take.
  const placed = Object.assign(fragment, { at: 0, part, index: part.fragments.length, order: 0 });
  part.fragments.push(placed);
  return placed;
}

/** The section in which a label stands. */
export function sectionOf(symbol: AssemblySymbol): Section | undefined {
  return symbol.fragment?.part.section;
}

export function isDefined({ fragment, expression, common }: AssemblySymbol): boolean {
  return fragment !== undefined || expression !== undefined || common !== undefined;
}

/** Name of the n-th label `number:`, which no source can write. */
export function localName(number: number, instance: number): string {
  return `.L${number}\u0002${instance}`;
}
/** The number of such a label that does not stand anywhere. */
export function localLabelNumber(symbol: AssemblySymbol): string | undefined {
  return isDefined(symbol) ? undefined : /^\.L(\d+)\u0002/.exec(symbol.name)?.[1];
}

export class Sections {
  readonly all: Section[] = [];
  readonly #byKey = new Map<string, Section>();
  current: Subsection;
  #previous: Subsection;
  readonly #stack: { current: Subsection; previous: Subsection }[] = [];

  constructor() {
    this.current = this.#previous = this.part(this.get('.text'), 0);
    this.get('.data');
    this.get('.bss');
  }

  get(name: string, group?: string): Section {
    const key = group === undefined ? name : `${name}\0${group}`;
    let section = this.#byKey.get(key);
    if (!section) {
      section = {
        ...defaults(name),
        ...{ name, entrySize: 0, group, alignment: 1, parts: [], size: 0, lines: [] },
      };
      this.#byKey.set(key, section);
      this.all.push(section);
    }
    return section;
  }
  part(section: Section, number: number): Subsection {
    const { parts } = section;
    let index = parts.findIndex((part) => part.number >= number);
    if (index >= 0 && parts[index]!.number === number) return parts[index]!;
    if (index < 0) index = parts.length;
    const made: Subsection = { section, number, fragments: [] };
    parts.splice(index, 0, made);
    return made;
  }
  switchTo(section: Section, number = 0): void {
    this.#previous = this.current;
    this.current = this.part(section, number);
  }
  /** `.previous`. */
  swap(): void {
    [this.current, this.#previous] = [this.#previous, this.current];
  }
  push(): void {
    this.#stack.push({ current: this.current, previous: this.#previous });
  }
  pop(): void {
    const top = this.#stack.pop();
    if (!top) throw new AssemblyError('`.popsection` without a `.pushsection` before it');
    this.current = top.current;
    this.#previous = top.previous;
  }

  /** The fragment that bytes go to. */
  data(): Fragment & { kind: 'data' } {
    const { fragments } = this.current;
    const last = fragments[fragments.length - 1];
    if (last?.kind === 'data') return last;
    return append(this.current, { kind: 'data', bytes: [], fixups: [] }) as Fragment & { kind: 'data' };
  }
  /** Puts a label at the place that is written next. */
  place(symbol: AssemblySymbol): void {
    const fragment = this.data();
    symbol.fragment = fragment;
    symbol.offset = fragment.bytes.length;
  }
  bytes(values: readonly number[]): void {
    const { bytes } = this.data();
    for (const value of values) bytes.push(value);
  }
  fixup(fixup: Omit<Fixup, 'offset'>): void {
    const fragment = this.data();
    fragment.fixups.push({ ...fixup, offset: fragment.bytes.length });
    for (let i = 0; i < fixup.size; i++) fragment.bytes.push(0);
  }
  add(fragment: NewFragment): void {
    append(this.current, fragment);
  }
}

const MOST_FRAGMENTS = 32;

/** Bytes from one label to another if nothing between them can change its size. */
export function fixedDistance(from: AssemblySymbol, to: AssemblySymbol): bigint | undefined {
  if (!from.fragment || from.fragment.part !== to.fragment?.part) return undefined;
  const [low, high] = from.fragment.index <= to.fragment.index ? [from, to] : [to, from];
  const { fragments } = from.fragment.part;
  // Far ones wait for the layout.
  if (high.fragment!.index - low.fragment!.index > MOST_FRAGMENTS) return undefined;
  let bytes = 0;
  for (let index = low.fragment!.index; index < high.fragment!.index; index++) {
    const fragment = fragments[index]!;
    if (fragment.kind !== 'data') return undefined;
    bytes += fragment.bytes.length;
  }
  const distance = BigInt(bytes + high.offset - low.offset);
  return low === from ? distance : -distance;
}

/** After layout: an address within the section. */
export function offsetOf({ fragment, offset }: AssemblySymbol): number {
  return fragment!.at + offset;
}
