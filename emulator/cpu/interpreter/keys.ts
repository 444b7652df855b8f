/** Names of handlers: how a decoded instruction finds the one made for it at build time. */
import type { Operand } from '../instruction.ts';
import type { Addressing } from '../records.ts';
import type { FunctionType } from '../wasm/module.ts';

/** Contents of dist/forms.json. */
export interface HandlerTable {
  /** Handler number by key. */
  readonly handlers: Readonly<Record<string, number>>;
  /** Handlers that want the address of the next instruction in the record after the instruction's. */
  readonly needNext: readonly number[];
  /** What a form does with its memory operand (`segmentAccess`); absent if nothing, or if its meaning checks it itself. */
  readonly accesses: Readonly<Record<string, number>>;
  /** First table entry that no handler has. */
  readonly end: number;
  /** Signatures of the core's functions, which the JavaScript API does not tell. */
  readonly helpers: Readonly<Record<string, FunctionType>>;
}

/** The handler that checks a memory operand against its segment, in a record before the instruction's. */
export const CHECK_SEGMENT = 'check_segment';

/** Between the keys of a fused pair. */
export const FUSED = '+';

/** `formKey` plus `:b`, `:x` or `:g` where there is a memory operand, plus `!` for the variant without flags. */
export function handlerKey(
  formKey: string,
  operands: readonly Operand[],
  addressing: Addressing,
  dropFlags: boolean,
): string {
  const memory = operands.some((operand) => operand.kind === 'memory');
  return formKey + (memory ? ':' + addressing : '') + (dropFlags ? '!' : '');
}
