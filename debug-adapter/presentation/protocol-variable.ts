/** A row as DAP has it. */
import type { DebugProtocol } from '@vscode/debugprotocol';
import type { Debuggee } from '../debuggee.ts';
import type { VariableRow } from './variable.ts';

export function protocolVariable(debuggee: Debuggee, row: VariableRow): DebugProtocol.Variable {
  return {
    name: row.name,
    value: row.value,
    type: row.type,
    evaluateName: row.evaluateName,
    memoryReference: row.memoryReference,
    presentationHint: row.hint ?? (row.set ? undefined : { attributes: ['readOnly'] }),
    ...unfolding(debuggee, row),
  };
}

export function unfolding(
  debuggee: Debuggee,
  { children }: VariableRow,
): Pick<DebugProtocol.Variable, 'variablesReference' | 'namedVariables' | 'indexedVariables'> {
  if (!children) return { variablesReference: 0 };
  return {
    variablesReference: debuggee.variables.add(children),
    namedVariables: children.named,
    indexedVariables: children.indexed,
  };
}
