/** A program's symbols as the debugger asks for them. Addresses here are run-time addresses (gva). */
import {
  dieRanges,
  functionAt,
  functionsOf,
  inlinedCopies,
  instancesAt,
  type DwarfFunction,
  type FunctionInstance,
} from './dwarf/functions.ts';
import { FrameTable } from './dwarf/frame.ts';
import { Dwarf } from './dwarf/info.ts';
import { covers } from './dwarf/ranges.ts';
import { afterPrologue } from './dwarf/prologue.ts';
import { TypeBuilder } from './dwarf/type-builder.ts';
import type { UnwindSource } from './dwarf/unwind.ts';
import { PT } from '../../emulator/elf/constants.ts';
import { ElfImage } from './elf.ts';
import type { ElfSymbol } from './elf-symbols.ts';
import { linkAddressOf, runAddressOf } from './link-address.ts';
import { SourceLines, type SourcePosition } from './source-lines.ts';
import { globalsOf, variablesIn, type Variable } from './variables.ts';
import { SymbolError } from './errors.ts';

export type { SourcePosition } from './source-lines.ts';
export type { Variable } from './variables.ts';
export { SymbolError } from './errors.ts';

/** A function by its run-time entry address. */
export interface FunctionInfo {
  readonly name: string;
  readonly entry: bigint;
  /** Where a breakpoint on the function goes. */
  readonly breakpoint: bigint;
}

export class ProgramSymbols implements UnwindSource {
  readonly frames: FrameTable;
  readonly dwarf: Dwarf;
  readonly lines: SourceLines;
  readonly types: TypeBuilder;
  /** What of the debugging information could not be used, in one sentence. */
  readonly problem: string | undefined;

  constructor(
    readonly elf: ElfImage,
    readonly path: string,
    /** Run-time minus link-time address; 0 for programs that are not position independent. */
    readonly bias: bigint,
  ) {
    this.frames = new FrameTable(elf);
    [this.dwarf, this.problem] = openDwarf(elf);
    this.lines = new SourceLines(this.dwarf);
    this.types = new TypeBuilder(this.dwarf);
  }

  /** Whether the code at a link-time address is of 32 bits, as its debugging information says. */
  isNarrow(address: number): boolean {
    return this.dwarf.unitAt(address)?.addressSize === 4;
  }

  /** Link-time address, or NaN outside what an image can cover. */
  linkAddress(gva: bigint): number {
    return linkAddressOf(gva, this.bias);
  }
  runAddress(address: number): bigint {
    return runAddressOf(address, this.bias);
  }

  /** Breakpoint binding; undefined if no line at or after it has code. */
  sourceToAddresses(path: string, line: number): { addresses: bigint[]; actualLine: number } | undefined {
    const found = this.lines.addresses(path, line);
    return (
      found && { addresses: found.addresses.map((address) => this.runAddress(address)), actualLine: found.actualLine }
    );
  }

  /** Where all the code of a line stands, or of the nearest later one that has code. */
  codeOfLine(path: string, line: number): { ranges: { low: bigint; high: bigint }[]; actualLine: number } | undefined {
    const found = this.lines.codeOfLine(path, line);
    if (!found) return undefined;
    const ranges = found.ranges.map(({ low, high }) => ({ low: this.runAddress(low), high: this.runAddress(high) }));
    return { ranges, actualLine: found.actualLine };
  }

  addressToSource(gva: bigint): SourcePosition | undefined {
    return this.lines.positionOf(this.linkAddress(gva));
  }

  /** [low, high) of the line at an address. */
  lineRange(gva: bigint): { low: bigint; high: bigint } | undefined {
    const range = this.lines.lineRange(this.linkAddress(gva));
    return range && { low: this.runAddress(range.low), high: this.runAddress(range.high) };
  }

  /** The function with debugging information that covers an address. */
  functionAt(gva: bigint): DwarfFunction | undefined {
    const address = this.linkAddress(gva);
    const unit = this.dwarf.unitAt(address);
    return unit && functionAt(unit, address);
  }

  /** Functions of a name, inlined copies included; by symbol alone where there is no debugging information. */
  functionsByName(name: string): FunctionInfo[] {
    const found: FunctionInfo[] = [];
    for (const unit of this.dwarf.units) {
      for (const function_ of functionsOf(unit)) {
        if (function_.name === name) found.push(this.#info(name, function_.entry, afterPrologue(function_)));
        for (const copy of inlinedCopies(function_.die)) {
          const entry = dieRanges(copy)[0]!.low;
          if (copy.name === name) found.push(this.#info(name, entry, entry));
        }
      }
    }
    if (found.length > 0) return found;
    const symbols = this.elf.symbols
      .byName(name)
      .filter((symbol) => symbol.kind !== 'object' && this.elf.isCode(symbol.address));
    return symbols.map((symbol) => this.#info(name, symbol.address, symbol.address));
  }
  #info(name: string, entry: number, breakpoint: number): FunctionInfo {
    return { name, entry: this.runAddress(entry), breakpoint: this.runAddress(breakpoint) };
  }

  /** Innermost first: inlined copies, then the function itself; empty without debugging information. */
  inlineChain(gva: bigint): FunctionInstance[] {
    const address = this.linkAddress(gva);
    const unit = this.dwarf.unitAt(address);
    return unit ? instancesAt(unit, address) : [];
  }

  /** Where a breakpoint on a function goes. */
  afterPrologue(function_: DwarfFunction): bigint {
    return this.runAddress(afterPrologue(function_));
  }

  /** Where the statements of the function around an address begin. */
  statementAddresses(gva: bigint): bigint[] {
    const function_ = this.functionAt(gva);
    const rows = function_?.die.unit.lines?.rows;
    if (!function_ || !rows) return [];
    const addresses = new Set<number>();
    for (let row = 0; row < rows.length; row++)
      if (rows.isStmt(row) && rows.line[row] !== 0 && covers(function_.ranges, rows.address[row]!))
        addresses.add(rows.address[row]!);
    return [...addresses].map((address) => this.runAddress(address));
  }

  /** Source files of the program, full paths. */
  sources(): string[] {
    return this.lines.sources;
  }

  /** Parameters and locals of a function instance at an address, innermost block last. */
  variablesIn(instance: FunctionInstance, gva: bigint): Variable[] {
    return variablesIn(instance.die, this.linkAddress(gva));
  }

  /** Globals and statics of the unit at an address first, then the other units' globals. */
  *globals(gva: bigint | undefined): Generator<Variable> {
    const here = gva === undefined ? undefined : this.dwarf.unitAt(this.linkAddress(gva));
    if (here) yield* globalsOf(here);
    for (const unit of this.dwarf.units) if (unit !== here) yield* globalsOf(unit);
  }

  symbolAt(gva: bigint): { name: string; offset: number; symbol: ElfSymbol } | undefined {
    const found = this.elf.symbols.at(this.linkAddress(gva));
    return found && { name: found.symbol.name, offset: found.offset, symbol: found.symbol };
  }
  symbolByName(name: string): { address: bigint; symbol: ElfSymbol } | undefined {
    const symbols = this.elf.symbols.byName(name);
    const symbol = symbols.find((candidate) => candidate.binding !== 'local') ?? symbols[0];
    return symbol && { address: this.runAddress(symbol.address), symbol };
  }

  /** Thread-local variables of a static program lie below the thread pointer (TLS variant II). */
  threadLocalAddress(offset: bigint, threadPointer: bigint): bigint | undefined {
    const segment = this.elf.segments.find((candidate) => candidate.type === PT.tls);
    if (!segment) return undefined;
    const align = Math.max(1, segment.alignment);
    const size = Math.ceil(segment.memorySize / align) * align;
    return BigInt.asUintN(64, threadPointer - BigInt(size) + offset);
  }
}

/** Damaged debugging information must not keep a program from being debugged by its symbols. */
function openDwarf(elf: ElfImage): [Dwarf, string | undefined] {
  try {
    return [new Dwarf(elf), undefined];
  } catch (error) {
    if (!(error instanceof SymbolError)) throw error;
    return [Dwarf.empty(elf), error.message];
  }
}

/** Reads headers only; everything else is parsed when asked for. Throws SymbolError if the image is not an x86-64 ELF file. */
export function loadSymbols(image: Uint8Array, path: string, bias = 0n): ProgramSymbols {
  return new ProgramSymbols(ElfImage.parse(image), path, bias);
}
