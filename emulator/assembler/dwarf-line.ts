/** Line tables and the compilation unit that leads to them (DWARF 4 sections 3.1.1, 6.2), for sources without `.loc` of their own. */
import { ByteWriter } from '../elf/bytes.ts';
import { R, SHF, SHT } from '../elf/constants.ts';
import { reduce } from './expression.ts';
import { distanceAfterLayout, leb128 } from './layout.ts';
import type { AssemblySymbol, LineMark, Section } from './model.ts';
import type { Contents, Relocation } from './relocations.ts';
import { offsetOf, sectionOf } from './sections.ts';

const VERSION = 4;
const OPCODE_BASE = 13;
/** Operands of standard opcodes 1..12. */
const OPERANDS = [0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1];
const LINE_BASE = -5;
const LINE_RANGE = 14;
const DW_LNS = { copy: 1, advancePc: 2, advanceLine: 3, setFile: 4, negateStatement: 6 };
const DW_LNE = { endSequence: 1, setAddress: 2 };
const LANGUAGE_ASSEMBLER = 0x8001;
const PRODUCER = 'Dune Debug assembler';

export interface DebugSections {
  /** Contents by new section. */
  readonly contents: ReadonlyMap<Section, Contents>;
}

function section(name: string, size: number): Section {
  return {
    name,
    flags: 0,
    type: SHT.progbits,
    entrySize: 0,
    group: undefined,
    alignment: 1,
    parts: [],
    size,
    lines: [],
  };
}

/**
 * `.debug_line`, `.debug_info`, `.debug_abbrev` and `.debug_ranges`.
 * @param sections after layout
 * @param files by number, from 1
 * @param directory what relative names are relative to
 */
export function debugSections(
  sections: readonly Section[],
  symbols: Iterable<AssemblySymbol>,
  files: readonly string[],
  directory: string,
): DebugSections {
  const coded = sections.filter(
    ({ lines, flags, size }) => lines.length > 0 && (flags & SHF.execute) !== 0 && size > 0,
  );
  if (coded.length === 0) return { contents: new Map() };
  const line = lineTable(coded, files);
  const [lineSection, abbreviations, ranges] = [
    section('.debug_line', line.bytes.length),
    section('.debug_abbrev', ABBREVIATIONS.length),
    section('.debug_ranges', 0),
  ];
  const rangeList = rangesOf(coded);
  ranges.size = rangeList.bytes.length;
  const unit = compilationUnit(functionsOf(coded, symbols), files[0] ?? '', directory, {
    line: lineSection,
    abbreviations,
    ranges,
  });
  return {
    contents: new Map([
      [section('.debug_info', unit.bytes.length), unit],
      [abbreviations, { bytes: Uint8Array.from(ABBREVIATIONS), relocations: [] }],
      [lineSection, line],
      [ranges, rangeList],
    ]),
  };
}

function lineTable(coded: readonly Section[], files: readonly string[]): Contents {
  const writer = new ByteWriter();
  const relocations: Relocation[] = [];
  writer.u32(0).u16(VERSION).u32(0);
  const afterLength = writer.length;
  writer
    .u8(1)
    .u8(1)
    .u8(1)
    .u8(LINE_BASE & 255)
    .u8(LINE_RANGE)
    .u8(OPCODE_BASE)
    .bytes(OPERANDS);
  writer.u8(0); // no directories but that of the unit
  for (const file of files) writer.string(file).u8(0).u8(0).u8(0);
  writer.u8(0);
  writer.patch32(afterLength - 4, writer.length - afterLength);
  for (const of of coded) sequence(writer, of, relocations);
  writer.patch32(0, writer.length - 4);
  return { bytes: writer.finish(), relocations };
}

function sequence(writer: ByteWriter, of: Section, relocations: Relocation[]): void {
  writer.u8(0).u8(9).u8(DW_LNE.setAddress);
  relocations.push({ offset: writer.length, type: R[64], symbol: of, addend: 0n });
  writer.u64(0);
  const place = ({ fragment, offset }: LineMark): number => fragment.at + offset;
  const marks = [...of.lines].sort((a, b) => place(a) - place(b));
  let [address, line, file, isStatement] = [0, 1, 1, true];
  for (const mark of marks) {
    if (mark.file !== file) {
      file = mark.file;
      writer.u8(DW_LNS.setFile);
      writer.bytes(leb128(BigInt(file), false));
    }
    if (mark.isStatement !== isStatement) {
      isStatement = mark.isStatement;
      writer.u8(DW_LNS.negateStatement);
    }
    const [pcDelta, lineDelta] = [place(mark) - address, mark.line - line];
    [address, line] = [place(mark), mark.line];
    const special = lineDelta - LINE_BASE + LINE_RANGE * pcDelta + OPCODE_BASE;
    if (lineDelta >= LINE_BASE && lineDelta < LINE_BASE + LINE_RANGE && special <= 255) {
      writer.u8(special);
      continue;
    }
    writer.u8(DW_LNS.advancePc);
    writer.bytes(leb128(BigInt(pcDelta), false));
    writer.u8(DW_LNS.advanceLine);
    writer.bytes(leb128(BigInt(lineDelta), true));
    writer.u8(DW_LNS.copy);
  }
  writer.u8(DW_LNS.advancePc);
  writer.bytes(leb128(BigInt(of.size - address), false));
  writer.u8(0).u8(1).u8(DW_LNE.endSequence);
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
