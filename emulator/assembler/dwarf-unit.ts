/** The compilation unit that leads to the line table (DWARF 4 section 3.1.1), for sources that bring none. */
import { ByteWriter } from '../elf/bytes.ts';
import { R } from '../elf/constants.ts';
import { reduce } from './expression.ts';
import type { GeneratedSections } from './generated.ts';
import { distanceAfterLayout } from './layout.ts';
import type { AssemblySymbol, Section } from './model.ts';
import type { Contents, Relocation } from './relocations.ts';
import { offsetOf, sectionOf } from './sections.ts';

const VERSION = 4;
const LANGUAGE_ASSEMBLER = 0x8001;
const PRODUCER = 'Dune Debug assembler';

/** Makes .debug_info and what it refers to, but for .debug_line. */
export function writeUnit(
  generated: GeneratedSections,
  coded: readonly Section[],
  symbols: Iterable<AssemblySymbol>,
  source: { readonly name: string; readonly directory: string },
): void {
  const [info, abbreviations, ranges] = ['.debug_info', '.debug_abbrev', '.debug_ranges'].map((name) =>
    generated.get(name),
  ) as [Section, Section, Section];
  const to = { line: generated.get('.debug_line'), abbreviations, ranges };
  generated.append(info, compilationUnit(functionsOf(coded, symbols), source.name, source.directory, to));
  generated.append(abbreviations, { bytes: Uint8Array.from(ABBREVIATIONS), relocations: [] });
  generated.append(ranges, rangesOf(coded));
}

/**
 * Abbreviation 1: DW_TAG_compile_unit with stmt_list, ranges, name, comp_dir, producer, language, low_pc, and children. 2: DW_TAG_subprogram with
 * name, external, low_pc, high_pc as its size.
 */
const ABBREVIATIONS = [
  ...[1, 0x11, 1],
  ...[0x10, 0x17, 0x55, 0x17, 0x03, 0x08, 0x1b, 0x08, 0x25, 0x08, 0x13, 0x05, 0x11, 0x01],
  ...[0, 0, 2, 0x2e, 0],
  ...[0x03, 0x08, 0x3f, 0x0c, 0x11, 0x01, 0x12, 0x07],
  ...[0, 0, 0],
];

/** Symbols that `.type` and `.size` make functions of. */
function functionsOf(coded: readonly Section[], symbols: Iterable<AssemblySymbol>): AssemblySymbol[] {
  return [...symbols].filter((symbol) => {
    const section = sectionOf(symbol);
    return symbol.type === 'function' && symbol.size !== undefined && section !== undefined && coded.includes(section);
  });
}

function compilationUnit(
  functions: readonly AssemblySymbol[],
  name: string,
  directory: string,
  to: { readonly line: Section; readonly abbreviations: Section; readonly ranges: Section },
): Contents {
  const relocations: Relocation[] = [];
  const writer = new ByteWriter().u32(0).u16(VERSION);
  const reference = (target: Section): void => {
    relocations.push({ offset: writer.length, type: R[32], symbol: target, addend: 0n });
    writer.u32(0);
  };
  reference(to.abbreviations);
  writer.u8(8).u8(1);
  reference(to.line);
  reference(to.ranges);
  writer.string(name).string(directory).string(PRODUCER).u16(LANGUAGE_ASSEMBLER).u64(0);
  for (const symbol of functions) {
    const size = reduce(symbol.size!, distanceAfterLayout)?.constant ?? 0n;
    writer
      .u8(2)
      .string(symbol.name)
      .u8(symbol.binding === 'local' ? 0 : 1);
    relocations.push({
      offset: writer.length,
      type: R[64],
      symbol: sectionOf(symbol)!,
      addend: BigInt(offsetOf(symbol)),
    });
    writer.u64(0).u64(size);
  }
  writer.u8(0);
  writer.patch32(0, writer.length - 4);
  return { bytes: writer.finish(), relocations };
}

function rangesOf(coded: readonly Section[]): Contents {
  const writer = new ByteWriter();
  const relocations: Relocation[] = [];
  for (const of of coded) {
    for (const addend of [0n, BigInt(of.size)]) {
      relocations.push({ offset: writer.length, type: R[64], symbol: of, addend });
      writer.u64(0);
    }
  }
  writer.u64(0).u64(0);
  return { bytes: writer.finish(), relocations };
}
