/** Output sections, segments and addresses of a static program. */
import { EHDR, PF, PHDR, PT, SHF, SHT } from '../elf/constants.ts';
import type { ProgramHeader } from '../elf/records.ts';
import type { InputObject, InputSection, OutputSection } from './model.ts';

export const PAGE = 0x1000;
export const IMAGE_BASE = 0x400000;

/** Names of output sections by what input names begin with, in the order of the program. */
const ORDER: readonly (readonly [name: string, kind: 'r' | 'x' | 'w'])[] = [
  ['.note', 'r'],
  ['.rodata', 'r'],
  ['.gcc_except_table', 'r'],
  ['.eh_frame', 'r'],
  ['.init', 'x'],
  ['.text', 'x'],
  ['.fini', 'x'],
  ['.tdata', 'w'],
  ['.tbss', 'w'],
  ['.preinit_array', 'w'],
  ['.init_array', 'w'],
  ['.fini_array', 'w'],
  ['.data.rel.ro', 'w'],
  ['.got', 'w'],
  ['.data', 'w'],
  ['.bss', 'w'],
];

export interface Layout {
  readonly sections: OutputSection[];
  readonly segments: ProgramHeader[];
  /** First address behind the program. */
  readonly end: number;
  /** Bytes of the file that are loaded. */
  readonly fileEnd: number;
}

const align = (value: number, to: number): number => Math.ceil(value / to) * to;

function outputName({ name, flags, type }: InputSection): string {
  if (!(flags & SHF.alloc)) return name;
  if (type === SHT.note) return '.note';
  for (const [known] of [...ORDER].reverse()) {
    if (name === known || name.startsWith(`${known}.`)) {
      // Longer names stand before the shorter ones that they begin with.
      return name.startsWith('.data.rel.ro') ? '.data.rel.ro' : known;
    }
  }
  return name;
}

function isKept({ name, discarded, size }: InputSection): boolean {
  return !discarded && name !== '.note.GNU-stack' && !(size === 0 && name.startsWith('.note'));
}

/** Gathers the inputs of each output section. */
export function gather(objects: readonly InputObject[], extra: readonly OutputSection[]): OutputSection[] {
  const byName = new Map<string, OutputSection>(extra.map((section) => [section.name, section]));
  for (const object of objects)
    for (const input of object.sections) {
      if (!isKept(input)) continue;
      const name = outputName(input);
      let output = byName.get(name);
      if (!output) {
        const { type, entrySize } = input;
        byName.set(
          name,
          (output = { name, type, flags: 0, alignment: 1, entrySize, inputs: [], address: 0, size: 0, offset: 0 }),
        );
      }
      output.flags |= input.flags & ~(SHF.group | SHF.merge | SHF.strings);
      output.alignment = Math.max(output.alignment, input.alignment);
      if (input.type !== SHT.nobits && output.type === SHT.nobits) output.type = input.type;
      output.inputs.push(input);
    }
  // Constructors with priorities come first, by number.
  for (const name of ['.init_array', '.fini_array']) byName.get(name)?.inputs.sort((a, b) => priority(a) - priority(b));
  return [...byName.values()].sort((a, b) => rank(a) - rank(b));
}

function priority({ name }: InputSection): number {
  return Number(/\.(\d+)$/.exec(name)?.[1] ?? 65536);
}

const KINDS = ['r', 'x', 'w'] as const;
function kindOf({ flags }: OutputSection): 'r' | 'x' | 'w' {
  return flags & SHF.write ? 'w' : flags & SHF.execute ? 'x' : 'r';
}
/** Order in the program: by segment, known names in their order, space that is not in the file last. */
function rank(section: OutputSection): number {
  if (!(section.flags & SHF.alloc)) return 10_000;
  const known = ORDER.findIndex(([name]) => name === section.name);
  const isSpace = section.type === SHT.nobits && !(section.flags & SHF.tls);
  return KINDS.indexOf(kindOf(section)) * 1000 + (isSpace ? 900 : known >= 0 ? known * 10 : 125);
}

/** Gives everything its address and file offset. */
export function place(sections: OutputSection[]): Layout {
  const loaded = sections.filter(({ flags }) => flags & SHF.alloc);
  const kinds = KINDS.filter((kind) => loaded.some((section) => kindOf(section) === kind));
  const tls = loaded.filter(({ flags }) => flags & SHF.tls);
  const headers = EHDR + PHDR * (kinds.length + (kinds.includes('r') ? 0 : 1) + 1 + (tls.length > 0 ? 1 : 0));
  const segments: ProgramHeader[] = [];
  let address = IMAGE_BASE + headers;
  let offset = headers;
  for (const kind of ['r', 'x', 'w'] as const) {
    const own = loaded.filter((section) => kindOf(section) === kind);
    if (own.length === 0 && kind !== 'r') continue;
    let [start, startOffset] = [IMAGE_BASE, 0];
    if (kind !== 'r') {
      address = align(address, PAGE);
      offset = align(offset, PAGE);
      [start, startOffset] = [address, offset];
    }
    let fileEnd = offset;
    for (const section of own) {
      const at = align(address, section.alignment);
      offset += at - address;
      placeSection(section, at, offset);
      const isSpace = section.type === SHT.nobits;
      // Thread-local space takes no addresses of the program.
      if (isSpace && section.flags & SHF.tls) continue;
      address = at + section.size;
      offset += section.size;
      if (!isSpace) fileEnd = offset;
    }
    const flags = PF.r | (kind === 'x' ? PF.x : 0) | (kind === 'w' ? PF.w : 0);
    segments.push({
      ...{ type: PT.load, flags, offset: startOffset, address: start, alignment: PAGE },
      ...{ fileSize: fileEnd - startOffset, memorySize: address - start },
    });
    offset = fileEnd;
  }
  if (tls.length > 0) segments.push(tlsSegment(tls));
  const nowhere = { offset: 0, address: 0, fileSize: 0, memorySize: 0 };
  segments.push({ type: PT.gnuStack, flags: PF.r | PF.w, ...nowhere, alignment: 16 });
  return { sections, segments, end: address, fileEnd: offset };
}

function placeSection(section: OutputSection, address: number, offset: number): void {
  section.address = address;
  section.offset = offset;
  section.size = Math.max(section.size, placeInputs(section, address));
}
/** Answers the section's size. */
export function placeInputs({ inputs }: OutputSection, base: number): number {
  let at = 0;
  for (const input of inputs) {
    at = align(base + at, input.alignment) - base;
    input.address = base + at;
    at += input.size;
  }
  return at;
}

function tlsSegment(sections: readonly OutputSection[]): ProgramHeader {
  const first = sections[0]!;
  const alignment = Math.max(...sections.map((section) => section.alignment));
  const ends = sections.map(({ address, size }) => address + size - first.address);
  const file = sections
    .filter(({ type }) => type !== SHT.nobits)
    .map(({ address, size }) => address + size - first.address);
  return {
    ...{ type: PT.tls, flags: PF.r, offset: first.offset, address: first.address, alignment },
    ...{ fileSize: Math.max(0, ...file), memorySize: Math.max(...ends) },
  };
}
