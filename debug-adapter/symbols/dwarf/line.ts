/** Line number programs, versions 2 to 5 (DWARF 5, 6.2). */
import { SymbolError } from '../errors.ts';
import { joinPath } from '../path.ts';
import { Form } from './constants.ts';
import { asNumber, readForm, type FormContext, type RawValue } from './forms.ts';
import { runLineProgram, type LineRows } from './line-program.ts';
import { ByteReader, stringAt } from './reader.ts';
import type { DwarfSections } from './sections.ts';
import type { Unit } from './unit.ts';

const enum Lnct {
  path = 1,
  directory_index = 2,
}

export interface LineHeader extends FormContext {
  readonly minimumInstructionLength: number;
  readonly maximumOperations: number;
  readonly defaultIsStmt: boolean;
  readonly lineBase: number;
  readonly lineRange: number;
  readonly opcodeBase: number;
  /** Operands of standard opcode n at index n - 1. */
  readonly opcodeLengths: readonly number[];
}

export class LineTable {
  #rows: LineRows | undefined;

  constructor(
    readonly header: LineHeader,
    /** Full paths by the file number the program uses. */
    readonly files: readonly string[],
    readonly program: ByteReader,
  ) {}

  /** The program is run the first time. */
  get rows(): LineRows {
    return (this.#rows ??= runLineProgram(this.header, this.program));
  }

  file(number: number): string | undefined {
    return this.files[number];
  }
}

export function readLineTable(sections: DwarfSections, offset: number, unit: Unit): LineTable {
  const reader = new ByteReader(sections.line, 'The section .debug_line', offset);
  const { end, offsetSize } = reader.unitLength();
  const version = reader.u16();
  if (version < 2 || version > 5)
    throw new SymbolError(`The line table at offset ${offset} has version ${version}; 2 to 5 are supported.`);
  const addressSize = version >= 5 ? reader.u8() : unit.addressSize;
  if (version >= 5) reader.u8();
  const headerLength = reader.unsigned(offsetSize);
  const programStart = reader.offset + headerLength;
  const minimumInstructionLength = reader.u8();
  const maximumOperations = version >= 4 ? reader.u8() : 1;
  const defaultIsStmt = reader.u8() !== 0;
  const lineBase = reader.i8();
  const lineRange = reader.u8();
  const opcodeBase = reader.u8();
  const opcodeLengths: number[] = [];
  for (let opcode = 1; opcode < opcodeBase; opcode++) opcodeLengths.push(reader.u8());
  if (lineRange === 0) throw new SymbolError(`The line table at offset ${offset} has a line range of zero.`);
  const header: LineHeader = {
    version,
    offsetSize,
    addressSize,
    minimumInstructionLength,
    maximumOperations,
    defaultIsStmt,
    lineBase,
    lineRange,
    opcodeBase,
    opcodeLengths,
  };
  const files = version >= 5 ? readFiles5(reader, header, sections, unit) : readFiles2(reader, unit);
  return new LineTable(header, files, new ByteReader(sections.line, 'The section .debug_line', programStart, end));
}

/** Versions 2 to 4: directory 0 is the compilation directory, files count from 1. */
function readFiles2(reader: ByteReader, unit: Unit): string[] {
  const directories = [unit.directory];
  for (let name = reader.cstring(); name !== ''; name = reader.cstring())
    directories.push(joinPath(unit.directory, name));
  const files = [joinPath(unit.directory, unit.name)];
  for (let name = reader.cstring(); name !== ''; name = reader.cstring()) {
    const directory = directories[reader.uleb()] ?? unit.directory;
    reader.uleb();
    reader.uleb();
    files.push(joinPath(directory, name));
  }
  return files;
}

/** Version 5: both lists describe their own format, directory 0 is the compilation directory and file 0 the primary source. */
function readFiles5(reader: ByteReader, header: LineHeader, sections: DwarfSections, unit: Unit): string[] {
  const directories = readEntries(reader, header, sections).map(({ path }) => joinPath(unit.directory, path));
  const files = readEntries(reader, header, sections);
  return files.map(({ path, directory }) => joinPath(directories[directory] ?? unit.directory, path));
}

function readEntries(
  reader: ByteReader,
  header: LineHeader,
  sections: DwarfSections,
): { path: string; directory: number }[] {
  const format: { content: number; form: number }[] = [];
  for (let count = reader.u8(); count > 0; count--) format.push({ content: reader.uleb(), form: reader.uleb() });
  const entries: { path: string; directory: number }[] = [];
  const total = reader.uleb();
  if (format.length === 0) return entries;
  for (let count = 0; count < total; count++) {
    let path = '';
    let directory = 0;
    const start = reader.offset;
    for (const { content, form } of format) {
      const value = readForm(reader, form, header, 0);
      if (content === Lnct.path) path = lineString(reader.bytes, sections, form, value);
      else if (content === Lnct.directory_index) directory = asNumber(value) ?? 0;
    }
    // An entry of no bytes would let a damaged count run for ever.
    if (reader.offset === start) throw new SymbolError('A line table lists files that take no space.');
    entries.push({ path, directory });
  }
  return entries;
}

function lineString(section: Uint8Array, sections: DwarfSections, form: number, value: RawValue): string {
  const offset = asNumber(value) ?? 0;
  if (form === Form.string) return stringAt(section, offset);
  return stringAt(form === Form.strp ? sections.str : sections.lineStr, offset);
}
