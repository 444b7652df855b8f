/** The assembler: GNU assembly for x86-64, encoded from the table that the decoder reads. */
import { Assembler } from './assembler.ts';
import type { AssembleOptions } from './assembler.ts';
import { writeLineTable } from './dwarf-line.ts';
import { writeUnit } from './dwarf-unit.ts';
import { writeFrames } from './eh-frame.ts';
import { writeObject } from './elf-object.ts';
import { GeneratedSections } from './generated.ts';
import { FileTable } from './line-marks.ts';
import type { Diagnostic } from './model.ts';
import { isPreprocessed, preprocess, type Preprocessed } from './preprocess.ts';
import { contentsOf } from './relocations.ts';

export { Assembler } from './assembler.ts';
export type { AssembledInstruction, AssembleOptions, Included } from './assembler.ts';
export type { AssemblySymbol, Diagnostic, Position } from './model.ts';

export interface ObjectOptions extends AssembleOptions {
  /** Line table for sources that bring none: directory of the source, which names in it are relative to. */
  readonly debugDirectory?: string;
}

export interface AssembledObject {
  /** A relocatable ELF64 file; undefined if there are errors. */
  readonly object: Uint8Array | undefined;
  /** In the order of the source. */
  readonly diagnostics: readonly Diagnostic[];
}

/** Assembles a source to an object; a `.S` is preprocessed first. What is wrong with the source is in `diagnostics`; nothing is thrown for it. */
export function assembleObject(file: string, text: string, options: ObjectOptions = {}): AssembledObject {
  const assembler = new Assembler(options);
  const { diagnostics, sections, symbols } = assembler;
  assembler.lines.marksSource = options.debugDirectory !== undefined;
  let preprocessed: Preprocessed | undefined;
  if (isPreprocessed(file)) {
    preprocessed = preprocess(file, text, { include: (...of) => options.include?.(...of) });
    assembler.assemble(file, preprocessed.text);
  } else assembler.assemble(file, text);
  const report = (position: Diagnostic | Omit<Diagnostic, 'severity' | 'message'>, message: string): void => {
    diagnostics.push({ ...position, severity: 'error', message });
  };
  const contents = new Map(sections.all.map((section) => [section, contentsOf(section, report)]));
  const generated = new GeneratedSections([...sections.all], contents);
  writeFrames(assembler.frames.all, generated, report);
  writeLines(assembler, generated, options.debugDirectory);
  const found = preprocessed ? unexpanded(diagnostics, preprocessed) : diagnostics;
  found.sort((a, b) => a.line - b.line || a.column - b.column);
  const failed = found.some(({ severity }) => severity === 'error');
  const object = failed ? undefined : writeObject({ sections: generated.all, contents, symbols: symbols.values() });
  return { object, diagnostics: found };
}

/** Diagnostics of a preprocessed source where its files have them, and those of the preprocessor. */
export function unexpanded(diagnostics: readonly Diagnostic[], { problems, place }: Preprocessed): Diagnostic[] {
  return [
    ...problems.map((problem) => ({ ...problem, severity: 'error' as const })),
    ...diagnostics.map((of) => ({ ...of, ...place(of.file, of.line, of.column, of.length) })),
  ];
}

/** The line table that `.loc` asks for, or one made of the source's lines. */
function writeLines({ lines, sections, symbols }: Assembler, generated: GeneratedSections, directory?: string): void {
  const hasUnit = generated.has('.debug_info');
  const isOwn = lines.isOwn || (hasUnit && lines.table.files.length > 0);
  if (!isOwn && directory === undefined) return;
  const coded = sections.all.filter((section) => section.lines.length > 0 && section.size > 0);
  if (coded.length === 0 && !isOwn) return;
  let { table } = lines;
  if (!isOwn) {
    table = new FileTable();
    lines.sources.forEach((path, index) => table.add(index + 1, undefined, path, undefined));
  }
  writeLineTable(generated, coded, table, directory ?? '');
  if (hasUnit || directory === undefined) return;
  writeUnit(generated, coded, symbols.values(), { name: isOwn ? '' : lines.sources[0]!, directory });
}
