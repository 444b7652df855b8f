/** Parameters of the function or inlined copy. */
import { valueRow } from '../presentation/values.ts';
import type { ScopeDefinition } from './scope.ts';

export const parameters: ScopeDefinition = {
  name: 'Arguments',
  hint: 'arguments',
  expensive: false,
  available: (_, { scope }) => scope.instance !== undefined,
  rows(_, { scope }) {
    const { frame, instance } = scope;
    if (!instance) return [];
    const variables = frame.program.variablesIn(instance, frame.lookupPc).filter(({ role }) => role === 'parameter');
    return variables.map((variable) => valueRow(variable.name, scope.valueOf(variable), scope, variable.name));
  },
};
