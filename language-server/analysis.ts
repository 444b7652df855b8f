/** What the assembler makes of a document: everything that is wrong with it, the encoding of each line, values of symbols. */
import { Assembler } from '../emulator/assembler/assembler.ts';
import type { AssembleOptions } from '../emulator/assembler/assembler.ts';
import { jumpSize } from '../emulator/assembler/layout.ts';
import type { Selected } from '../emulator/assembler/match.ts';
import type { AssemblySymbol, Diagnostic, Fragment, Section } from '../emulator/assembler/model.ts';
import { unexpanded } from '../emulator/assembler/index.ts';
import { isPreprocessed, preprocess, type InactiveLines } from '../emulator/assembler/preprocess.ts';
import { contentsOf, type Contents } from '../emulator/assembler/relocations.ts';

export interface AnalysedInstruction {
  readonly mnemonic: string;
  readonly selected: Selected;
  /** It comes from a macro or repetition that stands in this line. */
  readonly isExpanded: boolean;
  readonly section: Section;
  readonly fragment: Fragment;
  /** Bytes from the fragment's start. */
  readonly offset: number;
}

export class Analysis {
  readonly diagnostics: readonly Diagnostic[];
  /** Lines that conditions of the preprocessor leave out. */
  readonly inactive: readonly InactiveLines[];
  readonly symbols: ReadonlyMap<string, AssemblySymbol>;
  /** Of the document itself, by line from 0. */
  readonly instructions = new Map<number, AnalysedInstruction[]>();
  readonly #contents: ReadonlyMap<Section, Contents>;

  constructor(uri: string, text: string, options: AssembleOptions) {
    const assembler = new Assembler(options);
    assembler.lines.marksSource = false;
    const preprocessed = isPreprocessed(uri)
      ? preprocess(uri, text, { include: (...of) => options.include?.(...of) })
      : undefined;
    assembler.onInstruction = ({ statement, mnemonic, selected }) => {
      const { file, line } = statement.from ?? statement;
      if (file !== uri) return;
      const { current } = assembler.sections;
      const fragment = current.fragments.at(-1)!;
      const offset = fragment.kind === 'data' ? fragment.bytes.length - selected.encoded.bytes.length : 0;
      const isExpanded = statement.from !== undefined;
      const made = { mnemonic, selected, isExpanded, section: current.section, fragment, offset };
      const known = this.instructions.get(line);
      if (known) known.push(made);
      else this.instructions.set(line, [made]);
    };
    assembler.assemble(uri, preprocessed?.text ?? text);
    const { diagnostics, sections } = assembler;
    this.#contents = new Map(
      sections.all.map((section) => [
        section,
        contentsOf(section, (position, message) => diagnostics.push({ ...position, severity: 'error', message })),
      ]),
    );
    this.diagnostics = preprocessed ? unexpanded(diagnostics, preprocessed) : diagnostics;
    this.inactive = preprocessed?.inactive.filter(({ file }) => file === uri) ?? [];
    this.symbols = assembler.symbols;
  }

  /** Number of bytes of an instruction after layout. */
  length({ selected, fragment }: AnalysedInstruction): number {
    return fragment.kind === 'jump' ? jumpSize(fragment) : selected.encoded.bytes.length;
  }
  /** Its bytes; what a linker fills in is zero. */
  bytes(instruction: AnalysedInstruction): Uint8Array {
    const at = instruction.fragment.at + instruction.offset;
    return this.#contents.get(instruction.section)!.bytes.subarray(at, at + this.length(instruction));
  }
  /** Value of a symbol that is a number. */
  value(name: string): bigint | undefined {
    const expression = this.symbols.get(name)?.expression;
    return expression?.kind === 'number' ? expression.value : undefined;
  }
}
