/** What the translator knows while it emits: of flags and checked memory at a point, of a block's end, of a region's locals. */
import type { FlagKind, Size } from '../emitter.ts';
import type { Expression } from '../interpreter/values.ts';
import type { CheckedRange, Place } from './accesses.ts';

/** What is known at a point of the code. */
export interface Knowledge {
  readonly known: FlagState | undefined;
  readonly places: readonly (Place | undefined)[];
  /** General registers whose upper half is zero; a mask. */
  readonly narrow: number;
  /** Of vector registers; both halves. */
  readonly plainLanes: readonly (PlainLanes | undefined)[];
  readonly checked: readonly CheckedRange[];
}
export const NOTHING_KNOWN: Knowledge = { known: undefined, places: [], narrow: 0, plainLanes: [], checked: [] };

/** Lanes of a vector that hold zeros or normal numbers of `size` bytes: all of them, or the lowest one. */
export interface PlainLanes {
  readonly size: 4 | 8;
  readonly all: boolean;
}

/** An entry of a map, made if it is not there. */
export function entryOf<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) map.set(key, (value = make()));
  return value;
}

/** How a block ends; the translator goes on from there. */
export type Ending =
  | { readonly kind: 'jump' }
  | { readonly kind: 'branch'; readonly condition: Expression }
  | { readonly kind: 'indirect'; readonly target: Expression }
  /** The instruction has left for good. */
  | { readonly kind: 'left' };

export interface FlagState {
  readonly kind: FlagKind;
  readonly size: Size;
}

/** Locals that every region has, after its parameters. */
export interface FixedLocals {
  readonly budget: number;
  /** Exit code, or record to go on at. */
  readonly outcome: number;
  /** Record that an exit code is about. */
  readonly at: number;
  readonly tlbBase: number;
  /** A copy of MXCSR. */
  readonly mxcsr: number;
}
