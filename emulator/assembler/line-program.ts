/** Line-number programs (DWARF 5 section 6.2), in the bytes that GNU as chooses. */
import type { ByteWriter } from '../elf/bytes.ts';
import { R } from '../elf/constants.ts';
import { leb128 } from './layout.ts';
import type { LineMark, Section } from './model.ts';
import type { Relocation } from './relocations.ts';

/** Operands of standard opcodes 1..12. */
const OPERANDS = [0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1];
const OPCODE_BASE = OPERANDS.length + 1;
const LINE_BASE = -5;
const LINE_RANGE = 14;
/** What opcode 255 adds to the address. */
const MOST_SPECIAL_ADVANCE = Math.floor((255 - OPCODE_BASE) / LINE_RANGE);
const DW_LNS = {
  copy: 1, advancePc: 2, advanceLine: 3, setFile: 4, setColumn: 5, negateStatement: 6, setBasicBlock: 7, constAddPc: 8, setPrologueEnd: 10,
  setEpilogueBegin: 11, setIsa: 12,
}; // prettier-ignore
const DW_LNE = { endSequence: 1, setAddress: 2, setDiscriminator: 4 };

/** The part of a line table's header between its lengths and its files: minimum instruction length to standard_opcode_lengths. */
export function writeLineParameters(writer: ByteWriter, version: number): void {
  writer.u8(1);
  if (version >= 4) writer.u8(1); // operations an instruction
  writer.u8(1).u8(LINE_BASE & 255).u8(LINE_RANGE).u8(OPCODE_BASE).bytes(OPERANDS); // prettier-ignore
}

/** Nothing but alignment stands between two rows: DW_LNE_set_address makes sure that the second one's view number is 0. */
function mayBeSamePlace(first: LineMark, second: LineMark): boolean {
  const { part, index } = first.fragment;
  if (part !== second.fragment.part) return false;
  let bytes = second.offset - first.offset;
  for (const fragment of part.fragments.slice(index, second.fragment.index)) {
    if (fragment.kind === 'data') bytes += fragment.bytes.length;
    else if (fragment.kind !== 'align') return false;
  }
  return bytes === 0;
}

/** The rows of one section. */
export class LineSequence {
  #address = 0;
  #line = 1;
  #file = 1;
  #column = 0;
  #isa = 0;
  #isStatement = true;

  constructor(
    readonly writer: ByteWriter,
    readonly section: Section,
    readonly relocations: Relocation[],
  ) {}

  write(): void {
    const marks = this.section.lines
      .map((mark) => ({ mark, at: mark.fragment.at + mark.offset }))
      .sort((a, b) => a.at - b.at);
    marks.forEach(({ mark, at }, index) => {
      this.#registers(mark);
      const before = marks[index - 1]?.mark;
      if (!before || (mark.restart && mayBeSamePlace(before, mark))) this.#setAddress(at);
      this.#row(mark.line - this.#line, at - this.#address);
      this.#line = mark.line;
      this.#address = at;
    });
    this.#end(this.section.size - this.#address);
  }

  #operand(opcode: number, value: number): void {
    this.writer.u8(opcode).bytes(leb128(BigInt(value), opcode === DW_LNS.advanceLine));
  }
  #extended(opcode: number, operand: readonly number[]): this {
    this.writer.u8(0).u8(operand.length + 1).u8(opcode).bytes(operand); // prettier-ignore
    return this;
  }
  #registers(mark: LineMark): void {
    const { writer } = this;
    if (mark.file !== this.#file) this.#operand(DW_LNS.setFile, (this.#file = mark.file));
    if (mark.column !== this.#column) this.#operand(DW_LNS.setColumn, (this.#column = mark.column));
    if (mark.discriminator !== 0) this.#extended(DW_LNE.setDiscriminator, leb128(BigInt(mark.discriminator), false));
    if (mark.isa !== this.#isa) this.#operand(DW_LNS.setIsa, (this.#isa = mark.isa));
    if (mark.isStatement !== this.#isStatement) writer.u8(DW_LNS.negateStatement);
    this.#isStatement = mark.isStatement;
    if (mark.basicBlock) writer.u8(DW_LNS.setBasicBlock);
    if (mark.prologueEnd) writer.u8(DW_LNS.setPrologueEnd);
    if (mark.epilogueBegin) writer.u8(DW_LNS.setEpilogueBegin);
  }
  #setAddress(at: number): void {
    this.#extended(DW_LNE.setAddress, [0, 0, 0, 0, 0, 0, 0, 0]);
    const offset = this.writer.length - 8;
    this.relocations.push({ offset, type: R[64], symbol: this.section, addend: BigInt(at) });
    this.#address = at;
  }
  #row(lines: number, bytes: number): void {
    const { writer } = this;
    const isFar = lines < LINE_BASE || lines >= LINE_BASE + LINE_RANGE;
    if (isFar) this.#operand(DW_LNS.advanceLine, lines);
    const left = isFar ? 0 : lines;
    if (left === 0 && bytes === 0) return void writer.u8(DW_LNS.copy);
    const special = (advance: number): number => left - LINE_BASE + OPCODE_BASE + advance * LINE_RANGE;
    if (special(bytes) <= 255) writer.u8(special(bytes));
    else if (special(bytes - MOST_SPECIAL_ADVANCE) <= 255)
      writer.u8(DW_LNS.constAddPc).u8(special(bytes - MOST_SPECIAL_ADVANCE));
    else {
      this.#operand(DW_LNS.advancePc, bytes);
      writer.u8(isFar ? DW_LNS.copy : special(0));
    }
  }
  #end(bytes: number): void {
    if (bytes === MOST_SPECIAL_ADVANCE) this.writer.u8(DW_LNS.constAddPc);
    else if (bytes !== 0) this.#operand(DW_LNS.advancePc, bytes);
    this.#extended(DW_LNE.endSequence, []);
  }
}
