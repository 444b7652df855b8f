/** Running a line number program into rows (DWARF 5, 6.2.2 and 6.2.5). */
import type { LineHeader } from './line.ts';
import { ByteReader } from './reader.ts';

const enum Lns {
  copy = 1,
  advance_pc = 2,
  advance_line = 3,
  set_file = 4,
  set_column = 5,
  negate_stmt = 6,
  set_basic_block = 7,
  const_add_pc = 8,
  fixed_advance_pc = 9,
  set_prologue_end = 10,
  set_epilogue_begin = 11,
  set_isa = 12,
}
const enum Lne {
  end_sequence = 1,
  set_address = 2,
  define_file = 3,
  set_discriminator = 4,
}

export const enum RowFlag {
  IsStmt = 1,
  PrologueEnd = 2,
  EndSequence = 4,
  EpilogueBegin = 8,
}

/** Rows [first, last] of one sequence; row `last` is its end_sequence. */
export interface Sequence {
  readonly low: number;
  readonly high: number;
  readonly first: number;
  readonly last: number;
}

/** Rows as columns, because there are many. Sequences are sorted by address; addresses grow within one. */
export class LineRows {
  readonly address: number[] = [];
  readonly file: number[] = [];
  readonly line: number[] = [];
  readonly column: number[] = [];
  readonly flags: number[] = [];
  sequences: Sequence[] = [];

  get length(): number {
    return this.address.length;
  }
  isStmt(row: number): boolean {
    return (this.flags[row]! & RowFlag.IsStmt) !== 0;
  }

  sequenceAt(address: number): Sequence | undefined {
    return this.sequences.find((sequence) => address >= sequence.low && address < sequence.high);
  }

  /** The row in force at an address: the last one at or below it, preferring a statement among several at the same address. */
  rowAt(address: number): number {
    const sequence = this.sequenceAt(address);
    if (!sequence) return -1;
    let low = sequence.first;
    let high = sequence.last;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.address[middle]! <= address) low = middle + 1;
      else high = middle;
    }
    let row = low - 1;
    if (row < sequence.first) return -1;
    const best = row;
    while (!this.isStmt(row) && row > sequence.first && this.address[row - 1] === this.address[best]) row--;
    return this.isStmt(row) ? row : best;
  }
}

interface State {
  address: number;
  operation: number;
  file: number;
  line: number;
  column: number;
  isStmt: boolean;
  extra: number;
}

export function runLineProgram(header: LineHeader, program: ByteReader): LineRows {
  const rows = new LineRows();
  const reader = new ByteReader(program.bytes, program.what, program.offset, program.end);
  const start = (): State => ({
    address: 0,
    operation: 0,
    file: 1,
    line: 1,
    column: 0,
    isStmt: header.defaultIsStmt,
    extra: 0,
  });
  let state = start();
  let first = 0;

  const advance = (operations: number): void => {
    if (header.maximumOperations <= 1) {
      state.address += header.minimumInstructionLength * operations;
      return;
    }
    const total = state.operation + operations;
    state.address += header.minimumInstructionLength * Math.floor(total / header.maximumOperations);
    state.operation = total % header.maximumOperations;
  };
  const append = (flags: number): void => {
    rows.address.push(state.address);
    rows.file.push(state.file);
    rows.line.push(state.line);
    rows.column.push(state.column);
    rows.flags.push(flags | state.extra | (state.isStmt ? RowFlag.IsStmt : 0));
    state.extra = 0;
  };
  const endSequence = (): void => {
    append(RowFlag.EndSequence);
    const last = rows.length - 1;
    // Dead code removed by the linker leaves sequences at address 0.
    if (rows.address[first]! > 0 && rows.address[last]! > rows.address[first]!)
      rows.sequences.push({ low: rows.address[first]!, high: rows.address[last]!, first, last });
    first = rows.length;
    state = start();
  };

  while (!reader.atEnd) {
    const opcode = reader.u8();
    if (opcode >= header.opcodeBase) {
      const adjusted = opcode - header.opcodeBase;
      advance(Math.floor(adjusted / header.lineRange));
      state.line += header.lineBase + (adjusted % header.lineRange);
      append(0);
      continue;
    }
    switch (opcode) {
      case 0:
        extended(reader, header, state, endSequence);
        break;
      case Lns.copy:
        append(0);
        break;
      case Lns.advance_pc:
        advance(reader.uleb());
        break;
      case Lns.advance_line:
        state.line += reader.sleb();
        break;
      case Lns.set_file:
        state.file = reader.uleb();
        break;
      case Lns.set_column:
        state.column = reader.uleb();
        break;
      case Lns.negate_stmt:
        state.isStmt = !state.isStmt;
        break;
      case Lns.const_add_pc:
        advance(Math.floor((255 - header.opcodeBase) / header.lineRange));
        break;
      case Lns.fixed_advance_pc:
        state.address += reader.u16();
        state.operation = 0;
        break;
      case Lns.set_prologue_end:
        state.extra |= RowFlag.PrologueEnd;
        break;
      case Lns.set_epilogue_begin:
        state.extra |= RowFlag.EpilogueBegin;
        break;
      case Lns.set_basic_block:
        break;
      default:
        // set_isa and opcodes of later versions: the header says how many operands to pass over.
        for (let operand = header.opcodeLengths[opcode - 1] ?? 0; operand > 0; operand--) reader.uleb();
    }
  }
  rows.sequences.sort((a, b) => a.low - b.low);
  return rows;
}

function extended(reader: ByteReader, header: LineHeader, state: State, endSequence: () => void): void {
  const length = reader.uleb();
  const next = reader.offset + length;
  if (length > 0) {
    switch (reader.u8()) {
      case Lne.end_sequence:
        endSequence();
        break;
      case Lne.set_address:
        state.address = reader.unsigned(length - 1 === 4 ? 4 : header.addressSize);
        state.operation = 0;
        break;
    }
  }
  reader.offset = Math.min(next, reader.end);
}
