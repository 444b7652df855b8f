/**
 * ELF32 images for i386 as ELF64 ones: Multiboot kernels often are such containers of 64-bit code (`objcopy -O elf32-i386`). Headers and symbols are written anew before and
 * behind the file, whose contents stay as they are, so that everything else reads one format.
 */
import { EHDR, EM_X86_64, PHDR, SHDR, SHT, SYM } from '../../emulator/elf/constants.ts';

const EM_386 = 3;
const EHDR32 = 52;
const PHDR32 = 32;
const SHDR32 = 40;
const SYM32 = 16;

export function isElf32(image: Uint8Array): boolean {
  return image.length >= EHDR32 && image[0] === 0x7f && image[1] === 0x45 && image[4] === 1 && image[18] === EM_386;
}

/** The image as ELF64; tables that lie outside the file are left out. */
export function widenElf32(image: Uint8Array): Uint8Array {
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  const segmentsAt = view.getUint32(28, true);
  const sectionsAt = view.getUint32(32, true);
  const segments = count(image, segmentsAt, PHDR32, view.getUint16(44, true));
  const sections = count(image, sectionsAt, SHDR32, view.getUint16(48, true));
  const contents = EHDR + segments * PHDR;
  const symbols = Array.from({ length: sections }, (_, index) => symbolsOf(view, sectionsAt + index * SHDR32));
  const symbolBytes = symbols.reduce((sum, table) => sum + table.length * SYM, 0);
  const symbolsAt = contents + image.length;
  const wide = new Uint8Array(symbolsAt + symbolBytes + sections * SHDR);
  wide.set(image, contents);
  const out = new DataView(wide.buffer);
  writeHeader(out, view, { segments, sections, sectionsAt: symbolsAt + symbolBytes });
  for (let index = 0; index < segments; index++)
    widenSegment(out, EHDR + index * PHDR, view, segmentsAt + index * PHDR32, contents);
  let at = symbolsAt;
  symbols.forEach((table, index) => {
    const header = symbolsAt + symbolBytes + index * SHDR;
    widenSection(out, header, view, sectionsAt + index * SHDR32, contents);
    if (table.length === 0) return;
    out.setBigUint64(header + 24, BigInt(at), true);
    out.setBigUint64(header + 32, BigInt(table.length * SYM), true);
    out.setBigUint64(header + 56, BigInt(SYM), true);
    for (const symbol of table) at = widenSymbol(out, at, view, symbol);
  });
  return wide;
}

function count(image: Uint8Array, at: number, size: number, wanted: number): number {
  return at + size * wanted <= image.length ? wanted : 0;
}

interface Tables {
  readonly segments: number;
  readonly sections: number;
  readonly sectionsAt: number;
}

function writeHeader(out: DataView, view: DataView, { segments, sections, sectionsAt }: Tables): void {
  for (let at = 0; at < 16; at++) out.setUint8(at, view.getUint8(at));
  out.setUint8(4, 2);
  out.setUint16(16, view.getUint16(16, true), true);
  out.setUint16(18, EM_X86_64, true);
  out.setUint32(20, 1, true);
  out.setBigUint64(24, BigInt(view.getUint32(24, true)), true);
  out.setBigUint64(32, BigInt(EHDR), true);
  out.setBigUint64(40, BigInt(sectionsAt), true);
  const halves = [EHDR, PHDR, segments, SHDR, sections, view.getUint16(50, true)];
  halves.forEach((value, index) => out.setUint16(52 + index * 2, value, true));
}

/** type, offset, vaddr, paddr, filesz, memsz, flags, align become type, flags, offset, vaddr, paddr, filesz, memsz, align. */
function widenSegment(out: DataView, to: number, view: DataView, from: number, moved: number): void {
  const [type, offset, virtual, physical, fileSize, memorySize, flags, align] = words(view, from, 8);
  out.setUint32(to, type!, true);
  out.setUint32(to + 4, flags!, true);
  [offset! + moved, virtual!, physical!, fileSize!, memorySize!, align!].forEach((value, index) =>
    out.setBigUint64(to + 8 + index * 8, BigInt(value), true),
  );
}

function widenSection(out: DataView, to: number, view: DataView, from: number, moved: number): void {
  const [name, type, flags, address, offset, size, link, info, align, entry] = words(view, from, 10);
  out.setUint32(to, name!, true);
  out.setUint32(to + 4, type!, true);
  [flags!, address!, offset! + moved, size!].forEach((value, index) =>
    out.setBigUint64(to + 8 + index * 8, BigInt(value), true),
  );
  out.setUint32(to + 40, link!, true);
  out.setUint32(to + 44, info!, true);
  out.setBigUint64(to + 48, BigInt(align!), true);
  out.setBigUint64(to + 56, BigInt(entry!), true);
}

/** Offsets of the symbols of a section that is a symbol table. */
function symbolsOf(view: DataView, header: number): number[] {
  const type = view.getUint32(header + 4, true);
  if (type !== SHT.symtab && type !== SHT.dynsym) return [];
  const at = view.getUint32(header + 16, true);
  const size = view.getUint32(header + 20, true);
  if (at + size > view.byteLength) return [];
  return Array.from({ length: Math.floor(size / SYM32) }, (_, index) => at + index * SYM32);
}

/** name, value, size, info, other, shndx become name, info, other, shndx, value, size. */
function widenSymbol(out: DataView, to: number, view: DataView, from: number): number {
  out.setUint32(to, view.getUint32(from, true), true);
  out.setUint32(to + 4, view.getUint32(from + 12, true), true);
  out.setBigUint64(to + 8, BigInt(view.getUint32(from + 4, true)), true);
  out.setBigUint64(to + 16, BigInt(view.getUint32(from + 8, true)), true);
  return to + SYM;
}

function words(view: DataView, at: number, length: number): number[] {
  return Array.from({ length }, (_, index) => view.getUint32(at + index * 4, true));
}
