/** Addresses in three spaces: `gva:`, `gpa:` and `hpa:` before an expression. */
import type { Space } from '../../emulator/machine/api.ts';
import { evaluate } from '../expressions/evaluate.ts';
import type { FrameScope } from '../expressions/scope.ts';

export interface SpaceAddress {
  readonly space: Space;
  readonly address: bigint;
}

const PREFIX = /^\s*(gva|gpa|hpa):\s*(.+)$/;

/** Undefined if the text names no space. */
export function spaceAddress(text: string, scope: FrameScope): SpaceAddress | undefined {
  const found = PREFIX.exec(text);
  return found ? { space: found[1] as Space, address: evaluate(found[2]!, scope).value.unsigned() } : undefined;
}

/** A memory reference of the protocol: a number, in a space or as a linear address. Undefined if it is neither. */
export function parseMemoryReference(text: string): SpaceAddress | undefined {
  const found = /^(?:(gva|gpa|hpa):)?(0x[0-9a-f]+|\d+)$/i.exec(text.trim());
  return found ? { space: (found[1] ?? 'gva') as Space, address: BigInt(found[2]!) } : undefined;
}
