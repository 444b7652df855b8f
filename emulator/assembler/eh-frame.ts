/** Writes .eh_frame and .debug_frame (LSB "Exception Frames"; DWARF 5 section 6.4.1), in the bytes that GNU as chooses. */
import { ByteWriter } from '../elf/bytes.ts';
import { R, SHF } from '../elf/constants.ts';
import { CFA, DATA_ALIGNMENT } from './cfi.ts';
import type { EncodedReference, Frame, FrameInstruction, FrameSections } from './cfi.ts';
import { SIZES } from './directives-cfi.ts';
import { reduce } from './expression.ts';
import type { GeneratedSections } from './generated.ts';
import { distanceAfterLayout, leb128 } from './layout.ts';
import { AssemblyError } from './model.ts';
import type { AssemblySymbol, Section } from './model.ts';
import { relocationOf } from './relocations.ts';
import type { Relocation, ReportAt } from './relocations.ts';
import { offsetOf, sectionOf } from './sections.ts';

const CIE_VERSION = 1;
const PC_RELATIVE = 0x10;
/** DW_EH_PE_pcrel | DW_EH_PE_sdata4. */
const CODE_ENCODING = 0x1b;
const SECTION_ALIGNMENT = 8;

export function writeFrames(frames: readonly Frame[], generated: GeneratedSections, report: ReportAt): void {
  for (const kind of ['ehFrame', 'debugFrame'] as const) {
    const own = frames.filter(({ sections, end }) => end && sections[kind]);
    if (own.length > 0) new FrameWriter(kind, generated, report).write(own);
  }
}

interface CommonEntry {
  /** All but its instructions. */
  readonly kind: string;
  /** Bytes of each instruction. */
  readonly code: readonly string[];
  readonly offset: number;
}

class FrameWriter {
  readonly #writer = new ByteWriter();
  readonly #relocations: Relocation[] = [];
  readonly #entries: CommonEntry[] = [];
  readonly #symbols = new Map<AssemblySymbol, number>();
  readonly #isEh: boolean;
  readonly #section: Section;
  /** What the source put into the section itself. */
  readonly #base: number;

  constructor(
    kind: keyof FrameSections,
    readonly generated: GeneratedSections,
    readonly report: ReportAt,
  ) {
    this.#isEh = kind === 'ehFrame';
    this.#section = this.#isEh ? generated.get('.eh_frame', SHF.alloc) : generated.get('.debug_frame');
    this.#section.alignment = SECTION_ALIGNMENT;
    this.#base = this.#section.size;
  }

  write(frames: readonly Frame[]): void {
    frames.forEach((frame, index) => {
      const entry = this.#entryOf(frame);
      this.#function(frame, entry, frame.instructions.slice(entry.code.length), index === frames.length - 1);
    });
    this.generated.append(this.#section, { bytes: this.#writer.finish(), relocations: this.#relocations });
  }
  /** The youngest common information entry that a function's instructions begin with, or a new one of all that stand at its first place. */
  #entryOf(frame: Frame): CommonEntry {
    const first = frame.instructions.findIndex((of) => of.kind === 'advance' || !of.initial);
    const initial = frame.instructions.slice(0, first < 0 ? undefined : first);
    const code = initial.map((of) => (of.kind === 'code' ? of.bytes.join() : ''));
    const { returnColumn, isSignalFrame, personality, lsda } = frame;
    const references = this.#isEh ? [this.#identity(personality), lsda?.encoding] : [];
    const kind = [returnColumn, isSignalFrame, ...references].join(' ');
    const fits = (of: CommonEntry): boolean => of.kind === kind && of.code.every((bytes, at) => bytes === code[at]);
    const known = this.#entries.findLast(fits);
    if (known) return known;
    const entry = { kind, code, offset: this.#common(frame, initial) };
    this.#entries.push(entry);
    return entry;
  }
  #identity(reference: EncodedReference | undefined): string {
    if (!reference) return '';
    const { add, constant } = reduce(reference.expression, distanceAfterLayout) ?? { add: undefined, constant: 0n };
    let number = add ? this.#symbols.get(add) : -1;
    if (add && number === undefined) this.#symbols.set(add, (number = this.#symbols.size));
    return `${reference.encoding}:${number}+${constant}`;
  }

  /** A common information entry; answers its offset. */
  #common(frame: Frame, initial: readonly FrameInstruction[]): number {
    const writer = this.#writer;
    const start = writer.length;
    const { personality, lsda, isSignalFrame, returnColumn } = frame;
    writer.u32(0).u32(this.#isEh ? 0 : 0xffff_ffff).u8(CIE_VERSION); // prettier-ignore
    writer.string(this.#isEh ? `z${personality ? 'P' : ''}${lsda ? 'L' : ''}R${isSignalFrame ? 'S' : ''}` : '');
    writer
      .u8(1)
      .bytes(leb128(BigInt(DATA_ALIGNMENT), true))
      .u8(returnColumn);
    if (this.#isEh) {
      const size = 1 + (lsda ? 1 : 0) + (personality ? 1 + sizeOf(personality) : 0);
      writer.u8(size);
      if (personality) writer.u8(personality.encoding);
      this.#reference(frame, personality);
      if (lsda) writer.u8(lsda.encoding);
      writer.u8(CODE_ENCODING);
    }
    this.#instructions(initial);
    this.#close(start, false);
    return start;
  }
  /** A frame description entry. */
  #function(frame: Frame, { offset: entry }: CommonEntry, rest: readonly FrameInstruction[], isLast: boolean): void {
    const writer = this.#writer;
    const begin = writer.length;
    const section = sectionOf(frame.start)!;
    const [from, size] = [offsetOf(frame.start), offsetOf(frame.end!) - offsetOf(frame.start)];
    writer.u32(0);
    if (this.#isEh) {
      writer.u32(writer.length - entry);
      this.#relocate(R.PC32, section, BigInt(from), 4);
      writer.u32(size).bytes(leb128(BigInt(frame.lsda ? sizeOf(frame.lsda) : 0), false));
      this.#reference(frame, frame.lsda);
    } else {
      this.#relocate(R[32], this.#section, BigInt(this.#base + entry), 4);
      this.#relocate(R[64], section, BigInt(from), 8);
      writer.u64(size);
    }
    this.#instructions(rest);
    this.#close(begin, isLast);
  }
  #close(start: number, isLast: boolean): void {
    const writer = this.#writer;
    const to = !this.#isEh || isLast ? SECTION_ALIGNMENT : 4;
    while ((this.#base + writer.length) % to !== 0) writer.u8(0);
    writer.patch32(start, writer.length - start - 4);
  }

  #relocate(type: number, symbol: AssemblySymbol | Section, addend: bigint, size: number): void {
    this.#relocations.push({ offset: this.#writer.length, type, symbol, addend });
    this.#writer.zero(size);
  }
  #reference({ position }: Frame, reference: EncodedReference | undefined): void {
    if (!reference) return;
    const { encoding, expression } = reference;
    const size = sizeOf(reference);
    const kind = encoding & PC_RELATIVE ? 'relative' : encoding & 8 ? 'signed' : 'absolute';
    const at = this.#base + this.#writer.length;
    try {
      const reduced = reduce(expression, distanceAfterLayout);
      if (!reduced) throw new AssemblyError('this reference can neither be computed nor left to a linker');
      const relocation = relocationOf(
        { offset: 0, size, kind, base: 0, expression, position },
        reduced,
        at,
        this.#section,
      );
      this.#relocations.push({ ...relocation, offset: this.#writer.length });
    } catch (error) {
      if (!(error instanceof AssemblyError)) throw error;
      this.report(position, error.message);
    }
    this.#writer.zero(size);
  }

  #instructions(instructions: readonly FrameInstruction[]): void {
    const writer = this.#writer;
    for (const of of instructions) {
      if (of.kind === 'code') writer.bytes(of.bytes);
      else {
        const bytes = offsetOf(of.to) - offsetOf(of.from);
        if (bytes === 0) continue;
        if (bytes < 0x40) writer.u8(CFA.advanceLoc | bytes);
        else if (bytes < 0x100) writer.u8(CFA.advanceLoc1).u8(bytes);
        else if (bytes < 0x10000) writer.u8(CFA.advanceLoc2).u16(bytes);
        else writer.u8(CFA.advanceLoc4).u32(bytes);
      }
    }
  }
}

function sizeOf({ encoding }: EncodedReference): 2 | 4 | 8 {
  return SIZES.get(encoding & 15)!;
}
