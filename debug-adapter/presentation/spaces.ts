/**
 * Addresses in three spaces, `gva:`, `gpa:` and `hpa:` before an expression; on a bare machine whose kernel is a hypervisor also `host:` and `guest:`, linear addresses of
 * either level of VMX operation whichever runs.
 */
import type { Machine, Space } from '../../emulator/machine/api.ts';
import { isOtherLevel } from '../../emulator/machine/levels.ts';
import type { Debuggee } from '../debuggee.ts';
import { evaluate } from '../expressions/evaluate.ts';
import type { FrameScope } from '../expressions/scope.ts';
import { RequestError } from '../request.ts';
import type { VariableRow } from './variable.ts';

export interface SpaceAddress {
  readonly space: Space;
  readonly address: bigint;
  /** A linear address of this level of VMX operation, whichever runs. */
  readonly level?: Level;
}
export type Level = 'host' | 'guest';

const PREFIX = /^\s*(gva|gpa|hpa|host|guest):\s*(.+)$/;

/** Undefined if the text names no space. */
export function spaceAddress(text: string, scope: FrameScope): SpaceAddress | undefined {
  const found = PREFIX.exec(text);
  return found ? placed(found[1]!, evaluate(found[2]!, scope).value.unsigned()) : undefined;
}

/** A memory reference of the protocol: a number, in a space or as a linear address. Undefined if it is neither. */
export function parseMemoryReference(text: string): SpaceAddress | undefined {
  const found = /^(?:(gva|gpa|hpa|host|guest):)?(0x[0-9a-f]+|\d+)$/i.exec(text.trim());
  return found ? placed(found[1]?.toLowerCase() ?? 'gva', BigInt(found[2]!)) : undefined;
}

function placed(prefix: string, address: bigint): SpaceAddress {
  if (prefix === 'host' || prefix === 'guest') return { space: 'gva', address, level: prefix };
  return { space: prefix as Space, address };
}

/** What is written before an address of this place: nothing for linear addresses of the level that runs. */
export function prefixOf({ space, level }: SpaceAddress): string {
  if (level) return `${level}:`;
  return space === 'gva' ? '' : `${space}:`;
}

const LEVELS = { root: 'host', guest: 'guest' } as const;

/** The id under which a place is looked at: of the thread, or of the other level of its processor. Throws RequestError if there is no such level. */
export function viewer({ machine }: Debuggee, thread: number, { space, level }: SpaceAddress): number {
  const other = machine.otherLevel(thread);
  if (!level) return space === 'gpa' && other?.mode === 'guest' ? other.id : thread;
  const found = [machine.thread(thread), other].find(
    (info) => info && (info.mode === 'root' || info.mode === 'guest') && LEVELS[info.mode] === level,
  );
  if (!found)
    throw new RequestError(`'${level}:' is an address of a hypervisor's ${level}: there is none on this thread.`);
  return found.id;
}

/** A memory reference to a linear address as a thread or the other level of its processor sees it. */
export function referenceTo({ machine }: Debuggee, id: number, gva: bigint): string {
  return `${otherPrefix(machine, id)}0x${gva.toString(16)}`;
}

function otherPrefix(machine: Machine, id: number): string {
  const mode = isOtherLevel(id) ? machine.thread(id)?.mode : undefined;
  return mode === 'root' || mode === 'guest' ? `${LEVELS[mode]}:` : '';
}

/** The same rows with references that hold for the level they are of. */
export function referringRow(machine: Machine, id: number, row: VariableRow): VariableRow {
  const prefix = otherPrefix(machine, id);
  return prefix === '' ? row : prefixed(row, prefix);
}

function prefixed(row: VariableRow, prefix: string): VariableRow {
  const { memoryReference, children } = row;
  return {
    ...row,
    memoryReference: memoryReference?.startsWith('0x') ? `${prefix}${memoryReference}` : memoryReference,
    children: children && {
      ...children,
      rows: (start, count) => children.rows(start, count).map((child) => prefixed(child, prefix)),
    },
  };
}
