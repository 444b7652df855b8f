/** Functions with code, their inlined copies and their blocks. */
import { At, Tag } from './constants.ts';
import type { Die } from './die.ts';
import { covers, readDieRanges, type AddressRange } from './ranges.ts';
import type { Unit } from './unit.ts';

/** A subprogram with code. Addresses are link-time addresses. */
export interface DwarfFunction {
  readonly die: Die;
  readonly name: string;
  readonly ranges: readonly AddressRange[];
  /** Address of its first instruction. */
  readonly entry: number;
}

/** A function's code, or the copy of one inlined into it. */
export interface FunctionInstance {
  readonly die: Die;
  readonly name: string;
  readonly inlined: boolean;
  /** For inlined copies: where it is called from, in the function around it. */
  readonly callFile?: string;
  readonly callLine?: number;
  readonly callColumn?: number;
  /** Lowest address of the instance. */
  readonly entry: number;
}

const unitFunctions = new WeakMap<Unit, DwarfFunction[]>();
const rangesOf = new WeakMap<Die, readonly AddressRange[]>();
const MAX_DEPTH = 200;

export function dieRanges(die: Die): readonly AddressRange[] {
  let ranges = rangesOf.get(die);
  if (!ranges) rangesOf.set(die, (ranges = readDieRanges(die)));
  return ranges;
}

export function functionsOf(unit: Unit): readonly DwarfFunction[] {
  let functions = unitFunctions.get(unit);
  if (!functions) {
    functions = [];
    collect(unit.tree, functions, 0);
    unitFunctions.set(unit, functions);
  }
  return functions;
}

function collect(parent: Die, into: DwarfFunction[], depth: number): void {
  for (const die of parent.children) {
    if (die.tag === Tag.subprogram) {
      const ranges = dieRanges(die);
      if (ranges.length > 0) into.push({ die, name: die.name ?? '?', ranges, entry: ranges[0]!.low });
    }
    const holdsFunctions =
      die.tag === Tag.namespace ||
      die.tag === Tag.class_type ||
      die.tag === Tag.structure_type ||
      die.tag === Tag.subprogram;
    if (holdsFunctions && depth < 16) collect(die, into, depth + 1);
  }
}

export function functionAt(unit: Unit, address: number): DwarfFunction | undefined {
  return functionsOf(unit).find((candidate) => covers(candidate.ranges, address));
}

/** Innermost first: the inlined copies an address lies in, ending with the function itself. */
export function instancesAt(unit: Unit, address: number): FunctionInstance[] {
  const outer = functionAt(unit, address);
  if (!outer) return [];
  const chain: FunctionInstance[] = [{ die: outer.die, name: outer.name, inlined: false, entry: outer.entry }];
  for (const die of nestedAt(outer.die, address))
    if (die.tag === Tag.inlined_subroutine) chain.unshift(inlinedInstance(die));
  return chain;
}

/** Lexical blocks and inlined subroutines around an address, outermost first. */
export function nestedAt(function_: Die, address: number): Die[] {
  const found: Die[] = [];
  let parent: Die | undefined = function_;
  while (parent && found.length < MAX_DEPTH) {
    const inner: Die | undefined = parent.children.find(
      (child) =>
        (child.tag === Tag.inlined_subroutine || child.tag === Tag.lexical_block) && covers(dieRanges(child), address),
    );
    if (inner) found.push(inner);
    parent = inner;
  }
  return found;
}

function inlinedInstance(die: Die): FunctionInstance {
  const file = die.number(At.call_file);
  const ranges = dieRanges(die);
  return {
    die,
    name: die.name ?? '?',
    inlined: true,
    callFile: file === undefined ? undefined : die.unit.lines?.file(file),
    callLine: die.number(At.call_line),
    callColumn: die.number(At.call_column),
    entry: die.address(At.entry_pc) ?? ranges[0]?.low ?? 0,
  };
}

/** Every inlined copy in a function's tree. */
export function inlinedCopies(parent: Die, into: Die[] = [], depth = 0): Die[] {
  for (const die of parent.children) {
    if (die.tag === Tag.inlined_subroutine && dieRanges(die).length > 0) into.push(die);
    if ((die.tag === Tag.inlined_subroutine || die.tag === Tag.lexical_block) && depth < MAX_DEPTH)
      inlinedCopies(die, into, depth + 1);
  }
  return into;
}

export function declarationOf(die: Die): { file: string | undefined; line: number | undefined } {
  const holder = die.holder(At.decl_line);
  const file = die.holder(At.decl_file)?.number(At.decl_file);
  return {
    file: file === undefined ? undefined : (holder ?? die).unit.lines?.file(file),
    line: holder?.number(At.decl_line),
  };
}
