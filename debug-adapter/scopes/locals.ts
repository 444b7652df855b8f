/** Local variables in scope, innermost block first; a hidden outer one says so. */
import { valueRow } from '../presentation/values.ts';
import type { VariableRow } from '../presentation/variable.ts';
import type { ScopeDefinition } from './scope.ts';

export const locals: ScopeDefinition = {
  name: 'Locals',
  hint: 'locals',
  expensive: false,
  available: (_, { scope }) => scope.instance !== undefined,
  rows(_, { scope }) {
    const { frame, instance } = scope;
    if (!instance) return [];
    const rows: VariableRow[] = [];
    const seen = new Set<string>();
    const variables = frame.program.variablesIn(instance, frame.lookupPc).filter(({ role }) => role === 'local');
    for (const variable of variables.reverse()) {
      const hidden = seen.has(variable.name);
      seen.add(variable.name);
      const row = valueRow(variable.name, scope.valueOf(variable), scope, variable.name);
      // A hidden variable has no expression of its own.
      rows.push(
        hidden ? { ...row, name: `${variable.name} (line ${variable.line ?? '?'})`, evaluateName: undefined } : row,
      );
    }
    return rows.reverse();
  },
};
