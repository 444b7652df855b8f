/** The assembler: GNU assembly for x86-64, encoded from the table that the decoder reads. */
import { Assembler } from './assembler.ts';
import type { AssembleOptions } from './assembler.ts';
import { debugSections } from './dwarf-line.ts';
import { writeObject } from './elf-object.ts';
import type { Diagnostic } from './model.ts';
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

/** Assembles a source to an object. What is wrong with the source is in `diagnostics`; nothing is thrown for it. */
export function assembleObject(file: string, text: string, options: ObjectOptions = {}): AssembledObject {
  const assembler = new Assembler(options);
  assembler.assemble(file, text);
  const { diagnostics, sections, symbols } = assembler;
  const report = (position: Diagnostic | Omit<Diagnostic, 'severity' | 'message'>, message: string): void => {
    diagnostics.push({ ...position, severity: 'error', message });
  };
  const contents = new Map(sections.all.map((section) => [section, contentsOf(section, report)]));
  const all = [...sections.all];
  if (options.debugDirectory !== undefined && !assembler.hasOwnLines) {
    for (const [section, of] of debugSections(sections.all, symbols.values(), assembler.files, options.debugDirectory)
      .contents) {
      all.push(section);
      contents.set(section, of);
    }
  }
  diagnostics.sort((a, b) => a.line - b.line || a.column - b.column);
  const failed = diagnostics.some(({ severity }) => severity === 'error');
  const object = failed ? undefined : writeObject({ sections: all, contents, symbols: symbols.values() });
  return { object, diagnostics };
}
