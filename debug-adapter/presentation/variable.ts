/** What is shown in the variables view: rows with text, which may unfold and be set. */
import type { DebugProtocol } from '@vscode/debugprotocol';

export interface VariableRow {
  readonly name: string;
  readonly value: string;
  readonly type?: string;
  /** Expression that gives the same value in a watch. */
  readonly evaluateName?: string;
  readonly memoryReference?: string;
  readonly hint?: DebugProtocol.VariablePresentationHint;
  /** What unfolds under it. */
  readonly children?: VariableContainer;
  /** Sets it from text. Throws an error of one sentence. */
  readonly set?: (text: string) => void;
}

export interface VariableContainer {
  /** Rows [start, start + count); all of them without arguments. */
  rows(start?: number, count?: number): VariableRow[];
  /** How many rows there are, where it pays to know. */
  readonly named?: number;
  readonly indexed?: number;
}
