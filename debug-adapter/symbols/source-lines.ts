/** Between source lines and addresses, over every unit of a program. Addresses are link-time addresses. */
import { functionAt, instancesAt } from './dwarf/functions.ts';
import type { Dwarf } from './dwarf/info.ts';
import type { LineRows } from './dwarf/line-program.ts';
import { afterPrologue } from './dwarf/prologue.ts';
import type { Unit } from './dwarf/unit.ts';
import { commonTail, normalizePath } from './path.ts';

export interface SourcePosition {
  readonly path: string;
  readonly line: number;
  /** 0 if the compiler gave none. */
  readonly column: number;
  readonly isStmt: boolean;
}

/** [low, high). */
export interface AddressRange {
  readonly low: number;
  readonly high: number;
}

interface FileUse {
  readonly unit: Unit;
  readonly file: number;
}

export class SourceLines {
  #files: Map<string, FileUse[]> | undefined;

  constructor(readonly dwarf: Dwarf) {}

  get sources(): string[] {
    return [...this.#index().keys()].sort();
  }

  #index(): Map<string, FileUse[]> {
    if (this.#files) return this.#files;
    this.#files = new Map();
    const seen = new Set<unknown>();
    for (const unit of this.dwarf.units) {
      const table = unit.lines;
      if (!table || seen.has(table)) continue;
      seen.add(table);
      table.files.forEach((path, file) => {
        const uses = this.#files!.get(path);
        if (uses) uses.push({ unit, file });
        else this.#files!.set(path, [{ unit, file }]);
      });
    }
    return this.#files;
  }

  /**
   * The program's name of a source file. A program built in another place matches by its last two components, or by its
   * base name when that is all the program says.
   */
  resolve(path: string): string | undefined {
    const wanted = normalizePath(path);
    const files = this.#index();
    if (files.has(wanted)) return wanted;
    let best: string | undefined;
    let length = 0;
    for (const candidate of files.keys()) {
      const tail = commonTail(candidate, wanted);
      const enough = tail >= 2 || (tail === 1 && (!candidate.includes('/') || !wanted.includes('/')));
      if (enough && tail > length) [best, length] = [candidate, tail];
    }
    return best;
  }

  /** Addresses where a line, or the nearest later one with code, begins: one for each function or inlined copy it is in. */
  addresses(path: string, line: number): { addresses: number[]; actualLine: number } | undefined {
    const name = this.resolve(path);
    const uses = name === undefined ? [] : this.#index().get(name)!;
    let actualLine = Infinity;
    for (const { unit, file } of uses) actualLine = Math.min(actualLine, nearestLine(unit.lines!.rows, file, line));
    if (actualLine === Infinity) return undefined;
    const chosen = new Map<unknown, number>();
    for (const { unit, file } of uses) {
      const rows = unit.lines!.rows;
      for (const row of rowsOf(rows, file, actualLine)) this.#choose(rows.address[row]!, chosen);
    }
    const addresses = [...new Set(chosen.values())].sort((a, b) => a - b);
    return { addresses, actualLine };
  }

  /** Where all the code of a line stands, or of the nearest later one that has code; in the order of addresses. */
  codeOfLine(path: string, line: number): { ranges: AddressRange[]; actualLine: number } | undefined {
    const name = this.resolve(path);
    const uses = name === undefined ? [] : this.#index().get(name)!;
    let actualLine = Infinity;
    for (const { unit, file } of uses) actualLine = Math.min(actualLine, nearestLine(unit.lines!.rows, file, line));
    if (actualLine === Infinity) return undefined;
    const ranges = uses.flatMap(({ unit, file }) => [...codeRanges(unit.lines!.rows, file, actualLine)]);
    return { ranges: united(ranges), actualLine };
  }

  /** Lines in [first, last] that have code. */
  linesWithCode(path: string, first: number, last: number): number[] {
    const name = this.resolve(path);
    const lines = new Set<number>();
    for (const { unit, file } of name === undefined ? [] : this.#index().get(name)!) {
      const rows = unit.lines!.rows;
      for (let row = 0; row < rows.length; row++)
        if (rows.file[row] === file && rows.isStmt(row) && rows.line[row]! >= first && rows.line[row]! <= last)
          lines.add(rows.line[row]!);
    }
    return [...lines].sort((a, b) => a - b);
  }

  #choose(address: number, chosen: Map<unknown, number>): void {
    const unit = this.dwarf.unitAt(address);
    const instance = unit && instancesAt(unit, address)[0];
    const key = instance?.die ?? address;
    const at =
      instance && !instance.inlined && address === instance.entry ? afterPrologue(functionAt(unit, address)!) : address;
    const known = chosen.get(key);
    if (known === undefined || at < known) chosen.set(key, at);
  }

  positionOf(address: number): SourcePosition | undefined {
    const unit = this.dwarf.unitAt(address);
    const table = unit?.lines;
    const row = table ? table.rows.rowAt(address) : -1;
    if (!table || row < 0) return undefined;
    const { rows } = table;
    const path = table.file(rows.file[row]!);
    if (path === undefined || rows.line[row] === 0) return undefined;
    return {
      path,
      line: rows.line[row]!,
      column: rows.column[row]!,
      isStmt: rows.isStmt(row) && rows.address[row] === address,
    };
  }

  /** The run of addresses around one that belong to the same line: what a step by line passes over. */
  lineRange(address: number): { low: number; high: number } | undefined {
    const rows = this.dwarf.unitAt(address)?.lines?.rows;
    const sequence = rows?.sequenceAt(address);
    const row = rows ? rows.rowAt(address) : -1;
    if (!rows || !sequence || row < 0) return undefined;
    const same = (other: number): boolean =>
      rows.line[other] === 0 ||
      (rows.line[other] === rows.line[row] && rows.file[other] === rows.file[row]) ||
      !rows.isStmt(other);
    let first = row;
    while (first > sequence.first && same(first - 1) && rows.line[first - 1] === rows.line[row]) first--;
    let last = row + 1;
    while (last < sequence.last && (same(last) || rows.address[last] === rows.address[row])) last++;
    return { low: rows.address[first]!, high: rows.address[last]! };
  }
}

function nearestLine(rows: LineRows, file: number, line: number): number {
  let nearest = Infinity;
  for (let row = 0; row < rows.length; row++) {
    const candidate = rows.line[row]!;
    if (
      candidate >= line &&
      candidate < nearest &&
      rows.file[row] === file &&
      rows.isStmt(row) &&
      inSequence(rows, row)
    )
      nearest = candidate;
  }
  return nearest;
}

function* rowsOf(rows: LineRows, file: number, line: number): Generator<number> {
  for (const sequence of rows.sequences)
    for (let row = sequence.first; row < sequence.last; row++)
      if (rows.line[row] === line && rows.file[row] === file && rows.isStmt(row)) yield row;
}

/** What rows of a line cover, as `LineRows.rowAt` would find them. */
function* codeRanges(rows: LineRows, file: number, line: number): Generator<AddressRange> {
  for (const { first, last } of rows.sequences)
    for (let row = first; row < last; row++) {
      const low = rows.address[row]!;
      const high = rows.address[row + 1]!;
      if (high === low) continue;
      const owner = ownerOf(rows, row, first);
      if (rows.line[owner] === line && rows.file[owner] === file) yield { low, high };
    }
}

/** Of rows with the same address the last that is a statement, else the last. */
function ownerOf(rows: LineRows, row: number, first: number): number {
  let owner = row;
  while (!rows.isStmt(owner) && owner > first && rows.address[owner - 1] === rows.address[row]) owner--;
  return rows.isStmt(owner) ? owner : row;
}

function united(ranges: readonly AddressRange[]): AddressRange[] {
  const sorted = [...ranges].sort((a, b) => a.low - b.low);
  const whole: AddressRange[] = [];
  for (const range of sorted) {
    const last = whole.at(-1);
    if (last && range.low <= last.high)
      whole[whole.length - 1] = { low: last.low, high: Math.max(last.high, range.high) };
    else whole.push(range);
  }
  return whole;
}

/** Rows of sequences the linker dropped do not count. */
function inSequence(rows: LineRows, row: number): boolean {
  return rows.sequences.some((sequence) => row >= sequence.first && row < sequence.last);
}
