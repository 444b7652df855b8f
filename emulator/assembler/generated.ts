/** Sections that the assembler fills itself, behind what the source put there. */
import { SHT } from '../elf/constants.ts';
import type { Section } from './model.ts';
import type { Contents } from './relocations.ts';

export class GeneratedSections {
  constructor(
    readonly all: Section[],
    readonly contents: Map<Section, Contents>,
  ) {}

  has(name: string): boolean {
    return this.all.some((section) => section.name === name && section.size > 0);
  }
  get(name: string, flags = 0, entrySize = 0): Section {
    let section = this.all.find((candidate) => candidate.name === name);
    if (!section) {
      section = {
        ...{
          name,
          flags,
          type: SHT.progbits,
          entrySize,
          group: undefined,
          alignment: 1,
          parts: [],
          size: 0,
          lines: [],
        },
      };
      this.all.push(section);
      this.contents.set(section, { bytes: new Uint8Array(), relocations: [] });
    }
    return section;
  }
  append(section: Section, { bytes, relocations }: Contents): void {
    const before = this.contents.get(section)!;
    const whole = new Uint8Array(before.bytes.length + bytes.length);
    whole.set(before.bytes);
    whole.set(bytes, before.bytes.length);
    const moved = relocations.map((relocation) => ({
      ...relocation,
      offset: relocation.offset + before.bytes.length,
    }));
    this.contents.set(section, { bytes: whole, relocations: [...before.relocations, ...moved] });
    section.size = whole.length;
  }
}
