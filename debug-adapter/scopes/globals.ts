/** Variables of file scope: the unit's own at once, those of other units under their file's name. */
import { valueRow } from '../presentation/values.ts';
import type { VariableRow } from '../presentation/variable.ts';
import type { ScopeDefinition } from './scope.ts';

export const globals: ScopeDefinition = {
  name: 'Globals',
  expensive: true,
  available: (_, { scope }) => scope.frame.program.dwarf.units.length > 0,
  rows(_, { scope }) {
    const { frame } = scope;
    const here = frame.program.dwarf.unitAt(frame.program.linkAddress(frame.lookupPc));
    const own: VariableRow[] = [];
    const others = new Map<string, VariableRow[]>();
    for (const variable of frame.program.globals(frame.lookupPc)) {
      if (!variable.located) continue;
      const row = valueRow(variable.name, scope.valueOf(variable), scope, variable.name);
      const { unit } = variable.die;
      if (unit === here) own.push(row);
      else others.set(unit.name, [...(others.get(unit.name) ?? []), row]);
    }
    const byName = (a: VariableRow, b: VariableRow): number => (a.name < b.name ? -1 : 1);
    const files = [...others].map(([name, rows]) => ({
      name: name.slice(name.lastIndexOf('/') + 1),
      value: `${rows.length} variable${rows.length === 1 ? '' : 's'}`,
      children: { rows: () => rows.sort(byName) },
    }));
    return [...own.sort(byName), ...files];
  },
};
