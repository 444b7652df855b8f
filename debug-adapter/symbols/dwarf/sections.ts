/** The DWARF sections of an image, taken (and inflated) only when first asked for. */
import type { ElfImage } from '../elf.ts';

export class DwarfSections {
  constructor(readonly elf: ElfImage) {}

  get info(): Uint8Array {
    return this.elf.contents('.debug_info');
  }
  get types(): Uint8Array {
    return this.elf.contents('.debug_types');
  }
  get abbrev(): Uint8Array {
    return this.elf.contents('.debug_abbrev');
  }
  get str(): Uint8Array {
    return this.elf.contents('.debug_str');
  }
  get lineStr(): Uint8Array {
    return this.elf.contents('.debug_line_str');
  }
  get strOffsets(): Uint8Array {
    return this.elf.contents('.debug_str_offsets');
  }
  get addr(): Uint8Array {
    return this.elf.contents('.debug_addr');
  }
  get line(): Uint8Array {
    return this.elf.contents('.debug_line');
  }
  get ranges(): Uint8Array {
    return this.elf.contents('.debug_ranges');
  }
  get rnglists(): Uint8Array {
    return this.elf.contents('.debug_rnglists');
  }
  get loc(): Uint8Array {
    return this.elf.contents('.debug_loc');
  }
  get loclists(): Uint8Array {
    return this.elf.contents('.debug_loclists');
  }
  get frame(): Uint8Array {
    return this.elf.contents('.debug_frame');
  }
  get ehFrame(): Uint8Array {
    return this.elf.contents('.eh_frame');
  }
}
