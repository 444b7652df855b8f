/** What unfolds under a value: members, elements in pages, the target of a pointer. */
import { strip, type ArrayType, type Type } from './dwarf/types.ts';
import { isRecord, ValueError, type Value } from './values.ts';

export interface Child {
  readonly name: string;
  readonly value: Value;
  /** Suffix or form of an expression that names the child, with % for the parent's. */
  readonly path: string;
}

/** How many children a value has; arrays count as indexed. */
export function childCount(value: Value): { named: number; indexed: number } {
  if (value.optimizedOut) return { named: 0, indexed: 0 };
  const type = value.plainType;
  if (isRecord(type)) return { named: type.members.length, indexed: 0 };
  if (type.kind === 'array') return { named: 0, indexed: elementCount(value, type) };
  if (type.kind === 'pointer') return { named: hasTarget(value) ? targetChildren(strip(type.target)) : 0, indexed: 0 };
  return { named: 0, indexed: 0 };
}

/** None when the length is not known; the value's text says so. */
function elementCount(value: Value, type: ArrayType): number {
  try {
    return value.arrayCount(type);
  } catch (error) {
    if (error instanceof ValueError) return 0;
    throw error;
  }
}

function targetChildren(target: Type): number {
  return isRecord(target) ? target.members.length : 1;
}

/** Null pointers and pointers to void or functions do not unfold. */
function hasTarget(value: Value): boolean {
  const type = value.plainType;
  if (type.kind !== 'pointer') return false;
  const target = strip(type.target);
  if (target.kind === 'void' || target.kind === 'function' || (isRecord(target) && target.incomplete)) return false;
  if (value.location.kind === 'implicit-pointer') return true;
  try {
    return value.unsigned() !== 0n;
  } catch (error) {
    if (error instanceof ValueError) return false;
    throw error;
  }
}

/** Members, or `count` elements from `start`, or a pointer's target (a record's members at once). */
export function childrenOf(value: Value, start = 0, count = Infinity): Child[] {
  const type = value.plainType;
  if (isRecord(type)) {
    return type.members.map((member, index) => {
      const name = member.name ?? `(anonymous ${index})`;
      return { name, value: value.member(member), path: member.name === undefined ? '%' : `%.${member.name}` };
    });
  }
  if (type.kind === 'array') {
    const end = Math.min(elementCount(value, type), start + count);
    const children: Child[] = [];
    for (let index = start; index < end; index++)
      children.push({ name: `[${index}]`, value: value.element(type, index), path: `%[${index}]` });
    return children;
  }
  if (type.kind !== 'pointer' || !hasTarget(value)) return [];
  const target = value.dereference(type);
  if (isRecord(target.plainType))
    return childrenOf(target).map((child) => ({ ...child, path: child.path.replace('%.', '%->') }));
  return [{ name: '*', value: target, path: '*(%)' }];
}
