/** Which variables are in scope at an address, and the program's globals. */
import { At, Tag } from './dwarf/constants.ts';
import type { Die } from './dwarf/die.ts';
import { declarationOf, dieRanges } from './dwarf/functions.ts';
import { covers } from './dwarf/ranges.ts';
import type { Unit } from './dwarf/unit.ts';

export interface Variable {
  readonly name: string;
  readonly die: Die;
  readonly role: 'parameter' | 'local' | 'global';
  readonly artificial: boolean;
  /** Line of its declaration. */
  readonly line: number | undefined;
  /** Depth of the lexical block, 0 for the function's own. */
  readonly depth: number;
  /** Not visible outside its file or function. */
  readonly isStatic: boolean;
  /** Has a place, or at least a value, somewhere. */
  readonly located: boolean;
}

const MAX_DEPTH = 100;

/** Parameters and locals of a function instance that are in scope at a link-time address, innermost block last. */
export function variablesIn(instance: Die, address: number): Variable[] {
  const found: Variable[] = [];
  collect(instance, address, 0, found);
  return found;
}

function collect(block: Die, address: number, depth: number, into: Variable[]): void {
  const described = new Set<Die>();
  for (const child of block.children) {
    if (child.tag !== Tag.variable && child.tag !== Tag.formal_parameter) continue;
    const origin = child.reference(At.abstract_origin);
    if (origin) described.add(origin);
    add(child, depth, into);
  }
  // What optimisation removed altogether is only in the abstract instance; say so rather than hide it.
  const abstract = block.reference(At.abstract_origin);
  for (const child of abstract?.children ?? [])
    if ((child.tag === Tag.variable || child.tag === Tag.formal_parameter) && !described.has(child))
      add(child, depth, into);
  if (depth >= MAX_DEPTH) return;
  for (const child of block.children)
    if (child.tag === Tag.lexical_block && covers(dieRanges(child), address)) collect(child, address, depth + 1, into);
}

function add(die: Die, depth: number, into: Variable[]): void {
  const name = die.name;
  if (name === undefined) return;
  const role = die.tag === Tag.formal_parameter ? 'parameter' : 'local';
  const artificial = die.holder(At.artificial)?.flag(At.artificial) ?? false;
  into.push({
    name,
    die,
    role,
    artificial,
    line: declarationOf(die).line,
    depth,
    isStatic: false,
    located: isLocated(die),
  });
}

const unitGlobals = new WeakMap<Unit, readonly Variable[]>();

/** Variables of file scope that a unit defines, those that optimisation removed included. */
export function globalsOf(unit: Unit): readonly Variable[] {
  let globals = unitGlobals.get(unit);
  if (!globals) {
    const found: Variable[] = [];
    collectGlobals(unit.tree, 0, found);
    unitGlobals.set(unit, (globals = found));
  }
  return globals;
}

function collectGlobals(parent: Die, depth: number, into: Variable[]): void {
  for (const die of parent.children) {
    if (die.tag === Tag.namespace && depth < 16) collectGlobals(die, depth + 1, into);
    if (die.tag !== Tag.variable || die.flag(At.declaration)) continue;
    const name = die.name;
    if (name === undefined) continue;
    const isStatic = !(die.holder(At.external)?.flag(At.external) ?? false);
    into.push({
      name,
      die,
      role: 'global',
      artificial: false,
      line: declarationOf(die).line,
      depth: 0,
      isStatic,
      located: isLocated(die),
    });
  }
}

function isLocated(die: Die): boolean {
  return die.has(At.location) || die.has(At.const_value);
}
