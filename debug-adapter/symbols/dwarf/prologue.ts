/** Where a breakpoint on a function goes: after its prologue, so that parameters can be read. */
import { RowFlag, type LineRows } from './line-program.ts';
import type { DwarfFunction } from './functions.ts';
import { covers } from './ranges.ts';

/**
 * With location lists (optimised code) the entry itself is right. Otherwise the compiler says where the prologue ends
 * (clang), or the second line row of the function is the first statement (gcc, as gdb assumes).
 */
export function afterPrologue(function_: DwarfFunction): number {
  const unit = function_.die.unit;
  const rows = unit.lines?.rows;
  if (!rows) return function_.entry;
  const sequence = rows.sequenceAt(function_.entry);
  if (!sequence) return function_.entry;
  const first = firstRow(rows, sequence.first, sequence.last, function_.entry);
  for (let row = first; row < sequence.last && covers(function_.ranges, rows.address[row]!); row++)
    if (rows.flags[row]! & RowFlag.PrologueEnd) return rows.address[row]!;
  if (unit.optimized) return function_.entry;
  for (let row = first; row < sequence.last && covers(function_.ranges, rows.address[row]!); row++)
    if (rows.address[row]! > function_.entry && rows.isStmt(row) && rows.line[row] !== 0) return rows.address[row]!;
  return function_.entry;
}

function firstRow(rows: LineRows, first: number, last: number, address: number): number {
  for (let row = first; row < last; row++) if (rows.address[row]! >= address) return row;
  return last;
}
