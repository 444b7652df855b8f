/** Numbers of ELF64 for x86-64 (System V gABI chapters 4 and 5; AMD64 supplement), by the names of <elf.h> without their prefixes. */

/** e_type. */
export const ET = { rel: 1, exec: 2, dyn: 3, core: 4 } as const;
export const EM_X86_64 = 62;

/** Bytes of the file header, a section header, a program header, a symbol and a relocation with addend. */
export const EHDR = 64;
export const SHDR = 64;
export const PHDR = 56;
export const SYM = 24;
export const RELA = 24;

/** sh_type. */
export const SHT = {
  null: 0, progbits: 1, symtab: 2, strtab: 3, rela: 4, note: 7, nobits: 8, dynsym: 11, initArray: 14, finiArray: 15, preinitArray: 16, group: 17,
  unwind: 0x7000_0001,
} as const; // prettier-ignore

/** Bits of sh_flags. */
export const SHF = {
  write: 1, alloc: 2, execute: 4, merge: 0x10, strings: 0x20, infoLink: 0x40, group: 0x200, tls: 0x400, compressed: 0x800, exclude: 0x8000_0000,
} as const; // prettier-ignore

/** Section numbers with a meaning of their own, from `loReserve` on. */
export const SHN = { undef: 0, loReserve: 0xff00, abs: 0xfff1, common: 0xfff2, xindex: 0xffff } as const;

/** Types and bindings of symbols, visibilities. */
export const STT = { none: 0, object: 1, function: 2, section: 3, file: 4, tls: 6, ifunc: 10 } as const;
export const STB = { local: 0, global: 1, weak: 2 } as const;
export const STV = { default: 0, internal: 1, hidden: 2, protected: 3 } as const;

/** p_type and bits of p_flags. */
export const PT = { load: 1, interp: 3, note: 4, tls: 7, gnuStack: 0x6474_e551 } as const;
export const PF = { x: 1, w: 2, r: 4 } as const;

/** Relocations (AMD64 supplement, table 4.10). */
export const R = {
  none: 0, 64: 1, PC32: 2, GOT32: 3, PLT32: 4, GOTPCREL: 9, 32: 10, '32S': 11, 16: 12, PC16: 13, 8: 14, PC8: 15,
  DTPOFF64: 17, TPOFF64: 18, TLSGD: 19, TLSLD: 20, DTPOFF32: 21, GOTTPOFF: 22, TPOFF32: 23, PC64: 24, GOTOFF64: 25, GOTPC32: 26,
  SIZE32: 32, SIZE64: 33, GOTPCRELX: 41, REX_GOTPCRELX: 42,
} as const; // prettier-ignore
