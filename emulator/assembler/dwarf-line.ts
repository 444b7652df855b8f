/** Line tables (DWARF 5 section 6.2.4; version 3, too), in the bytes that GNU as chooses. */
import { ByteWriter } from '../elf/bytes.ts';
import { R, SHF } from '../elf/constants.ts';
import { littleEndian } from '../elf/bytes.ts';
import type { GeneratedSections } from './generated.ts';
import { leb128 } from './layout.ts';
import type { FileTable } from './line-marks.ts';
import { LineSequence, writeLineParameters } from './line-program.ts';
import type { Section } from './model.ts';
import type { Relocation } from './relocations.ts';

/** DW_LNCT_*, DW_FORM_* (DWARF 5 sections 7.22, 7.5.6). */
const LNCT = { path: 1, directory: 2, md5: 5 };
const FORM = { udata: 0x0f, data16: 0x1e, lineStrp: 0x1f };

/**
 * Appends a line table to .debug_line.
 * @param directory of the compilation, if the source does not name it
 */
export function writeLineTable(
  generated: GeneratedSections,
  coded: readonly Section[],
  files: FileTable,
  directory: string,
): void {
  const section = generated.get('.debug_line');
  const writer = new ByteWriter();
  const relocations: Relocation[] = [];
  const { version } = files;
  writer.u32(0).u16(version);
  if (version >= 5) writer.u8(8).u8(0); // sizes of addresses and segment selectors
  writer.u32(0);
  const afterLength = writer.length;
  writeLineParameters(writer, version);
  if (version >= 5) names5(writer, files, directory, generated, relocations);
  else names3(writer, files);
  writer.patch32(afterLength - 4, writer.length - afterLength);
  for (const of of coded) new LineSequence(writer, of, relocations).write();
  writer.patch32(0, writer.length - 4);
  generated.append(section, { bytes: writer.finish(), relocations });
}

function names3(writer: ByteWriter, { directories, files }: FileTable): void {
  for (const directory of directories.slice(1)) writer.string(directory!);
  writer.u8(0);
  for (let number = 1; number < files.length; number++) {
    const { name, directory } = files[number] ?? UNKNOWN;
    writer
      .string(name)
      .bytes(leb128(BigInt(directory), false))
      .u8(0)
      .u8(0);
  }
  writer.u8(0);
}
const UNKNOWN = { name: '', directory: 0, md5: undefined };

function names5(
  writer: ByteWriter,
  { directories, files }: FileTable,
  own: string,
  generated: GeneratedSections,
  relocations: Relocation[],
): void {
  const strings = generated.get('.debug_line_str', SHF.merge | SHF.strings, 1);
  const path = (text: string): void => {
    const addend = BigInt(strings.size);
    generated.append(strings, { bytes: new ByteWriter().string(text).finish(), relocations: [] });
    relocations.push({ offset: writer.length, type: R[32], symbol: strings, addend });
    writer.u32(0);
  };
  const number = (value: number): void => void writer.bytes(leb128(BigInt(value), false));
  writer.u8(1).u8(LNCT.path).u8(FORM.lineStrp); // prettier-ignore
  number(directories.length);
  for (const directory of directories) path(directory ?? own);
  const hasSums = files.some((file) => file?.md5 !== undefined);
  writer.u8(hasSums ? 3 : 2).u8(LNCT.path).u8(FORM.lineStrp).u8(LNCT.directory).u8(FORM.udata); // prettier-ignore
  if (hasSums) writer.u8(LNCT.md5).u8(FORM.data16);
  number(files.length);
  for (let index = 0; index < files.length; index++) {
    // Without `.file 0` the first file stands for the unit as well.
    const file = files[index] ?? (index === 0 ? files[1] : undefined) ?? UNKNOWN;
    path(file.name);
    number(file.directory);
    if (hasSums) writer.bytes(littleEndian(file.md5 ?? 0n, 16));
  }
}
