/** The shape of a scope's module: one scope, one file. */
import type { DebugProtocol } from '@vscode/debugprotocol';
import type { Debuggee } from '../debuggee.ts';
import type { CodeFrame } from '../frames.ts';
import type { VariableRow } from '../presentation/variable.ts';

export interface ScopeDefinition {
  readonly name: string;
  readonly hint?: DebugProtocol.Scope['presentationHint'];
  /** The client unfolds it only when asked. */
  readonly expensive: boolean;
  /** False where it would be empty for good. */
  available(debuggee: Debuggee, frame: CodeFrame): boolean;
  rows(debuggee: Debuggee, frame: CodeFrame): VariableRow[];
}
