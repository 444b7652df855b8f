/** Typed values as rows. */
import { assignText } from '../expressions/evaluate.ts';
import type { FrameScope } from '../expressions/scope.ts';
import { childCount, childrenOf } from '../symbols/children.ts';
import { formatValue, hex, type FormatOptions } from '../symbols/format.ts';
import { ValueError, type Value } from '../symbols/values.ts';
import type { VariableContainer, VariableRow } from './variable.ts';

/** Elements under one row at most; longer arrays are cut into groups of this. */
const PAGE = 100;

export function valueRow(
  name: string,
  value: Value,
  scope: FrameScope,
  path: string,
  options: FormatOptions = {},
): VariableRow {
  const children = valueChildren(value, scope, path, options);
  return {
    name,
    value: formatValue(value, options),
    type: value.type.name,
    evaluateName: path,
    memoryReference: memoryReference(value),
    children,
    set: (text) => assignText(value, text, scope),
    hint: value.optimizedOut ? { attributes: ['readOnly'] } : undefined,
  };
}

/** The address of what is shown: a pointer's target, else the place of the value itself. */
export function memoryReference(value: Value): string | undefined {
  const { kind } = value.plainType;
  if (kind === 'pointer') {
    try {
      return hex(value.unsigned());
    } catch (error) {
      if (error instanceof ValueError) return undefined;
      throw error;
    }
  }
  return value.address === undefined ? undefined : hex(value.address);
}

export function valueChildren(
  value: Value,
  scope: FrameScope,
  path: string,
  options: FormatOptions,
): VariableContainer | undefined {
  const { named, indexed } = childCount(value);
  if (named + indexed === 0) return undefined;
  const outer = /^[\w.]+$/.test(path) || /[\])]$/.test(path) || /^[\w.[\]>-]+$/.test(path) ? path : `(${path})`;
  const rows = (start = 0, count = indexed || Infinity): VariableRow[] =>
    childrenOf(value, start, count).map((child) =>
      valueRow(child.name, child.value, scope, child.path.replace('%', outer), options),
    );
  if (indexed <= PAGE) return { rows, named: named || undefined, indexed: indexed || undefined };
  return { rows: (start, count) => (count === undefined ? groups(indexed, rows) : rows(start, count)), indexed };
}

/** For clients that do not page: groups of elements. */
function groups(total: number, rows: (start: number, count: number) => VariableRow[]): VariableRow[] {
  // At most PAGE groups, each splitting further when it is still large.
  const size = PAGE ** Math.max(1, Math.ceil(Math.log(total) / Math.log(PAGE)) - 1);
  const split = (start: number, end: number, step: number): VariableRow[] => {
    if (step < PAGE) return rows(start, end - start);
    const made: VariableRow[] = [];
    for (let at = start; at < end; at += step) {
      const last = Math.min(end, at + step);
      made.push({ name: `[${at}..${last - 1}]`, value: '', children: { rows: () => split(at, last, step / PAGE) } });
    }
    return made;
  };
  return split(0, total, size);
}
